// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// Connections with a single user.
@Suite(.limited) struct DedicatedConnectionTests {
    private func clients(_ server: RedisServer) async throws -> Int {
        try await server.admin("CLIENT", "LIST").split(separator: "\n").count {
            $0.contains("name=dedicated")
        }
    }

    @Test func `no more than the maximum exist, and further callers wait`() async throws {
        try await withRedis(configure: {
            $0.clientName = "dedicated"
            $0.dedicatedConnections = 3
            $0.commandTimeout = .seconds(20)
        }) { redis, server in
            let (running, most) = (Tally(), Tally())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<30 {
                    group.addTask {
                        try await redis.withDedicatedConnection { connection in
                            most.raise(to: running.add(1))
                            for round in 0..<5 {
                                let reply = try await connection.send(
                                    RedisCommand("ECHO", "\(caller)/\(round)")
                                )
                                #expect(reply.string == "\(caller)/\(round)")
                            }
                            running.add(-1)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(most.value == 3)
            #expect(redis.statistics.connects == 3)
            #expect(try await clients(server) == 3)
        }
    }

    @Test func `a caller that waits too long fails, and a cancelled one leaves the queue`() async throws {
        try await withRedis(configure: {
            $0.dedicatedConnections = 1
            $0.commandTimeout = .milliseconds(500)
            $0.limits.waiters = 2
        }) { redis, _ in
            try await redis.withDedicatedConnection { connection in
                let error = await #expect(throws: RedisError.self) {
                    try await redis.withDedicatedConnection { _ in }
                }
                #expect(error?.code == .timeout && error?.outcome == .notSent)
                let waiter = Task { try await redis.withDedicatedConnection { _ in } }
                waiter.cancel()
                let result = await waiter.result
                #expect(throws: RedisError.self) { try result.get() }
                let reply = try await connection.send(RedisCommand("PING"))
                #expect(reply.string == "PONG")
            }
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            #expect(redis.statistics.connects == 1)
        }
    }

    @Test func `a blocking command does not delay the shared connection`() async throws {
        try await withRedis { redis, _ in
            let blocked = Task {
                try await redis.withDedicatedConnection {
                    try await $0.send(RedisCommand("BLPOP", "queue", "5"), timeout: .seconds(6))
                }
            }
            #expect(await poll(seconds: 5) { redis.statistics.commands == 1 })
            let reply = try await redis.send(RedisCommand("RPUSH", "queue", "job"))
            #expect(reply.integer == 1)
            let job = try await blocked.value
            #expect(job[1].string == "job")
        }
    }

    @Test func `commands that block or change the connection are allowed`() async throws {
        try await withRedis { redis, _ in
            try await redis.withDedicatedConnection { connection in
                for command in [
                    RedisCommand("SELECT", "1"), RedisCommand("WATCH", "k"), RedisCommand("UNWATCH"),
                    RedisCommand("MULTI"), RedisCommand("INCR", "k"), RedisCommand("EXEC"),
                    RedisCommand("CLIENT", "ID"), RedisCommand("HELLO"), RedisCommand("hello", "2"),
                    RedisCommand("WAIT", "0", "1"), RedisCommand("BLPOP", "list", "0.01"),
                    RedisCommand("XREAD", "BLOCK", "1", "STREAMS", "s", "0"), RedisCommand("RESET"),
                    RedisCommand("QUIT"),
                ] { _ = try await connection.send(command) }
            }
            #expect(redis.statistics.commands == 14)
        }
    }

    @Test func `commands whose replies cannot be assigned are refused`() async throws {
        try await withRedis { redis, _ in
            try await redis.withDedicatedConnection { connection in
                for command in [
                    RedisCommand("SUBSCRIBE", "a", "b"), RedisCommand("psubscribe", "a"),
                    RedisCommand("SSUBSCRIBE", "a"), RedisCommand("UNSUBSCRIBE"), RedisCommand("MONITOR"),
                    RedisCommand("SYNC"), RedisCommand("PSYNC", "?", "-1"), RedisCommand("HELLO", "3"),
                    RedisCommand("CLIENT", "REPLY", "OFF"), RedisCommand("client", "reply", "skip"),
                    RedisCommand("SCRIPT", "DEBUG", "YES"),
                ] {
                    let error = await #expect(throws: RedisError.self, "\(command)") {
                        try await connection.send(command)
                    }
                    #expect(error?.code == .configuration && error?.outcome == .notSent, "\(command)")
                    await #expect(throws: RedisError.self, "\(command)") {
                        try await connection.send([RedisCommand("PING"), command])
                    }
                }
                let reply = try await connection.send(RedisCommand("ECHO", "mine"))
                #expect(reply.string == "mine")
            }
            #expect(redis.statistics.commands == 1)
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            #expect(redis.statistics.connects == 1)
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a subscription receives what the server sends, in order, and ends with the connection`()
        async throws
    {
        try await withRedis { redis, server in
            let error = await #expect(throws: RedisError.self) {
                try await redis.withDedicatedConnection { connection in
                    var seen: [[String?]] = []
                    for try await message in connection.subscribe(to: "news") {
                        seen.append((0..<message.count).map { message[$0].string })
                        switch seen.count {
                        case 1:
                            connection.ping("first")
                        case 2:
                            try await server.admin("PUBLISH", "news", "a")
                            try await server.admin("PUBLISH", "news", "b")
                        case 4:
                            #expect(
                                seen[0].prefix(2) == ["subscribe", "news"] && seen[1] == ["pong", "first"]
                            )
                            #expect(seen[2...] == [["message", "news", "a"], ["message", "news", "b"]])
                            try await server.admin("CLIENT", "KILL", "TYPE", "pubsub")
                        default: break
                        }
                    }
                }
            }
            #expect(error?.code == .connection)
            // What comes next finds a connection without a subscription.
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            #expect(redis.statistics.connects == 2)
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `waiting for a connection ends at the command timeout while it is being opened`() async throws {
        try await withRedis(configure: {
            $0.dedicatedConnections = 1
            $0.connectTimeout = .seconds(3600)
            $0.commandTimeout = .milliseconds(200)
        }) { redis, server in
            // The kernel accepts the connection; the login is not answered.
            server.freeze()
            for _ in 0..<2 {
                let error = await #expect(throws: RedisError.self) {
                    try await redis.withDedicatedConnection { _ in }
                }
                #expect(error?.code == .timeout && error?.outcome == .notSent)
            }
            server.thaw()
            // The one that was opened too late for its caller serves the next one.
            #expect(await poll(seconds: 10) { redis.statistics.connects == 1 })
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            #expect(redis.statistics.connects == 1)
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a caller that is cancelled while its connection is being opened returns at once`() async throws {
        try await withRedis(configure: {
            $0.dedicatedConnections = 1
            $0.connectTimeout = .seconds(3600)
            $0.commandTimeout = .seconds(3600)
        }) { redis, server in
            server.freeze()
            let caller = Task { try await redis.withDedicatedConnection { _ in } }
            try await Task.sleep(for: .milliseconds(20))
            caller.cancel()
            let result = await caller.result
            server.thaw()
            let error = #expect(throws: RedisError.self) { try result.get() }
            #expect(error?.code == .cancelled && error?.outcome == .notSent)
            // The place of the cancelled one is not lost, nor that of one that was cancelled before.
            let early = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await redis.withDedicatedConnection { _ in }
            }
            _ = await early.result
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            #expect(redis.statistics.connects == 1)
        }
    }

    @Test func `tasks that share a connection receive their own replies`() async throws {
        try await withRedis { redis, _ in
            try await redis.withDedicatedConnection { connection in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for caller in 0..<8 {
                        group.addTask {
                            for round in 0..<100 {
                                let text = "\(caller)/\(round)"
                                let reply = try await connection.send(RedisCommand("ECHO", text))
                                #expect(reply.string == text)
                                let both = try await connection.send([
                                    RedisCommand("ECHO", text), RedisCommand("ECHO", "b"),
                                ])
                                #expect(both.map(\.string) == [text, "b"])
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test func `a task that keeps a connection cannot use it while it is another's`() async throws {
        try await withRedis(configure: { $0.dedicatedConnections = 1 }) { redis, server in
            let kept = try await redis.withDedicatedConnection { $0 }
            try await redis.withDedicatedConnection { connection in
                for command in [RedisCommand("SELECT", "5"), RedisCommand("BLPOP", "list", "0")] {
                    let error = await #expect(throws: RedisError.self) { try await kept.send(command) }
                    #expect(error?.code == .closed && error?.outcome == .notSent)
                }
                _ = try await connection.send(RedisCommand("SET", "k", "v"))
            }
            #expect(try await server.admin("GET", "k") == "v")
            #expect(redis.statistics.connects == 1)
        }
    }

    @Test func `the state that one user leaves never reaches the next`() async throws {
        try await withRedis(configure: { $0.dedicatedConnections = 1 }) { redis, _ in
            try await redis.withDedicatedConnection {
                _ = try await $0.send([RedisCommand("SELECT", "5"), RedisCommand("SET", "k", "five")])
            }
            let value = try await redis.withDedicatedConnection {
                try await $0.send(RedisCommand("GET", "k"))
            }
            #expect(value.isNull)
            // The use ends in the middle of a command.
            await #expect(throws: RedisError.self) {
                try await redis.withDedicatedConnection {
                    _ = try await $0.send(RedisCommand("BLPOP", "queue", "1"), timeout: .milliseconds(50))
                }
            }
            let after = try await redis.withDedicatedConnection {
                try await $0.send(RedisCommand("ECHO", "mine"))
            }
            #expect(after.string == "mine")
            #expect(redis.statistics.connects == 3)
        }
    }

    @Test func `a connection that was closed while idle is replaced before its next use`() async throws {
        try await withRedis(configure: { $0.clientName = "dedicated" }) { redis, server in
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            try await server.admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            #expect(await poll(seconds: 5) { redis.statistics.lostConnections == 1 })
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            #expect(redis.statistics.connects <= 2)
            #expect(try await clients(server) == 1)
        }
    }

    @Test func `the closure runs in the isolation of its caller`() async throws {
        actor Worker {
            var jobs = 0

            func work(_ redis: RedisClient) async throws -> Int {
                try await redis.withDedicatedConnection { connection in
                    _ = try await connection.send(RedisCommand("PING"))
                    jobs += 1
                }
                return jobs
            }
        }
        try await withRedis { redis, _ in
            #expect(try await Worker().work(redis) == 1)
            try await onMainActor(redis)
        }
    }

    @MainActor private func onMainActor(_ redis: RedisClient) async throws {
        final class NotSendable { var replies = 0 }
        let counter = NotSendable()
        try await redis.withDedicatedConnection { connection in
            MainActor.assertIsolated()
            _ = try await connection.send(RedisCommand("PING"))
            MainActor.assertIsolated()
            counter.replies += 1
        }
        #expect(counter.replies == 1)
    }

    @Test func `a connection cannot be used after the closure has returned`() async throws {
        try await withRedis { redis, _ in
            let kept = try await redis.withDedicatedConnection { $0 }
            let error = await #expect(throws: RedisError.self) { try await kept.send(RedisCommand("PING")) }
            #expect(error?.code == .closed)
            await redis.shutdown()
            let closed = await #expect(throws: RedisError.self) {
                try await redis.withDedicatedConnection { _ in }
            }
            #expect(closed?.code == .closed)
        }
    }
}
