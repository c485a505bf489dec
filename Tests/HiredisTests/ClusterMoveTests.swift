// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport
import Testing

@testable import Hiredis

extension Topologies {
    /// Slots that move while they are used.
    @Suite(.timeLimit(.minutes(10))) struct ClusterMoveTests {
        private let slot = 5061
        /// Of slot 5061, which begins on the first primary.
        private func key(_ index: Int) -> String { "{bar}:\(index)" }

        /// A cluster and its client, which has found the keys 0 to 9 on the first primary.
        private func withKeys(
            timeout: Duration = .seconds(10),
            _ body: (RedisClient, RedisCluster, _ source: RedisServer, _ target: RedisServer) async throws ->
                Void
        ) async throws {
            try await withCluster(try await RedisCluster(), timeout: timeout) { redis, cluster in
                for index in 0..<10 { _ = try await redis.send(RedisCommand("SET", key(index), "\(index)")) }
                #expect(redis.statistics.redirects == 0)
                try await body(redis, cluster, cluster.primaries[0], cluster.primaries[1])
            }
        }

        private func get(_ index: Int) -> RedisCommand { RedisCommand("GET", key(index), readOnly: true) }

        @Test func `MOVED is followed at once, and once`() async throws {
            try await withKeys { redis, cluster, source, target in
                try await cluster.move(slot, from: source, to: target)
                #expect(try await redis.text(get(3)) == "3")
                #expect(redis.statistics.redirects == 1)
                for index in 0..<10 { #expect(try await redis.text(get(index)) == "\(index)") }
                #expect(try await redis.number(RedisCommand("DEL", key(0))) == 1)
                #expect(redis.statistics.redirects == 1)
                #expect(redis.statistics.lostConnections == 0)
                #expect(await poll(seconds: 5) { redis.statistics.slotRefreshes == 2 })
            }
        }

        @Test func `a node that MOVED is the first to name is one of the primaries`() async throws {
            try await withKeys { redis, cluster, _, _ in
                // The last one: in the slots that are read afterwards the nodes have the order of before.
                let last = HashSlot.count - 1
                let keys = (0..<1_000_000).lazy.map { "last:\($0)" }
                let key = try #require(keys.first { HashSlot.of(Array($0.utf8)[...]) == last })
                let count = Mutex(0)
                let watching = Task {
                    for await nodes in redis.primaries() { count.withLock { $0 = nodes.count } }
                }
                defer { watching.cancel() }
                #expect(await poll(seconds: 20) { count.withLock(\.self) == 3 })
                let new = try await cluster.addNode()
                try await cluster.move(last, from: cluster.primaries[2], to: new)
                _ = try await redis.send(RedisCommand("GET", key, readOnly: true))
                #expect(await poll(seconds: 20) { count.withLock(\.self) == 4 })
            }
        }

        @Test func `only what has moved is sent again, and the batch keeps its order`() async throws {
            try await withKeys { redis, cluster, source, target in
                try await cluster.move(slot, from: source, to: target)
                try await cluster.resetCounts()
                let script = RedisScript("return redis.call('INCR', KEYS[1])")
                let replies = try await redis.send([
                    RedisCommand("INCR", "foo"), RedisCommand("INCR", key(1)), RedisCommand("MULTI"),
                    RedisCommand("INCR", key(1)), RedisCommand("EXEC"), RedisCommand("INCR", "foo"),
                    RedisCommand(script: script, keys: [key(1)]),
                ])
                #expect(replies.map(\.integer) == [1, 2, nil, nil, nil, 2, 4])
                #expect(replies[4].count == 1 && replies[4][0].integer == 3)
                #expect(redis.statistics.redirects == 3)
            }
        }

        @Test func `ASK is followed with ASKING, for keys that have moved and for new ones`() async throws {
            try await withKeys { redis, cluster, source, target in
                try await cluster.beginMove(slot, from: source, to: target)
                try await cluster.moveKeys(of: slot, from: source, to: target, count: 5)
                for index in 0..<10 { #expect(try await redis.text(get(index)) == "\(index)") }
                #expect(redis.statistics.redirects == 5)
                // New keys are made on the target.
                #expect(try await redis.text(RedisCommand("SET", key(100), "new")) == "OK")
                let script = RedisScript("return redis.call('SET', KEYS[1], ARGV[1])")
                var call = RedisCommand(script: script, keys: [key(101)])
                call.append("new")
                #expect(try await redis.text(call) == "OK")
                let replies = try await redis.send(
                    [RedisCommand("MULTI"), RedisCommand("SET", key(102), "new"), RedisCommand("EXEC")]
                        + (100...102).map(get) + (0..<10).map(get)
                )
                #expect(replies[2].count == 1)
                #expect(replies[3...5].map(\.string) == ["new", "new", "new"])
                #expect(replies[6...].map(\.string) == (0..<10).map { "\($0)" })
                // Nothing of it was taken for a move of the slot.
                #expect(redis.statistics.slotRefreshes == 1)
                try await cluster.moveKeys(of: slot, from: source, to: target)
                try await cluster.endMove(slot, from: source, to: target)
                let before = redis.statistics.redirects
                for index in 100...102 { #expect(try await redis.text(get(index)) == "new") }
                #expect(redis.statistics.redirects == before + 1)
            }
        }

        @Test func `TRYAGAIN is repeated until the keys are together`() async throws {
            try await withKeys { redis, cluster, source, target in
                try await cluster.beginMove(slot, from: source, to: target)
                try await cluster.moveKeys(of: slot, from: source, to: target, count: 5)
                var both = RedisCommand("MGET", readOnly: true)
                for index in 0..<10 { both.append(key(index)) }
                let command = both
                let waiting = Task { try await redis.send(command) }
                #expect(await poll(seconds: 5) { redis.statistics.retries > 1 })
                try await cluster.moveKeys(of: slot, from: source, to: target)
                try await cluster.endMove(slot, from: source, to: target)
                let reply = try await waiting.value
                #expect((0..<10).map { reply[$0].string } == (0..<10).map { "\($0)" })
            }
        }

        @Test func `TRYAGAIN that does not end is told at the deadline`() async throws {
            try await withKeys(timeout: .milliseconds(500)) { redis, cluster, source, target in
                try await cluster.beginMove(slot, from: source, to: target)
                try await cluster.moveKeys(of: slot, from: source, to: target, count: 5)
                let keys = (0..<10).map(key)
                let error = await #expect(throws: RedisError.self) {
                    var command = RedisCommand("MGET")
                    for key in keys { command.append(key) }
                    return try await redis.send(command)
                }
                #expect(error?.prefix == "TRYAGAIN" && error?.outcome == .rejected)
            }
        }

        @Test func `a command whose reply is ignored follows its slot`() async throws {
            try await withKeys { redis, cluster, source, target in
                try await cluster.move(slot, from: source, to: target)
                redis.submit(RedisCommand("APPEND", key(1), "x"))
                #expect(await poll(seconds: 5) { (try? await target.admin("GET", key(1))) == "1x" })
                let script = RedisScript("return redis.call('APPEND', KEYS[1], 'y')")
                redis.submit(RedisCommand(script: script, keys: [key(1)]))
                #expect(await poll(seconds: 5) { (try? await target.admin("GET", key(1))) == "1xy" })
                #expect(redis.statistics.submitErrors == 0)
            }
        }

        /// Increments 400 counters on all nodes, moves some of them, and expects all that was acknowledged.
        ///
        /// `move` returns how many moves it has made.
        private func moveUnderLoad(
            _ move: (RedisCluster, _ source: RedisServer, _ target: RedisServer) async throws -> Int
        ) async throws {
            try await withKeys { redis, cluster, source, target in
                let written = Tally()
                let writers = (0..<8).map { writer in
                    Task {
                        var count = 0
                        while !Task.isCancelled {
                            let key = "w\(writer):\(count % 50)"
                            _ = try await redis.send(RedisCommand("INCR", key), cancellation: .ignore)
                            written.add()
                            count += 1
                        }
                    }
                }
                #expect(await poll(seconds: 10) { written.value > 1000 })
                let moves = try await move(cluster, source, target)
                let moved = written.value
                #expect(await poll(seconds: 10) { written.value > moved + 1000 })
                for writer in writers { writer.cancel() }
                for writer in writers { try await writer.value }
                var stored = 0
                for writer in 0..<8 {
                    for index in 0..<50 {
                        stored += try await redis.number(RedisCommand("GET", "w\(writer):\(index)")) ?? 0
                    }
                }
                #expect(stored == written.value)
                #expect(redis.statistics.redirects >= moves)
                #expect(redis.statistics.slotRefreshes <= moves + 1)
                #expect(redis.statistics.lostConnections == 0)
            }
        }

        @Test func `callers notice nothing of slots that move, and the slots are not read for each`()
            async throws
        {
            try await moveUnderLoad { cluster, source, target in
                let slots = Set(
                    (0..<50).map { HashSlot.of(Array("w0:\($0)".utf8)[...]) }.filter { $0 < 5461 }
                )
                for slot in slots { try await cluster.move(slot, from: source, to: target) }
                return slots.count
            }
        }

        @Test(
            .enabled("only Valkey, from 9 on, moves slots as a whole") {
                try await ServerVersion.installed.movesSlotsAsAWhole
            }
        ) func `callers notice nothing of slots that move as a whole`() async throws {
            try await moveUnderLoad { cluster, source, target in
                try await cluster.moveAtOnce(0...2730, from: source, to: target)
                try await cluster.moveAtOnce(2731...5460, from: source, to: target)
                // One of them holds keys that are written.
                let counts = try await target.commandCounts()
                #expect((counts["incr"] ?? 0) > 0)
                return 2
            }
        }
    }
}
