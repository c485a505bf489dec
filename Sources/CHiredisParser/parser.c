// SPDX-License-Identifier: Apache-2.0

#include "parser.h"

#if defined(__has_include) && !__has_include(<hiredis/hiredis.h>)
#error "hiredis is missing: apt-get install libhiredis-dev, or brew install hiredis pkg-config"
#endif
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/// Arrays within arrays. hiredis 0.14 refuses the ninth level, 1.x has no such limit: both stop at ours.
enum { MAX_DEPTH = 7 };
/// hiredis moves its remaining bytes down after every kilobyte that it has consumed: small slices keep the
/// moves short.
static const size_t max_slice = 8192;
/// Memory above this is freed once the replies in it are discarded.
static const size_t max_kept = 262144;

struct reply_parser {
    redisReader *reader;
    reply_node *nodes;
    size_t node_count, node_capacity;
    char *bytes;
    size_t byte_count, byte_capacity;
    size_t ready_nodes, ready_bytes;  // the part of both that belongs to complete replies
    size_t unfinished;                // bytes fed since the last complete reply
    struct { size_t node; int64_t missing; } open[MAX_DEPTH];
    int depth;
    size_t max_bytes, max_nodes;
    enum reply_fault fault;
};

// MARK: Callbacks. Each returns the parser as a stand-in for an object. NULL stops hiredis at once.

/// Records the first fault and stops hiredis.
static void *fail(reply_parser *p, enum reply_fault fault) {
    p->fault = fault;
    return NULL;
}

/// Appends a node; returns the parser, or NULL after a fault.
static void *add(reply_parser *p, enum reply_type type, int64_t value) {
    if (p->node_count - p->ready_nodes >= p->max_nodes) return fail(p, REPLY_TOO_MANY);
    if (p->node_count == p->node_capacity) {
        size_t capacity = p->node_capacity ? p->node_capacity * 2 : 64;
        reply_node *grown = realloc(p->nodes, capacity * sizeof *grown);
        if (!grown) return fail(p, REPLY_NO_MEMORY);
        p->nodes = grown;
        p->node_capacity = capacity;
    }
    p->nodes[p->node_count++] = (reply_node){
        .value = value, .offset = (uint32_t)p->byte_count, .span = 1, .type = type,
    };
    return p;
}

/// Notes that an element is complete; closes every array that it completes.
static void *complete(reply_parser *p) {
    while (p->depth > 0 && --p->open[p->depth - 1].missing == 0) {
        size_t node = p->open[--p->depth].node;
        p->nodes[node].span = (uint32_t)(p->node_count - node);
    }
    return p;
}

static void *on_string(const redisReadTask *task, char *text, size_t length) {
    reply_parser *p = task->privdata;
    enum reply_type type;
    switch (task->type) {
    case REDIS_REPLY_STRING:
        // hiredis accepts any two bytes for the CRLF after a string. It has counted them: they are in its
        // buffer.
        if (text[length] != '\r' || text[length + 1] != '\n') return fail(p, REPLY_MALFORMED);
        type = REPLY_STRING;
        break;
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        // 0.14 accepts a CR or LF within the line, 1.x does not.
        if (memchr(text, '\r', length) || memchr(text, '\n', length)) return fail(p, REPLY_MALFORMED);
        type = task->type == REDIS_REPLY_STATUS ? REPLY_STATUS : REPLY_ERROR;
        break;
    default: return fail(p, REPLY_MALFORMED);
    }
    if (!add(p, type, (int64_t)length)) return NULL;
    if (p->byte_capacity - p->byte_count < length) {
        size_t capacity = p->byte_capacity ? p->byte_capacity : 4096;
        while (capacity - p->byte_count < length) capacity *= 2;
        char *grown = realloc(p->bytes, capacity);
        if (!grown) return fail(p, REPLY_NO_MEMORY);
        p->bytes = grown;
        p->byte_capacity = capacity;
    }
    if (length) memcpy(p->bytes + p->byte_count, text, length);
    p->byte_count += length;
    return complete(p);
}

static void *on_integer(const redisReadTask *task, long long value) {
    return add(task->privdata, REPLY_INTEGER, value) ? complete(task->privdata) : NULL;
}

static void *on_null(const redisReadTask *task) {
    // 1.x also reports the null of RESP3, and aggregates of length -1, including a push.
    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_ARRAY) {
        return fail(task->privdata, REPLY_MALFORMED);
    }
    return add(task->privdata, REPLY_NULL, 0) ? complete(task->privdata) : NULL;
}

/// Begins an array. Allocates nothing for the announced elements: the count is only a claim of the peer.
static void *begin_array(const redisReadTask *task, uint64_t count) {
    reply_parser *p = task->privdata;
    if (task->type != REDIS_REPLY_ARRAY) return fail(p, REPLY_MALFORMED);
    if (count > p->max_nodes) return fail(p, REPLY_TOO_MANY);
    if (p->depth >= MAX_DEPTH) return fail(p, REPLY_TOO_DEEP);
    if (!add(p, REPLY_ARRAY, (int64_t)count)) return NULL;
    if (count == 0) return complete(p);
    p->open[p->depth].node = p->node_count - 1;
    p->open[p->depth++].missing = (int64_t)count;
    return p;
}

static void on_free(void *object) { (void)object; }

#if HIREDIS_MAJOR >= 1
static void *on_array(const redisReadTask *task, size_t count) { return begin_array(task, count); }

// The types of RESP3. Without these callbacks 1.x would return type codes as if they were objects.
static void *on_double(const redisReadTask *task, double value, char *text, size_t length) {
    (void)value, (void)text, (void)length;
    return fail(task->privdata, REPLY_MALFORMED);
}
static void *on_bool(const redisReadTask *task, int value) {
    (void)value;
    return fail(task->privdata, REPLY_MALFORMED);
}
#else
static void *on_array(const redisReadTask *task, int count) { return begin_array(task, (uint64_t)count); }
#endif

// MARK: Interface

reply_parser *reply_parser_create(size_t max_bytes, size_t max_nodes) {
    static redisReplyObjectFunctions functions = {
        .createString = on_string,
        .createArray = on_array,
        .createInteger = on_integer,
#if HIREDIS_MAJOR >= 1
        .createDouble = on_double,
        .createBool = on_bool,
#endif
        .createNil = on_null,
        .freeObject = on_free,
    };
    reply_parser *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->reader = redisReaderCreateWithFunctions(&functions);
    if (!p->reader) {
        free(p);
        return NULL;
    }
    p->reader->privdata = p;  // the macro of hiredis for this casts a pointer to int
    p->reader->maxbuf = 0;    // the default frees the buffer after each read of more than 16 KiB
#if HIREDIS_MAJOR >= 1
    p->reader->maxelements = INT_MAX;  // as 0.14; the default is more
#endif
    p->max_bytes = max_bytes;
    p->max_nodes = max_nodes;
    return p;
}

void reply_parser_free(reply_parser *p) {
    redisReaderFree(p->reader);
    free(p->nodes);
    free(p->bytes);
    free(p);
}

/// Whether the reader is within an element of a type that only RESP3 has; 0.14 refuses such a type byte
/// itself.
static int is_in_resp3(const redisReader *reader) {
#if HIREDIS_MAJOR >= 1
    if (reader->ridx < 0) return 0;
    int type = reader->task[reader->ridx]->type;
    return type == REDIS_REPLY_NIL || type > REDIS_REPLY_ERROR;
#else
    (void)reader;
    return 0;
#endif
}

/// Takes all replies that the reader can complete from what it was fed.
static enum reply_fault read_replies(reply_parser *p) {
    for (;;) {
        void *reply = NULL;
        int status = redisReaderGetReply(p->reader, &reply);
        if (p->fault) return p->fault;
        if (status != REDIS_OK) return p->reader->err == REDIS_ERR_OOM ? REPLY_NO_MEMORY : REPLY_MALFORMED;
        if (!reply) return is_in_resp3(p->reader) ? REPLY_MALFORMED : REPLY_OK;
        p->ready_nodes = p->node_count;
        p->ready_bytes = p->byte_count;
        p->unfinished = p->reader->len - p->reader->pos;
    }
}

reply_batch reply_parser_parse(reply_parser *p, const void *input, size_t length) {
    const char *next = input;
    while (length > 0 && !p->fault) {
        // Never feeds more than one reply may have, so that the limit does not depend on how the input is
        // cut.
        size_t slice = p->max_bytes - p->unfinished;
        if (slice > max_slice) slice = max_slice;
        if (slice > length) slice = length;
        if (slice == 0) {
            p->fault = REPLY_TOO_LONG;
            break;
        }
        if (redisReaderFeed(p->reader, next, slice) != REDIS_OK) {
            p->fault = REPLY_NO_MEMORY;
            break;
        }
        next += slice;
        length -= slice;
        p->unfinished += slice;
        p->fault = read_replies(p);
    }
    return (reply_batch){p->nodes, p->ready_nodes, p->bytes, p->ready_bytes, p->fault};
}

void reply_parser_discard(reply_parser *p) {
    size_t nodes = p->node_count - p->ready_nodes, bytes = p->byte_count - p->ready_bytes;
    if (p->ready_nodes && nodes) {
        memmove(p->nodes, p->nodes + p->ready_nodes, nodes * sizeof *p->nodes);
        for (size_t i = 0; i < nodes; i++) p->nodes[i].offset -= (uint32_t)p->ready_bytes;
        for (int i = 0; i < p->depth; i++) p->open[i].node -= p->ready_nodes;
    }
    if (p->ready_bytes && bytes) memmove(p->bytes, p->bytes + p->ready_bytes, bytes);
    p->node_count = nodes;
    p->byte_count = bytes;
    p->ready_nodes = p->ready_bytes = 0;
    if (!nodes && (p->byte_capacity > max_kept || p->node_capacity * sizeof *p->nodes > max_kept)) {
        free(p->bytes);
        free(p->nodes);
        p->bytes = NULL;
        p->nodes = NULL;
        p->byte_capacity = p->node_capacity = 0;
    }
}
