// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Hiredis

/// Slots, keys, maps and parts of batches, without a server.
@Suite struct SlotMapTests {
    private let asked = RedisAddress.tcp(host: "asked", port: 1)

    @Test(arguments: [
        ("", 0), ("123456789", 0x31C3), ("foo", 12182), ("bar", 5061), ("user1000", 3443), ("a", 15495),
    ]) func `a key has the slot that Redis gives it`(_ key: String, _ slot: Int) {
        #expect(HashSlot.of(Array(key.utf8)[...]) == slot % HashSlot.count)
    }

    @Test(arguments: [
        ("{user1000}.following", "user1000"), ("foo{}{bar}", "foo{}{bar}"), ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"), ("foo{bar", "foo{bar"), ("app:s:{ID}", "ID"), ("}{a}", "a"),
    ]) func `a hash tag decides alone`(_ key: String, _ tag: String) {
        // What is hashed has no tag itself.
        let expected = Int(HashSlot.crc16(Array(tag.utf8)[...])) % HashSlot.count
        #expect(HashSlot.of(Array(key.utf8)[...]) == expected)
    }

    @Test func `each kind of command has its first key where Redis looks for it`() {
        let script = RedisScript("return 1")
        let commands: [(RedisCommand, String?)] = [
            (RedisCommand("GET", "k"), "k"), (RedisCommand("get", "k"), "k"),
            (RedisCommand("MSET", "k", "v"), "k"),
            (RedisCommand("ping"), nil), (RedisCommand("INFO", "memory"), nil), (RedisCommand("TIME"), nil),
            (RedisCommand("SCRIPT", "LOAD", "x"), nil), (RedisCommand("PUBLISH", "c", "m"), nil),
            (RedisCommand("DBSIZE"), nil), (RedisCommand("GET"), nil),
            (RedisCommand("OBJECT", "ENCODING", "k"), "k"), (RedisCommand("MEMORY", "DOCTOR"), nil),
            (RedisCommand("EVAL", "return 1", "2", "k", "l"), "k"),
            (RedisCommand("EVAL", "return 1", "0", "a"), nil),
            (RedisCommand("SINTERCARD", "2", "k", "l"), "k"),
            (RedisCommand("BZMPOP", "0", "1", "k", "MIN"), "k"),
            (RedisCommand("XREAD", "COUNT", "1", "streams", "k", "0"), "k"),
            (RedisCommand("XREADGROUP", "GROUP", "g", "c", "STREAMS", "k", ">"), "k"),
            (RedisCommand(script: script, keys: ["k", "l"]), "k"), (RedisCommand(script: script), nil),
            (RedisCommand("SPUBLISH", "k", "m"), "k"),
            (RedisCommand("MIGRATE", "h", "1", "k", "0", "1"), "k"),
        ]
        for (command, key) in commands {
            #expect(command.firstKey.map { String(decoding: $0, as: UTF8.self) } == key, "\(command)")
        }
    }

    @Test func `the reply to CLUSTER SLOTS becomes a map`() throws {
        let map = try #require(
            SlotMap(
                try reply(
                    "*3|*4|:0|:99|*4|$1|a|:7000|$2|id|*0|*3|$1|b|:7001|$2|id|*3|:100|:100|*3|$0||:7002|$2|id|*3|:200|:16383|*3|$-1|:7003|$2|id|"
                ),
                from: asked
            )
        )
        let a = RedisAddress.tcp(host: "a", port: 7000)
        let own = (2...3).map { RedisAddress.tcp(host: "asked", port: 7000 + $0) }
        #expect(map.primaries == [a] + own)
        #expect(map.replicas == [.tcp(host: "b", port: 7001)])
        for (slot, owner) in [(0, 0), (99, 0), (100, 1), (101, nil), (199, nil), (200, 2), (16383, 2)] {
            #expect(map.owner(of: slot) == owner, "slot \(slot)")
        }
    }

    @Test func `a moved slot has its new owner, the others theirs`() throws {
        var map = SlotMap()
        let (a, b) = (RedisAddress.tcp(host: "a", port: 1), RedisAddress.tcp(host: "b", port: 1))
        #expect(map.owner(of: 5) == nil)
        for slot in 0..<10 { map.move(slot, to: a) }
        map.move(5, to: b)
        map.move(5, to: b)
        #expect(map.primaries == [a, b])
        #expect((map.owner(of: 4), map.owner(of: 5), map.owner(of: 6)) == (0, 1, 0))
    }

    @Test func `a tenure ends when the owner of its slot is another one, and no other does`() throws {
        func map(_ owners: [(Int, String)]) -> SlotMap {
            var map = SlotMap()
            for (slot, host) in owners { map.move(slot, to: .tcp(host: host, port: 1)) }
            return map
        }
        var current = map([(0, "a"), (1, "a"), (2, "b")])
        var known = current.tenures
        func ended() -> [Int] {
            defer { known = current.tenures }
            return current.tenures.indices.filter { current.tenures[$0] != known[$0] }
        }
        current.move(1, to: .tcp(host: "a", port: 1))
        #expect(ended() == [])
        current.move(1, to: .tcp(host: "b", port: 1))
        #expect(ended() == [1])
        current.disturb(2)
        #expect(ended() == [2])
        // The same owners at other positions; another one; slots without an owner for a while, and new ones.
        for (owners, expected) in [
            ([(2, "b"), (1, "b"), (0, "a")], []), ([(2, "c"), (1, "b"), (0, "a")], [2]),
            ([(1, "b"), (3, "b")], [3]), ([(0, "a"), (1, "b"), (2, "c"), (3, "b")], [0, 2]),
        ] as [([(Int, String)], [Int])] {
            var next = map(owners)
            next.replace(current)
            current = next
            #expect(ended() == expected)
        }
    }

    @Test(arguments: [
        "+OK|", "*1|:1|", "*1|*3|:0|:16384|*2|$1|a|:1|", "*1|*3|:2|:1|*2|$1|a|:1|",
        "*1|*3|:-1|:1|*2|$1|a|:1|",
        "*1|*2|:0|:1|",
    ]) func `another reply becomes none`(_ text: String) throws {
        #expect(SlotMap(try reply(text), from: asked) == nil)
    }

    @Test func `a node that the asked one does not know is left out`() throws {
        let map = SlotMap(try reply("*1|*4|:0|:9|*2|$1|?|:7000|*2|$1|b|:0|"), from: asked)
        #expect(map?.primaries == [] && map?.replicas == [] && map?.owner(of: 0) == nil)
    }

    @Test func `errors that send a command elsewhere are told from others`() {
        func redirection(_ text: String) -> Redirection? {
            Redirection(RedisError(serverMessage: text), from: asked)
        }
        #expect(
            redirection("MOVED 3999 10.0.0.1:6381") == .moved(slot: 3999, .tcp(host: "10.0.0.1", port: 6381))
        )
        #expect(redirection("MOVED 0 :6381") == .moved(slot: 0, .tcp(host: "asked", port: 6381)))
        #expect(redirection("ASK 16383 ::1:6381") == .ask(slot: 16383, .tcp(host: "::1", port: 6381)))
        for text in ["MOVED 16384 h:1", "MOVED x h:1", "MOVED 1 h:0", "MOVED 1 ?:7", "ASK 1", "MOVED"] {
            #expect(redirection(text) == .later(refreshes: true), "\(text)")
        }
        #expect(redirection("CLUSTERDOWN The cluster is down") == .later(refreshes: true))
        #expect(
            redirection("TRYAGAIN Multiple keys request during rehashing of slot") == .later(refreshes: false)
        )
        for text in ["CROSSSLOT Keys in request don't hash to the same slot", "ERR x", "OOM x", "NOSCRIPT x"]
        {
            #expect(redirection(text) == nil, "\(text)")
        }
    }

    @Test func `a batch is split into commands and transactions`() throws {
        let parts = try BatchPart.parts(of: [
            RedisCommand("TIME"), RedisCommand("GET", "foo"), RedisCommand("MULTI"),
            RedisCommand("GET", "bar"),
            RedisCommand("TIME"), RedisCommand("EXEC"), RedisCommand("GET", "bar"),
        ])
        #expect(parts.map(\.positions) == [0..<1, 1..<2, 2..<6, 6..<7])
        #expect(parts.map(\.slot) == [12182, 12182, 5061, 5061])
        #expect(try BatchPart.parts(of: [RedisCommand("TIME")]).map(\.slot) == [nil])
    }

    @Test func `a transaction on several slots is refused`() {
        let error = #expect(throws: RedisError.self) {
            try BatchPart.parts(of: [
                RedisCommand("MULTI"), RedisCommand("GET", "foo"), RedisCommand("GET", "bar"),
                RedisCommand("EXEC"),
            ])
        }
        #expect(error?.code == .configuration && error?.description.contains("hash tag") == true)
    }

    /// A reply; `|` stands for the end of a line.
    private func reply(_ text: String) throws -> RedisReply {
        var parser = ReplyParser(maximumBytes: 1 << 20, maximumElements: 10_000)
        var replies: [RedisReply] = []
        try unsafe Array(text.replacing("|", with: "\r\n").utf8).withUnsafeBytes {
            try unsafe parser.parse($0) { replies.append($0) }
        }
        return try #require(replies.first)
    }
}
