// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// Connections whose flow was forgotten in silence, as NAT and firewalls do with idle ones.
@Suite(.limited, .timeLimit(.minutes(10))) struct IdleTests {
    private func withProxy(
        configure: (inout RedisConfiguration) -> Void = { _ in },
        _ body: (RedisClient, TCPProxy, RedisServer) async throws -> Void
    ) async throws {
        let server = try await RedisServer()
        let proxy = try await TCPProxy(to: server.port)
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: proxy.port))
        configuration.commandTimeout = .seconds(4)
        configure(&configuration)
        let redis = RedisClient(configuration)
        _ = try await redis.send(RedisCommand("SET", "k", "v"))
        _ = try await redis.send(RedisCommand("GET", "k", readOnly: true))
        do { try await body(redis, proxy, server) } catch {
            await redis.shutdown()
            throw error
        }
        await redis.shutdown()
        await proxy.close()
    }

    @Test func `thirty reads at once after the flow was dropped are all answered`() async throws {
        try await withProxy { redis, proxy, _ in
            proxy.forget()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<30 {
                    group.addTask {
                        let replies = try await redis.send([
                            RedisCommand("GET", "k", readOnly: true),
                            RedisCommand("PTTL", "k", readOnly: true),
                        ])
                        #expect(replies[0].string == "v")
                    }
                }
                try await group.waitForAll()
            }
            // What was found out by reading holds for writing: the other connection has been examined.
            #expect(try await redis.number(RedisCommand("INCR", "n")) == 1)
            #expect(redis.statistics.timeouts == 0)
        }
    }

    @Test func `a write after a silence is executed once, on a connection that answers`() async throws {
        try await withProxy(configure: { $0.silence = .zero }) { redis, proxy, server in
            proxy.forget()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<30 { group.addTask { _ = try await redis.send(RedisCommand("INCR", "n")) } }
                try await group.waitForAll()
            }
            #expect(try await server.admin("GET", "n") == "30")
        }
    }

    @Test func `the heartbeat finds out before anybody sends`() async throws {
        try await withProxy(configure: { $0.heartbeat = .milliseconds(200) }) { redis, proxy, _ in
            proxy.forget()
            #expect(await poll(seconds: 20) { redis.statistics.lostConnections == 2 })
            #expect(await poll(seconds: 20) { redis.statistics.connects == 4 })
            let number = try await redis.number(RedisCommand("INCR", "n"))
            #expect(number == 1)
            #expect(redis.statistics.retries == 0)
        }
    }

    @Test func `an idle connection that answers is kept`() async throws {
        try await withProxy(configure: { $0.heartbeat = .milliseconds(50) }) { redis, _, server in
            let counts = try await server.commandCounts()["ping"] ?? 0
            #expect(
                await poll(seconds: 20) { ((try? await server.commandCounts()["ping"]) ?? 0) >= counts + 4 }
            )
            #expect(redis.statistics.connects == 2 && redis.statistics.lostConnections == 0)
            #expect(redis.statistics.commands == 2, "a heartbeat is no command of a caller")
        }
    }

    @Test func `a heartbeat does not end a connection whose user may not send PING`() async throws {
        let server = try await RedisServer(["--user", "app", "on", ">pw", "~*", "-@all", "+get"])
        var configuration = try RedisConfiguration(url: "redis://app:pw@127.0.0.1:\(server.port)")
        configuration.heartbeat = .milliseconds(50)
        let redis = RedisClient(configuration)
        _ = try await redis.send(RedisCommand("GET", "k", readOnly: true))
        let denied = { (try? await server.admin("ACL", "LOG"))?.contains("ping") == true }
        #expect(await poll(seconds: 20) { await denied() })
        _ = try await redis.send(RedisCommand("GET", "k", readOnly: true))
        #expect(redis.statistics.lostConnections == 0 && redis.statistics.submitErrors == 0)
        await redis.shutdown()
    }

    @Test func `reads do not wait behind writes that are paused`() async throws {
        try await withProxy { redis, _, server in
            try await server.admin("CLIENT", "PAUSE", "60000", "WRITE")
            let isOver = Tally()
            let write = Task {
                defer { isOver.add() }
                return try await redis.send(RedisCommand("INCR", "n"))
            }
            redis.submit(RedisCommand(script: RedisScript("return 1"), keys: ["k"], readOnly: true))
            #expect(await poll(seconds: 5) { redis.statistics.commands == 4 })
            for _ in 0..<20 {
                #expect(try await redis.text(RedisCommand("GET", "k", readOnly: true)) == "v")
            }
            #expect(isOver.value == 0)
            try await server.admin("CLIENT", "UNPAUSE")
            #expect(try await write.value.integer == 1)
        }
    }
}
