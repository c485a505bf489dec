// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Hiredis

extension Topologies {
    /// A node of a cluster that does not come back: what its callers and those of the other nodes see.
    @Suite(.timeLimit(.minutes(10))) struct ClusterOutageTests {
        /// Keys of the first and of the last node.
        private static let (dead, healthy) = ("bar", "foo")

        /// A cluster that serves what it can, and a client whose callers wait for longer than a test may take.
        private func withOutage(
            configure: (inout RedisConfiguration) -> Void,
            _ body: (RedisClient, RedisCluster) async throws -> Void
        ) async throws {
            let cluster = try await RedisCluster(["--cluster-require-full-coverage", "no"])
            var configuration = try RedisConfiguration(url: cluster.url)
            configuration.commandTimeout = .seconds(600)
            configure(&configuration)
            let redis = RedisClient(configuration)
            do {
                for key in [Self.dead, Self.healthy] {
                    _ = try await redis.send(RedisCommand("SET", key, "0"))
                }
                await cluster.primaries[0].crash()
                try await body(redis, cluster)
            } catch {
                await redis.shutdown()
                throw error
            }
            await redis.shutdown()
        }

        @Test func `when no failover has come, callers of the node fail at once, until it is back`()
            async throws
        {
            try await withOutage(configure: { $0.limits.failover = .seconds(2) }) { redis, cluster in
                // The first one waits for a failover, and longer than that for nothing.
                for _ in 0..<50 {
                    let error = await #expect(throws: RedisError.self) {
                        try await redis.send(RedisCommand("INCR", Self.dead))
                    }
                    #expect(error?.outcome != .unknown || error?.code == .connection)
                    if redis.statistics.unavailableServers == 1 {
                        #expect(error?.code == .connection && error?.outcome == .notSent)
                    }
                    _ = try await redis.send(RedisCommand("INCR", Self.healthy))
                }
                #expect(redis.statistics.unavailableServers == 1)
                let batch = await #expect(throws: RedisError.self) {
                    try await redis.send([RedisCommand("INCR", Self.dead)])
                }
                #expect(batch?.code == .connection && batch?.outcome == .notSent)
                #expect(try await cluster.primaries[2].admin("GET", Self.healthy) == "50")
                #expect(redis.statistics.refusedRetries == 0)
                try await cluster.primaries[0].restart()
                #expect(
                    await poll(seconds: 20) {
                        (try? await redis.send(RedisCommand("INCR", Self.dead))) != nil
                    }
                )
                #expect(redis.statistics.unavailableServers == 0)
            }
        }

        @Test func `few callers wait for a failover, and none of the other nodes is refused`() async throws {
            try await withOutage(configure: {
                ($0.limits.waiters, $0.limits.failover) = (8, .seconds(600))
            }) { redis, cluster in
                let first = Task { try await redis.send(RedisCommand("INCR", Self.dead)) }
                #expect(await poll(seconds: 30) { redis.statistics.unavailableServers == 1 })
                let before = redis.statistics.overloaded
                let waiting = (0..<20).map { _ in
                    Task { try await redis.send(RedisCommand("INCR", Self.dead)) }
                }
                // At most four of them, and the first, may be left.
                #expect(await poll(seconds: 20) { redis.statistics.overloaded - before >= 16 })
                for _ in 0..<100 { _ = try await redis.send(RedisCommand("INCR", Self.healthy)) }
                #expect(try await cluster.primaries[2].admin("GET", Self.healthy) == "100")
                #expect(redis.statistics.overloaded - before <= 21)
                for task in waiting + [first] { task.cancel() }
                for task in waiting + [first] {
                    guard case .failure(let failure) = await task.result else { continue }
                    let error = try #require(failure as? RedisError)
                    #expect([.overloaded, .cancelled, .connection].contains(error.code), "\(error)")
                    #expect(error.outcome == .notSent || error.code == .connection)
                }
            }
        }
    }
}
