// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import RedisSessions
import SessionsTesting
import TestSupport
import Testing
import ThirdPartyStores

/// Wrappers that others write with public API only work around every store and lose nothing.
@Suite(.limited) struct `Wrappers by third parties` {
    /// A store to be wrapped.
    enum Kind: CaseIterable {
        case memory, redis, cached, sealed, tiered, revocable, replicated, draining

        var guarantees: SessionStoreContract.Guarantees {
            switch self {
            case .sealed: []
            case .revocable: RevocableContract.guarantees
            case .tiered: [.listedAttributes]
            default: .all
            }
        }
    }

    enum Wrapper: CaseIterable {
        case metrics, cache
    }

    typealias RevocableContract = `Revocable store and the contract`

    /// A store and the passing of its time.
    private struct Subject: Sendable {
        let store: any SessionStore
        let clock: ManualClock
        let advance: @Sendable (Duration) async throws -> Void
        var fleet: ReplicaFleet?

        func wrapped(by wrapper: Wrapper) -> any SessionStore {
            switch wrapper {
            case .metrics: Self.metered(store)
            case .cache: Self.cached(store, clock)
            }
        }

        private static func metered(_ store: some SessionStore) -> any SessionStore { MeteredStore(store) }
        private static func cached(_ store: some SessionStore, _ clock: ManualClock) -> any SessionStore {
            CachingStore(store) { clock.now }
        }
    }

    private func subject(_ kind: Kind) async throws -> Subject {
        let site = try await RevocableFixture()
        let (redis, clock) = (site.redis, site.clock)
        func sealed() throws -> SealedSessionStore {
            try SealedSessionStore(RevocableFixture.keys(), application: "shop") { clock.now }
        }
        let advance: @Sendable (Duration) async throws -> Void = { try await site.letTimePass($0) }
        switch kind {
        case .memory:
            return Subject(store: try MemorySessionStore { clock.now }, clock: clock, advance: advance)
        case .redis: return Subject(store: redis.store, clock: clock, advance: advance)
        case .sealed: return Subject(store: try sealed(), clock: clock, advance: advance)
        case .revocable: return Subject(store: site.store, clock: clock, advance: advance)
        case .tiered:
            let store = try TieredSessionStore(anonymous: sealed(), signedIn: redis.store)
            return Subject(store: store, clock: clock, advance: advance)
        case .draining:
            let old = try RedisSessionStore(redis.client, application: redis.prefix + ":old")
            let store = DrainingSessionStore(from: old, to: redis.store, phase: .drain)
            return Subject(store: store, clock: clock, advance: advance)
        case .cached:
            let url = redis.server.url
            let fleet = try await CachedFleet([url], on: redis.server, lease: .milliseconds(400))
            return Subject(store: fleet.router, clock: clock) { duration in
                clock.advance(by: duration)
                try await fleet.advance(duration)
            }
        case .replicated:
            let fleet = try await ReplicaFleet(1, on: redis.server)
            let advance: @Sendable (Duration) async throws -> Void = { duration in
                clock.advance(by: duration)
                try await fleet.advance(duration)
            }
            return Subject(store: fleet.router, clock: clock, advance: advance, fleet: fleet)
        }
    }

    @Test(arguments: Kind.allCases, Wrapper.allCases)
    func `the contract holds behind a wrapper`(kind: Kind, wrapper: Wrapper) async throws {
        for rule in SessionStoreContract.rules(for: kind.guarantees) {
            let subject = try await subject(kind)
            let harness = SessionStoreHarness(
                store: subject.wrapped(by: wrapper),
                splice: [.sealed, .tiered, .revocable].contains(kind) ? RevocableFixture.splice : nil,
                advance: subject.advance
            )
            try await rule.check(harness)
        }
    }

    /// One visitor from the first request to the sign-out, in requests and in a job.
    @Test(arguments: Kind.allCases, Wrapper.allCases)
    func `a site works behind a wrapper as without`(kind: Kind, wrapper: Wrapper) async throws {
        let subject = try await subject(kind)
        let store = subject.wrapped(by: wrapper)
        #expect((store is any SessionDirectory) == (subject.store is any SessionDirectory))
        let manager = try SessionManager(store: store)
        let visitor = Visitor(manager)
        try await visitor.send { try $0.set(.item, "tea") }
        try await visitor.send { try $0.increment(.count) }
        try await visitor.send { #expect($0[.item] == "tea" && $0[.count] == 1) }
        try await visitor.send { try $0.signIn(as: "ann", keeping: .item) }
        // A plain read late enough moves the deadline, by cookie where the session lives there.
        try await subject.advance(.seconds(1000))
        let before = visitor.credential?.value
        try await visitor.send { #expect($0.principal == "ann") }
        let isInCookie = [.sealed, .revocable].contains(kind)
        if kind != .replicated { #expect((visitor.credential?.value != before) == isInCookie) }
        try await subject.advance(.seconds(1000))
        try await visitor.send { #expect($0.principal == "ann" && $0[.item] == "tea" && $0[.count] == nil) }
        let credential = try #require(visitor.credential)
        // A job has no response that could carry a cookie.
        if isInCookie {
            await #expect(throws: SessionError(.unsupported, "")) {
                try await manager.withSession(credential) { try $0.set(.item, "cake") }
            }
        } else {
            try await manager.withSession(credential) { try $0.set(.item, "cake") }
            try await visitor.send { #expect($0[.item] == "cake") }
        }
        if store is any SessionDirectory { #expect(try await manager.list(for: "ann").count == 1) }
        if kind == .sealed {
            await #expect(throws: SessionError(.unsupported, "")) {
                try await manager.withSession(credential) { try $0.signOut() }
            }
            try await visitor.send { try $0.signOut() }
            #expect(visitor.credential == nil)
        } else {
            try await manager.withSession(credential) { try $0.signOut() }
            if let fleet = subject.fleet { try await fleet.settle() }
            try await visitor.send { #expect($0.principal == nil && $0[.item] == nil) }
            #expect(try await manager.list(for: "ann").isEmpty)
        }
    }

    @Test(arguments: Wrapper.allCases)
    func `a store's demands on the cookie and its readiness pass through`(wrapper: Wrapper) async throws {
        let redis = try await RedisFixture(server: RedisServer())
        let tiered = try TieredSessionStore(
            anonymous: SealedSessionStore(RevocableFixture.keys(), application: "shop"),
            signedIn: redis.store
        )
        let subject = Subject(store: tiered, clock: ManualClock(), advance: { _ in })
        let store = subject.wrapped(by: wrapper)
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try SessionManager(store: store, cookie: SessionCookie(name: "other"))
        }
        try await store.check()
        await redis.server.crash()
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.check() }
    }

    @Test func `the metrics count, and the cache saves reads`() async throws {
        let clock = ManualClock()
        let metered = MeteredStore(try MemorySessionStore { clock.now })
        let cached = CachingStore(metered) { clock.now }
        let visitor = Visitor(try SessionManager(store: cached))
        try await visitor.send { try $0.set(.item, "tea") }
        for _ in 0..<10 { try await visitor.send { #expect($0[.item] == "tea") } }
        #expect(metered.counters.values == ["create": 1, "load": 1, "touch": 10])
        clock.advance(by: .seconds(2))
        try await visitor.send { try $0.set(.item, "cake") }
        try await visitor.send { #expect($0[.item] == "cake") }
        #expect(metered.counters.values == ["create": 1, "load": 3, "touch": 11, "commit": 1])
    }
}
