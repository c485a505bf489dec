// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// What `RedisClient.statistics` says about the present.
@Suite(.limited) struct UsageTests {
    @Test func `connections are as many as the server has`() async throws {
        let server = try await RedisServer()
        var configuration = try RedisConfiguration(url: server.url)
        configuration.clientName = "counted"
        let redis = RedisClient(configuration)
        #expect(redis.statistics.connections == 0)
        func atServer() async throws -> Int {
            try await server.admin("CLIENT", "LIST").split(separator: "\n")
                .count { $0.contains("name=counted") }
        }
        _ = try await redis.send(RedisCommand("PING"))
        // The connection for reads follows by itself.
        #expect(await poll(seconds: 10) { redis.statistics.connections == 2 })
        #expect(try await atServer() == 2)
        try await redis.withDedicatedConnection { connection in
            _ = try await connection.send(RedisCommand("PING"))
            #expect(redis.statistics.connections == 3)
            #expect(try await atServer() == 3)
        }
        await server.crash()
        #expect(await poll(seconds: 10) { redis.statistics.connections == 0 })
        await redis.shutdown()
    }

    @Test func `commands are in flight until their replies`() async throws {
        let server = try await RedisServer()
        var configuration = try RedisConfiguration(url: server.url)
        configuration.commandTimeout = .seconds(20)
        let redis = RedisClient(configuration)
        _ = try await redis.send(RedisCommand("PING"))
        #expect(redis.statistics.commandsInFlight == 0)
        server.freeze()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in ["a", "b", "c"] {
                group.addTask { _ = try await redis.send(RedisCommand("SET", key, "1")) }
            }
            #expect(await poll(seconds: 10) { redis.statistics.commandsInFlight == 3 })
            server.thaw()
            try await group.waitForAll()
        }
        #expect(redis.statistics.commandsInFlight == 0)
        await redis.shutdown()
    }
}
