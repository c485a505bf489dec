// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// When a session is loaded, committed and closed, and what the response carries.
@Suite struct `Session exchange` {
    private let site: Site

    init() throws { site = try Site() }

    // MARK: Loading

    @Test func `a request that never asks costs nothing and stays cacheable`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        var response = HTTPResponse(status: .ok, headerFields: [.cacheControl: "public, max-age=60"])
        try await exchange.close(&response)
        #expect(response.headerFields == [.cacheControl: "public, max-age=60"])
        #expect(site.store.counts == [.create: 1] && site.events() == [])
    }

    @Test func `asking again is the same object and no second round trip`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        #expect(try await exchange.session() === session)
        try session.set(.item, "cake")
        #expect(try await exchange.session()[.item] == "cake")
        #expect(site.store.counts[.load] == 1)
    }

    @Test func `two tasks that ask at once get the same object`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        site.before(.load) { _ = try await exchange.session() }
        let session = try await exchange.session()
        #expect(try await exchange.session() === session)
    }

    @Test func `a read is private, a write with a known cookie too`() async throws {
        let cookie = try await site.start()
        let read = try await site.send(cookie)
        #expect(read.response.headerFields == [.vary: "Cookie", .cacheControl: "private, no-cache"])
        let write = try await site.send(cookie) { try $0.set(.item, "cake") }
        #expect(write.response.headerFields == [.vary: "Cookie", .cacheControl: "private, no-cache"])
        let anonymous = try await site.send()
        #expect(anonymous.response.headerFields == [.vary: "Cookie", .cacheControl: "private, no-cache"])
    }

    @Test func `two managers with different cookie names do not touch each other`() async throws {
        let admin = try Site(cookie: SessionCookie(name: "__Host-admin"))
        let shop = try #require(try await site.send { try $0.set(.item, "tea") }.cookie)
        let exchange = admin.open(shop)
        #expect(try await exchange.session().id == nil)
        let header = HTTPRequest(
            method: .get,
            scheme: nil,
            authority: nil,
            path: "/",
            headerFields: [.cookie: "\(site.manager.cookie.name)=\(shop)"]
        )
        #expect(try await RequestSession(header, manager: admin.manager).session().id == nil)
        #expect(try await RequestSession(header, manager: site.manager).session().id != nil)
    }

    // MARK: Outage (R81)

    @Test func `an outage at the load says nothing about the client, and touches no cookie`() async throws {
        let cookie = try await site.start()
        site.store.fail([.load])
        let exchange = site.open(cookie)
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await exchange.session() }
        let answer = try await site.close(exchange, cookie)
        #expect(answer.setCookie == nil && answer.response.headerFields[.cacheControl] == "private, no-cache")
        #expect(site.store.counts[.create] == 1)
        site.store.fail([])
        try await site.send(cookie) { #expect($0[.item] == "tea") }
    }

    @Test func `an outage at the commit stores nothing and sends no cookie`() async throws {
        let cookie = try await site.start()
        site.store.fail([.commit, .create, .end])
        for handler: (Session) throws -> Void in [
            { try $0.set(.item, "cake") }, { try $0.signIn(as: "ann") }, { try $0.renew() },
            { try $0.signOut() },
        ] {
            let exchange = site.open(cookie)
            try handler(try await exchange.session())
            var response = HTTPResponse(status: .ok)
            await #expect(throws: SessionError(.storeUnavailable, "")) { try await exchange.close(&response) }
            #expect(response.headerFields[.setCookie] == nil)
        }
        site.store.fail([])
        #expect(try await site.read(cookie, .item) == "tea")
        #expect(try await site.found(cookie).version == 1)
    }

    // MARK: Closing (R72)

    @Test func `after the commit every write is refused`() async throws {
        let exchange = site.open(nil)
        let session = try await exchange.session()
        try session.set(.item, "tea")
        _ = try await site.close(exchange, nil)
        let closed = SessionError(.closed, "")
        #expect(throws: closed) { try session.set(.item, "late") }
        #expect(throws: closed) { try session.remove(.item) }
        #expect(throws: closed) { try session.update(.item) { $0 = "late" } }
        #expect(throws: closed) { try session.increment(.count) }
        #expect(throws: closed) { try session.signIn(as: "ann") }
        #expect(throws: closed) { try session.signOut() }
        #expect(throws: closed) { try session.renew() }
        #expect(throws: closed) { try session.flash("late") }
        #expect(session[.item] == "tea")
        #expect(site.store.counts == [.create: 1])
    }

    @Test func `a handler that asks only after the commit gets no session`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        _ = try await site.close(exchange, cookie)
        await #expect(throws: SessionError(.closed, "")) { try await exchange.session() }
        #expect(site.store.counts[.load] == nil)
    }

    @Test func `a session that arrives after the commit is closed`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        site.before(.load) { [site] in _ = try await site.close(exchange, cookie) }
        let session = try await exchange.session()
        #expect(throws: SessionError(.closed, "")) { try session.set(.item, "late") }
    }

    @Test func `a handler that failed commits nothing`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        try session.set(.item, "lost")
        #expect(try await site.fail(exchange, cookie).cookie == cookie)
        #expect(throws: SessionError(.closed, "")) { try session.set(.item, "late") }
        var untouched = HTTPResponse(status: .notFound)
        #expect(try await !site.open(cookie).closeAfterFailure(&untouched))
        #expect(untouched.headerFields.isEmpty)
        #expect(try await site.read(cookie, .item) == "tea")
        #expect(site.store.counts[.commit] == nil && site.store.counts[.end] == nil)
    }

    @Test func `a client that hung up does not undo the commit`() async throws {
        let task = Task { [site] in
            let exchange = site.open(nil)
            try await exchange.session().set(.item, "tea")
            withUnsafeCurrentTask { $0?.cancel() }
            return try await site.close(exchange, nil)
        }
        let cookie = try #require(try await task.value.cookie)
        #expect(try await site.read(cookie, .item) == "tea")
    }

    // MARK: Responses that carry no cookie (R52)

    @Test(arguments: [HTTPResponse.Status.notModified, .continue, .init(code: 103)])
    func `no session is made and no secret replaced on a response without a cookie`(
        status: HTTPResponse.Status
    ) async throws {
        let site = try Site(policy: SessionPolicy(renewalInterval: .seconds(600)))
        let created = try await site.send(status: status) { try $0.set(.item, "tea") }
        #expect(created.setCookie == nil && site.store.counts.isEmpty && site.events() == [.dropped])
        let cookie = try await site.start()
        site.clock.advance(by: .seconds(700))
        let read = try await site.send(cookie, status: status)
        let renewal = try await site.send(cookie, status: status) { session in
            try session.set(.item, "cake")
            try session.renew()
        }
        #expect(read.setCookie == nil && renewal.setCookie == nil)
        #expect(try await site.read(cookie, .item) == "cake")
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.send(cookie, status: status) { try $0.signIn(as: "ann") }
        }
        #expect(try await site.found(cookie).principal == nil)
        // The next response that can carry one does.
        #expect(try await site.send(cookie).setCookie != nil)
    }

    @Test func `a sign-out on a 304 still ends the session`() async throws {
        let cookie = try await site.start()
        let answer = try await site.send(cookie, status: .notModified) { try $0.signOut() }
        #expect(answer.setCookie == nil && site.events() == [.signedOut])
        #expect(try await site.record(cookie) == nil)
    }

    // MARK: Renewal by the policy (R12, R13)

    @Test func `one of two requests renews, and both go on`() async throws {
        let site = try Site(policy: SessionPolicy(renewalInterval: .seconds(600)))
        let cookie = try await site.start()
        site.clock.advance(by: .milliseconds(599_999))
        #expect(try await site.send(cookie).setCookie == nil)
        site.clock.advance(by: .milliseconds(1))
        site.before(.commit) {
            let first = try await site.send(cookie)
            #expect(first.setCookie != nil)
        }
        let second = try await site.send(cookie) { try $0.set(.item, "cake") }
        #expect(second.setCookie == nil && site.events().filter { $0 == .renewed }.count == 1)
        #expect(try await site.read(cookie, .item) == "cake")
        site.clock.advance(by: .seconds(30))
        #expect(try await site.record(cookie) == nil)
    }

    // MARK: Outside a request

    @Test func `withSession loads, runs and commits`() async throws {
        let cookie = try await site.start()
        let credential = SessionCredential(cookie)
        let seen = try await site.manager.withSession(credential) { session in
            let before = session[.item]
            try session.set(.item, "cake")
            return before
        }
        #expect(seen == "tea")
        #expect(try await site.read(cookie, .item) == "cake")
        #expect(site.store.counts[.load] == 1 && site.store.counts[.commit] == 1)
        try await site.manager.withSession(credential) { try $0.signOut() }
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `withSession makes no session and replaces no secret`() async throws {
        let cookie = try await site.start()
        let none = SessionError(.noSession, "")
        await #expect(throws: none) {
            try await site.manager.withSession(SessionCredential("nonsense")) { _ in Issue.record("ran") }
        }
        let unknown = SessionToken().credential
        await #expect(throws: none) {
            try await site.manager.withSession(unknown) { _ in Issue.record("ran") }
        }
        await #expect(throws: none) {
            try await site.manager.withSession(SessionCredential(cookie)) { try $0.signIn(as: "ann") }
        }
        #expect(try await site.found(cookie).principal == nil)
        #expect(site.store.counts[.create] == 1)
    }

    @Test func `withSession says when the session ended meanwhile`() async throws {
        let cookie = try await site.start()
        site.before(.commit) { [site] in try await site.send(cookie) { try $0.signOut() } }
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.manager.withSession(SessionCredential(cookie)) { try $0.set(.item, "late") }
        }
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `a body that throws commits nothing, and the session is closed`() async throws {
        struct Refusal: Error {}
        let cookie = try await site.start()
        var kept: Session?
        await #expect(throws: Refusal.self) {
            try await site.manager.withSession(SessionCredential(cookie)) { session in
                kept = session
                try session.set(.item, "lost")
                throw Refusal()
            }
        }
        #expect(try await site.read(cookie, .item) == "tea")
        #expect(throws: SessionError(.closed, "")) { try kept?.set(.item, "late") }
    }

    // MARK: After the response head

    @Test func `amend changes what is stored after the commit, for new and known sessions`() async throws {
        for known in [nil, try await site.start()] {
            let exchange = site.open(known)
            let session = try await exchange.session()
            try session.set(.item, "head")
            let cookie = try #require(try await site.close(exchange, known).cookie)
            let seen = try await site.manager.amend(session) { later in
                let before = later[.item]
                try later.set(.item, "body")
                return before
            }
            #expect(seen == "head")
            #expect(try await site.read(cookie, .item) == "body")
        }
    }

    @Test func `amend after a sign-in or a renewal uses the new secret`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        try session.signIn(as: "ann")
        let fresh = try await site.close(exchange, cookie).cookie
        try await site.manager.amend(session) { try $0.set(.item, "body") }
        #expect(try await site.found(fresh).attributes["item"] != nil)
    }

    @Test func `amend does not bring back what is over, nor make a session`() async throws {
        let anonymous = try await site.open(nil).session()
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.manager.amend(anonymous) { try $0.set(.item, "x") }
        }
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        _ = try await site.close(exchange, cookie)
        try await site.send(cookie) { try $0.signOut() }
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.manager.amend(session) { try $0.set(.item, "x") }
        }
        #expect(site.store.counts[.create] == 1)
    }
}
