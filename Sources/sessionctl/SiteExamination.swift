// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import Sessions

/// What `doctor --site` finds out: the session's cookie and the headers around it, as a browser sees them.
struct SiteExamination {
    /// A page that begins a session.
    private let page: URL
    /// The name of the session's cookie.
    private let cookieName: String
    private let client: HTTPClient

    /// How often the session is shown again, each time over a new connection, so that the balancer may choose.
    private static let repetitions = 12

    /// - Parameters:
    ///   - page: an `http` or `https` URL.
    ///   - cookie: the name of the session's cookie.
    ///   - caFile: the PEM file of the authority that signed the site's certificate; the system's when nil.
    /// - Throws: `NIOSSLError` for a file that cannot be read.
    init(_ page: URL, cookie: String, caFile: String?) throws {
        (self.page, cookieName) = (page, cookie)
        var tls = TLSConfiguration.makeClientConfiguration()
        if let caFile { tls.trustRoots = .file(caFile) }
        let configuration = HTTPClient.Configuration(
            tlsConfiguration: tls,
            redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(5), read: .seconds(10))
        )
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// Asks for the page up to 27 times; writes what the page writes for a new visitor.
    func findings() async throws -> [Finding] {
        var findings: [Finding]
        do { findings = try await examine() } catch {
            let advice =
                "Check the URL, the network and the certificate (--site-ca-file for one of your own)."
            findings = [Finding("site", .problem, "no answer: \(Self.text(error))", server: name, advice)]
        }
        try await client.shutdown()
        return findings
    }

    private var name: String { page.host().map { $0 + (page.port.map { ":\($0)" } ?? "") } ?? "-" }

    private func finding(_ check: String, _ status: Finding.Status, _ text: String, _ advice: String? = nil)
        -> Finding
    {
        Finding(check, status, text, server: name, advice)
    }

    private func examine() async throws -> [Finding] {
        let first = try await ask(page)
        var findings = [answer(first), await encryption(first)]
        let others = first.cookies.filter { !isOwn($0) }
        findings += others.filter { page.scheme == "https" && !$0.has("secure") }.map { other in
            finding(
                "other cookie",
                .warning,
                "\(other.name) without Secure",
                "Set Secure, also on the cookie with which a balancer remembers the server."
            )
        }
        let own = first.cookies.filter(isOwn)
        guard let cookie = own.first else {
            findings.append(
                finding(
                    "cookie",
                    .warning,
                    "the page sets no \(cookieName)",
                    "Name a page that begins a session for a new visitor, and the cookie with --cookie."
                )
            )
            return findings
        }
        findings += [attributes(of: cookie), caching(first)]
        findings.append(try await difference(to: cookie))
        if own.count == 1 { findings.append(try await recognition(of: cookie, beside: others)) }
        return findings
    }

    // MARK: The checks

    private func answer(_ first: Answer) -> Finding {
        guard first.status < 400 else {
            return finding("site", .problem, "answers \(first.status)", "Name a page that answers.")
        }
        return finding("site", .ok, "answers \(first.status)")
    }

    private func encryption(_ first: Answer) async -> Finding {
        guard page.scheme == "https", var plain = URLComponents(url: page, resolvingAgainstBaseURL: false)
        else {
            let isLocal = ["localhost", "127.0.0.1", "[::1]"].contains(page.host() ?? "")
            let advice = "Serve HTTPS; browsers send a Secure cookie over plain HTTP to localhost only."
            return isLocal
                ? finding("https", .ok, "plain HTTP, on this machine")
                : finding("https", .problem, "plain HTTP", advice)
        }
        // A port of its own for HTTPS says nothing about the one for HTTP.
        plain.scheme = "http"
        if page.port == nil, let url = plain.url, let answer = try? await ask(url) {
            guard answer.location?.hasPrefix("https://") == true, (300..<400).contains(answer.status) else {
                return finding("https", .warning, "also plain HTTP", "Redirect plain HTTP to HTTPS.")
            }
            if answer.cookies.contains(where: isOwn) {
                let advice = "Let the balancer redirect."
                return finding("https", .problem, "the redirect to HTTPS sets the session's cookie", advice)
            }
        }
        guard first.headers.contains(name: "Strict-Transport-Security") else {
            return finding(
                "https",
                .warning,
                "HTTPS without Strict-Transport-Security",
                "Add the header, so that browsers do not ask over plain HTTP again."
            )
        }
        return finding("https", .ok, "HTTPS, with Strict-Transport-Security")
    }

    private func attributes(of cookie: Cookie) -> Finding {
        var missing: [String] = []
        if !cookie.has("secure") { missing.append("Secure") }
        if !cookie.has("httponly") { missing.append("HttpOnly") }
        if cookie["samesite"]?.lowercased() == "none" || !cookie.has("samesite") {
            missing.append("SameSite=Lax or Strict")
        }
        if cookie["path"] != "/" { missing.append("Path=/") }
        let hasPrefix = cookie.name.hasPrefix("__Host-")
        if hasPrefix, cookie.has("domain") { missing.append("no Domain, which browsers refuse with __Host-") }
        guard missing.isEmpty else {
            let isProblem = missing != ["SameSite=Lax or Strict"]
            return finding(
                "cookie",
                isProblem ? .problem : .warning,
                "\(cookie.name) lacks \(missing.joined(separator: ", "))",
                "Use SessionCookie's defaults, and see whether the balancer rewrites cookies."
            )
        }
        return hasPrefix
            ? finding("cookie", .ok, "\(cookie.name): Secure, HttpOnly, SameSite, Path=/")
            : finding(
                "cookie",
                .warning,
                "\(cookie.name) has no __Host- prefix",
                "With it no sister domain and no plain HTTP can set the cookie."
            )
    }

    /// A page with a cookie of its own must not be shared.
    private func caching(_ first: Answer) -> Finding {
        let words = first.headers[canonicalForm: "Cache-Control"].map { $0.lowercased() }
        let isHit = ["X-Cache", "CF-Cache-Status", "X-Cache-Status", "X-Proxy-Cache"].contains { header in
            first.headers[header].contains { $0.lowercased().contains("hit") }
        }
        if isHit || first.headers.contains(name: "Age") {
            return finding(
                "caching",
                .problem,
                "the answer with the cookie comes from a cache",
                "No cache may keep answers with Set-Cookie; see Cache-Control of the application."
            )
        }
        guard words.contains(where: { $0.hasPrefix("private") || $0.hasPrefix("no-store") }),
            !words.contains(where: { $0.hasPrefix("public") || $0.hasPrefix("s-maxage") })
        else {
            return finding(
                "caching",
                .problem,
                "Cache-Control: \(words.isEmpty ? "missing" : words.joined(separator: ", "))",
                "The middleware sends `private, no-cache`; see what replaces it, and set no caching in the balancer."
            )
        }
        return finding("caching", .ok, "Cache-Control: \(words.joined(separator: ", "))")
    }

    /// Another visitor gets another session.
    private func difference(to cookie: Cookie) async throws -> Finding {
        let other = try await ask(page).cookies.first(where: isOwn)
        guard other?.value == cookie.value else {
            return finding("visitors", .ok, "each gets a session of their own")
        }
        return finding(
            "visitors",
            .problem,
            "two visitors got the same cookie",
            "A cache hands out sessions: turn it off for this page at once."
        )
    }

    /// Every instance behind the balancer knows the session, also one to which the balancer's own cookies do not lead.
    private func recognition(of cookie: Cookie, beside others: [Cookie]) async throws -> Finding {
        guard Self.id(cookie.value) != nil else {
            return finding("instances", .ok, "not checked: the cookie is not one of RedisSessionStore")
        }
        let summary = "of \(Self.repetitions) answers over new connections"
        let advice = "All instances need the same Redis, the same application name and the same peppers."
        let browser = try await strangers(to: cookie, beside: others)
        if browser.failed > 0 {
            let advice = "See the log of the instances."
            return finding("instances", .problem, "\(browser.failed) \(summary) failed", advice)
        }
        if browser.unknown > 0 {
            return finding(
                "instances",
                .problem,
                "\(browser.unknown) \(summary) did not know the session",
                advice
            )
        }
        let unknown = others.isEmpty ? 0 : try await strangers(to: cookie, beside: []).unknown
        guard unknown == 0 else {
            return finding(
                "instances",
                .warning,
                "\(unknown) \(summary) did not know the session without the balancer's cookie",
                "Sessions end with their instance. Unless that is meant: \(advice)"
            )
        }
        return finding("instances", .ok, "all \(summary) knew the session")
    }

    /// Shows a session again and again, and counts the answers that do not know it, and those that fail.
    private func strangers(to cookie: Cookie, beside others: [Cookie]) async throws -> (
        unknown: Int, failed: Int
    ) {
        var (value, unknown, failed) = (cookie.value, 0, 0)
        for _ in 0..<Self.repetitions {
            let cookies = ["\(cookie.name)=\(value)"] + others.map { "\($0.name)=\($0.value)" }
            let answer = try await ask(page, cookie: cookies.joined(separator: "; "))
            if answer.status >= 500 { failed += 1 }
            guard let next = answer.cookies.first(where: isOwn) else { continue }
            if next.isDeletion || Self.id(next.value) != Self.id(value) {
                unknown += 1
            } else {
                value = next.value
            }
        }
        return (unknown, failed)
    }

    // MARK: What is asked

    private struct Answer {
        let status: Int
        let headers: HTTPHeaders
        var location: String? { headers.first(name: "Location") }
        var cookies: [Cookie] { headers["Set-Cookie"].map(Cookie.init) }
    }

    /// A `Set-Cookie` field, taken apart as a browser does.
    private struct Cookie {
        let name: String
        let value: String
        private var attributes: [String: String] = [:]

        init(_ field: String) {
            let parts = field.split(separator: ";", omittingEmptySubsequences: false).map(Self.pair)
            (name, value) = parts.first ?? ("", "")
            for (name, value) in parts.dropFirst() { attributes[name.lowercased()] = value }
        }

        subscript(_ attribute: String) -> String? { attributes[attribute] }
        func has(_ attribute: String) -> Bool { attributes[attribute] != nil }
        var isDeletion: Bool { value.isEmpty || self["max-age"].flatMap { Int($0) }.map { $0 <= 0 } ?? false }

        private static func pair(_ text: Substring) -> (String, String) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    private func isOwn(_ cookie: Cookie) -> Bool { cookie.name == cookieName }

    /// The ID in the cookie of a store that keeps its sessions on a server.
    private static func id(_ value: String) -> SessionID? { SessionToken(SessionCredential(value))?.id }

    /// Asks over a connection of its own.
    private func ask(_ url: URL, cookie: String? = nil) async throws -> Answer {
        var request = HTTPClientRequest(url: url.absoluteString)
        request.headers = ["Accept": "text/html", "Connection": "close", "User-Agent": "sessionctl"]
        if let cookie { request.headers.add(name: "Cookie", value: cookie) }
        let response = try await client.execute(request, timeout: .seconds(20))
        // A page that goes on is not read to its end.
        for try await _ in response.body.prefix(256) {}
        return Answer(status: Int(response.status.code), headers: response.headers)
    }

    private static func text(_ error: any Error) -> String {
        let words = "\(error)"
        return words.count > 200 ? "\(words.prefix(200))…" : words
    }
}
