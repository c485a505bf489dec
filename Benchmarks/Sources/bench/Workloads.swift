// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hiredis
import RedisSessions
import TestSupport

/// The commands that both clients send: `HGETALL` of a hash with 6 fields and 272 bytes, `GET` and `SET` of 100 bytes, and
/// the script with which the store commits a request that added 1 to a counter, as the store sent it once.
///
/// Each caller of the client has keys of its own, because the client sends equal reads once.
struct Workloads: Sendable {
    private let commit: [[UInt8]]
    private static let value = String(repeating: "x", count: 100)
    private static let hashes = (0..<256).map { "session:\(1000 + $0)" }
    private static let texts = (0..<256).map { "text:\(1000 + $0)" }

    /// Fills the server.
    init(_ redis: RedisServer, _ client: RedisClient) async throws {
        for (key, text) in zip(Self.hashes, Self.texts) {
            var hash = RedisCommand("HSET", key)
            for (field, size) in [
                ("secret", 43), ("version", 5), ("created", 13), ("deadline", 13), ("principal", 36),
                ("cart", 124),
            ] {
                hash.append(field)
                hash.append(String(repeating: "x", count: size))
            }
            _ = try await client.send([hash, RedisCommand("SET", text, Self.value)])
        }
        commit = try await Self.commit(redis)
    }

    /// The words of a command for `redis-benchmark`.
    func words(_ command: ClientCase.Command) -> [[UInt8]] {
        switch command {
        case .hgetall: ["HGETALL", Self.hashes[0]].map { Array($0.utf8) }
        case .get: ["GET", Self.texts[0]].map { Array($0.utf8) }
        case .set: ["SET", Self.texts[0], Self.value].map { Array($0.utf8) }
        case .commit: commit
        }
    }

    func command(_ command: ClientCase.Command, of caller: Int) -> RedisCommand {
        switch command {
        case .hgetall: return RedisCommand("HGETALL", Self.hashes[caller], readOnly: true)
        case .get: return RedisCommand("GET", Self.texts[caller], readOnly: true)
        case .set: return RedisCommand("SET", Self.texts[caller], Self.value)
        case .commit:
            var evalsha = RedisCommand("EVALSHA")
            for word in commit.dropFirst() { evalsha.append(word) }
            return evalsha
        }
    }

    func isRight(_ reply: RedisReply, _ command: ClientCase.Command) -> Bool {
        switch command {
        case .hgetall: reply.count == 12
        case .get: reply.string?.count == Self.value.count
        case .set: reply.string == "OK"
        case .commit: reply[0].string == "ok"
        }
    }

    /// The commit as the store sends it.
    ///
    /// Its time limit is far away, so that it can be repeated; each repetition finds a newer version than it
    /// names, which an addition may.
    private static func commit(_ redis: RedisServer) async throws -> [[UInt8]] {
        var configuration = try RedisConfiguration(url: redis.url)
        configuration.commandTimeout = .seconds(3600)
        let client = RedisClient(configuration)
        let store = try RedisSessionStore(client, application: "commit")
        let monitor = try await redis.monitor()
        var words: [[UInt8]] = []
        // A hash with a zero byte cannot be an argument of a program.
        for attempt in 1...20 where words.isEmpty {
            _ = try await SampleSession.create(in: store, attributes: 5).commit(in: store)
            try await redis.admin("ECHO", "attempt-\(attempt)")
            _ = await poll(seconds: 5) { monitor.text.contains("\"attempt-\(attempt)\"") }
            let last = monitor.text.split(separator: "\n").compactMap { MonitorLine($0) }
                .last { !$0.isInScript && $0.command == "EVALSHA" }
            if let last, last.words.allSatisfy({ !$0.contains(0) }) { words = last.words }
        }
        await monitor.stop()
        await client.shutdown()
        guard !words.isEmpty else {
            throw RedisBenchmark.Failure(description: "the store sent no commit that could be repeated")
        }
        return words
    }
}

/// A session made through the store, without HTTP.
struct SampleSession: Sendable {
    let credential: SessionCredential
    static let policy = SessionPolicy()

    /// Creates one with `attributes` attributes of 40 bytes, one of them a counter `n`.
    static func create(in store: some SessionStore, attributes: Int) async throws -> SampleSession {
        var values = ["n": Array("0".utf8)]
        for number in 1..<max(attributes, 2) where attributes > 1 {
            values["attribute\(number)"] = Array("\"\(String(repeating: "x", count: 38))\"".utf8)
        }
        let draft = SessionDraft(attributes: values, policy: policy)
        guard case .committed(_, _, let credential?, _) = try await store.create(draft) else {
            throw RedisBenchmark.Failure(description: "the store created no session")
        }
        return SampleSession(credential: credential)
    }

    /// Reads it and adds 1, as a request does.
    func commit(in store: some SessionStore) async throws -> SampleSession {
        guard case .found(let record) = try await store.load(credential) else {
            throw RedisBenchmark.Failure(description: "the store lost a session")
        }
        let change = SessionChange(operations: ["n": .increment(1)], policy: Self.policy)
        guard case .committed = try await store.commit(change, to: record) else {
            throw RedisBenchmark.Failure(description: "the store refused an addition")
        }
        return self
    }
}
