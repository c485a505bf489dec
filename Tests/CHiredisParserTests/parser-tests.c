// SPDX-License-Identifier: Apache-2.0
//
// Tests of the C parser, compiled by Scripts/hiredis.sh against each version of hiredis with sanitizers.
//
//   parser-tests SEED ROUNDS
//
// First fixed cases, cut in every way that leaves two or more equal pieces; then ROUNDS mutated streams, cut
// at random. Prints each mutated input with what the parser made of it, one line each, so that two versions
// can be compared.
#include "parser.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// Text that grows up to a bound which no test reaches.
typedef struct text {
    char bytes[1 << 16];
    size_t length;
} text;

static void print(text *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out->bytes + out->length, sizeof out->bytes - out->length, format, arguments);
    va_end(arguments);
    if (length < 0 || out->length + (size_t)length >= sizeof out->bytes) {
        fprintf(stderr, "a transcript is too long\n");
        exit(2);
    }
    out->length += (size_t)length;
}

static void print_escaped(text *out, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '\r') print(out, "\\r");
        else if (byte == '\n') print(out, "\\n");
        else if (byte < 32 || byte > 126 || byte == '\\') print(out, "\\x%02x", byte);
        else print(out, "%c", byte);
    }
}

/// Prints the reply at `index` and returns the index after it.
static size_t print_reply(text *out, const reply_batch *batch, size_t index) {
    const reply_node node = batch->nodes[index];
    const char *bytes = batch->bytes + (batch->bytes ? node.offset : 0);
    size_t next = index + 1;
    switch (node.type) {
    case REPLY_STRING: print(out, "$"); print_escaped(out, bytes, (size_t)node.value); break;
    case REPLY_STATUS: print(out, "+"); print_escaped(out, bytes, (size_t)node.value); break;
    case REPLY_ERROR: print(out, "-"); print_escaped(out, bytes, (size_t)node.value); break;
    case REPLY_INTEGER: print(out, ":%" PRId64, node.value); break;
    case REPLY_NULL: print(out, "null"); break;
    case REPLY_ARRAY:
        print(out, "[");
        for (int64_t i = 0; i < node.value; i++) {
            if (i) print(out, ",");
            next = print_reply(out, batch, next);
        }
        print(out, "]");
    }
    if (next - index != node.span) print(out, "<span %" PRIu32 " for %zu nodes>", node.span, next - index);
    return next;
}

typedef struct limits { size_t bytes, nodes; } limits;
static const limits wide = {1 << 20, 1000};

/// Parses input in pieces of the sizes that `size_of` returns, and prints all replies and the fault.
static void parse(text *out, const char *input, size_t length, limits limits, size_t (*size_of)(void)) {
    static const char *names[] = {"", "!malformed", "!deep", "!many", "!long", "!memory"};
    reply_parser *parser = reply_parser_create(limits.bytes, limits.nodes);
    enum reply_fault fault = REPLY_OK;
    out->length = 0;
    out->bytes[0] = 0;
    while (length > 0 && !fault) {
        size_t size = size_of();
        if (size > length) size = length;
        // A copy of the exact size, so that the address sanitizer sees a read beyond the piece.
        char *piece = malloc(size);
        memcpy(piece, input, size);
        reply_batch batch = reply_parser_parse(parser, piece, size);
        for (size_t index = 0; index < batch.node_count;) {
            index = print_reply(out, &batch, index);
            print(out, " ");
        }
        fault = batch.fault;
        free(piece);
        reply_parser_discard(parser);
        input += size;
        length -= size;
    }
    print(out, "%s", names[fault]);
    reply_parser_free(parser);
}

static size_t piece;
static size_t equal_pieces(void) { return piece; }

static uint64_t state;
static uint64_t random_number(uint64_t bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % bound;
}
static size_t random_pieces(void) { return 1 + random_number(random_number(3) ? 12 : 200); }

static int failures;

static void expect(const char *input, size_t length, limits limits, const char *expected) {
    static text out;
    for (piece = 1; piece <= length; piece++) {
        parse(&out, input, length, limits, equal_pieces);
        if (strcmp(out.bytes, expected) == 0) continue;
        static text shown;
        shown.length = 0;
        print_escaped(&shown, input, length < 200 ? length : 200);
        fprintf(
            stderr, "%s in pieces of %zu: expected \"%s\", got \"%.300s\"\n", shown.bytes, piece, expected,
            out.bytes
        );
        failures++;
        return;
    }
}

#define EXPECT(input, expected) expect(input, sizeof(input) - 1, wide, expected)
#define EXPECT_WITHIN(limits, input, expected) expect(input, sizeof(input) - 1, limits, expected)

static void fixed_cases(void) {
    EXPECT("+OK\r\n:-12\r\n$-1\r\n*-1\r\n$0\r\n\r\n$3\r\na\r\n\r\n-WRONGTYPE no\r\n*0\r\n",
           "+OK :-12 null null $ $a\\r\\n -WRONGTYPE no [] ");
    EXPECT("*4\r\n$1\r\nf\r\n*2\r\n:1\r\n*1\r\n$2\r\nxy\r\n*0\r\n$4\r\nlast\r\n+next\r\n",
           "[$f,[:1,[$xy]],[],$last] +next ");
    EXPECT(":9223372036854775807\r\n:-9223372036854775808\r\n",
           ":9223372036854775807 :-9223372036854775808 ");
    EXPECT("*3\r\n$-1\r\n*-1\r\n$1\r\nx", "");

    // Not RESP2.
    EXPECT("+a\r\nhello\r\n", "+a !malformed");
    EXPECT("$3\r\nabcXY", "!malformed");
    EXPECT("$x\r\n", "!malformed");
    EXPECT("$-2\r\n", "!malformed");
    EXPECT("*-2\r\n", "!malformed");
    EXPECT(":12a\r\n", "!malformed");
    EXPECT(":9223372036854775808\r\n", "!malformed");
    EXPECT("*1\r\n?\r\n", "!malformed");
    EXPECT("HTTP/1.1 400 Bad Request\r\n\r\n", "!malformed");
    EXPECT("+a\rb\r\n", "!malformed");
    EXPECT("+a\nb\r\n", "!malformed");

    // RESP3, complete and within arrays: 1.x knows all of it, and accepts nulls of any type.
    EXPECT("+a\r\n_\r\n", "+a !malformed");
    EXPECT("*1\r\n_\r\n", "!malformed");
    EXPECT("%-1\r\n", "!malformed");
    EXPECT("~-1\r\n", "!malformed");
    EXPECT(">-1\r\n", "!malformed");
    EXPECT("|-1\r\n", "!malformed");
    EXPECT("=-1\r\n", "!malformed");
    EXPECT("*2\r\n:1\r\n>-1\r\n", "!malformed");
    EXPECT(">1\r\n+a\r\n", "!malformed");
    EXPECT(">0\r\n", "!malformed");
    EXPECT("%1\r\n+a\r\n+b\r\n", "!malformed");
    EXPECT("~1\r\n+a\r\n", "!malformed");
    EXPECT("|1\r\n+a\r\n+b\r\n:1\r\n", "!malformed");
    EXPECT(",1.5\r\n", "!malformed");
    EXPECT("#t\r\n", "!malformed");
    EXPECT("(123\r\n", "!malformed");
    EXPECT("=5\r\ntxt:a\r\n", "!malformed");
    // The type byte is enough: no bytes are collected for a reply that will be refused.
    EXPECT("_", "!malformed");
    EXPECT("+a\r\n>", "+a !malformed");
    EXPECT("*2\r\n:1\r\n%12", "!malformed");

    // Limits.
    EXPECT("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:5\r\n", "[[[[[[[:5]]]]]]] ");
    EXPECT("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:5\r\n", "!deep");
    EXPECT("*1001\r\n", "!many");
    EXPECT("*2147483647\r\n", "!many");
    EXPECT("*2147483648\r\n", "!malformed");
    EXPECT("*4294967296\r\n", "!malformed");
    EXPECT("*9223372036854775807\r\n", "!malformed");
    EXPECT("*99999999999999999999\r\n", "!malformed");
    EXPECT_WITHIN(((limits){1000, 6}), "*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "[[:1,:2],:3] :4 ");
    EXPECT_WITHIN(((limits){1000, 4}), "*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n", "!many");
    // The first fault counts, whatever follows.
    EXPECT_WITHIN(((limits){1000, 2}), "*2\r\n:1\r\n:2\r\n$1\r\nxYZ", "!many");
    EXPECT_WITHIN(((limits){10, 9}), "$4\r\nabcd\r\n$4\r\nabcd\r\n", "$abcd $abcd ");
    EXPECT_WITHIN(((limits){9, 9}), "+a\r\n$4\r\nabcd\r\n", "+a !long");
    EXPECT_WITHIN(((limits){9, 9}), "$4\r\nabcd\r", "");
    EXPECT_WITHIN(((limits){9, 9}), "+a\r\n+bcdefghijkl", "+a !long");
    EXPECT_WITHIN(((limits){40, 9}), "$9223372036854775807\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "!long");
}

/// A string longer than a slice, and arrays that outgrow the first allocations.
static void large_cases(void) {
    static char input[700000];
    size_t length = (size_t)sprintf(input, "*3\r\n:1\r\n$200000\r\n");
    memset(input + length, 'x', 200000);
    length += 200000;
    length += (size_t)sprintf(input + length, "\r\n*900\r\n");
    for (int i = 0; i < 900; i++) length += (size_t)sprintf(input + length, "$4\r\nabcd\r\n");
    length += (size_t)sprintf(input + length, "+after\r\n");
    size_t sizes[] = {1000, 8191, 8192, 8193, 65536, sizeof input};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        reply_parser *parser = reply_parser_create(wide.bytes, wide.nodes);
        size_t nodes = 0, bytes = 0;
        for (size_t at = 0; at < length; at += sizes[i]) {
            size_t size = length - at < sizes[i] ? length - at : sizes[i];
            reply_batch batch = reply_parser_parse(parser, input + at, size);
            nodes += batch.node_count;
            bytes += batch.byte_count;
            reply_parser_discard(parser);
        }
        reply_parser_free(parser);
        if (nodes == 905 && bytes == 203605) continue;
        fprintf(stderr, "large replies in pieces of %zu: %zu nodes and %zu bytes\n", sizes[i], nodes, bytes);
        failures++;
    }
}

/// Appends a random reply.
static void append_reply(text *out, int depth) {
    static const char *odd[] = {
        "_\r\n", "%-1\r\n", ">-1\r\n", ">2\r\n", ",1e5\r\n", "#f\r\n", "(99\r\n", "=4\r\ntxt:\r\n", "|1\r\n",
        "~0\r\n", "*2147483648\r\n", "$9223372036854775807\r\n", "+a\rb\r\n", ":+1\r\n", ":00\r\n", ":-0\r\n",
        ":\r\n", "$-0\r\n",
    };
    switch (random_number(40)) {
    case 0 ... 7: print(out, "$%d\r\n%.*s\r\n", 6, 6, "ab\r\ncd"); return;
    case 8 ... 11: print(out, "+OK\r\n"); return;
    case 12 ... 15: print(out, "-ERR no\r\n"); return;
    case 16 ... 21: print(out, ":%lld\r\n", (long long)random_number(UINT64_MAX)); return;
    case 22 ... 24: print(out, "$-1\r\n"); return;
    case 25: print(out, "*-1\r\n"); return;
    case 26: print(out, "%s", odd[random_number(sizeof odd / sizeof *odd)]); return;
    default: {
        int count = depth > 8 ? 0 : (int)random_number(4);
        print(out, "*%d\r\n", count);
        for (int i = 0; i < count; i++) append_reply(out, depth + 1);
    }
    }
}

static void mutated_streams(long rounds) {
    static text input, whole, cut, line;
    static const char alphabet[] = "\r\n+-:$*_%~>|=,#(0123456789a";
    for (long round = 0; round < rounds; round++) {
        input.length = 0;
        for (uint64_t replies = 1 + random_number(4); replies > 0; replies--) append_reply(&input, 0);
        for (uint64_t mutations = random_number(4); mutations > 0 && input.length > 1; mutations--) {
            size_t at = random_number(input.length);
            char byte = alphabet[random_number(sizeof alphabet - 1)];
            switch (random_number(4)) {
            case 0: input.length = at + 1; break;
            case 1: memmove(input.bytes + at, input.bytes + at + 1, --input.length - at); break;
            case 2:
                memmove(input.bytes + at + 1, input.bytes + at, input.length++ - at);
                input.bytes[at] = byte;
                break;
            default: input.bytes[at] = byte;
            }
        }
        limits limits = wide;
        if (random_number(2)) limits = (struct limits){8 + random_number(60), 1 + random_number(8)};
        piece = SIZE_MAX;
        parse(&whole, input.bytes, input.length, limits, equal_pieces);
        parse(&cut, input.bytes, input.length, limits, random_pieces);
        line.length = 0;
        print_escaped(&line, input.bytes, input.length);
        if (strcmp(whole.bytes, cut.bytes) != 0) {
            fprintf(
                stderr, "round %ld within %zu bytes, %zu nodes: %s\n  whole: %s\n  cut:   %s\n", round,
                limits.bytes, limits.nodes, line.bytes, whole.bytes, cut.bytes
            );
            failures++;
        }
        printf("%ld %zu %zu %s => %s\n", round, limits.bytes, limits.nodes, line.bytes, whole.bytes);
    }
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: parser-tests SEED ROUNDS\n");
        return 2;
    }
    state = strtoull(arguments[1], NULL, 10) * 2654435761u + 88172645463325252u;
    fixed_cases();
    large_cases();
    mutated_streams(strtol(arguments[2], NULL, 10));
    fprintf(
        stderr, "hiredis %d.%d.%d: %s, seed %s, %s mutated streams\n", HIREDIS_MAJOR, HIREDIS_MINOR,
        HIREDIS_PATCH, failures ? "FAILED" : "ok", arguments[1], arguments[2]
    );
    return failures ? 1 : 0;
}
