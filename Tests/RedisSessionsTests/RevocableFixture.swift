// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import SessionsTesting
import TestSupport

/// Sealed cookies whose revocations are in Redis, below a fresh prefix, with a clock that a test moves.
struct RevocableFixture: Sendable {
    let redis: RedisFixture
    let clock = ManualClock(.now)
    let store: RevocableSessionStore

    init(peppers: [SessionPepper] = [], server: RedisServer? = nil) async throws {
        redis = try await RedisFixture(server: server)
        store = try Self.store(redis, clock, peppers: peppers)
    }

    static func keys() throws -> SealKeyRing {
        try SealKeyRing([SealKey(id: "a", bytes: (0..<32).map { $0 &* 7 &+ 1 })])
    }

    private static func store(
        _ redis: RedisFixture,
        _ clock: ManualClock,
        ahead: Duration = .zero,
        peppers: [SessionPepper] = []
    ) throws -> RevocableSessionStore {
        try RevocableSessionStore(
            SealedSessionStore(keys(), application: redis.prefix) { clock.now + ahead },
            revocations: redis.client,
            application: redis.prefix,
            peppers: peppers
        )
    }

    /// Another instance of the same application, whose clock differs.
    func instance(ahead: Duration = .zero, peppers: [SessionPepper] = []) throws -> RevocableSessionStore {
        try Self.store(redis, clock, ahead: ahead, peppers: peppers)
    }

    var harness: SessionStoreHarness {
        SessionStoreHarness(store: store, splice: Self.splice) { try await letTimePass($0) }
    }

    /// A forger who has two cookies: half of one and half of the other.
    static func splice(_ first: SessionCredential, _ second: SessionCredential) -> SessionCredential {
        let half = first.value.count / 2
        return SessionCredential(
            String(first.value.prefix(half)) + String(second.value.suffix(first.value.count - half))
        )
    }

    /// Moves the clocks of the instances and, by aging what is there, that of Redis.
    func letTimePass(_ duration: Duration) async throws {
        clock.advance(by: duration)
        try await redis.letTimePass(duration)
    }

    /// What `body` cost: the commands that Redis ran, those of scripts included, and the round trips.
    func cost(_ body: () async throws -> Void) async throws -> (commands: [String: Int], roundTrips: Int) {
        // What was sent without waiting for an answer has arrived when this has.
        _ = try await redis.client.send(RedisCommand("PING"))
        try await redis.server.resetCounts()
        let before = redis.client.statistics.batches
        try await body()
        let after = redis.client.statistics.batches
        _ = try await redis.client.send(RedisCommand("PING"))
        var counts = try await redis.server.commandCounts()
        counts["ping"] = nil
        return (counts, after - before)
    }

    /// Each key and all that it holds.
    func contents() async throws -> [String: String] {
        var contents: [String: String] = [:]
        for key in try await redis.server.keys(redis.prefix) {
            let isHash = try await redis.server.admin("TYPE", key) == "hash"
            contents[key] = try await redis.server.admin(isHash ? "HGETALL" : "GET", key)
        }
        return contents
    }
}
