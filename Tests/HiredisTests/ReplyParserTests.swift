// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Hiredis

/// The boundary to C: valid input in pieces of any size, and invalid input.
@Suite struct ReplyParserTests {
    private static let stream =
        "+OK\r\n:-12\r\n$-1\r\n*-1\r\n$0\r\n\r\n$3\r\na\r\n\r\n-WRONGTYPE no\r\n*0\r\n"
        + "*4\r\n$1\r\nf\r\n*2\r\n:1\r\n*1\r\n$2\r\nxy\r\n*0\r\n$4\r\nlast\r\n:9223372036854775807\r\n"

    private func parse(_ text: String, pieces: Int = .max, bytes: Int = 8 << 20, elements: Int = 262_144) -> (
        replies: [RedisReply], error: RedisError?
    ) {
        var parser = ReplyParser(maximumBytes: bytes, maximumElements: elements)
        var replies: [RedisReply] = []
        var rest = ArraySlice(Array(text.utf8))
        do throws(RedisError) {
            while !rest.isEmpty {
                let piece = Array(rest.prefix(pieces))
                rest = rest.dropFirst(pieces)
                var failure: RedisError?
                piece.withUnsafeBytes { bytes in
                    do throws(RedisError) { try parser.parse(bytes) { replies.append($0) } } catch {
                        failure = error
                    }
                }
                if let failure { throw failure }
            }
        } catch { return (replies, error) }
        return (replies, nil)
    }

    private func expectStream(_ replies: [RedisReply], _ note: Comment) {
        #expect(replies.count == 10, note)
        guard replies.count == 10 else { return }
        #expect(replies[0].kind == .status && replies[0].string == "OK", note)
        #expect(replies[1].integer == -12, note)
        #expect(replies[2].isNull && replies[3].isNull, note)
        #expect(replies[4].bytes == [] && replies[5].bytes == Array("a\r\n".utf8), note)
        #expect(replies[6].error?.prefix == "WRONGTYPE", note)
        #expect(replies[7].kind == .array && replies[7].count == 0, note)
        let array = replies[8]
        #expect(array.count == 4 && array[0].string == "f" && array[3].string == "last", note)
        #expect(
            array[1].count == 2 && array[1][0].integer == 1 && array[1][1][0].string == "xy"
                && array[2].count == 0,
            note
        )
        #expect(replies[9].integer == Int.max, note)
    }

    @Test func `a stream parses the same however it is cut`() {
        for pieces in 1...Self.stream.utf8.count {
            let (replies, error) = parse(Self.stream, pieces: pieces)
            #expect(error == nil)
            expectStream(replies, "cut into pieces of \(pieces)")
        }
    }

    @Test func `a reply larger than a slice parses beside small ones`() {
        let value = String(repeating: "x", count: 200_000)
        let text = "$200000\r\n\(value)\r\n" + Self.stream
        for pieces in [1000, 8192, 65536, .max] {
            let (replies, error) = parse(text, pieces: pieces)
            #expect(error == nil)
            #expect(replies.first?.bytes?.count == 200_000)
            expectStream(Array(replies.dropFirst()), "pieces of \(pieces)")
        }
    }

    @Test func `a reply that is kept keeps little of what came with it`() {
        let long = String(repeating: "x", count: 200_000)
        let small = "*2\r\n$1\r\na\r\n:1\r\n"
        let (replies, error) = parse(small + "$200000\r\n\(long)\r\n" + small)
        #expect(error == nil && replies.count == 3)
        #expect(replies.map(\.keptBytes).filter { $0 > 65_536 }.count == 1)
        let many = parse(String(repeating: small, count: 5000)).replies
        #expect(many.allSatisfy { $0[0].string == "a" && $0[1].integer == 1 && $0.keptBytes <= 65_536 })
    }

    @Test(arguments: [
        "hello\r\n", "$3\r\nabcXY", "$x\r\n", "$-2\r\n", "*-2\r\n", ":12a\r\n", "*1\r\n?\r\n",
        // RESP3.
        "%1\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n", ",1.5\r\n", "#t\r\n", "_\r\n", ">1\r\n+a\r\n", "(123\r\n",
        "=5\r\ntxt:a\r\n", ">-1\r\n", "%-1\r\n", "*1\r\n_\r\n", "+a\rb\r\n",
    ])
    func `bytes that are not RESP2 are refused`(_ text: String) {
        let (replies, error) = parse("+before\r\n" + text + "+after\r\n")
        #expect(replies.map(\.string) == ["before"])
        #expect(error?.code == .protocol)
        #expect(error?.outcome == .unknown)
    }

    @Test(arguments: [
        "*2147483647\r\n", "*9223372036854775807\r\n", "*262145\r\n", "*99999999999999999999\r\n",
    ])
    func `an announced count allocates nothing and is refused above the limit`(_ text: String) {
        #expect(parse(text).error?.code == .protocol)
    }

    @Test func `a reply longer than the limit is refused before it is complete`() {
        let endless = "$9223372036854775000\r\n" + String(repeating: "x", count: 120_000)
        #expect(parse(endless, bytes: 100_000).error?.code == .protocol)
        #expect(parse("+" + String(repeating: "x", count: 120_000), bytes: 100_000).error?.code == .protocol)
        let many = String(repeating: "$4\r\nabcd\r\n", count: 50_000)
        #expect(parse(many, bytes: 100_000).replies.count == 50_000)
    }

    @Test(arguments: [
        "+", "-", ":", "$", "*", "*2\r\n:1\r\n+", "*1\r\n*1\r\n$", "_", ",", "(", "%", "=", "x",
    ])
    func `a line that does not end is refused after 64 KiB`(_ start: String) {
        let endless = start + String(repeating: "1", count: 65_560)
        for pieces in [1, 1448, 65_536, .max] {
            #expect(parse(endless, pieces: pieces).error?.code == .protocol, "pieces of \(pieces)")
        }
    }

    @Test func `a status or error of 64 KiB is accepted`() {
        let text = String(repeating: "x", count: 65_536)
        for pieces in [1, 1448, 65_538, .max] {
            let (replies, error) = parse("+\(text)\r\n-\(text)\r\n:1\r\n", pieces: pieces)
            #expect(error == nil && replies.count == 3)
            #expect(replies.first?.string == text && replies.last?.integer == 1)
            #expect(parse("+\(text)x\r\n", pieces: pieces).error?.code == .protocol)
        }
    }

    @Test func `nesting is accepted to the limit and refused beyond it`() {
        func nested(_ depth: Int) -> String { String(repeating: "*1\r\n", count: depth) + ":5\r\n" }
        let (replies, error) = parse(nested(7))
        #expect(error == nil)
        #expect(replies[0][0][0][0][0][0][0][0].integer == 5)
        #expect(parse(nested(8)).error?.code == .protocol)
        #expect(parse(nested(10_000)).error?.code == .protocol)
    }

    @Test func `the elements of all levels count together`() {
        #expect(
            parse("*4\r\n" + String(repeating: "*3\r\n:1\r\n:2\r\n:3\r\n", count: 4), elements: 16).error?
                .code == .protocol
        )
        #expect(
            parse("*3\r\n" + String(repeating: "*3\r\n:1\r\n:2\r\n:3\r\n", count: 3), elements: 16).replies
                .count == 1
        )
    }

    @Test func `neither a reply nor a command shows its content`() {
        let reply = parse("*2\r\n$6\r\nsecret\r\n-ERR secret\r\n").replies[0]
        var text = "\(reply) \(reply[0]) \(reply[1])"
        dump([reply, reply[0], reply[1]], to: &text)
        dump(RedisCommand("SET", "secret"), to: &text)
        text += "\(RedisCommand("SET", "secret"))"
        #expect(!text.contains("secret"))
    }
}
