// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Synchronization
import TestSupport
import Testing

@testable import RedisSessions
@testable import Sessions

/// Sealed cookies with a record in Redis behind them: what it costs there, and what it is good for.
@Suite struct `Sealed cookies with Redis` {
    private static func keys() throws -> SealKeyRing {
        try SealKeyRing([SealKey(id: "a", bytes: (0..<32).map { $0 &* 7 &+ 1 })])
    }

    /// A forger who has two cookies: half of one and half of the other.
    private static func splice(_ first: SessionCredential, _ second: SessionCredential) -> SessionCredential {
        SessionCredential(
            String(first.value.prefix(first.value.count / 2))
                + String(second.value.suffix(first.value.count - first.value.count / 2))
        )
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

    private func guarded() async throws -> Site {
        try await site { try GuardedSessionStore(Self.keys(), application: "shop", backing: $0) }
    }

    private func tiered() async throws -> Site {
        try await site {
            try TieredSessionStore(
                anonymous: SealedSessionStore(Self.keys(), application: "shop"),
                signedIn: $0
            )
        }
    }

    @Test(arguments: SessionStoreContract.rules(for: [.finalEnds, .replacedCredentials, .detectedConflicts]))
    func `guarded by Redis keeps what it promises`(rule: SessionStoreContract.Rule) async throws {
        let redis = try await RedisFixture()
        let store = try GuardedSessionStore(Self.keys(), application: "shop", backing: redis.store)
        try await rule.check(
            SessionStoreHarness(store: store, splice: Self.splice) { try await redis.letTimePass($0) }
        )
    }

    // MARK: Guarded

    @Test func `a guarded read is one round trip and a write another, and the record is small`() async throws
    {
        let site = try await guarded()
        let visitor = Visitor(site.manager)
        try await visitor.send { session in
            try session.set(.item, String(repeating: "tea ", count: 400))
            try session.signIn(as: "ann", keeping: ["item"])
        }
        #expect(
            try await site.commands { try await visitor.send { _ = $0[.item] } } == ["hgetall": 1, "pttl": 1]
        )
        let write = try await site.commands { try await visitor.send { try $0.increment(.count) } }
        #expect(write["evalsha"] == 1 && write["hgetall"] == 1)
        let keys = try await site.redis.server.keys(site.redis.prefix)
        let record = try #require(keys.first { $0.contains(":s:") })
        let bytes = try #require(Int(try await site.redis.server.admin("MEMORY", "USAGE", record)))
        #expect(bytes < 1100)
        let fields = try await site.redis.server.admin("HKEYS", record)
        #expect(!fields.contains("a:"))
        for key in keys { #expect(Int(try await site.redis.server.admin("PTTL", key)) ?? -1 > 0) }
    }

    @Test func `a forged cookie costs Redis nothing`() async throws {
        let site = try await guarded()
        let visitor = Visitor(site.manager)
        try await visitor.send { try $0.set(.item, "tea") }
        let token = try #require(visitor.credential).value
        let counts = try await site.commands {
            for text in [
                "g1.a." + String(repeating: "A", count: 400), "g1.zz." + token.dropFirst(5),
                "s1." + token.dropFirst(3), "g1.a.+",
            ] {
                try await Visitor(site.manager).send([.cookie: "__Host-session=\(text)"]) {
                    #expect($0.id == nil)
                }
            }
        }
        #expect(counts == [:])
        #expect(site.events.take() == [.created, .forged, .unknownKey, .malformed, .malformed])
    }

    @Test func `a rolled-back cookie is refused and counted`() async throws {
        let site = try await guarded()
        let visitor = Visitor(site.manager)
        try await visitor.send { try $0.set(.count, 10) }
        let kept = visitor.cookies
        try await visitor.send { try $0.increment(.count, by: -10) }
        try await site.redis.letTimePass(.seconds(11))
        _ = site.events.take()
        try await Visitor(site.manager, jar: kept).send { session in
            #expect(session[.count] == nil && session.id == nil)
            try session.increment(.count, by: -10)
        }
        #expect(site.events.take() == [.replayed, .dropped])
        try await visitor.send { #expect($0[.count] == 0) }
    }

    @Test func `of many writers with one cookie one succeeds, and its data is there`() async throws {
        let site = try await guarded()
        let visitor = Visitor(site.manager)
        try await visitor.send { try $0.set(.item, "tea") }
        let browsers = (0..<10).map { _ in Visitor(site.manager, jar: visitor.cookies) }
        let winners = try await withThrowingTaskGroup(of: Int?.self) { group in
            for (number, browser) in browsers.enumerated() {
                group.addTask {
                    do { try await browser.send { try $0.set(.count, number) } } catch let error
                        as SessionError
                    {
                        #expect(error.code == .conflict)
                        return nil
                    }
                    return number
                }
            }
            var winners: [Int] = []
            for try await case let number? in group { winners.append(number) }
            return winners
        }
        let winner = try #require(winners.first)
        #expect(winners.count == 1)
        try await browsers[winner].send { #expect($0[.count] == winner && $0[.item] == "tea") }
    }

    @Test func `sign-out and the end of all reach every instance`() async throws {
        let site = try await guarded()
        var visitors: [Visitor] = []
        for _ in 0..<3 {
            let visitor = Visitor(site.manager)
            try await visitor.send { try $0.signIn(as: "ann") }
            visitors.append(visitor)
        }
        let copy = Visitor(site.manager, jar: visitors[0].cookies)
        try await visitors[0].send { try $0.signOut() }
        try await copy.send { #expect($0.principal == nil) }
        #expect(try await site.manager.revokeAll(of: "ann") == 2)
        for visitor in visitors { try await visitor.send { #expect($0.principal == nil) } }
    }

    @Test func `what spills is in Redis, and comes back from there`() async throws {
        let site = try await guarded()
        let visitor = Visitor(site.manager)
        try await visitor.send { try $0.set(.item, "tea") }
        try await visitor.send { try $0.set(.other, String(repeating: "x", count: 5000)) }
        #expect(visitor.cookieField.map { $0.utf8.count < 100 } == true)
        try await visitor.send { #expect($0[.item] == "tea" && $0[.other]?.count == 5000) }
        let record = try #require(try await site.redis.server.keys(site.redis.prefix).first)
        #expect(try await site.redis.server.admin("HSTRLEN", record, "a:other") == "5002")
    }

    @Test func `a site that had Redis alone goes on with its tickets`() async throws {
        let redis = try await RedisFixture()
        let before = Visitor(try SessionManager(store: redis.store))
        try await before.send { try $0.signIn(as: "ann") }
        let guarded = try GuardedSessionStore(Self.keys(), application: "shop", backing: redis.store)
        let after = Visitor(try SessionManager(store: guarded), jar: before.cookies)
        try await after.send { session in
            #expect(session.principal == "ann")
            try session.set(.item, "tea")
        }
        try await after.send { #expect($0[.item] == "tea") }
    }

    // MARK: Tiered

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
            try await visitor.send { try $0.signIn(as: "ann", keeping: ["item"]) }
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
