// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// What remains of a session when its request is over.
@Suite struct `Session lifetime` {
    private let site: Site

    init() throws { site = try Site() }

    @Test(arguments: [true, false]) func `a session is freed with its request`(commits: Bool) async throws {
        weak var freed: Session?
        do {
            let exchange = site.open(nil)
            let session = try await exchange.session()
            freed = session
            try session.update(.list, default: []) { $0.append("x") }
            // The closure of an update may read the session, so it may hold it.
            try session.update(.count) { $0 = session[.list]?.count }
            try session.flash("hello")
            #expect(session[.count] == 1)
            _ = try await commits ? site.close(exchange, nil) : site.fail(exchange, nil)
            #expect(session[.list] == ["x"] && session[.count] == 1)
        }
        #expect(freed == nil)
    }

    @Test func `a session that is never closed is freed too`() async throws {
        weak var freed: Session?
        do {
            let session = try await site.open(nil).session()
            freed = session
            try session.update(.list, default: []) { $0.append("x") }
        }
        #expect(freed == nil)
    }

    @Test func `a request commits once, however often it is closed`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        try session.increment(.count)
        #expect(try await site.close(exchange, cookie).response.headerFields[.vary] == "Cookie")
        #expect(try await site.close(exchange, cookie).response.headerFields[.vary] == "Cookie")
        #expect(try await site.fail(exchange, cookie).cookie == cookie)
        #expect(try await site.read(cookie, .count) == 1 && site.store.counts[.commit] == 1)
    }

    @Test func `after a sign-out there is nothing to amend`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        try session.signOut()
        _ = try await site.close(exchange, cookie)
        let loads = site.store.counts[.load]
        await #expect(throws: SessionError(.noSession, "")) { try await site.manager.amend(session) { _ in } }
        #expect(site.store.counts[.load] == loads)
    }

    @Test func `a session that was started after a sign-out can be amended`() async throws {
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        try session.signOut()
        try session.set(.item, "bye")
        let fresh = try #require(try await site.close(exchange, cookie).cookie)
        try await site.manager.amend(session) { try $0.set(.item, "later") }
        #expect(try await site.read(fresh, .item) == "later")
    }
}
