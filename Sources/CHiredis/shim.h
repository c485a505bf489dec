// SPDX-License-Identifier: Apache-2.0
//
// What stands between hiredis and Swift: one parser that turns bytes into flat replies, the same for hiredis 0.14 (Debian 12) and 1.x.
// Only the reader of hiredis is used; it does no I/O. The functions are inline because a system library target has no C sources.
#ifndef CHIREDIS_SHIM_H
#define CHIREDIS_SHIM_H

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/// Nesting that the parser can follow at all; the configured limit is at most this. hiredis 0.14 itself stops at 8.
#define CHIREDIS_DEEPEST 32
/// hiredis moves its remaining bytes down after every kilobyte it has consumed: small slices keep those moves short.
#define CHIREDIS_SLICE ((size_t)8192)
/// Scratch memory above this is given back once a reply has been handed over.
#define CHIREDIS_KEEP ((size_t)262144)

/// Why a parser gave up. After any of these it is of no use: the connection has to be closed.
enum chiredis_fault {
    CHIREDIS_OK = 0,
    CHIREDIS_MALFORMED = 1,   ///< not RESP2, or a bulk string that does not end in CRLF
    CHIREDIS_TOO_DEEP = 2,
    CHIREDIS_TOO_MANY = 3,    ///< more elements than allowed
    CHIREDIS_TOO_LONG = 4,    ///< more bytes in one reply than allowed
    CHIREDIS_NO_MEMORY = 5,
};

/// One element of a reply; a reply is its root node followed by all nodes below it, in wire order.
typedef struct chiredis_node {
    int64_t value;    ///< integer: the number; array: its count; text: its length
    uint32_t offset;  ///< where the arena stood when the node was made; for text, where the text begins
    uint32_t span;    ///< nodes of this subtree, itself included
    int32_t type;     ///< REDIS_REPLY_*
} chiredis_node;

typedef struct chiredis_parser {
    redisReader *reader;
    chiredis_node *nodes;
    size_t node_count, node_capacity;
    char *bytes;
    size_t byte_count, byte_capacity;
    size_t ready_nodes, ready_bytes;  // the part of both that belongs to complete replies
    size_t unfinished;                // bytes fed since the last complete reply
    struct { size_t node; int64_t missing; } open[CHIREDIS_DEEPEST];
    int depth;
    int max_depth;
    size_t max_bytes, max_nodes;
    int fault;
} chiredis_parser;

// The callbacks return the parser as a stand-in object. NULL would mean "out of memory" to hiredis, so faults of ours are kept in `fault`.

static inline chiredis_node *chiredis_add(chiredis_parser *p, int type, int64_t value) {
    if (p->fault) return NULL;
    if (p->node_count - p->ready_nodes >= p->max_nodes) { p->fault = CHIREDIS_TOO_MANY; return NULL; }
    if (p->node_count == p->node_capacity) {
        size_t capacity = p->node_capacity ? p->node_capacity * 2 : 64;
        chiredis_node *grown = (chiredis_node *)realloc(p->nodes, capacity * sizeof(chiredis_node));
        if (!grown) { p->fault = CHIREDIS_NO_MEMORY; return NULL; }
        p->nodes = grown;
        p->node_capacity = capacity;
    }
    chiredis_node *node = &p->nodes[p->node_count++];
    node->value = value;
    node->offset = (uint32_t)p->byte_count;
    node->span = 1;
    node->type = type;
    return node;
}

/// An element is complete: closes every array that it completes.
static inline void chiredis_close(chiredis_parser *p) {
    while (p->depth > 0 && --p->open[p->depth - 1].missing == 0) {
        size_t node = p->open[--p->depth].node;
        p->nodes[node].span = (uint32_t)(p->node_count - node);
    }
}

static inline void *chiredis_on_string(const redisReadTask *task, char *text, size_t length) {
    chiredis_parser *p = (chiredis_parser *)task->privdata;
    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS && task->type != REDIS_REPLY_ERROR) {
        p->fault = CHIREDIS_MALFORMED;  // a RESP3 text; nobody asked for RESP3
        return p;
    }
    // hiredis takes any two bytes for the CRLF after a bulk string. They are in its buffer, for it counted them.
    if (task->type == REDIS_REPLY_STRING && (text[length] != '\r' || text[length + 1] != '\n')) {
        p->fault = CHIREDIS_MALFORMED;
        return p;
    }
    if (!chiredis_add(p, task->type, (int64_t)length)) return p;
    if (p->byte_capacity - p->byte_count < length) {
        size_t capacity = p->byte_capacity ? p->byte_capacity : 4096;
        while (capacity - p->byte_count < length) capacity *= 2;
        char *grown = (char *)realloc(p->bytes, capacity);
        if (!grown) { p->fault = CHIREDIS_NO_MEMORY; return p; }
        p->bytes = grown;
        p->byte_capacity = capacity;
    }
    if (length) memcpy(p->bytes + p->byte_count, text, length);
    p->byte_count += length;
    chiredis_close(p);
    return p;
}

static inline void *chiredis_begin_array(const redisReadTask *task, int64_t count) {
    chiredis_parser *p = (chiredis_parser *)task->privdata;
    // Nothing is allocated by an announced count: it is only a claim of the peer.
    if (task->type != REDIS_REPLY_ARRAY) { p->fault = CHIREDIS_MALFORMED; return p; }
    if (count < 0 || (uint64_t)count > p->max_nodes) { p->fault = CHIREDIS_TOO_MANY; return p; }
    if (p->depth >= p->max_depth) { p->fault = CHIREDIS_TOO_DEEP; return p; }
    if (!chiredis_add(p, REDIS_REPLY_ARRAY, count)) return p;
    if (count == 0) {
        chiredis_close(p);
    } else {
        p->open[p->depth].node = p->node_count - 1;
        p->open[p->depth++].missing = count;
    }
    return p;
}

static inline void *chiredis_on_integer(const redisReadTask *task, long long value) {
    chiredis_parser *p = (chiredis_parser *)task->privdata;
    if (chiredis_add(p, REDIS_REPLY_INTEGER, value)) chiredis_close(p);
    return p;
}

static inline void *chiredis_on_nil(const redisReadTask *task) {
    chiredis_parser *p = (chiredis_parser *)task->privdata;
    if (chiredis_add(p, REDIS_REPLY_NIL, 0)) chiredis_close(p);
    return p;
}

static inline void chiredis_on_free(void *object) { (void)object; }

#if HIREDIS_MAJOR >= 1
// hiredis 1.x counts elements in size_t and knows RESP3; a missing callback would make it hand out type codes as pointers.
static inline void *chiredis_on_array(const redisReadTask *task, size_t count) {
    return chiredis_begin_array(task, count > INT64_MAX ? -1 : (int64_t)count);
}
static inline void *chiredis_on_double(const redisReadTask *task, double value, char *text, size_t length) {
    (void)value; (void)text; (void)length;
    ((chiredis_parser *)task->privdata)->fault = CHIREDIS_MALFORMED;
    return task->privdata;
}
static inline void *chiredis_on_bool(const redisReadTask *task, int value) {
    (void)value;
    ((chiredis_parser *)task->privdata)->fault = CHIREDIS_MALFORMED;
    return task->privdata;
}
#else
static inline void *chiredis_on_array(const redisReadTask *task, int count) { return chiredis_begin_array(task, count); }
#endif

/// Makes a parser, or NULL without memory. The table of callbacks is C because Swift cannot spell both of its shapes.
static inline chiredis_parser *chiredis_create(int max_depth, size_t max_bytes, size_t max_nodes) {
    static redisReplyObjectFunctions functions = {
        .createString = chiredis_on_string,
        .createArray = chiredis_on_array,
        .createInteger = chiredis_on_integer,
#if HIREDIS_MAJOR >= 1
        .createDouble = chiredis_on_double,
        .createBool = chiredis_on_bool,
#endif
        .createNil = chiredis_on_nil,
        .freeObject = chiredis_on_free,
    };
    chiredis_parser *p = (chiredis_parser *)calloc(1, sizeof(chiredis_parser));
    if (!p) return NULL;
    p->reader = redisReaderCreateWithFunctions(&functions);
    if (!p->reader) { free(p); return NULL; }
    p->reader->privdata = p;  // the macro of hiredis for this casts a pointer to int
    p->reader->maxbuf = 0;    // 16 KiB by default: the reader would free and allocate its buffer on every larger read
    p->max_depth = max_depth < CHIREDIS_DEEPEST ? max_depth : CHIREDIS_DEEPEST;
    p->max_bytes = max_bytes;
    p->max_nodes = max_nodes;
    return p;
}

static inline void chiredis_free(chiredis_parser *p) {
    redisReaderFree(p->reader);
    free(p->nodes);
    free(p->bytes);
    free(p);
}

/// Takes one read's worth of bytes; complete replies are then `nodes[0 ..< ready_nodes]`. One crossing per read, not per reply.
/// Returns a fault; replies that were complete before it are still there to be used.
static inline int chiredis_parse(chiredis_parser *p, const void *input, size_t length) {
    const char *next = (const char *)input;
    while (length > 0 && !p->fault) {
        size_t slice = length < CHIREDIS_SLICE ? length : CHIREDIS_SLICE;
        if (redisReaderFeed(p->reader, next, slice) != REDIS_OK) return p->fault = CHIREDIS_NO_MEMORY;
        next += slice;
        length -= slice;
        p->unfinished += slice;
        for (;;) {
            void *reply = NULL;
            int status = redisReaderGetReply(p->reader, &reply);
            if (p->fault) return p->fault;
            if (status != REDIS_OK) return p->fault = p->reader->err == REDIS_ERR_OOM ? CHIREDIS_NO_MEMORY : CHIREDIS_MALFORMED;
            if (!reply) break;
            p->ready_nodes = p->node_count;
            p->ready_bytes = p->byte_count;
            p->unfinished = p->reader->len - p->reader->pos;
        }
        if (p->unfinished > p->max_bytes) p->fault = CHIREDIS_TOO_LONG;
    }
    return p->fault;
}

/// Forgets the complete replies, keeps an unfinished one.
static inline void chiredis_consume(chiredis_parser *p) {
    size_t nodes = p->node_count - p->ready_nodes, bytes = p->byte_count - p->ready_bytes;
    if (p->ready_nodes && nodes) {
        memmove(p->nodes, p->nodes + p->ready_nodes, nodes * sizeof(chiredis_node));
        for (size_t i = 0; i < nodes; i++) p->nodes[i].offset -= (uint32_t)p->ready_bytes;
        for (int i = 0; i < p->depth; i++) p->open[i].node -= p->ready_nodes;
    }
    if (p->ready_bytes && bytes) memmove(p->bytes, p->bytes + p->ready_bytes, bytes);
    p->node_count = nodes;
    p->byte_count = bytes;
    p->ready_nodes = p->ready_bytes = 0;
    if (!nodes && (p->byte_capacity > CHIREDIS_KEEP || p->node_capacity * sizeof(chiredis_node) > CHIREDIS_KEEP)) {
        free(p->bytes);
        free(p->nodes);
        p->bytes = NULL;
        p->nodes = NULL;
        p->byte_capacity = p->node_capacity = 0;
    }
}

#endif
