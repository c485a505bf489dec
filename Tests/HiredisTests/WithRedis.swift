// SPDX-License-Identifier: Apache-2.0

import Hiredis
import TestSupport

/// Runs `body` with a client of a private Redis and shuts both down.
func withRedis(
    _ arguments: [String] = [], configure: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (RedisClient, RedisServer) async throws -> Void
) async throws {
    let server = try await RedisServer(arguments)
    var configuration = try RedisConfiguration(url: server.url)
    configure(&configuration)
    let redis = RedisClient(configuration)
    do {
        try await body(redis, server)
    } catch {
        await redis.shutdown()
        throw error
    }
    await redis.shutdown()
}
