// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import SessionsTesting

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
/// It treats the connection as secure, as behind a proxy that ends TLS. `clone()` is a second tab, or a thief
/// who copied the cookies.
public final class Browser: Sendable {
    /// The name of the session cookie that this browser looks for.
    public let cookieName: String
    private let visitor: Visitor
    private let isSecure: Bool
    private let received: (@Sendable (String) -> Void)?

    /// Creates a browser with an empty jar.
    ///
    /// - Parameters:
    ///   - cookieName: the session cookie's name.
    ///   - isSecure: whether cookies are kept and sent as over TLS.
    ///   - source: the address to connect from, of this machine; nil for the usual one.
    ///   - seconds: how long a request may take.
    ///   - received: told every session ticket that a server hands out.
    public convenience init(
        cookieName: String = "__Host-session",
        isSecure: Bool = true,
        source: String? = nil,
        seconds: Int64 = 30,
        received: (@Sendable (String) -> Void)? = nil
    ) {
        let http = LoopbackHTTP(source: source, seconds: seconds)
        let visitor = Visitor(host: "127.0.0.1", isSecure: isSecure) { try await http.send($0, $1) }
        self.init(visitor, cookieName: cookieName, isSecure: isSecure, received: received)
    }

    private init(
        _ visitor: Visitor,
        cookieName: String,
        isSecure: Bool,
        received: (@Sendable (String) -> Void)?
    ) {
        self.visitor = visitor
        self.cookieName = cookieName
        self.isSecure = isSecure
        self.received = received
    }

    /// Another browser that holds the same cookies now.
    public func clone() -> Browser {
        Browser(visitor.clone(), cookieName: cookieName, isSecure: isSecure, received: received)
    }

    /// The session cookie's value in the jar.
    public var ticket: String? { cookie(cookieName) }

    /// The `Cookie` field of the next request; nil without cookies.
    public var cookieField: String? { visitor.cookies.cookieField(for: place) }

    /// Returns the value of any cookie in the jar.
    public func cookie(_ name: String) -> String? { visitor.cookies.value(name, for: place) }

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
        visitor.cookies.receive("\(cookieName)=\(ticket)\(attributes)", from: place)
    }

    /// Sends a `GET`.
    ///
    /// - Parameters:
    ///   - path: the path without a query.
    ///   - query: names and values of the query.
    ///   - app: where the request goes.
    /// - Returns: the answer.
    /// - Throws: what `LoopbackHTTP.send` throws.
    @discardableResult
    public func get(
        _ path: String,
        _ query: KeyValuePairs<String, String> = [:],
        on app: any Listener
    ) async throws -> Reply {
        try await send("GET", path, query, on: app)
    }

    /// Sends a `POST` without a body.
    ///
    /// - Parameters:
    ///   - path: the path without a query.
    ///   - query: names and values of the query.
    ///   - app: where the request goes.
    /// - Returns: the answer.
    /// - Throws: what `LoopbackHTTP.send` throws.
    @discardableResult
    public func post(
        _ path: String,
        _ query: KeyValuePairs<String, String> = [:],
        on app: any Listener
    ) async throws -> Reply {
        try await send("POST", path, query, on: app)
    }

    /// Sends a request with the jar's cookies and takes in those of the answer.
    ///
    /// - Parameters:
    ///   - method: the method.
    ///   - path: the path, with or without a query.
    ///   - query: names and values of the query.
    ///   - app: where the request goes.
    ///   - cookies: `Cookie` fields that take the place of the jar's cookies; none for the jar's.
    ///   - headers: further fields.
    /// - Returns: the answer.
    /// - Throws: what `LoopbackHTTP.send` throws.
    public func send(
        _ method: String,
        _ path: String,
        _ query: KeyValuePairs<String, String> = [:],
        on app: any Listener,
        cookies: [String] = [],
        headers: KeyValuePairs<String, String> = [:]
    ) async throws -> Reply {
        guard let method = HTTPRequest.Method(method) else {
            throw LoopbackHTTP.Failure(description: "\(method) is not a method")
        }
        var request = HTTPRequest(
            method: method,
            scheme: nil,
            authority: "127.0.0.1:\(app.port)",
            path: path + Self.encode(query)
        )
        for (name, value) in headers + cookies.map({ (key: "Cookie", value: $0) }) {
            guard let name = HTTPField.Name(name), HTTPField.isValidValue(value) else {
                throw LoopbackHTTP.Failure(description: "\(name) cannot be sent with this value")
            }
            request.headerFields.append(HTTPField(name: name, value: value))
        }
        let (response, body) = try await visitor.send(request)
        let fields = response.headerFields.map { (name: $0.name.canonicalName, value: $0.value) }
        let reply = Reply(
            status: response.status.code,
            fields: fields,
            body: String(decoding: body, as: UTF8.self)
        )
        if !reply.setCookies.isEmpty, let received, let ticket { received(ticket) }
        return reply
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
