// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// What browsers and caches may keep of a signed-in user's pages, before and after the sign-out (R30).
@Suite struct SignOutAnswerTests {
    private let clearSiteData = HTTPField.Name("Clear-Site-Data")!

    @Test func `every answer to a sign-out is not stored and clears the site's pages`() async throws {
        let site = try Site()
        let cookie = try await site.start(as: "ann")
        for (name, cookie) in [("first", cookie), ("second", cookie), ("anonymous", nil)] {
            let fields = try await site.send(cookie) { try $0.signOut() }.response.headerFields
            #expect(fields[.cacheControl] == "no-store" && fields[.vary] == "Cookie", "\(name)")
            #expect(fields[clearSiteData] == #""cache""#, "\(name)")
        }
        // Another request ended it first.
        let other = try await site.start(as: "bob")
        let exchange = site.open(other)
        try await exchange.session().signOut()
        try await site.send(other) { try $0.signOut() }
        let late = try await site.close(exchange, other)
        #expect(late.response.headerFields[.cacheControl] == "no-store")
        #expect(late.response.headerFields[clearSiteData] == #""cache""#)
    }

    @Test func `other answers clear nothing`() async throws {
        let site = try Site()
        let cookie = try await site.start(as: "ann")
        for handler: (Session) throws -> Void in [{ _ in }, { try $0.set(.item, "x") }, { try $0.renew() }] {
            let fields = try await site.send(cookie, handler).response.headerFields
            #expect(fields[clearSiteData] == nil)
        }
    }

    @Test func `a page of a signed-in user is not stored, an anonymous one is revalidated`() async throws {
        let site = try Site()
        let cookie = try await site.start(as: "ann")
        #expect(try await site.send(cookie).response.headerFields[.cacheControl] == "no-store")
        let anonymous = try await site.start()
        #expect(try await site.send(anonymous).response.headerFields[.cacheControl] == "private, no-cache")
        let exchange = site.open(cookie)
        _ = try await exchange.session()
        var response = HTTPResponse(status: .notFound)
        #expect(try await exchange.closeAfterFailure(&response))
        #expect(response.headerFields[.cacheControl] == "no-store")
    }

    @Test func `it can be switched off, and a handler's own field stays`() async throws {
        let site = try Site(cookie: SessionCookie(hidesPagesAfterSignOut: false))
        let cookie = try await site.start(as: "ann")
        #expect(try await site.send(cookie).response.headerFields[.cacheControl] == "private, no-cache")
        let fields = try await site.send(cookie) { try $0.signOut() }.response.headerFields
        #expect(fields[clearSiteData] == nil && fields[.cacheControl] == "no-store")

        let plain = try Site(cookie: .plainHTTP())
        let answer = try await plain.send { try $0.signOut() }.response.headerFields
        #expect(
            answer[clearSiteData] == nil && answer[.cacheControl] == "no-store",
            "browsers take it over TLS only"
        )

        let exchange = try Site().open(nil)
        try await exchange.session().signOut()
        var response = HTTPResponse(status: .ok, headerFields: [clearSiteData: #""storage""#])
        try await exchange.close(&response)
        #expect(response.headerFields[clearSiteData] == #""storage""#)
    }
}
