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
#include <hiredis/read.h>
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

    // Lines that cannot become valid are refused before they end.
    EXPECT(":9223372036854775807111", "!malformed");
    EXPECT(":-9223372036854775808", "");
    EXPECT("$00000000000000000000000", "!malformed");
    EXPECT("+a\r\n+b\nc", "+a !malformed");
    EXPECT("*2\r\n:1\r\n$1\n", "!malformed");
    EXPECT("$3\nabc", "!malformed");

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

/// The bytes that hiredis had before it whenever it was called: a bound on what it searched.
static uint64_t searched;

// The linker puts this between the parser and hiredis (--wrap).
int __real_redisReaderGetReply(redisReader *reader, void **reply);
int __wrap_redisReaderGetReply(redisReader *reader, void **reply);
int __wrap_redisReaderGetReply(redisReader *reader, void **reply) {
    searched += reader->len - reader->pos;
    return __real_redisReaderGetReply(reader, reply);
}

/// Feeds `start`, then `length` times `fill`, then `end`, in pieces of `size`; prints what became of it.
///
/// `taken` is the number of bytes up to the end of the piece with the fault.
static void parse_line(
    text *out, const char *start, size_t length, char fill, const char *end, size_t size, size_t *taken
) {
    static char input[1 << 18];
    size_t total = strlen(start) + length + strlen(end);
    memcpy(input, start, strlen(start));
    memset(input + strlen(start), fill, length);
    memcpy(input + strlen(start) + length, end, strlen(end));
    reply_parser *parser = reply_parser_create(wide.bytes, wide.nodes);
    enum reply_fault fault = REPLY_OK;
    searched = 0;
    out->length = 0;
    for (*taken = 0; *taken < total && !fault;) {
        size_t piece = total - *taken < size ? total - *taken : size;
        reply_batch batch = reply_parser_parse(parser, input + *taken, piece);
        for (size_t i = 0; i < batch.node_count; i++) {
            print(out, "%d:%" PRId64 " ", batch.nodes[i].type, batch.nodes[i].value);
        }
        fault = batch.fault;
        *taken += piece;
        reply_parser_discard(parser);
    }
    print(out, "%d", fault);
    reply_parser_free(parser);
}

/// Lines that do not end: refused in time, and searched a bounded number of times.
static void line_cases(void) {
    static const struct { const char *start; size_t length; char fill; const char *end, *expected; size_t most; }
    cases[] = {
        {"+", 65536, 'x', "\r\n:1\r\n", "1:65536 3:1 0", SIZE_MAX},
        {"-", 65536, 'x', "\r\n:1\r\n", "2:65536 3:1 0", SIZE_MAX},
        {"*2\r\n:7\r\n+", 65536, 'x', "\r\n:1\r\n", "4:2 3:7 1:65536 3:1 0", SIZE_MAX},
        {"+", 65537, 'x', "\r\n:1\r\n", "4", 65540},
        {"-", 200000, 'x', "", "4", 65540},
        {"+", 200000, '\r', "", "4", 65540},
        {"-", 200000, '\n', "", "1", 2},
        {"*2\r\n:7\r\n*1\r\n+", 200000, 'x', "", "4", 65560},
        {":", 200000, '1', "", "1", 30},
        {"$", 200000, '0', "", "1", 30},
        {"*", 200000, '1', "", "1", 30},
        {"*3\r\n$", 200000, '1', "", "1", 30},
        {"*3\r\n$3\r\nabc\r\n:-", 200000, '1', "", "1", 40},
        {"$", 200000, '\r', "", "1", 30},
        {":", 200000, 0, "", "1", 30},
        {"_", 200000, 'x', "", "1", 1},
        {",", 200000, '1', "", "1", 1},
        {"(", 200000, '1', "", "1", 1},
        {"=", 200000, '1', "", "1", 1},
        {"|", 200000, '1', "", "1", 1},
        {"#", 200000, 't', "", "1", 1},
        {"%", 200000, '1', "", "1", 1},
        {"~", 200000, '1', "", "1", 1},
        {">", 200000, '1', "", "1", 1},
        {"!", 200000, '1', "", "1", 1},
        {"x", 200000, 'x', "", "1", 1},
    };
    static const size_t sizes[] = {1, 2, 3, 7, 100, 1448, 8191, 8192, 65536, 65537, 65538, 1 << 18};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            static text out;
            size_t taken;
            parse_line(
                &out, cases[c].start, cases[c].length, cases[c].fill, cases[c].end, sizes[i], &taken
            );
            int is_late = cases[c].most < SIZE_MAX && taken > cases[c].most + sizes[i] - 1;
            int is_costly = searched > 4 * (taken + 8192);
            if (!strcmp(out.bytes, cases[c].expected) && !is_late && !is_costly) continue;
            fprintf(
                stderr, "line %zu (\"%.1s\") in pieces of %zu: \"%s\" after %zu bytes, %" PRIu64 " searched\n",
                c, cases[c].start, sizes[i], out.bytes, taken, searched
            );
            failures++;
            break;
        }
    }
}

/// Of the address sanitizer, whose header not every compiler package has.
size_t __sanitizer_get_current_allocated_bytes(void);

/// After large replies the parser holds as little memory as before them.
static void memory_cases(void) {
    static char input[900000];
    size_t string = (size_t)sprintf(input, "$800000\r\n");
    memset(input + string, 'x', 800000);
    string += 800000;
    string += (size_t)sprintf(input + string, "\r\n");
    static char elements[20000];
    size_t array = (size_t)sprintf(elements, "*900\r\n");
    for (int i = 0; i < 900; i++) array += (size_t)sprintf(elements + array, "*2\r\n:1\r\n:2\r\n");
    reply_parser *parser = reply_parser_create(1 << 20, 1 << 20);
    size_t before = 0;
    for (int round = 0; round < 3; round++) {
        reply_parser_parse(parser, "+OK\r\n", 5);
        reply_parser_discard(parser);
        size_t now = __sanitizer_get_current_allocated_bytes();
        if (round == 0) before = now;
        if (now > before + 20000) {
            fprintf(stderr, "round %d begins with %zu bytes more than the first\n", round, now - before);
            failures++;
        }
        size_t replies = 0;
        for (size_t at = 0; at < string; at += 65536) {
            size_t size = string - at < 65536 ? string - at : 65536;
            replies += reply_parser_parse(parser, input + at, size).node_count;
            reply_parser_discard(parser);
        }
        size_t after = __sanitizer_get_current_allocated_bytes();
        if (replies != 1 || after > before + 20000) {
            fprintf(stderr, "%zu replies, %zu bytes kept after a large one\n", replies, after - before);
            failures++;
        }
        // A read that ends a large reply and begins the next one: freed with that one.
        reply_parser_parse(parser, input, string);
        reply_parser_parse(parser, "*1\r\n:", 5);
        reply_parser_discard(parser);
        reply_batch batch = reply_parser_parse(parser, "5\r\n", 3);
        if (batch.fault || batch.node_count != 2 || batch.nodes[1].value != 5) {
            fprintf(stderr, "the reply after a large one is lost\n");
            failures++;
        }
        reply_parser_discard(parser);
        if (__sanitizer_get_current_allocated_bytes() > before + 20000) {
            fprintf(stderr, "memory is kept after a large reply and a small one\n");
            failures++;
        }
    }
    // Large by its elements.
    for (int i = 0; i < 10; i++) reply_parser_parse(parser, elements, array);
    reply_parser_discard(parser);
    if (__sanitizer_get_current_allocated_bytes() > before + 20000) {
        fprintf(stderr, "memory is kept after many elements\n");
        failures++;
    }
    reply_parser_free(parser);
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
    line_cases();
    memory_cases();
    mutated_streams(strtol(arguments[2], NULL, 10));
    fprintf(
        stderr, "hiredis %d.%d.%d: %s, seed %s, %s mutated streams\n", HIREDIS_MAJOR, HIREDIS_MINOR,
        HIREDIS_PATCH, failures ? "FAILED" : "ok", arguments[1], arguments[2]
    );
    return failures ? 1 : 0;
}
