// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes

/// Tells requests that the site's own pages make from those that another site makes a browser send (R83).
///
/// A browser sends the visitor's cookies along whatever page asks for it. `SameSite` stops that between sites,
/// but not between `a.example.com` and `b.example.com`, nor between two ports of one host. Browsers say where
/// a request comes from, in header fields that no page can change, so neither forms nor scripts need a token.
/// The rules are those of Go's `net/http.CrossOriginProtection`, and stricter where that is noted:
///
/// 1. Safe methods (`GET`, `HEAD`, `OPTIONS`) pass: their handlers must change nothing. A request with
///    `Upgrade` counts as unsafe: a WebSocket handshake is a `GET` that every site may send, with cookies.
/// 2. Exempt paths pass.
/// 3. `Sec-Fetch-Site` or `Origin` that is repeated or malformed: refused. No browser sends it. (Stricter.)
/// 4. `Sec-Fetch-Site: same-origin` or `none` (typed address, bookmark) passes.
/// 5. An `Origin` that is trusted passes.
/// 6. Any other `Sec-Fetch-Site` is refused, `same-site` among them.
/// 7. Without `Sec-Fetch-Site` (plain HTTP, browsers from before 2023): `Origin` must be the origin that was
///    asked: host without regard to case, port, and the scheme where the connection itself is TLS. Behind a
///    proxy that ends TLS the scheme is unknown and not compared. `Origin: null` is refused.
/// 8. Neither field: not a browser, so no other site's page is involved; passes.
///
/// A proxy must hand on `Host` with its port; otherwise trust the site's public origin. Does not replace
/// `SameSite`, nor escaping: a script that runs in the site's own pages passes. Costs no round trip.
public struct CrossOriginProtection: Sendable {
    private let trusted: Set<WebOrigin>
    private let exempt: Set<String>
    private let exemptPrefixes: [String]

    /// Trusts no other origin and exempts nothing.
    public init() {
        trusted = []
        exempt = []
        exemptPrefixes = []
    }

    /// Makes exceptions.
    ///
    /// - Parameters:
    ///   - trustedOrigins: other origins whose pages may send anything, as browsers write them:
    ///     `https://admin.example.com`, `https://example.com:8443`. No path, no pattern, not `null`.
    ///   - exemptPaths: paths that are not examined, for what authenticates by other means than the cookie
    ///     (webhooks): `/hooks/mail` is that path alone, `/hooks/*` is everything below. The path is compared
    ///     as it was sent. One that a router or proxy could read in another way (percent-encoded, with `//`,
    ///     `.`, `..`, `;` or a slash at its end) is never exempt.
    /// - Throws: `.invalidConfiguration`; the message names the entry and says what is wrong with it.
    public init(trustedOrigins: [String] = [], exemptPaths: [String] = []) throws(SessionError) {
        var trusted: Set<WebOrigin> = []
        for text in trustedOrigins {
            guard let origin = WebOrigin(text) else {
                throw SessionError(
                    .invalidConfiguration,
                    "The trusted origin \(CrossOriginRefusal.shown(text)) cannot be used: write scheme://host or scheme://host:port, without path, pattern or user; null cannot be trusted."
                )
            }
            trusted.insert(origin)
        }
        self.trusted = trusted
        var (exempt, prefixes): (Set<String>, [String]) = ([], [])
        for entry in exemptPaths {
            let path = entry.hasSuffix("/*") ? String(entry.dropLast(2)) : entry
            guard Self.isPlain(path), !path.contains("*"), !path.contains("/:") else {
                throw SessionError(
                    .invalidConfiguration,
                    "The exempt path \(CrossOriginRefusal.shown(entry)) cannot be used: write /path for one path or /path/* for all below it, without %, //, dot segments, parameters, or a slash at the end."
                )
            }
            if path == entry { exempt.insert(path) } else { prefixes.append(path + "/") }
        }
        self.exempt = exempt
        exemptPrefixes = prefixes
    }

    /// Returns why a request must be refused with 403; nil when it may go on.
    ///
    /// - Parameter request: its head; `authority` is `Host` or `:authority`, `scheme` is that of the
    ///   connection to this server.
    /// - Returns: the refusal, which can be logged.
    public func refusal(of request: HTTPRequest) -> CrossOriginRefusal? {
        let fields = request.headerFields
        let isSafe = [.get, .head, .options].contains(request.method) && !fields.contains(.upgrade)
        guard !isSafe, !isExempt(request.path) else { return nil }
        let (sites, origins) = (fields[values: .secFetchSite], fields[values: .origin])
        let refusal = CrossOriginRefusal(site: sites, origin: origins)
        guard sites.count <= 1, origins.count <= 1 else { return refusal }
        let origin = origins.first.flatMap(WebOrigin.init)
        guard origin != nil || origins.isEmpty || origins == ["null"] else { return refusal }
        switch sites.first {
        case "same-origin", "none": return nil
        case nil where origins.isEmpty: return nil
        case "cross-site", "same-site", nil: break
        default: return refusal
        }
        guard let origin else { return refusal }
        if trusted.contains(origin) { return nil }
        return sites.isEmpty && origin.isAsked(by: request) ? nil : refusal
    }

    private func isExempt(_ target: String?) -> Bool {
        guard let target, !exempt.isEmpty || !exemptPrefixes.isEmpty else { return false }
        let path = String(target.prefix { $0 != "?" })
        guard Self.isPlain(path) else { return false }
        return exempt.contains(path) || exemptPrefixes.contains { path.hasPrefix($0) }
    }

    /// Whether a path means the same to everything that reads it.
    private static func isPlain(_ path: String) -> Bool {
        guard path.utf8.first == UInt8(ascii: "/") else { return false }
        let segments = path.utf8.dropFirst().split(
            separator: UInt8(ascii: "/"),
            omittingEmptySubsequences: false
        )
        return path == "/"
            || segments.allSatisfy { segment in
                segment.contains { $0 != UInt8(ascii: ".") }
                    && segment.allSatisfy { ASCII.isAlphanumeric($0) || "-._~!$&'()*+,=:@".utf8.contains($0) }
            }
    }
}

extension HTTPField.Name {
    fileprivate static var secFetchSite: Self { Self("Sec-Fetch-Site")! }
}
