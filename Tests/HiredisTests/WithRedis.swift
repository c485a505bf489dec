// SPDX-License-Identifier: Apache-2.0

import Hiredis
import NIOCore
import Synchronization
import TestSupport

/// Runs `body` with a client of a private Redis and shuts both down.
func withRedis(
    _ arguments: [String] = [],
    configure: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (RedisClient, RedisServer) async throws -> Void
) async throws {
    let server = try await RedisServer(arguments)
    var configuration = try RedisConfiguration(url: server.url)
    // Long, because tests run in parallel; those about time set their own.
    configuration.commandTimeout = .seconds(5)
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

/// A counter shared by several tasks.
final class Tally: Sendable {
    private let number = Mutex(0)
    var value: Int { number.withLock { $0 } }

    @discardableResult
    func add(_ amount: Int = 1) -> Int {
        number.withLock {
            $0 += amount
            return $0
        }
    }

    func raise(to other: Int) { number.withLock { $0 = max($0, other) } }
}

extension RedisClient {
    /// The reply to a command as text.
    func text(_ command: RedisCommand) async throws -> String? { try await send(command).string }

    /// The reply to a command as a number.
    func number(_ command: RedisCommand) async throws -> Int? { try await send(command).integer }
}

/// Runs tasks on one event loop.
final class LoopExecutor: TaskExecutor {
    let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
