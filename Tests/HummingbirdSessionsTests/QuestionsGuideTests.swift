// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import SessionsTesting
import Testing

@testable import Guides

/// The code of the guide "Questions" does what it says.
@Suite struct `The questions` {
    private let clock = ManualClock(.now)

    /// Plays `body` against a site with customers and staff.
    private func withSite(
        _ body: @escaping @Sendable (Visitor) async throws -> Void
    ) async throws {
        let clock = clock
        let customers = try SessionManager(store: try MemorySessionStore(now: { clock.now }))
        let staff = try SessionManager(
            store: try MemorySessionStore(now: { clock.now }),
            cookie: SessionCookie(name: "__Host-staff")
        )
        let router = try makeSite(sessions: customers)
        addQuestions(to: router, staff: staff)
        try await Application(router: router).test(.router) { client in
            try await body(Visitor(host: "shop.example", transport: client.transport))
        }
    }

    private func state(_ visitor: Visitor) async throws -> String {
        let start = try await visitor.send(.get, "/oauth/start")
        return try #require(start.0.headerFields[.location]?.split(separator: "=").last.map(String.init))
    }

    @Test func `a sign-in at another site comes back once, with its state, within ten minutes`() async throws
    {
        try await withSite { visitor in
            let first = try await state(visitor)
            #expect(try await visitor.send(.get, "/oauth/callback?state=\(first)").0.status == .noContent)
            #expect(try await visitor.send(.get, "/oauth/callback?state=\(first)").0.status == .badRequest)
            let second = try await state(visitor)
            #expect(try await visitor.send(.get, "/oauth/callback?state=\(first)").0.status == .badRequest)
            #expect(try await visitor.send(.get, "/oauth/callback?state=\(second)").0.status == .badRequest)
            let late = try await state(visitor)
            clock.advance(by: .seconds(600))
            #expect(try await visitor.send(.get, "/oauth/callback?state=\(late)").0.status == .badRequest)
        }
    }

    @Test func `a page that asks for the cookie alone stays public`() async throws {
        try await withSite { visitor in
            let before = try await visitor.send(.get, "/about")
            #expect(String(decoding: before.1, as: UTF8.self).contains("Sign in"))
            _ = try await state(visitor)
            let after = try await visitor.send(.get, "/about")
            #expect(String(decoding: after.1, as: UTF8.self).contains("Your cart"))
            #expect(after.0.headerFields[.cacheControl] == nil && after.0.headerFields[.vary] == "Cookie")
        }
    }

    @Test func `staff have sessions of their own`() async throws {
        try await withSite { visitor in
            _ = try await visitor.send(.get, "/admin/visits")
            #expect(visitor.cookies.cookies.map(\.name) == ["__Host-staff"])
            let about = try await visitor.send(.get, "/about")
            #expect(String(decoding: about.1, as: UTF8.self).contains("Sign in"))
        }
    }
}
