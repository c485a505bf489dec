// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Logging
import Sessions
import SessionsTesting
import Synchronization
import Testing

/// Sessions around a handler of any server, and around connections that are no requests.
@Suite struct `A handler without an adapter` {
    @Test(arguments: AdapterScenario.all)
    func `does what every adapter does`(scenario: AdapterScenario) async throws {
        let site = try AdapterSite()
        try await scenario.run(site) { request, body in
            try await site.manager.respond(
                to: request,
                client: request.headerFields[AdapterSite.client],
                toError: {
                    ($0 as? AdapterSite.Refusal).map { _ in (HTTPResponse(status: .badRequest), []) }
                },
                errorBody: { Array($0.utf8) }
            ) { context in
                let (head, text) = try await AdapterSite.answer(request, body, context)
                return (head, Array(text.utf8))
            }
        }
    }

    @Test func `a head is enough, and other errors are thrown with nothing stored`() async throws {
        struct Unknown: Error {}
        let site = try AdapterSite()
        let head = HTTPRequest(method: .post, scheme: "https", authority: "shop.example", path: "/")
        let saved = try await site.manager.respond(to: head) { context in
            try await context.session().increment(.visits)
            return HTTPResponse(status: .noContent)
        }
        #expect(saved.status == .noContent && saved.headerFields[.setCookie] != nil)
        await #expect(throws: Unknown.self) {
            try await site.manager.respond(to: head) { context in
                try await context.session().increment(.visits)
                throw Unknown()
            }
        }
        await #expect(throws: Unknown.self) {
            try await site.manager.respond(to: head) { _ in throw Unknown() }
        }
        #expect(site.store.counts == [.create: 1])
        site.store.fail([.create])
        let outage = try await site.manager.respond(to: head) { context in
            try await context.session().increment(.visits)
            return HTTPResponse(status: .ok)
        }
        #expect(outage.status == .serviceUnavailable && outage.headerFields[.retryAfter] == "1")
    }

    @Test func `the application may answer the errors of sessions itself, once each`() async throws {
        let site = try AdapterSite()
        let seen = Mutex<[String]>([])
        func answer(_ error: any Error) -> HTTPResponse? {
            seen.withLock {
                $0.append("\((error as? SessionError)?.code.description ?? "\(type(of: error))")")
            }
            return HTTPResponse(status: .badGateway)
        }
        var head = HTTPRequest(method: .post, scheme: "https", authority: "shop.example", path: "/")
        site.store.fail([.create, .revoke])
        let commit = try await site.manager.respond(to: head, toError: answer) { context in
            try await context.session().increment(.visits)
            return HTTPResponse(status: .ok)
        }
        #expect(commit.status == .badGateway && commit.headerFields[.vary] == "Cookie")
        let early = try await site.manager.respond(to: head, toError: answer) { context in
            _ = try await context.manager.revoke(SessionID(), of: "ann")
            return HTTPResponse(status: .ok)
        }
        #expect(early.status == .badGateway && early.headerFields[.vary] == nil)
        head.headerFields[.init("Sec-Fetch-Site")!] = "cross-site"
        let refused = try await site.manager.respond(to: head, toError: answer) { _ in
            HTTPResponse(status: .ok)
        }
        #expect(refused.status == .badGateway)
        #expect(seen.withLock(\.self) == ["store-unavailable", "store-unavailable", "CrossOriginRefusal"])
        let trusted = try await site.manager.respond(to: head, protection: nil) { _ in
            HTTPResponse(status: .ok)
        }
        #expect(trusted.status == .ok)
    }

    // MARK: Connections that are no requests

    @Test func `a socket without an adapter reaches the session by its handshake`() async throws {
        let site = try AdapterSite()
        let visitor = Visitor(site.manager)
        try await visitor.send { try $0.increment(.visits) }
        var handshake = HTTPRequest(method: .get, scheme: "https", authority: "shop.example", path: "/live")
        #expect(site.manager.credential(of: handshake) == nil)
        handshake.headerFields[.cookie] = visitor.cookieField
        let credential = try #require(site.manager.credential(of: handshake))
        for _ in 0..<2 { try await site.manager.withSession(credential) { try $0.increment(.visits) } }
        try await visitor.send { #expect($0[.visits] == 3) }
        try await visitor.send { try $0.signOut() }
        await #expect(throws: SessionError(.noSession, "")) {
            try await site.manager.withSession(credential) { _ in }
        }
    }

    @Test(arguments: ["", "__Host-session=", "__Host-session=a; __Host-session=b", "other=1"])
    func `a handshake with no cookie, or one that cannot be trusted, has no credential`(field: String) throws
    {
        let site = try AdapterSite()
        var handshake = HTTPRequest(method: .get, scheme: "https", authority: "shop.example", path: "/live")
        handshake.headerFields[.cookie] = field
        #expect(site.manager.credential(of: handshake) == nil)
    }

    @Test func `a user's socket outlives a renewal by ID and user, not by credential`() async throws {
        let clock = ManualClock()
        let manager = try SessionManager(store: MemorySessionStore { clock.now })
        let visitor = Visitor(manager)
        try await visitor.send(method: .post) { try $0.signIn(as: "ann") }
        var id: SessionID?
        try await visitor.send { id = $0.id }
        let opened = try #require(id)
        var handshake = HTTPRequest(method: .get, scheme: "https", authority: "shop.example", path: "/live")
        handshake.headerFields[.cookie] = visitor.cookieField
        let credential = try #require(manager.credential(of: handshake))
        try await visitor.send(method: .post) { try $0.renew() }
        clock.advance(by: .seconds(600))
        await #expect(throws: SessionError(.noSession, "")) {
            try await manager.withSession(credential) { _ in }
        }
        try await visitor.send()
        try await manager.withSession(opened, of: "ann") { try $0.increment(.visits) }
        try await visitor.send { #expect($0[.visits] == 1) }
        #expect(try await manager.revoke(opened, of: "ann"))
        await #expect(throws: SessionError(.noSession, "")) {
            try await manager.withSession(opened, of: "ann") { _ in }
        }
    }
}

extension SessionKey where Value == Int {
    fileprivate static var visits: Self { .init("visits") }
}
