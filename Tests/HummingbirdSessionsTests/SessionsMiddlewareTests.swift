// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import SessionsTesting
import Synchronization
import Testing

extension SessionKey where Value == [String] {
    fileprivate static var cart: Self { .init("cart") }
}

@Suite struct `Session middleware` {
    private let store: FaultyStore

    init() throws { store = FaultyStore(try MemorySessionStore()) }

    private func application() throws -> some ApplicationProtocol {
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(
            middleware: SessionsMiddleware(
                try SessionManager(store: store, limits: SessionLimits(bytes: 1000))
            )
        )
        router.get("/none") { _, _ in "none" }
        router.get("/cart") { _, context in "\(try await context.session()[.cart] ?? [])" }
        router.post("/cart") { request, context in
            let session = try await context.session()
            let item = String(buffer: try await request.body.collect(upTo: 10_000))
            try session.update(.cart, default: []) { $0.append(item) }
            return "\(session[.cart]?.count ?? 0)"
        }
        router.post("/fail") { _, context -> String in
            let session = try await context.session()
            try session.set(.cart, ["lost"])
            throw HTTPError(.badRequest, message: "no")
        }
        return Application(router: router)
    }

    /// A visitor whose requests go through Hummingbird's test client.
    private func visitor(_ client: any TestClientProtocol) -> Visitor {
        Visitor { request, body in
            let response = try await client.execute(
                uri: request.path ?? "/",
                method: request.method,
                headers: request.headerFields,
                body: ByteBuffer(bytes: body)
            )
            return (response.head, Array(buffer: response.body))
        }
    }

    @Test func `keeps a cart between requests`() async throws {
        try await application().test(.live) { client in
            let visitor = visitor(client)
            let (first, _) = try await visitor.send(.post, "/cart", body: Array("tea".utf8))
            let cookie = try #require(first.headerFields[.setCookie])
            #expect(
                cookie.hasPrefix("__Host-session=")
                    && cookie.hasSuffix("; Path=/; Secure; HttpOnly; SameSite=Lax")
            )
            #expect(first.headerFields[.cacheControl] == "no-store")
            let (second, count) = try await visitor.send(.post, "/cart", body: Array("cake".utf8))
            #expect(count == Array("2".utf8) && second.headerFields[.setCookie] == nil)
            let (third, cart) = try await visitor.send(.get, "/cart")
            #expect(cart == Array(#"["tea", "cake"]"#.utf8))
            #expect(
                third.headerFields[.vary] == "Cookie"
                    && third.headerFields[.cacheControl] == "private, no-cache"
            )
        }
        #expect(store.counts == [.create: 1, .load: 2, .commit: 1])
    }

    @Test(arguments: [false, true])
    func `tells who the client is, and answers 429 where it may have no session`(
        isBehindProxy: Bool
    ) async throws {
        let asked = Mutex<[String?]>([])
        let manager = try SessionManager(
            store: store,
            mayCreate: { new in
                asked.withLock { $0.append(new.client) }
                return false
            }
        )
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(
            middleware: isBehindProxy
                ? SessionsMiddleware(manager) { request, _ in request.headers[.init("X-Client")!] }
                : SessionsMiddleware(manager)
        )
        router.post("/cart") { _, context in
            try await context.session().set(.cart, ["tea"])
            return "ok"
        }
        try await Application(router: router).test(.live) { client in
            let headers: HTTPFields = [.init("X-Client")!: "203.0.113.9"]
            let response = try await client.execute(uri: "/cart", method: .post, headers: headers)
            #expect(response.status == .tooManyRequests && response.headers[.setCookie] == nil)
        }
        let address = try #require(asked.withLock(\.self).first ?? nil)
        #expect(isBehindProxy ? address == "203.0.113.9" : ["127.0.0.1", "::1"].contains(address))
        #expect(store.counts.isEmpty)
    }

    @Test func `leaves a request alone that does not ask for its session`() async throws {
        try await application().test(.router) { client in
            let response = try await client.execute(
                uri: "/none",
                method: .get,
                headers: [.cookie: "__Host-session=x"]
            )
            #expect(response.headers[.vary] == nil && response.headers[.cacheControl] == nil)
        }
        #expect(store.counts.isEmpty)
    }

    @Test func `a handler that throws stores nothing, and its answer is not cached`() async throws {
        try await application().test(.router) { client in
            let response = try await client.execute(uri: "/fail", method: .post)
            #expect(response.status == .badRequest)
            #expect(response.headers[.setCookie] == nil && response.headers[.vary] == "Cookie")
        }
        #expect(store.counts.isEmpty)
    }

    @Test(arguments: [FaultyStore.Operation.load, .create, .commit])
    func `an outage is 503 with Retry-After and no cookie`(
        operation: FaultyStore.Operation
    ) async throws {
        try await application().test(.router) { client in
            let first = try await client.execute(uri: "/cart", method: .post, body: ByteBuffer(string: "tea"))
            let pair = String(try #require(first.headers[.setCookie]).prefix { $0 != ";" })
            store.fail([operation])
            let headers: HTTPFields = operation == .create ? [:] : [.cookie: pair]
            let response = try await client.execute(
                uri: "/cart",
                method: .post,
                headers: headers,
                body: ByteBuffer(string: "tea")
            )
            #expect(response.status == .serviceUnavailable)
            #expect(response.headers[.retryAfter] != nil && response.headers[.setCookie] == nil)
            #expect(response.headers[.cacheControl]?.contains("no-store") == true)
            store.fail([])
            let after = try await client.execute(uri: "/cart", method: .get, headers: [.cookie: pair])
            #expect(String(buffer: after.body) == #"["tea"]"#)
        }
    }

    @Test func `an oversized value is 413 and leaves what is stored`() async throws {
        try await application().test(.router) { client in
            let first = try await client.execute(uri: "/cart", method: .post, body: ByteBuffer(string: "tea"))
            let pair = String(try #require(first.headers[.setCookie]).prefix { $0 != ";" })
            let body = ByteBuffer(repeating: UInt8(ascii: "x"), count: 2000)
            let response = try await client.execute(
                uri: "/cart",
                method: .post,
                headers: [.cookie: pair],
                body: body
            )
            #expect(response.status == .contentTooLarge && response.headers[.setCookie] == nil)
            let after = try await client.execute(uri: "/cart", method: .get, headers: [.cookie: pair])
            #expect(String(buffer: after.body) == #"["tea"]"#)
        }
    }
}
