// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Synchronization
import TestSupport
import Testing

@testable import RedisSessions
@testable import Sessions

/// Sealed cookies with a record in Redis behind them: what it costs there, and what it is good for.
@Suite(.limited) struct `Sealed cookies with Redis` {
    private static func keys() throws -> SealKeyRing {
        try SealKeyRing([SealKey(id: "a", bytes: (0..<32).map { $0 &* 7 &+ 1 })])
    }

    private struct Site: Sendable {
        let redis: RedisFixture
        let manager: SessionManager
        let events: Events

        /// How often each command came from this site's clients while `body` ran.
        func commands(_ body: () async throws -> Void) async throws -> [String: Int] {
            try await redis.server.resetCounts()
            try await body()
            // What was sent without waiting for an answer has arrived when this has.
            _ = try await redis.client.send(RedisCommand("PING"))
            var counts = try await redis.server.commandCounts()
            counts["ping"] = nil
            return counts
        }
    }

    private final class Events: Sendable {
        private let kinds = Mutex<[SessionEvent.Kind]>([])
        func note(_ kind: SessionEvent.Kind) { kinds.withLock { $0.append(kind) } }
        func take() -> [SessionEvent.Kind] {
            kinds.withLock { kinds in
                defer { kinds = [] }
                return kinds
            }
        }
    }

    /// A site on a server of its own, whose commands can be counted.
    private func site(_ store: (RedisSessionStore) throws -> any SessionStore) async throws -> Site {
        let redis = try await RedisFixture(server: RedisServer())
        _ = try await redis.client.send(RedisCommand("PING"))
        let events = Events()
        let manager = try SessionManager(store: try store(redis.store), onEvent: { events.note($0.kind) })
        return Site(redis: redis, manager: manager, events: events)
    }

    private func tiered() async throws -> Site {
        try await site {
            try TieredSessionStore(
                anonymous: SealedSessionStore(Self.keys(), application: "shop"),
                signedIn: $0
            )
        }
    }

    @Test func `bots cost Redis nothing, a sign-in one round trip`() async throws {
        let site = try await tiered()
        let counts = try await site.commands {
            for _ in 0..<20 {
                let bot = Visitor(site.manager)
                for _ in 0..<3 { try await bot.send { try $0.increment(.count) } }
                try await bot.send { #expect($0[.count] == 3) }
            }
        }
        #expect(counts == [:])
        #expect(try await site.redis.server.keys(site.redis.prefix).isEmpty)
        let visitor = Visitor(site.manager)
        try await visitor.send { try $0.set(.item, "tea") }
        let signIn = try await site.commands {
            try await visitor.send { try $0.signIn(as: "ann", keeping: .item) }
        }
        #expect(signIn["evalsha"] == 2 && signIn["hgetall"] == nil)
        try await visitor.send { #expect($0.principal == "ann" && $0[.item] == "tea") }
        #expect(try await site.manager.revokeAll(of: "ann") == 1)
        try await visitor.send { #expect($0.principal == nil) }
    }

    @Test func `while Redis is away visitors are served and users get an honest answer`() async throws {
        let site = try await tiered()
        let (bot, user) = (Visitor(site.manager), Visitor(site.manager))
        try await user.send { try $0.signIn(as: "ann") }
        await site.redis.server.crash()
        try await bot.send { try $0.set(.item, "tea") }
        try await bot.send { #expect($0[.item] == "tea") }
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await user.send() }
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await bot.send { try $0.signIn(as: "bob") }
        }
        try await bot.send { #expect($0[.item] == "tea" && $0.principal == nil) }
    }
}

extension SessionKey where Value == String {
    static var item: Self { .init("item") }
}

extension SessionKey where Value == Int {
    static var count: Self { .init("count") }
}
