// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// Sealed attributes with a record behind them, here in memory.
@Suite struct `Guarded store` {
    private let clock = ManualClock()
    private let recorder = Recorder()
    private let keys: SealKeyRing
    private let backing: FaultyStore
    private let manager: SessionManager

    init() throws {
        keys = try SealKeyRing([SealedSite.key("a", 1)])
        backing = FaultyStore(try MemorySessionStore { [clock] in clock.now })
        let store = try GuardedSessionStore(keys, application: "shop", backing: backing)
        manager = try SessionManager(
            store: store,
            logger: recorder.logger,
            onEvent: { [recorder] in recorder.note($0) }
        )
    }

    private func events() -> [SessionEvent.Kind] { recorder.takeEvents().map(\.kind) }

    private func visitor(as principal: String? = nil) async throws -> Visitor {
        let visitor = Visitor(manager)
        try await visitor.send { session in
            try session.set(.item, "tea")
            if let principal { try session.signIn(as: principal, keeping: ["item"]) }
        }
        return visitor
    }

    @Test func `the data is in the cookie and the backing holds none of it`() async throws {
        let visitor = try await visitor(as: "ann")
        #expect(visitor.cookieField?.contains("=g1.a.") == true)
        try await visitor.send { session in
            #expect(session[.item] == "tea" && session.principal == "ann")
            try session.increment(.count, by: 2)
        }
        try await visitor.send { #expect($0[.count] == 2 && $0.version == 2) }
        #expect(try await manager.list(for: "ann").count == 1)
        #expect(try await manager.list(for: "ann").first?[.item] == nil)
        #expect(backing.counts == [.create: 1, .load: 2, .commit: 1, .list: 2])
    }

    @Test func `plain reads set no cookie, and a touch stays in the backing`() async throws {
        let visitor = try await visitor()
        for _ in 0..<3 { #expect(try await visitor.send().setCookies.isEmpty) }
        clock.advance(by: .seconds(1700))
        #expect(try await visitor.send().setCookies.isEmpty)
        clock.advance(by: .seconds(1700))
        try await visitor.send { #expect($0[.item] == "tea") }
        #expect(backing.counts[.touch] == 2)
    }

    @Test func `an old cookie reads for a moment, writes nothing, and is then a replay`() async throws {
        let visitor = try await visitor()
        let thief = Visitor(manager, jar: visitor.cookies)
        try await visitor.send { try $0.set(.item, "cake") }
        let response = try await thief.send { #expect($0[.item] == "tea" && $0.version == 1) }
        #expect(response.setCookies.isEmpty)
        await #expect(throws: SessionError(.conflict, "")) {
            try await thief.send { try $0.set(.item, "stolen") }
        }
        clock.advance(by: .seconds(10))
        _ = events()
        let replay = try await thief.send { session in
            #expect(session[.item] == nil && session.id == nil)
            try session.set(.item, "stolen")
        }
        #expect(replay.setCookies.isEmpty && events() == [.replayed, .dropped])
        try await visitor.send { #expect($0[.item] == "cake") }
    }

    @Test func `older cookies than the one before are refused at once`() async throws {
        let visitor = try await visitor()
        let first = visitor.cookies
        for item in ["cake", "pie"] { try await visitor.send { try $0.set(.item, item) } }
        _ = events()
        try await Visitor(manager, jar: first).send { #expect($0.id == nil) }
        #expect(events() == [.superseded])
    }

    @Test func `of two writers with one cookie one is refused, and nothing of either is lost`() async throws {
        let visitor = try await visitor()
        let request = visitor.request()
        let other = Visitor(manager, jar: visitor.cookies)
        backing.before(.commit) {
            do { try await other.send { try $0.set(.other, "theirs") } } catch { Issue.record(error) }
        }
        await #expect(throws: SessionError(.conflict, "")) {
            try await visitor.send(request) { try $0.set(.item, "mine") }
        }
        visitor.cookies = other.cookies
        try await visitor.send { try $0.set(.item, "mine") }
        try await visitor.send { #expect($0[.item] == "mine" && $0[.other] == "theirs") }
    }

    @Test func `a sign-in that keeps nothing is not refused, one that keeps something is`() async throws {
        let visitor = try await visitor()
        let late = Visitor(manager, jar: visitor.cookies)
        let later = Visitor(manager, jar: visitor.cookies)
        try await visitor.send { try $0.set(.item, "cake") }
        await #expect(throws: SessionError(.conflict, "")) {
            try await late.send { try $0.signIn(as: "ann", keeping: ["item"]) }
        }
        try await later.send { try $0.signIn(as: "ann") }
        try await later.send { #expect($0.principal == "ann" && $0[.item] == nil) }
        try await visitor.send { #expect($0.principal == nil && $0.id == nil) }
    }

    @Test func `sign-out, revocation and the end of all reach every copy`() async throws {
        let visitor = try await visitor(as: "ann")
        let copy = Visitor(manager, jar: visitor.cookies)
        try await visitor.send { try $0.signOut() }
        #expect(visitor.cookieField == nil)
        try await copy.send { #expect($0.principal == nil) }
        let other = try await self.visitor(as: "ann")
        let id = try #require(try await manager.list(for: "ann").first?.id)
        #expect(try await manager.revoke(id, of: "ann"))
        try await other.send { #expect($0.principal == nil) }
        let third = try await self.visitor(as: "ann")
        #expect(try await manager.revokeAll(of: "ann") == 1)
        try await third.send { #expect($0.principal == nil) }
    }

    @Test func `outside a request nothing is changed, but signing out works`() async throws {
        let visitor = try await visitor(as: "ann")
        let credential = try #require(visitor.credential)
        await #expect(throws: SessionError(.unsupported, "")) {
            try await manager.withSession(credential) { try $0.set(.item, "x") }
        }
        try await manager.withSession(credential) { try $0.signOut() }
        try await visitor.send { #expect($0.principal == nil) }
    }

    @Test func `what grows too long moves to the backing, with everything, and stays there`() async throws {
        let visitor = try await visitor(as: "ann")
        let sealed = visitor.cookies
        try await visitor.send { try $0.set(.other, String(repeating: "x", count: 4000)) }
        #expect(visitor.cookieField.map { $0.utf8.count < 100 && !$0.contains("g1.") } == true)
        try await visitor.send { session in
            #expect(session[.item] == "tea" && session[.other]?.count == 4000 && session.principal == "ann")
            try session.remove(.other)
        }
        try await visitor.send { #expect($0[.item] == "tea" && $0[.other] == nil) }
        #expect(try await manager.list(for: "ann").map { $0[.item] } == ["tea"])
        // Spilled sessions are the backing's: they can be changed outside a request.
        try await manager.withSession(try #require(visitor.credential)) { try $0.set(.item, "cake") }
        try await visitor.send { #expect($0[.item] == "cake") }
        try await Visitor(manager, jar: sealed).send { try $0.set(.item, "rolled back") }
        try await visitor.send { #expect($0[.item] == "cake") }
        let big = Visitor(manager)
        try await big.send { try $0.set(.other, String(repeating: "x", count: 4000)) }
        #expect(big.cookieField?.contains("g1.") == false)
    }

    @Test func `another key seals the cookie anew with the next response`() async throws {
        let visitor = try await visitor(as: "ann")
        try keys.replace(with: [SealedSite.key("b", 2), SealedSite.key("a", 1)])
        #expect(try await visitor.send().setCookies.count == 1)
        #expect(visitor.cookieField?.contains("=g1.b.") == true)
        #expect(try await visitor.send().setCookies.isEmpty)
        #expect(backing.counts[.commit] == nil)
    }

    @Test func `a seal that does not open costs the backing nothing`() async throws {
        let visitor = try await visitor()
        let token = try #require(visitor.credential).value
        for (text, kind) in [
            (String(token.prefix((token.count - 5) / 4 * 4 + 1)), SessionEvent.Kind.forged),
            ("g1.zz." + token.dropFirst(5), .unknownKey),
            ("g1.a.AAA=", .malformed),
        ] {
            _ = events()
            try await Visitor(manager).send([.cookie: "__Host-session=\(text)"]) { #expect($0.id == nil) }
            #expect(events() == [kind])
        }
        #expect(backing.counts[.load] == nil)
    }

    @Test func `an outage is an outage, and the cookie stays`() async throws {
        let visitor = try await visitor()
        backing.fail([.load])
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await visitor.send() }
        backing.fail([.commit])
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await visitor.send { try $0.set(.item, "x") }
        }
        backing.fail([])
        try await visitor.send { #expect($0[.item] == "tea") }
    }

    @Test func `impossible options are refused`() throws {
        for spill in [0, 255, 8001] {
            #expect(throws: SessionError(.invalidConfiguration, "")) {
                try GuardedSessionStore(keys, application: "shop", backing: backing, spillAbove: spill)
            }
        }
        for grace in [-1, 301] {
            #expect(throws: SessionError(.invalidConfiguration, "")) {
                try GuardedSessionStore(
                    keys,
                    application: "shop",
                    backing: backing,
                    readGrace: .seconds(grace)
                )
            }
        }
        let store = try GuardedSessionStore(
            keys,
            application: "shop",
            cookie: SessionCookie(name: "__Host-other"),
            backing: backing
        )
        #expect(throws: SessionError(.invalidConfiguration, "")) { try SessionManager(store: store) }
    }
}
