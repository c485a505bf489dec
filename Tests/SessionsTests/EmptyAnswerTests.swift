// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// Responses that show nothing, or cannot carry a cookie.
@Suite struct EmptyAnswerTests {
    private func send(
        _ site: Site,
        _ cookie: String,
        method: HTTPRequest.Method = .get,
        _ status: HTTPResponse.Status,
        _ handler: (Session) throws -> Void
    ) async throws {
        var request = HTTPRequest(method: method, scheme: "https", authority: "localhost", path: "/")
        request.headerFields[.cookie] = "\(site.manager.cookie.name)=\(cookie)"
        let exchange = RequestSession(request, manager: site.manager)
        try handler(try await exchange.session())
        var response = HTTPResponse(status: status)
        try await exchange.close(&response)
    }

    private func expect(_ session: Session, _ messages: [String]) throws {
        let taken = try session.takeFlash()
        #expect(taken == messages)
    }

    @Test(arguments: [
        (HTTPRequest.Method.get, HTTPResponse.Status.notModified), (.get, .noContent), (.get, .resetContent),
        (.head, .ok), (.get, .continue),
    ])
    func `a flash message that was not shown stays`(method: HTTPRequest.Method, status: HTTPResponse.Status)
        async throws
    {
        let site = try Site()
        let cookie = try await site.start { try $0.flash("saved") }
        for _ in 0..<2 {
            try await send(site, cookie, method: method, status) { session in
                try expect(session, ["saved"])
                try expect(session, [])
            }
        }
        try await send(site, cookie, method: method, status) { session in
            _ = try session.takeFlash()
            try session.set(.item, "cake")
            try session.update(.count) { $0 = ($0 ?? 0) + 1 }
            try session.flash("and this")
        }
        try await send(site, cookie, .ok) { session in
            #expect(session[.item] == "cake" && session[.count] == 1)
            try expect(session, ["saved", "and this"])
        }
        try await send(site, cookie, .ok) { try expect($0, []) }
    }

    @Test func `a 304 that only took messages costs no commit`() async throws {
        let site = try Site()
        let cookie = try await site.start { try $0.flash("saved") }
        try await send(site, cookie, .notModified) { _ = try $0.takeFlash() }
        #expect(site.store.counts[.commit] == nil)
    }

    @Test func `a change that only the cookie could hold is dropped with a 304, and told`() async throws {
        let site = try SealedSite()
        let visitor = Visitor(site.manager)
        try await visitor.send { try $0.set(.item, "tea") }
        _ = site.events()
        let response = try await visitor.send(status: .notModified) { try $0.set(.item, "cake") }
        #expect(response.headerFields[.setCookie] == nil && site.events() == [.refused, .dropped])
        try await visitor.send { #expect($0[.item] == "tea") }
        // A sign-out is not dropped without an answer that says so.
        await #expect(throws: SessionError(.unsupported, "")) {
            try await visitor.send(status: .notModified) { try $0.signOut() }
        }
    }
}
