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
/// The text of a status or an error.
static const size_t max_text = 65536;
/// The digits of an integer, a length or a count: no valid one is longer.
static const size_t max_digits = 20;
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
    size_t most_buffered;             // the largest content of the reader's buffer
    int is_in_line;                   // whether the reader waits for the end of a line
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
        if (length > max_text) return fail(p, REPLY_TOO_LONG);
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

/// Creates a reader that calls back for `p`; returns NULL without memory.
static redisReader *create_reader(reply_parser *p) {
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
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    if (!reader) return NULL;
    reader->privdata = p;  // the macro of hiredis for this casts a pointer to int
    reader->maxbuf = 0;    // the default frees the buffer after each read of more than 16 KiB
#if HIREDIS_MAJOR >= 1
    reader->maxelements = INT_MAX;  // as 0.14; the default is more
#endif
    return reader;
}

reply_parser *reply_parser_create(size_t max_bytes, size_t max_nodes) {
    reply_parser *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->reader = create_reader(p);
    if (!p->reader) {
        free(p);
        return NULL;
    }
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

/// The type of the element that the reader is within; -1 between elements.
static int current_type(const redisReader *reader) {
    if (reader->ridx < 0) return -1;
#if HIREDIS_MAJOR >= 1
    return reader->task[reader->ridx]->type;
#else
    return reader->rstack[reader->ridx].type;
#endif
}

/// Whether the reader is within a status or an error, whose line is its text; other lines are numbers.
static int is_in_text(const redisReader *reader) {
    int type = current_type(reader);
    return type == REDIS_REPLY_STATUS || type == REDIS_REPLY_ERROR;
}

/// Refuses a line that is too long already; `length` is what there is of it, without a line feed.
static enum reply_fault check_line(const redisReader *reader, size_t length) {
    if (is_in_text(reader)) return length > max_text + 1 ? REPLY_TOO_LONG : REPLY_OK;
    return length > max_digits + 1 ? REPLY_MALFORMED : REPLY_OK;
}

/// Checks the element that the reader cannot complete yet, and notes whether it waits for the end of a line.
///
/// hiredis searches an unfinished line from its start whenever it is called. So it is called again only when
/// the line has ended, and a line that cannot become valid is refused at once.
static enum reply_fault check_unfinished(reply_parser *p) {
    const redisReader *reader = p->reader;
    int type = current_type(reader);
    if (type < 0) return REPLY_OK;
    // 0.14 refuses the type bytes of RESP3 itself.
    if (type == REDIS_REPLY_NIL || type > REDIS_REPLY_ERROR) return REPLY_MALFORMED;
    const char *line = reader->buf + reader->pos;
    size_t length = reader->len - reader->pos;
    size_t most = (is_in_text(reader) ? max_text : max_digits) + 2;
    const char *end = memchr(line, '\n', length < most ? length : most);
    if (end) {
        // After the length of a string, the string itself is missing. Any other line feed stands alone.
        return type == REDIS_REPLY_STRING && end > line && end[-1] == '\r' ? REPLY_OK : REPLY_MALFORMED;
    }
    p->is_in_line = 1;
    return check_line(reader, length);
}

/// Takes all replies that the reader can complete from what it was fed.
static enum reply_fault read_replies(reply_parser *p) {
    for (;;) {
        void *reply = NULL;
        int status = redisReaderGetReply(p->reader, &reply);
        if (p->fault) return p->fault;
        if (status != REDIS_OK) return p->reader->err == REDIS_ERR_OOM ? REPLY_NO_MEMORY : REPLY_MALFORMED;
        p->is_in_line = 0;
        if (!reply) return check_unfinished(p);
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
        size_t buffered = p->reader->len - p->reader->pos;
        if (p->reader->len > p->most_buffered) p->most_buffered = p->reader->len;
        p->unfinished += slice;
        if (p->is_in_line && !memchr(next, '\n', slice)) {
            p->fault = check_line(p->reader, buffered);
        } else {
            p->fault = read_replies(p);
        }
        next += slice;
        length -= slice;
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
    if (p->most_buffered > max_kept && p->unfinished == 0) {
        // Has nothing to do, and its buffer would never shrink.
        redisReader *fresh = create_reader(p);
        if (!fresh) return;
        redisReaderFree(p->reader);
        p->reader = fresh;
        p->most_buffered = 0;
    }
}
