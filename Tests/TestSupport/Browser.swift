// SPDX-License-Identifier: Apache-2.0

public import AsyncHTTPClient
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import SessionsTesting
import Synchronization

/// What a server answered.
public struct Reply: Sendable {
    /// The status code.
    public let status: Int
    /// All fields, names in lower case, in the order of arrival.
    public let fields: [(name: String, value: String)]
    /// The body as text.
    public let body: String

    /// The body as JSON; null when it is none.
    public var json: JSON { (try? JSONDecoder().decode(JSON.self, from: Data(body.utf8))) ?? .null }

    /// All values of a field, in order.
    public func values(_ name: String) -> [String] {
        fields.filter { $0.name == name.lowercased() }.map(\.value)
    }

    /// The values of a field joined with a comma; nil when it is absent.
    public subscript(name: String) -> String? {
        let all = values(name)
        return all.isEmpty ? nil : all.joined(separator: ", ")
    }

    /// Every `Set-Cookie` value.
    public var setCookies: [String] { values("set-cookie") }

    /// The elements of `Cache-Control`, in lower case.
    public var cacheControl: Set<String> {
        Set(
            (self["cache-control"] ?? "").lowercased().split(separator: ",").map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        )
    }
}

/// What listens for HTTP on a loopback port: an instance, or a balancer in front of some.
public protocol Listener: Sendable {
    /// The port on 127.0.0.1.
    var port: Int { get }
}

/// A visitor with a cookie jar that talks to any number of instances, as if a balancer stood between.
///
/// The jar is verified (`CookieJarTests`) and treats the connection as secure, as behind a proxy that ends
/// TLS. `clone()` is a second tab, or a thief who copied the cookies.
public final class Browser: Sendable {
    /// One client for all browsers; keeps connections alive as a balancer does.
    public static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        configuration.connectionPool.idleTimeout = .seconds(5)
        // A dead instance is told at once, and found again as soon as it is back.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(5)
        configuration.redirectConfiguration = .disallow
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// The name of the session cookie that this browser looks for.
    public let cookieName: String
    private let jar: Mutex<CookieJar>
    private let isSecure: Bool
    private let source: String?
    private let received: (@Sendable (String) -> Void)?

    /// A browser with an empty jar.
    ///
    /// - Parameters:
    ///   - cookieName: the session cookie's name.
    ///   - isSecure: whether cookies are kept and sent as over TLS.
    ///   - source: the address to connect from, of this machine; nil for the usual one.
    ///   - received: told every session ticket that a server hands out.
    public init(
        cookieName: String = "__Host-session",
        isSecure: Bool = true,
        source: String? = nil,
        received: (@Sendable (String) -> Void)? = nil
    ) {
        self.cookieName = cookieName
        self.isSecure = isSecure
        self.source = source
        self.received = received
        jar = Mutex(CookieJar())
    }

    private init(copy other: Browser) {
        cookieName = other.cookieName
        isSecure = other.isSecure
        source = other.source
        received = other.received
        let copied = other.jar.withLock { $0 }
        jar = Mutex(copied)
    }

    /// Another browser that holds the same cookies now.
    public func clone() -> Browser { Browser(copy: self) }

    /// The session cookie's value in the jar.
    public var ticket: String? { jar.withLock { $0.value(cookieName, for: place) } }

    /// The value of any cookie in the jar.
    public func cookie(_ name: String) -> String? { jar.withLock { $0.value(name, for: place) } }

    /// The part of the ticket that may be shown.
    public var id: String? { ticket.map { String($0.prefix { $0 != "." }) } }

    /// The part of the ticket that is the credential.
    public var secret: String? {
        ticket.flatMap {
            $0.split(separator: ".", omittingEmptySubsequences: false).dropFirst().first.map(String.init)
        }
    }

    /// Puts a ticket into the jar, as if a server had sent it.
    public func present(_ ticket: String) {
        let attributes = isSecure ? "; Path=/; Secure; HttpOnly" : "; Path=/; HttpOnly"
        jar.withLock { _ = $0.receive("\(cookieName)=\(ticket)\(attributes)", from: place) }
    }

    /// Sends a `GET`.
    @discardableResult
    public func get(
        _ path: String,
        _ query: KeyValuePairs<String, String> = [:],
        on app: any Listener,
        cookies: [String]? = nil
    ) async throws -> Reply {
        try await send("GET", path, query, on: app, cookies: cookies)
    }

    /// Sends a `POST` without a body.
    @discardableResult
    public func post(
        _ path: String,
        _ query: KeyValuePairs<String, String> = [:],
        on app: any Listener,
        cookies: [String]? = nil
    ) async throws -> Reply {
        try await send("POST", path, query, on: app, cookies: cookies)
    }

    /// Sends a request with the jar's cookies, or with exactly these `Cookie` fields, and takes in what comes
    /// back.
    public func send(
        _ method: String,
        _ path: String,
        _ query: KeyValuePairs<String, String> = [:],
        on app: any Listener,
        cookies: [String]? = nil,
        headers: KeyValuePairs<String, String> = [:],
        seconds: Int64 = 30
    ) async throws -> Reply {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(app.port)\(path)\(Self.encode(query))")
        request.method = .init(rawValue: method)
        request.localAddress = source
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let kept = jar.withLock { $0.cookieField(for: place) }
        for field in cookies ?? kept.map({ [$0] }) ?? [] { request.headers.add(name: "Cookie", value: field) }
        let response = try await Self.client.execute(request, timeout: .seconds(seconds))
        let fields = response.headers.map { (name: $0.name.lowercased(), value: $0.value) }
        let newCookies = response.headers["set-cookie"]
        jar.withLock { jar in
            for value in newCookies { jar.receive(value, from: place) }
        }
        if !newCookies.isEmpty, let received, let ticket { received(ticket) }
        let body = try await response.body.collect(upTo: 8 << 20)
        return Reply(status: Int(response.status.code), fields: fields, body: String(buffer: body))
    }

    private var place: CookieJar.Location { CookieJar.Location(host: "127.0.0.1", isSecure: isSecure) }

    private static func encode(_ query: KeyValuePairs<String, String>) -> String {
        guard !query.isEmpty else { return "" }
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        let pairs = query.map { name, value in
            "\(name)=\(value.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")"
        }
        return "?" + pairs.joined(separator: "&")
    }
}
