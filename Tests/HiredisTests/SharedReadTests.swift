// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Hiredis

/// Callers who read the same before anything of it was sent share one command.
@Suite(.limited) struct SharedReadTests {
    private let executor = LoopExecutor(MultiThreadedEventLoopGroup.singleton.next())

    /// Runs tasks that start in one tick of an event loop, so that what they send lands in one batch.
    private func inOneTick<Value: Sendable>(
        _ count: Int,
        _ call: @escaping @Sendable (Int) async throws -> Value
    ) async throws -> [Result<Value, any Error>] {
        let executor = executor
        let tasks = try await executor.eventLoop.submit {
            (0..<count).map { index in Task(executorPreference: executor) { try await call(index) } }
        }.get()
        var results: [Result<Value, any Error>] = []
        for task in tasks { results.append(await task.result) }
        return results
    }

    private static let get = RedisCommand("GET", "a", readOnly: true)

    /// Connects the event loop's own connections.
    private func connect(_ redis: RedisClient) async throws {
        let set = RedisCommand("SET", "a", "1")
        for result in try await inOneTick(2, { try await redis.text($0 == 0 ? set : Self.get) }) {
            _ = try result.get()
        }
    }

    @Test func `equal reads of one tick are one command, and each caller has its replies`() async throws {
        try await withRedis { redis, _ in
            try await connect(redis)
            let before = redis.statistics
            let read = [Self.get, RedisCommand("PTTL", "a", readOnly: true)]
            for result in try await inOneTick(20, { _ in try await redis.send(read) }) {
                let replies = try result.get()
                #expect(replies[0].string == "1" && replies[1].integer == -1)
            }
            #expect(redis.statistics.commands - before.commands == 2)
            // They were not kept: the next tick asks again.
            _ = try await redis.send(RedisCommand("SET", "a", "2"))
            let later = try await inOneTick(1) { _ in try await redis.send(read)[0].string }
            #expect(try later[0].get() == "2")
        }
    }

    @Test func `reads of other keys, and behind a write, are commands of their own`() async throws {
        try await withRedis(configure: { $0.sharedConnections = 1 }) { redis, _ in
            try await connect(redis)
            let before = redis.statistics
            let results = try await inOneTick(6) { index in
                switch index {
                case 1: return try await redis.text(RedisCommand("GET", "b", readOnly: true))
                case 3: redis.submit(RedisCommand("SET", "a", "own"))
                case 4: return try await redis.text(RedisCommand("APPEND", "a", "!")).map { "\($0)" }
                default: break
                }
                return try await redis.text(Self.get)
            }
            #expect(try results.map { try $0.get() } == ["1", nil, "1", "own", nil, "own!"])
            #expect(redis.statistics.commands - before.commands == 6)
        }
    }

    @Test func `a cancelled caller leaves the others their replies`() async throws {
        try await withRedis { redis, _ in
            try await connect(redis)
            let before = redis.statistics
            let executor = executor
            let tasks = try await executor.eventLoop.submit {
                let tasks = (0..<3).map { _ in
                    Task(executorPreference: executor) { try await redis.text(Self.get) }
                }
                // Behind the calls and before the write, in the same tick.
                executor.eventLoop.execute { for index in [0, 2] { tasks[index].cancel() } }
                return tasks
            }.get()
            #expect(try await tasks[1].value == "1")
            for index in [0, 2] {
                let error = await tasks[index].result.error
                #expect((error as? RedisError)?.code == .cancelled)
            }
            #expect(redis.statistics.commands - before.commands == 1)
        }
    }

    @Test func `all callers of a shared read learn of a lost connection`() async throws {
        try await withRedis { redis, server in
            try await connect(redis)
            let before = redis.statistics.commands
            server.freeze()
            async let results = inOneTick(4) { _ in try await redis.text(Self.get) }
            #expect(await poll(seconds: 10) { redis.statistics.commands == before + 1 })
            await server.crash()
            for result in try await results { #expect(result.error is RedisError) }
        }
    }
}

extension Result {
    fileprivate var error: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
