// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Hiredis

/// Commands and replies as other clients take and make them.
@Suite struct `Commands and replies of other clients` {
    private func texts(_ words: [[UInt8]]) -> [String] { words.map { String(decoding: $0, as: UTF8.self) } }

    @Test func `a command is its words, a script its digest or its source`() {
        var command = RedisCommand("HSET", "key", "field")
        command.append([0, 13, 10, 255])
        #expect(
            command.words.count == 4 && texts(Array(command.words.prefix(3))) == ["HSET", "key", "field"]
        )
        #expect(command.words[3] == [0, 13, 10, 255] && command.key == Array("key".utf8))
        #expect(command.withSource == nil && RedisCommand("TIME").key == nil)
        var call = RedisCommand(script: RedisScript("return 1"), keys: ["a"], readOnly: true)
        call.append(7)
        let digest = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
        #expect(texts(call.words) == ["EVALSHA", digest, "1", "a", "7"])
        #expect(call.key == Array("a".utf8) && call.readOnly)
        let source = call.withSource
        #expect(source.map { texts($0.words) } == ["EVAL", "return 1", "1", "a", "7"])
        #expect(source?.key == Array("a".utf8) && source?.readOnly == true)
    }

    @Test func `replies read as received ones do, however deep`() {
        #expect(RedisReply.string([0, 255]).bytes == [0, 255] && RedisReply.string([]).string == "")
        #expect(RedisReply.status("OK").kind == .status && RedisReply.integer(-7).integer == -7)
        #expect(RedisReply.null.isNull && RedisReply.array([]).count == 0)
        #expect(RedisReply.error("NOSCRIPT No matching script").error?.prefix == "NOSCRIPT")
        let inner = RedisReply.array([.string("b".utf8), .null, .array([.integer(3), .status("deep")])])
        let reply = RedisReply.array([.string("a".utf8), inner, .error("ERR no"), inner[2], .integer(9)])
        #expect(reply.count == 5 && reply[0].string == "a" && reply[4].integer == 9)
        #expect(reply[1].count == 3 && reply[1][0].string == "b" && reply[1][1].isNull)
        #expect(reply[1][2][0].integer == 3 && reply[1][2][1].string == "deep")
        #expect(reply[2].error?.serverMessage == "ERR no" && reply[3][1].string == "deep")
        var pairs: [String: String] = [:]
        RedisReply.array(["k", "v", "l", "w"].map { .string($0.utf8) }).forEachPair {
            pairs[unsafe String(decoding: $0, as: UTF8.self)] = unsafe String(decoding: $1, as: UTF8.self)
        }
        #expect(pairs == ["k": "v", "l": "w"])
    }
}
