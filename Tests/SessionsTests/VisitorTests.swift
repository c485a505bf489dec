// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions
import SessionsTesting
import Synchronization
import Testing

@Suite struct VisitorTests {
    /// Sets a `Secure` cookie at `/login` and remembers what it was sent.
    private final class Server: Sendable {
        private let requests = Mutex<[HTTPRequest]>([])

        /// The requests since the last call.
        func taken() -> [HTTPRequest] {
            requests.withLock { requests in
                defer { requests = [] }
                return requests
            }
        }

        func answer(_ request: HTTPRequest) throws -> HTTPResponse {
            requests.withLock { $0.append(request) }
            if request.path == "/fail" { throw CancellationError() }
            let isLogin = request.path?.hasPrefix("/login") == true
            return HTTPResponse(
                status: .ok,
                headerFields: isLogin ? [.setCookie: "__Host-id=1; Path=/; Secure"] : [:]
            )
        }
    }

    private let server = Server()

    private func visitor(isSecure: Bool = true) -> Visitor {
        Visitor(host: "shop.example", isSecure: isSecure) { [server] request, body in
            (try server.answer(request), body)
        }
    }

    private func cookies() -> [String?] { server.taken().map { $0.headerFields[.cookie] } }

    @Test func `sends back what it was given, and the body comes through`() async throws {
        let visitor = visitor()
        try await visitor.send(.post, "/login?next=/cart")
        let (response, body) = try await visitor.send(.post, "/cart", body: [1, 2])
        #expect(response.status == .ok && body == [1, 2])
        let requests = server.taken()
        #expect(requests.map { $0.headerFields[.cookie] } == [nil, "__Host-id=1"])
        #expect(requests[1].authority == "shop.example" && requests[1].scheme == "https")
    }

    @Test func `cookies go to every port of their host and to no other host`() async throws {
        let visitor = visitor()
        try await visitor.send(.post, "/login")
        for authority in ["shop.example:8080", "SHOP.example", "other.example", "shop.example.evil"] {
            try await visitor.send(HTTPRequest(method: .get, scheme: nil, authority: authority, path: "/"))
        }
        #expect(cookies() == [nil, "__Host-id=1", "__Host-id=1", nil, nil])
    }

    @Test func `a cookie field of the request takes the place of the jar's cookies`() async throws {
        let visitor = visitor()
        try await visitor.send(.post, "/login")
        try await visitor.send(.get, "/", headers: [.cookie: "__Host-id=forged"])
        try await visitor.send(.get, "/")
        #expect(cookies() == [nil, "__Host-id=forged", "__Host-id=1"])
    }

    @Test func `without a secure connection a secure cookie is not kept`() async throws {
        let visitor = visitor(isSecure: false)
        try await visitor.send(.post, "/login")
        #expect(visitor.cookies.cookies.isEmpty)
    }

    @Test func `a clone has the cookies of now and learns nothing later`() async throws {
        let visitor = visitor()
        let early = visitor.clone()
        try await visitor.send(.post, "/login")
        let thief = visitor.clone()
        visitor.cookies.removeAll()
        for one in [early, thief, visitor] { try await one.send(.get, "/") }
        #expect(cookies() == [nil, nil, "__Host-id=1", nil])
    }

    @Test func `a request that fails changes no cookie`() async throws {
        let visitor = visitor()
        try await visitor.send(.post, "/login")
        await #expect(throws: CancellationError.self) { try await visitor.send(.get, "/fail") }
        #expect(visitor.cookies.cookies.count == 1)
    }

    @MainActor private final class Page {
        var items: [String]?
    }

    @Test @MainActor func `a handler may touch what belongs to its caller's actor`() async throws {
        let page = Page()
        let visitor = Visitor(try SessionManager(store: MemorySessionStore()))
        try await visitor.send { session in try session.set(.list, page.items ?? ["tea"]) }
        let response = try await visitor.send(status: .created) { session in page.items = session[.list] }
        #expect(page.items == ["tea"] && response.status == .created)
    }

    @Test func `a manager answers requests that bring no handler`() async throws {
        let visitor = Visitor(try SessionManager(store: MemorySessionStore()))
        try await visitor.send { session in try session.set(.item, "tea") }
        let (response, _) = try await visitor.send(.get, "/")
        #expect(response.status == .ok && response.headerFields[.vary] == "Cookie")
    }
}
