// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
import Synchronization

/// A visitor: sends requests through whatever reaches the server, and keeps the cookies as a browser would.
///
/// ```swift
/// let visitor = CookieJarClient(host: "shop.example") { request, body in try await send(request, body) }
/// let (response, body) = try await visitor.send(.post, "/cart")
/// ```
public final class CookieJarClient: Sendable {
    /// Carries one request to the server and its response back.
    public typealias Transport = @Sendable (HTTPRequest, [UInt8]) async throws -> (HTTPResponse, [UInt8])

    private let jar: Mutex<CookieJar>
    private let host: String
    private let isSecure: Bool
    private let transport: Transport

    /// A visitor with the cookies of `jar`; none by default.
    ///
    /// - Parameter isSecure: whether the visitor believes to be on HTTPS, as behind a proxy that ends TLS.
    ///   Default true.
    public init(
        host: String = "localhost",
        isSecure: Bool = true,
        jar: CookieJar = CookieJar(),
        transport: @escaping Transport
    ) {
        self.jar = Mutex(jar)
        self.host = host
        self.isSecure = isSecure
        self.transport = transport
    }

    /// The cookies as they are now.
    ///
    /// A copy given to another client is a second tab, or a thief.
    public var cookies: CookieJar { jar.withLock { $0 } }

    /// Sends a request with the cookies that belong to it and takes in those of the response.
    public func send(
        _ method: HTTPRequest.Method,
        _ path: String,
        headers: HTTPFields = [:],
        body: [UInt8] = []
    ) async throws -> (HTTPResponse, [UInt8]) {
        let location = CookieJar.Location(
            host: host,
            path: String(path.prefix { $0 != "?" }),
            isSecure: isSecure
        )
        var request = HTTPRequest(
            method: method,
            scheme: isSecure ? "https" : "http",
            authority: host,
            path: path,
            headerFields: headers
        )
        if let field = jar.withLock({ $0.cookieField(for: location) }) {
            request.headerFields[.cookie] = field
        }
        let (response, answer) = try await transport(request, body)
        jar.withLock { $0.receive(response.headerFields, from: location) }
        return (response, answer)
    }
}
