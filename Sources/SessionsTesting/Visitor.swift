// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
public import Sessions
import Synchronization

/// A browser for tests: sends requests through a transport and keeps cookies as a browser would.
///
/// The transport carries a request to the server by any means: the test client of a framework, HTTP over a
/// port, or nothing but a `SessionManager`. `clone()` is a second tab, or a thief who copied the cookies.
///
/// ```swift
/// let visitor = Visitor { request, body in try await send(request, body) }
/// let (response, body) = try await visitor.send(.post, "/cart", body: Array("tea".utf8))
///
/// let thief = visitor.clone()
/// _ = try await visitor.send(.post, "/logout")
/// #expect(try await thief.send(.get, "/account").0.status == .unauthorized)
/// ```
///
/// Without any network, in front of a manager, the handler is part of the request:
///
/// ```swift
/// let visitor = Visitor(manager)
/// try await visitor.send { session in try session.set(.cart, ["tea"]) }
/// try await visitor.send { session in #expect(session[.cart] == ["tea"]) }
/// ```
public final class Visitor: Sendable {
    /// Carries one request and its body to the server, and the response and its body back.
    public typealias Transport = @Sendable (HTTPRequest, [UInt8]) async throws -> (HTTPResponse, [UInt8])

    private let jar: Mutex<CookieJar>
    private let host: String
    private let isSecure: Bool
    private let transport: Transport
    /// What the transport leads to, if it is a manager.
    private let manager: SessionManager?

    private init(
        jar: CookieJar,
        host: String,
        isSecure: Bool,
        manager: SessionManager?,
        transport: @escaping Transport
    ) {
        self.jar = Mutex(jar)
        self.host = host
        self.isSecure = isSecure
        self.manager = manager
        self.transport = transport
    }

    /// Creates a visitor whose requests go through a transport.
    ///
    /// - Parameters:
    ///   - jar: the cookies that the visitor has already.
    ///   - host: the host of requests that name none.
    ///   - isSecure: whether the visitor uses HTTPS, perhaps to a proxy that ends TLS. Browsers
    ///     refuse `Secure` and `__Host-` cookies otherwise.
    ///   - transport: carries each request.
    public convenience init(
        jar: CookieJar = CookieJar(),
        host: String = "localhost",
        isSecure: Bool = true,
        transport: @escaping Transport
    ) {
        self.init(jar: jar, host: host, isSecure: isSecure, manager: nil, transport: transport)
    }

    /// Creates a visitor whose requests go straight to a manager.
    ///
    /// It uses HTTPS if the manager's cookie is `Secure`.
    ///
    /// - Parameters:
    ///   - manager: opens and closes the session of each request.
    ///   - jar: the cookies that the visitor has already.
    public convenience init(_ manager: SessionManager, jar: CookieJar = CookieJar()) {
        self.init(jar: jar, host: "localhost", isSecure: manager.cookie.isSecure, manager: manager) {
            request,
            _ in
            var response = HTTPResponse(status: .ok)
            let exchange = RequestSession(request, manager: manager)
            _ = try await exchange.session()
            try await exchange.close(&response)
            return (response, [])
        }
    }

    /// The cookies as they are now.
    public var cookies: CookieJar {
        get { jar.withLock { $0 } }
        set { jar.withLock { $0 = newValue } }
    }

    /// Creates a visitor with the same transport and a copy of the cookies.
    public func clone() -> Visitor {
        Visitor(jar: cookies, host: host, isSecure: isSecure, manager: manager, transport: transport)
    }

    /// Sends a request with the cookies that belong to it, and takes in those of the response.
    ///
    /// A request that has a `Cookie` field gets no cookie of the jar: that is how a forged one is sent. The
    /// cookies that belong to a request are those for its host and path; ports do not matter to cookies.
    ///
    /// - Parameters:
    ///   - request: the request; without an authority it goes to the visitor's host.
    ///   - body: the bytes of its body.
    /// - Returns: the response and the bytes of its body.
    /// - Throws: what the transport throws; the jar stays as it was.
    @discardableResult
    public func send(
        _ request: HTTPRequest,
        body: [UInt8] = []
    ) async throws -> (HTTPResponse, [UInt8]) {
        let (request, location) = addressed(request)
        let (response, answer) = try await transport(request, body)
        receive(response, from: location)
        return (response, answer)
    }

    /// Sends a request to the visitor's host.
    ///
    /// - Parameters:
    ///   - method: the method.
    ///   - path: the path and the query.
    ///   - headers: the other fields; a `Cookie` field takes the place of the jar's cookies.
    ///   - body: the bytes of the body.
    /// - Returns: the response and the bytes of its body.
    /// - Throws: what the transport throws; the jar stays as it was.
    @discardableResult
    public func send(
        _ method: HTTPRequest.Method,
        _ path: String,
        headers: HTTPFields = [:],
        body: [UInt8] = []
    ) async throws -> (HTTPResponse, [UInt8]) {
        try await send(
            HTTPRequest(method: method, scheme: nil, authority: nil, path: path, headerFields: headers),
            body: body
        )
    }

    /// Sends a request to the manager and lets a handler answer it.
    ///
    /// Only for visitors that were made with a manager.
    ///
    /// - Parameters:
    ///   - headers: the request's fields; a `Cookie` field takes the place of the jar's cookies.
    ///   - method: the method; GET by default.
    ///   - status: what the handler answers with.
    ///   - handler: runs between the opening and the closing of the session.
    /// - Returns: the response with the fields that the manager added.
    /// - Throws: what the manager or the handler throws; the jar stays as it was, and after an error of the
    ///   handler nothing is stored.
    @discardableResult
    public nonisolated(nonsending) func send(
        _ headers: HTTPFields = [:],
        method: HTTPRequest.Method = .get,
        status: HTTPResponse.Status = .ok,
        _ handler: nonisolated(nonsending) (Session) async throws -> Void = { _ in }
    ) async throws -> HTTPResponse {
        guard let manager else { preconditionFailure("This visitor was made without a manager.") }
        let (request, location) = addressed(
            HTTPRequest(method: method, scheme: nil, authority: nil, path: "/", headerFields: headers)
        )
        let exchange = RequestSession(request, manager: manager)
        var response = HTTPResponse(status: status)
        let session = try await exchange.session()
        try await exchange.run { try await handler(session) }
        try await exchange.close(&response)
        receive(response, from: location)
        return response
    }

    /// The request as the browser sends it, and the place that its cookies belong to.
    private func addressed(_ request: HTTPRequest) -> (HTTPRequest, CookieJar.Location) {
        var request = request
        let authority = request.authority ?? host
        request.authority = authority
        request.scheme = request.scheme ?? (isSecure ? "https" : "http")
        let location = CookieJar.Location(
            host: authority.hasPrefix("[")
                ? String(authority.prefix { $0 != "]" }) + "]" : String(authority.prefix { $0 != ":" }),
            path: String((request.path ?? "/").prefix { $0 != "?" }),
            isSecure: isSecure
        )
        if request.headerFields[.cookie] == nil, let field = jar.withLock({ $0.cookieField(for: location) }) {
            request.headerFields[.cookie] = field
        }
        return (request, location)
    }

    private func receive(_ response: HTTPResponse, from location: CookieJar.Location) {
        jar.withLock { $0.receive(response.headerFields, from: location) }
    }
}

extension Visitor {
    /// The `Cookie` field of the next request to `/`; nil without cookies.
    package var cookieField: String? { request()[.cookie] }

    /// The value of the session cookie, put together from its chunks; nil when there is none or the manager
    /// would not read it.
    package var credential: SessionCredential? {
        guard let manager else { return nil }
        var head = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/")
        head.headerFields = request()
        return manager.credential(of: head)
    }

    /// The fields that a request to `/` would be sent with now, for a request that stays under way.
    package func request() -> HTTPFields {
        addressed(HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/")).0.headerFields
    }
}
