// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions
import SessionsTesting
import Testing

/// The application that all adapters serve, and what it keeps its sessions in.
struct AdapterSite: Sendable {
    let store: FaultyStore
    let manager: SessionManager

    init() throws {
        store = FaultyStore(try MemorySessionStore())
        manager = try SessionManager(
            store: store,
            limits: SessionLimits(bytes: 1000),
            mayCreate: { $0.client != "203.0.113.9" }
        )
    }

    /// The application's own error, which becomes a 400.
    struct Refusal: Error {
        static let status = HTTPResponse.Status.badRequest
    }

    /// Names the client, as a proxy that is trusted would.
    static let client = HTTPField.Name("X-Client")!

    /// The routes, whatever the server.
    static func answer(_ request: HTTPRequest, _ body: [UInt8], _ context: RequestSession) async throws
        -> (HTTPResponse, String)
    {
        switch (request.method, request.path) {
        case (_, "/none"):
            return (HTTPResponse(status: .ok, headerFields: [.cacheControl: "public, max-age=60"]), "none")
        case (.get, "/cart"):
            return (
                HTTPResponse(status: .ok), try await context.session()[.cart]?.joined(separator: " ") ?? ""
            )
        case (.post, "/cart"):
            let session = try await context.session()
            let item = String(decoding: body, as: UTF8.self)
            try session.update(.cart, default: []) { $0.append(item) }
            return (HTTPResponse(status: .ok), "\(session[.cart]?.count ?? 0)")
        case (.post, "/login"):
            try await context.session().signIn(as: "ann", keeping: .cart)
            return (HTTPResponse(status: .ok), "")
        case (.post, "/logout"):
            try await context.session().signOut()
            return (HTTPResponse(status: .seeOther, headerFields: [.location: "/"]), "")
        case (.post, "/fail"):
            try await context.session().set(.cart, ["lost"])
            throw Refusal()
        case (.post, "/fail-early"): throw Refusal()
        case (.post, "/revoke"):
            // An error of sessions in a handler that does not ask for its own.
            _ = try await context.manager.revoke(SessionID(), of: "ann")
            return (HTTPResponse(status: .ok), "")
        case (.get, "/unmodified"):
            try await context.session().set(.cart, ["never sent"])
            return (HTTPResponse(status: .notModified), "")
        default: return (HTTPResponse(status: .notFound), "")
        }
    }
}

extension SessionKey where Value == [String] {
    fileprivate static var cart: Self { .init("cart") }
}

/// What every adapter does: one list for all of them.
struct AdapterScenario: Sendable, CustomTestStringConvertible {
    let testDescription: String
    private let steps: @Sendable (FaultyStore, () -> Visitor) async throws -> Void

    private init(
        _ name: String,
        _ steps: @escaping @Sendable (FaultyStore, _ newVisitor: () -> Visitor) async throws -> Void
    ) {
        testDescription = name
        self.steps = steps
    }

    /// Runs the steps on an application; `transport` leads through the adapter to `AdapterSite.answer`.
    func run(_ site: AdapterSite, over transport: @escaping Visitor.Transport) async throws {
        try await steps(site.store) { Visitor(transport: transport) }
    }

    static let all = [
        Self("a cart is kept between requests") { store, newVisitor in
            let visitor = newVisitor()
            let (first, _) = try await visitor.send(.post, "/cart", body: tea)
            let cookie = try #require(first.headerFields[.setCookie])
            #expect(
                cookie.hasPrefix("__Host-session=")
                    && cookie.hasSuffix("; Path=/; Secure; HttpOnly; SameSite=Lax")
            )
            #expect(first.headerFields[.cacheControl] == "no-store")
            let (second, count) = try await visitor.send(.post, "/cart", body: Array("cake".utf8))
            #expect(count == Array("2".utf8) && second.headerFields[.setCookie] == nil)
            let (third, cart) = try await visitor.send(.get, "/cart")
            #expect(cart == Array("tea cake".utf8))
            #expect(third.headerFields[.vary] == "Cookie")
            #expect(third.headerFields[.cacheControl] == "private, no-cache")
            #expect(store.counts == [.create: 1, .load: 2, .commit: 1])
        },
        Self("a handler that does not ask for its session costs nothing") { store, newVisitor in
            let (response, _) = try await newVisitor().send(
                .get,
                "/none",
                headers: [.cookie: "__Host-session=x"]
            )
            #expect(response.headerFields[.vary] == nil)
            #expect(response.headerFields[.cacheControl] == "public, max-age=60")
            #expect(store.counts.isEmpty)
        },
        Self("a handler that throws stores nothing, and its answer is not cached") { store, newVisitor in
            let visitor = newVisitor()
            let (response, _) = try await visitor.send(.post, "/fail")
            #expect(response.status == .badRequest && response.headerFields[.setCookie] == nil)
            #expect(response.headerFields[.vary] == "Cookie")
            #expect(store.counts.isEmpty)
            try await visitor.send(.post, "/cart", body: tea)
            try await visitor.send(.post, "/fail")
            #expect(try await visitor.send(.get, "/cart").1 == tea)
        },
        Self("an error of a handler that did not ask is answered without the session") { store, newVisitor in
            let (early, _) = try await newVisitor().send(.post, "/fail-early")
            #expect(early.status == .badRequest && early.headerFields[.vary] == nil)
            store.fail([.revoke])
            let (revoked, body) = try await newVisitor().send(.post, "/revoke")
            #expect(revoked.status == .serviceUnavailable)
            #expect(
                revoked.headerFields[.retryAfter] != nil && revoked.headerFields[.cacheControl] == "no-store"
            )
            #expect(String(decoding: body, as: UTF8.self).contains(#""error":"store-unavailable""#))
        },
        outage(.load), outage(.create), outage(.commit),
        Self("an oversized value is 413 and leaves what is stored") { store, newVisitor in
            let visitor = newVisitor()
            try await visitor.send(.post, "/cart", body: tea)
            let body = [UInt8](repeating: UInt8(ascii: "x"), count: 2000)
            let (response, _) = try await visitor.send(.post, "/cart", body: body)
            #expect(response.status == .contentTooLarge && response.headerFields[.setCookie] == nil)
            #expect(try await visitor.send(.get, "/cart").1 == tea)
        },
        Self("a sign-in replaces the secret, a sign-out ends the session and deletes the cookie") {
            store,
            newVisitor in
            let visitor = newVisitor()
            try await visitor.send(.post, "/cart", body: tea)
            let thief = visitor.clone()
            let (login, _) = try await visitor.send(.post, "/login")
            #expect(login.headerFields[.setCookie] != nil)
            #expect(try await visitor.send(.get, "/cart").1 == tea)
            #expect(try await thief.send(.get, "/cart").1 == [])
            let copy = visitor.clone()
            let (logout, _) = try await visitor.send(.post, "/logout")
            #expect(logout.headerFields[.setCookie]?.contains("Max-Age=0") == true)
            #expect(logout.headerFields[.init("Clear-Site-Data")!] == #""cache""#)
            #expect(logout.status == .seeOther && logout.headerFields[.location] == "/")
            #expect(try await copy.send(.get, "/cart").1 == [])
        },
        Self("several cookies of the session's name are all deleted") { store, newVisitor in
            let (response, _) = try await newVisitor().send(
                .get,
                "/cart",
                headers: [.cookie: "__Host-session=a; __Host-session=b"]
            )
            #expect(response.status == .ok)
            #expect(response.headerFields[values: .setCookie].count >= 1)
            #expect(response.headerFields[values: .setCookie].allSatisfy { $0.contains("Max-Age=0") })
            #expect(store.counts.isEmpty)
        },
        Self("a 304 creates no session") { store, newVisitor in
            let (response, _) = try await newVisitor().send(.get, "/unmodified")
            #expect(response.status == .notModified && response.headerFields[.setCookie] == nil)
            #expect(store.counts.isEmpty)
        },
        Self("a client that may have no session is answered 429") { store, newVisitor in
            let (response, _) = try await newVisitor().send(
                .post,
                "/cart",
                headers: [AdapterSite.client: "203.0.113.9"],
                body: tea
            )
            #expect(response.status == .tooManyRequests && response.headerFields[.setCookie] == nil)
            #expect(store.counts.isEmpty)
        },
        Self("another site's form is refused before the session is loaded") { store, newVisitor in
            let visitor = newVisitor()
            try await visitor.send(.post, "/cart", body: tea)
            let counts = store.counts
            let (response, body) = try await visitor.send(
                .post,
                "/cart",
                headers: [.init("Sec-Fetch-Site")!: "cross-site", .origin: "https://evil.example"],
                body: Array("bomb".utf8)
            )
            #expect(response.status == .forbidden && response.headerFields[.cacheControl] == "no-store")
            #expect(String(decoding: body, as: UTF8.self).contains(#""error":"cross-origin""#))
            #expect(store.counts == counts)
            #expect(try await visitor.send(.get, "/cart").1 == tea)
        },
    ]

    private static let tea = Array("tea".utf8)

    private static func outage(_ operation: FaultyStore.Operation) -> Self {
        Self("an outage at \(operation) is 503 with Retry-After and leaves the cookie") { store, newVisitor in
            let visitor = newVisitor()
            try await visitor.send(.post, "/cart", body: tea)
            let client = operation == .create ? newVisitor() : visitor
            store.fail([operation])
            let (response, body) = try await client.send(.post, "/cart", body: tea)
            #expect(response.status == .serviceUnavailable)
            #expect(response.headerFields[.retryAfter] != nil && response.headerFields[.setCookie] == nil)
            #expect(response.headerFields[.cacheControl]?.contains("no-store") == true)
            #expect(String(decoding: body, as: UTF8.self).contains(#""error":"store-unavailable""#))
            store.fail([])
            #expect(try await visitor.send(.get, "/cart").1 == tea)
        }
    }
}
