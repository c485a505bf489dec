// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// Several cookies of the session's name: the request is anonymous, and the next one is clean (R55).
@Suite struct CookieVariantsTests {
    private static let host = "a.shop.example.org"
    private static let path = "/account/settings/x"

    /// A request with the jar's cookies, whose handler does this; returns the response's `Set-Cookie` values.
    @discardableResult
    private func send(
        _ jar: inout CookieJar,
        _ site: Site,
        path: String = path,
        status: HTTPResponse.Status = .ok,
        _ handler: (Session) throws -> Void = { _ in }
    ) async throws -> [String] {
        let place = CookieJar.Location(host: Self.host, path: path, isSecure: true)
        var request = HTTPRequest(
            method: .get,
            scheme: "https",
            authority: "\(Self.host):443",
            path: path + "?q=/z"
        )
        if let field = jar.cookieField(for: place) { request.headerFields[.cookie] = field }
        let exchange = RequestSession(request, manager: site.manager)
        try handler(try await exchange.session())
        var response = HTTPResponse(status: status)
        try await exchange.close(&response)
        jar.receive(response.headerFields, from: place)
        return response.headerFields[values: .setCookie]
    }

    private func count(_ jar: CookieJar, path: String = path) -> Int {
        let place = CookieJar.Location(host: Self.host, path: path, isSecure: true)
        return jar.cookieField(for: place)?.components(separatedBy: "; ").count ?? 0
    }

    private static let cookies = [
        SessionCookie(name: "session"), SessionCookie(name: "__Secure-session", domain: "example.org"),
        SessionCookie(name: "session", path: "/account"), SessionCookie(name: "session", isSecure: false),
        SessionCookie(name: "session", path: "/account/", domain: "Shop.example.org", sameSite: .none),
    ]

    @Test(
        arguments: cookies,
        [
            "Path=/", "Path=/; Domain=example.org", "Path=/; Domain=shop.example.org", "Path=/account",
            "Path=/; Domain=a.shop.example.org", "Path=/account/",
            "Path=/account/settings; Domain=example.org",
            "Path=/account/settings/x", "Path=/account/settings/; Domain=a.shop.example.org",
        ]
    )
    func `every other cookie that can exist is deleted by the next answer, and signing in lasts`(
        cookie: SessionCookie,
        planted: String
    ) async throws {
        let site = try Site(cookie: cookie)
        var jar = CookieJar()
        try await send(&jar, site) { try $0.signIn(as: "ann") }
        #expect(count(jar) == 1)
        jar.receive(
            "\(cookie.name)=planted; \(planted)\(cookie.isSecure ? "; Secure" : "")",
            from: CookieJar.Location(host: Self.host, path: Self.path, isSecure: true)
        )
        guard count(jar) == 2 else { return }  // The server's own variant.
        let copy = jar
        try await send(&jar, site) { #expect($0.principal == nil) }
        #expect(count(jar) == 0)
        try await send(&jar, site) { try $0.signIn(as: "ann") }
        try await send(&jar, site) { #expect($0.principal == "ann") }
        // The request that signs in deletes the other and keeps its own.
        jar = copy
        try await send(&jar, site) { try $0.signIn(as: "bob") }
        #expect(count(jar) == 1)
        try await send(&jar, site) { #expect($0.principal == "bob") }
    }

    @Test(arguments: [true, false]) func `beside __Host- there is one other cookie, in the other partition`(
        isPartitioned: Bool
    ) async throws {
        let site = try Site(cookie: SessionCookie(isPartitioned: isPartitioned))
        var jar = CookieJar()
        let line = "__Host-session=x; __Host-session=y"
        for handler: (Session) throws -> Void in [{ _ in }, { try $0.set(.item, "tea") }] {
            var request = HTTPRequest(method: .get, scheme: "https", authority: Self.host, path: Self.path)
            request.headerFields[.cookie] = line
            let exchange = RequestSession(request, manager: site.manager)
            try handler(try await exchange.session())
            var response = HTTPResponse(status: .ok)
            try await exchange.close(&response)
            let lines = response.headerFields[values: .setCookie]
            #expect(lines.count == 2 && lines.filter { $0.contains("; Partitioned") }.count == 1)
            let other = try #require(lines.first { $0.contains("; Partitioned") != isPartitioned })
            #expect(other.contains("Max-Age=0") && other.contains("Secure"))
            #expect(response.headerFields[.cacheControl] == "no-store")
            jar.receive(response.headerFields, from: CookieJar.Location(host: "x.org", isSecure: true))
        }
        #expect(jar.value("__Host-session", for: CookieJar.Location(host: "x.org", isSecure: true)) != "")
    }

    @Test func `a handler that failed ends it, too, but not an outage`() async throws {
        let site = try Site()
        let fields: HTTPFields = [.cookie: "__Host-session=x; __Host-session=y"]
        for (status, count) in [(HTTPResponse.Status.unauthorized, 2), (.serviceUnavailable, 0)] {
            let exchange = RequestSession(.get(fields), manager: site.manager)
            _ = try await exchange.session()
            var response = HTTPResponse(status: status)
            #expect(try await exchange.closeAfterFailure(&response))
            #expect(response.headerFields[values: .setCookie].count == count)
        }
        let untouched = RequestSession(.get(fields), manager: site.manager)
        var response = HTTPResponse(status: .ok)
        try await untouched.close(&response)
        #expect(response.headerFields == [:])
    }

    @Test func `the same value twice is one session, until something about the cookie changes`() async throws
    {
        let site = try Site(cookie: SessionCookie(name: "session"))
        var jar = CookieJar()
        try await send(&jar, site) { try $0.set(.item, "tea") }
        let place = CookieJar.Location(host: Self.host, path: Self.path, isSecure: true)
        let value = try #require(jar.value("session", for: place))
        jar.receive("session=\(value); Path=/; Domain=example.org; Secure", from: place)
        #expect(count(jar) == 2)
        let lines = try await send(&jar, site) { #expect($0[.item] == "tea") }
        #expect(lines == [])
        try await send(&jar, site) { try $0.signIn(as: "ann", keeping: .item) }
        try await send(&jar, site) { #expect($0.principal == "ann" && $0[.item] == "tea") }
        #expect(count(jar) == 1)
        jar.receive(
            "session=\(try #require(jar.value("session", for: place))); Path=/account; Secure",
            from: place
        )
        try await send(&jar, site) { try $0.signOut() }
        #expect(count(jar) == 0)
    }

    @Test func `the parts of a divided cookie go with it`() async throws {
        let site = try SealedSite(cookie: SessionCookie(name: "session"))
        let place = CookieJar.Location(host: Self.host, path: Self.path, isSecure: true)
        for stale in ["session=2~x; session.1=y", "session.1=y"] {
            var jar = CookieJar()
            func send(_ handler: (Session) throws -> Void = { _ in }) async throws {
                var request = HTTPRequest(
                    method: .get,
                    scheme: "https",
                    authority: Self.host,
                    path: Self.path
                )
                request.headerFields[.cookie] = jar.cookieField(for: place)
                let exchange = RequestSession(request, manager: site.manager)
                try handler(try await exchange.session())
                var response = HTTPResponse(status: .ok)
                try await exchange.close(&response)
                jar.receive(response.headerFields, from: place)
            }
            try await send { try $0.set(.item, String(repeating: "x", count: 5000)) }
            for part in stale.components(separatedBy: "; ") {
                jar.receive("\(part); Path=/account; Domain=example.org; Secure", from: place)
            }
            try await send { #expect($0[.item] == nil) }
            #expect(jar.cookieField(for: place) == nil, "\(stale)")
        }
    }

    @Test(
        arguments: [
            (nil, nil), ("", ""), ("x\u{0}y", "nonsense"), ("127.0.0.1:80", "*"), ("[::1]:80", "/a;b"),
            ("example.org", "/" + String(repeating: "a", count: 2000)), (".", "/\u{E9}"), ("a..b", "//"),
            (String(repeating: "a.", count: 200) + "org", "/" + String(repeating: "b/", count: 500)),
        ] as [(String?, String?)]
    )
    func `no request makes it long or breaks a line`(authority: String?, target: String?) throws {
        for cookie in [SessionCookie(), SessionCookie(name: "session"), .plainHTTP()] {
            for fields in [[], [String(repeating: "x", count: 3200)]] {
                let lines = cookie.variantDeletionFields(
                    of: [],
                    authority: authority,
                    target: target,
                    beside: fields
                )
                let bytes = (lines + fields).reduce(0) { $0 + $1.utf8.count + "Set-Cookie: \r\n".utf8.count }
                #expect(
                    bytes < 3800 && lines.allSatisfy { $0.utf8.allSatisfy { (0x20...0x7E).contains($0) } }
                )
                #expect(Set(lines).count == lines.count)
            }
        }
    }

    @Test func `what does not fit into one answer goes into later ones`() {
        let path = "/" + (0..<40).map { "part\($0)" }.joined(separator: "/")
        var seen: Set<String> = []
        for _ in 0..<200 {
            seen.formUnion(
                SessionCookie(name: "session").variantDeletionFields(
                    of: [],
                    authority: "a.b.c.example.org",
                    target: path,
                    beside: []
                )
            )
        }
        #expect(seen.contains { $0.contains("Path=\(path);") && $0.contains("Domain=example.org;") })
    }
}
