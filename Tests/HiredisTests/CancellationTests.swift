// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// Cancelled callers.
@Suite(.limited) struct CancellationTests {
    @Test func `of 20 000 commands with random cancellation none returns another's value`() async throws {
        try await withRedis { redis, _ in
            let own = Tally()
            let gone = Tally()
            await withTaskGroup(of: Void.self) { group in
                for caller in 0..<100 {
                    group.addTask {
                        for round in 0..<200 {
                            let text = "\(caller)-\(round)"
                            let task = Task { () throws -> String? in
                                // One in four sends two commands, so that requests with half of their replies
                                // are cancelled, too.
                                if round % 4 == 3 {
                                    let replies = try await redis.send([
                                        RedisCommand("ECHO", text), RedisCommand("ECHO", "\(text)b"),
                                    ])
                                    #expect(replies[1].string == "\(text)b")
                                    return replies[0].string
                                }
                                return try await redis.send(RedisCommand("ECHO", text)).string
                            }
                            if Bool.random() {
                                for _ in 0..<Int.random(in: 0...3) { await Task.yield() }
                                task.cancel()
                            }
                            switch await task.result {
                            case .success(let value):
                                #expect(value == text)
                                guard value == text else { return }
                                own.add()
                            case .failure(let error):
                                #expect((error as? RedisError)?.code == .cancelled)
                                gone.add()
                            }
                        }
                    }
                }
            }
            let (kept, left) = (own.value, gone.value)
            #expect(kept + left == 20_000)
            #expect(kept > 1000 && left > 1000, "\(kept) kept, \(left) left")
            #expect(redis.statistics.lostConnections == 0)
            #expect(redis.statistics.connects == redis.configuration.sharedConnections)
        }
    }

    @Test
    func `of a reply, a deadline and a cancellation at the same time exactly one ends the wait`() async {
        let late = RedisError(.timeout, .unknown, "late")
        let (replied, timedOut, cancelled) = (Tally(), Tally(), Tally())
        for _ in 0..<5000 {
            let pending = PendingReply()
            let wins = Tally()
            let caller = Task {
                var parties: [Task<Void, Never>] = []
                let answer = await pending.wait(.abandon) {
                    parties = [PendingReply.Answer.success(.many([])), .failure(late)].map { answer in
                        Task.detached { if pending.finish(answer) { wins.add() } }
                    }
                }
                for party in parties { await party.value }
                return answer
            }
            await Task.yield()
            caller.cancel()
            let answer = await caller.value
            switch answer {
            case .success: replied.add()
            case .failure(late): timedOut.add()
            case .failure(let error):
                #expect(error.code == .cancelled)
                cancelled.add()
            }
            let expected = if case .failure(let error) = answer, error.code == .cancelled { 0 } else { 1 }
            #expect(wins.value == expected)
            #expect(pending.isFinished && !pending.finish(.failure(late)))
        }
        #expect(replied.value + timedOut.value + cancelled.value == 5000)
        #expect(replied.value > 0 && cancelled.value > 0)
    }

    @Test func `a cancelled caller returns at once and the others are not affected`() async throws {
        try await withRedis { redis, server in
            _ = try await redis.send(RedisCommand("PING"))
            server.freeze()
            let leaving = Task { try await redis.send(RedisCommand("ECHO", "leaving")) }
            async let staying = redis.send(RedisCommand("ECHO", "staying"))
            #expect(await poll(seconds: 5) { redis.statistics.commands == 3 })
            leaving.cancel()
            // The server is still frozen: this returns without a reply.
            let result = await leaving.result
            server.thaw()
            let error = #expect(throws: RedisError.self) { try result.get() }
            #expect(error?.code == .cancelled && error?.outcome == .unknown)
            let reply = try await staying
            #expect(reply.string == "staying")
            #expect(redis.statistics.abandoned == 1)
        }
    }

    @Test func `a caller that ignores cancellation gets its reply`() async throws {
        try await withRedis { redis, server in
            _ = try await redis.send(RedisCommand("PING"))
            server.freeze()
            let task = Task { try await redis.send(RedisCommand("INCR", "n"), cancellation: .ignore) }
            #expect(await poll(seconds: 5) { redis.statistics.commands == 2 })
            task.cancel()
            server.thaw()
            let reply = try await task.value
            #expect(reply.integer == 1)
        }
    }

    @Test func `a caller that is cancelled before it sends sends nothing`() async throws {
        try await withRedis { redis, server in
            _ = try await redis.send(RedisCommand("PING"))
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await redis.send(RedisCommand("INCR", "n"))
            }
            let result = await task.result
            let error = #expect(throws: RedisError.self) { try result.get() }
            #expect(error?.code == .cancelled && error?.outcome == .notSent)
            #expect(redis.statistics.commands == 1)
        }
    }

    @Test func `a caller that is cancelled while there is no connection has sent nothing`() async throws {
        try await withRedis { redis, server in
            server.freeze()
            let task = Task { try await redis.send(RedisCommand("INCR", "n")) }
            try await Task.sleep(for: .milliseconds(20))
            task.cancel()
            let result = await task.result
            let error = #expect(throws: RedisError.self) { try result.get() }
            #expect(error?.code == .cancelled && error?.outcome == .notSent)
            server.thaw()
            #expect(
                await poll(seconds: 5) { (try? await redis.send(RedisCommand("GET", "n")))?.isNull == true }
            )
        }
    }
}
