// SPDX-License-Identifier: Apache-2.0
//
// A RESP2 parser on top of the reader of hiredis: bytes in, flat replies out. Does no I/O,
// and its work is linear in the input, however that is cut.
//
// The same input gives the same replies and the same fault, however it is cut into calls, with hiredis 0.14
// (Debian 12) and with 1.x. No type of hiredis appears here, so Swift sees one interface for both.
#ifndef CHIREDIS_PARSER_H
#define CHIREDIS_PARSER_H

#include <stddef.h>
#include <stdint.h>

/// The type of a node.
enum reply_type {
    REPLY_STRING,
    REPLY_STATUS,
    REPLY_ERROR,
    REPLY_INTEGER,
    REPLY_ARRAY,
    REPLY_NULL,
};

/// Why a parser stopped. It cannot be used any more, and the connection has to be closed.
enum reply_fault {
    REPLY_OK,
    REPLY_MALFORMED,  ///< not RESP2: a type, a number or a line end that it does not have
    REPLY_TOO_DEEP,   ///< more than seven arrays within each other, which is where hiredis 0.14 stops
    REPLY_TOO_MANY,   ///< more elements in one reply than allowed
    REPLY_TOO_LONG,   ///< more bytes in one reply than allowed, or a status or error of more than 64 KiB
    REPLY_NO_MEMORY,
};

/// One element. A reply is its root node, followed by all nodes below it in the order of the protocol.
typedef struct reply_node {
    int64_t value;         ///< integer: the number; array: its count; string, status, error: the length
    uint32_t offset;       ///< where its text begins in `bytes`; without text, where the next text begins
    uint32_t span;         ///< nodes of this subtree, itself included
    enum reply_type type;
} reply_node;

/// What one call of `reply_parser_parse` completed; valid until `reply_parser_discard`.
typedef struct reply_batch {
    const reply_node *nodes;
    size_t node_count;
    const char *bytes;
    size_t byte_count;
    enum reply_fault fault;  ///< the replies before the fault are complete and in `nodes`
} reply_batch;

typedef struct reply_parser reply_parser;

/// Creates a parser with limits for one reply; returns NULL without memory.
///
/// In C because the table of callbacks differs in size and types between hiredis 0.14 and 1.x.
reply_parser *reply_parser_create(size_t max_bytes, size_t max_nodes);

/// Frees the parser and all replies.
///
/// In C because the parser's memory is C's.
void reply_parser_free(reply_parser *parser);

/// Parses what one read returned.
///
/// In C because hiredis calls back for each element: Swift is entered once per read, not once per element.
reply_batch reply_parser_parse(reply_parser *parser, const void *input, size_t length);

/// Discards the complete replies and keeps an incomplete one. Frees the memory of a large reply.
///
/// In C because the arrays that it shortens are C's.
void reply_parser_discard(reply_parser *parser);

#endif
