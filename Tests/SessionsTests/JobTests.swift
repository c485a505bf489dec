// SPDX-License-Identifier: Apache-2.0

import SessionsTesting
import Testing

@testable import Sessions

/// Sessions that are changed outside of a request, and the audit trail: what a request knows of the session it makes.
@Suite struct `Jobs and audit trails` {
    private let site: Site

    init() throws { site = try Site() }

    // MARK: By ID and user

    @Test func `a job changes a user's session without its secret`() async throws {
        let cookie = try await site.start(as: "ann")
        let id = try await site.found(cookie).id
        let count = try await site.manager.withSession(id, of: "ann") { session in
            #expect(session.principal == "ann" && session[.item] == "tea" && session.credential == nil)
            try session.set(.item, "paid")
            return try await session.updateNow(.count, default: 0) {
                $0 += 1; return $0
            }
        }
        #expect(count == 1)
        let record = try await site.found(cookie)
        #expect(record.attributes == ["item": Array("\"paid\"".utf8), "count": Array("1".utf8)])
        try await site.send(cookie) { try $0.renew() }
    }

    @Test func `nobody else's session, and none that is over`() async throws {
        let cookie = try await site.start(as: "ann")
        let id = try await site.found(cookie).id
        let anonymous = try await site.found(try await site.start()).id
        for (id, user) in [(id, "bob"), (id, ""), (SessionID(), "ann"), (anonymous, "ann"), (anonymous, "")] {
            await #expect(throws: SessionError(.noSession, "")) {
                try await site.manager.withSession(id, of: user) { try $0.set(.item, "planted") }
            }
        }
        try await site.send(cookie) { try $0.signOut() }
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.manager.withSession(id, of: "ann") { _ in }
        }
    }

    @Test func `a job can sign the session out, but neither in nor renew it`() async throws {
        let site = try Site(policy: SessionPolicy(renewalInterval: .seconds(60)))
        let cookie = try await site.start(as: "ann")
        let id = try await site.found(cookie).id
        site.clock.advance(by: .seconds(100))
        try await site.manager.withSession(id, of: "ann") { session in
            try session.renew()
            try session.set(.item, "kept")
        }
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.manager.withSession(id, of: "ann") { try $0.signIn(as: "root") }
        }
        #expect(try await site.read(cookie, .item) == "kept")
        _ = site.events()
        try await site.manager.withSession(id, of: "ann") { try $0.signOut() }
        #expect(try await site.record(cookie) == nil && site.events() == [.signedOut])
    }

    @Test func `a job is no use of the session`() async throws {
        let cookie = try await site.start(as: "ann")
        let id = try await site.found(cookie).id
        for _ in 0..<3 {
            site.clock.advance(by: .seconds(500))
            try await site.manager.withSession(id, of: "ann") { try $0.increment(.count) }
            try await site.manager.withSession(id, of: "ann") { _ in }
        }
        site.clock.advance(by: .seconds(300))
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `changes that a user's new sign-in or an end overtakes are reported`() async throws {
        let cookie = try await site.start(as: "ann")
        let id = try await site.found(cookie).id
        site.before(.commit) { [site] in
            try await site.send(cookie) { try $0.signIn(as: "bob", keeping: .item) }
        }
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.manager.withSession(id, of: "ann") { try $0.set(.item, "ann's") }
        }
        #expect(try await site.manager.list(for: "bob", showing: .item).map { $0[.item] } == ["tea"])
    }

    @Test func `a store that keeps the session in the cookie says so`() async throws {
        let sealed = try SealedSessionStore(
            SealKeyRing([SealKey(id: "a", bytes: Array(0..<32))]),
            application: "shop"
        )
        let manager = try SessionManager(store: sealed)
        await #expect(throws: SessionError(.unsupported, "")) {
            try await manager.withSession(SessionID(), of: "ann") { _ in }
        }
    }

    // MARK: By credential

    @Test func `the credential is known from the commit on, of a new session, too`() async throws {
        let request = site.open(nil)
        let session = try await request.session()
        try session.signIn(as: "ann")
        #expect(session.credential == nil)
        let answer = try await site.close(request, nil)
        let credential = try #require(session.credential)
        #expect(credential.value == answer.cookie && "\(credential)" == "SessionCredential(…)")
        try await site.manager.withSession(credential) { try $0.set(.item, "job") }
        #expect(try await site.read(credential.value, .item) == "job")
    }

    // MARK: Audit trail

    @Test func `the request that makes the session knows its ID and user`() async throws {
        var id: SessionID?
        let answer = try await site.send { session in
            #expect(session.id == nil)
            try session.remove(.item)
            #expect(session.id == nil, "nothing is to be stored")
            try session.signIn(as: "ann")
            id = session.id
            #expect(id != nil && session.id == id && session.principal == "ann")
        }
        #expect(try await site.found(answer.cookie).id == id)
        let event = try #require(site.recorder.takeEvents().last)
        #expect(event.kind == .signedIn && event.id == id && event.principal == "ann")
    }

    @Test func `after a sign-out the next session has another ID`() async throws {
        let cookie = try await site.start(as: "ann")
        let old = try await site.found(cookie).id
        var id: SessionID?
        let answer = try await site.send(cookie) { session in
            try session.signOut()
            #expect(session.id == nil)
            try session.set(.item, "farewell")
            id = session.id
        }
        #expect(id != nil && id != old)
        #expect(try await site.found(answer.cookie).id == id)
        let events = site.recorder.takeEvents()
        #expect(events.map(\.kind) == [.signedOut, .created])
        #expect(events.map(\.principal) == ["ann", nil] && events.map(\.id) == [old, id])
    }

    @Test func `revocations name their user, and no log line does`() async throws {
        let cookie = try await site.start(as: "ann-the-user")
        _ = try await site.manager.revoke(try await site.found(cookie).id, of: "ann-the-user")
        var events = site.recorder.takeEvents()
        _ = try await site.start(as: "ann-the-user")
        try await site.manager.revokeAll(of: "ann-the-user")
        events += site.recorder.takeEvents()
        #expect(events.map(\.kind) == [.revoked, .revoked])
        #expect(events.allSatisfy { $0.principal == "ann-the-user" })
        #expect(!site.recorder.lines.joined().contains("ann-the-user"))
    }
}
