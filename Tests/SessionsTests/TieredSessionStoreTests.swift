// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// Visitors in the cookie, users in the backing.
@Suite struct `Tiered store` {
    private let clock = ManualClock()
    private let sealed: SealedSessionStore
    private let backing: FaultyStore
    private let manager: SessionManager

    init() throws {
        sealed = try SealedSessionStore(SealKeyRing([SealedSite.key("a", 1)]), application: "shop") {
            [clock] in clock.now
        }
        backing = FaultyStore(try MemorySessionStore { [clock] in clock.now })
        manager = try SessionManager(store: TieredSessionStore(anonymous: sealed, signedIn: backing))
    }

    @Test func `who is not signed in costs the backing nothing`() async throws {
        let visitor = Visitor(manager)
        for number in 0..<5 {
            clock.advance(by: .seconds(300))
            try await visitor.send { try $0.increment(.count) }
            try await visitor.send { #expect($0[.count] == number + 1) }
        }
        try await visitor.send { try $0.signOut() }
        try await Visitor(manager).send([.cookie: "__Host-session=s1.a.forged"])
        #expect(visitor.cookieField == nil && backing.counts == [:])
    }

    @Test func `a sign-in moves what it keeps to the backing, and everything there holds`() async throws {
        let visitor = Visitor(manager)
        try await visitor.send { session in
            try session.set(.item, "tea")
            try session.set(.other, "x")
        }
        let before = Visitor(manager, jar: visitor.cookies)
        try await visitor.send { session in
            try session.set(.count, 3)
            try session.signIn(as: "ann", keeping: .item, .count)
        }
        #expect(visitor.cookieField?.contains("s1.") == false && backing.counts == [.create: 1])
        let copy = Visitor(manager, jar: visitor.cookies)
        try await copy.send {
            #expect($0.principal == "ann" && $0[.item] == "tea" && $0[.count] == 3 && $0[.other] == nil)
        }
        #expect(try await manager.list(for: "ann").count == 1)
        try await visitor.send { try $0.signOut() }
        try await copy.send { #expect($0.principal == nil) }
        // The anonymous cookie can still be opened, and gives no rights.
        try await before.send { #expect($0.principal == nil && $0[.item] == "tea") }
    }

    @Test func `who collects too much moves to the backing, with no later deadline`() async throws {
        let visitor = Visitor(manager)
        try await visitor.send { try $0.set(.item, "tea") }
        clock.advance(by: .seconds(1000))
        try await visitor.send { try $0.set(.other, String(repeating: "x", count: 4000)) }
        #expect(visitor.cookieField?.contains("s1.") == false && backing.counts == [.create: 1])
        guard case .found(let record) = try await manager.store.load(try #require(visitor.credential)) else {
            return #expect(Bool(false))
        }
        #expect(
            record.times.deadline - record.now == .seconds(12 * 3600 - 1000) && record.attributes.count == 2
        )
        try await manager.withSession(try #require(visitor.credential)) { try $0.set(.item, "cake") }
    }

    @Test func `a sealed cookie never stands for a user`() async throws {
        let draft = SessionDraft(attributes: [:], principal: "ann", policy: SessionPolicy())
        guard case .committed(_, _, let credential?, _) = try await sealed.create(draft) else {
            return #expect(Bool(false))
        }
        try await Visitor(manager).send([.cookie: "__Host-session=\(credential.value)"]) {
            #expect($0.principal == nil && $0.id == nil)
        }
    }

    @Test func `a sign-in while the backing is away fails and leaves the visitor as it was`() async throws {
        let visitor = Visitor(manager)
        try await visitor.send { try $0.set(.item, "tea") }
        backing.fail(Set(FaultyStore.Operation.allCases))
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await visitor.send { try $0.signIn(as: "ann") }
        }
        try await visitor.send { #expect($0[.item] == "tea" && $0.principal == nil) }
        try await visitor.send { try $0.set(.item, "cake") }
    }
}
