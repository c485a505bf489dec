// SPDX-License-Identifier: Apache-2.0

import AllocationCounter
import TestSupport
import Testing

@testable import Hiredis

/// Allocations for each command, in the build of the tests: a release build has fewer.
@Suite struct AllocationTests {
    @Test(.enabled(if: allocations_are_counted()), .timeLimit(.minutes(2)))
    func `a read of a hash costs few allocations`() async throws {
        try await withRedis { redis, _ in
            var hash = RedisCommand("HSET", "session")
            for field in 0..<6 {
                hash.append("field\(field)")
                hash.append(String(repeating: "x", count: 50))
            }
            _ = try await redis.send(hash)
            let alone = try await perCommand(atMost: 57) { for _ in 0..<100 { try await read(redis) } }
            #expect(alone <= 57, "one caller")
            let together = try await perCommand(atMost: 41) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<10 { group.addTask { for _ in 0..<10 { try await read(redis) } } }
                    try await group.waitForAll()
                }
            }
            #expect(together <= 41, "ten callers, whose replies arrive together")
        }
    }

    private func read(_ redis: RedisClient) async throws {
        let reply = try await redis.send(RedisCommand("HGETALL", "session", readOnly: true))
        precondition(reply.count == 12)
    }

    /// Allocations for each of the hundred commands of `body`.
    ///
    /// The least of many rounds, because tests that run beside this one only add some. Ends with the first round
    /// that is within the limit.
    private func perCommand(atMost limit: Double, _ body: () async throws -> Void) async throws -> Double {
        var least = Double.infinity
        for _ in 0..<1000 where least > limit {
            let before = allocation_count()
            try await body()
            least = min(least, Double(allocation_count() - before) / 100)
        }
        return least
    }
}
