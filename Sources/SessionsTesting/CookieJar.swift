// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What a browser would keep of the `Set-Cookie` fields that a server sent, and what it would send back.
///
/// Follows the user-agent rules of RFC 6265bis §5: prefixes, `Secure`, `Domain`, `Path`, `Max-Age`,
/// `Expires`, size limits and order. All requests count as same-site, so `SameSite` is checked when a cookie
/// arrives and not used when one is sent. There is no list of public suffixes: a `Domain` without a dot is
/// refused instead. A copy of a jar is another browser that holds the same cookies: a second tab, or a thief.
public struct CookieJar: Sendable {
    /// Where a request goes to, or where a response came from.
    public struct Location: Sendable, Hashable {
        /// The host name in lower case, without a port.
        public var host: String
        /// The path, beginning with a slash, without the query.
        public var path: String
        /// Whether the browser would call the connection secure.
        public var isSecure: Bool

        /// Names a place; the host is compared in lower case.
        public init(host: String, path: String = "/", isSecure: Bool) {
            self.host = host.lowercased()
            self.path = path
            self.isSecure = isSecure
        }
    }

    /// One kept cookie.
    public struct Cookie: Sendable, Hashable {
        /// The exact name; empty for a nameless cookie.
        public var name: String
        /// The exact value, quotes included.
        public var value: String
        /// The host, or the domain that `Domain` named.
        public var domain: String
        /// True when no `Domain` was given: the cookie goes to exactly this host.
        public var isHostOnly: Bool
        /// The path under which it is sent.
        public var path: String
        /// Whether it travels over secure connections only.
        public var isSecure: Bool
        /// Whether scripts are kept from it.
        public var isHTTPOnly: Bool
        /// `Strict`, `Lax` or `None` as the server wrote it; nil when it wrote nothing that is known.
        public var sameSite: String?
        /// When it ends; nil for a cookie that ends with the browser.
        public var expires: Date?
        var order: Int
    }

    private var kept: [Cookie] = []
    private var nextOrder = 0
    private let now: @Sendable () -> Date

    /// An empty jar.
    ///
    /// - Parameter now: the browser's clock; tests pass their own instead of waiting.
    public init(now: @escaping @Sendable () -> Date = { Date() }) { self.now = now }

    /// The cookies that are still valid, in the order in which they were created.
    public var cookies: [Cookie] { kept.filter(isAlive).sorted { $0.order < $1.order } }

    /// The value of the cookie that `location` would be sent under this exact name; nil when there is none.
    public func value(_ name: String, for location: Location) -> String? {
        matching(location).first { $0.name == name }?.value
    }

    /// Takes in every `Set-Cookie` field of a response.
    public mutating func receive(_ fields: HTTPFields, from location: Location) {
        for value in fields[values: .setCookie] { receive(value, from: location) }
    }

    /// Takes in one `Set-Cookie` value; false when a browser would refuse it.
    @discardableResult
    public mutating func receive(_ setCookie: String, from location: Location) -> Bool {
        let instant = now()
        guard let parsed = SetCookieLine(setCookie, now: instant), var cookie = cookie(parsed, from: location)
        else { return false }
        if let old = kept.firstIndex(where: {
            $0.name == cookie.name && $0.domain == cookie.domain && $0.isHostOnly == cookie.isHostOnly
                && $0.path == cookie.path
        }) {
            cookie.order = kept.remove(at: old).order
        }
        if isAlive(cookie) { kept.append(cookie) }
        return true
    }

    /// The `Cookie` field for a request; nil when there is nothing to send.
    public func cookieField(for location: Location) -> String? {
        let pairs = matching(location).map { $0.name.isEmpty ? $0.value : "\($0.name)=\($0.value)" }
        return pairs.isEmpty ? nil : pairs.joined(separator: "; ")
    }

    /// Forgets everything.
    public mutating func removeAll() { kept = [] }

    private func isAlive(_ cookie: Cookie) -> Bool { cookie.expires.map { $0 > now() } ?? true }

    /// What is sent to a place: longer paths first, then older cookies first.
    private func matching(_ location: Location) -> [Cookie] {
        kept.filter {
            isAlive($0) && Self.domain($0.domain, hostOnly: $0.isHostOnly, covers: location.host)
                && Self.path($0.path, covers: location.path) && (location.isSecure || !$0.isSecure)
        }
        .sorted { ($0.path.utf8.count, $1.order) > ($1.path.utf8.count, $0.order) }
    }

    /// The storage rules: nil when the cookie is refused.
    private mutating func cookie(_ line: SetCookieLine, from location: Location) -> Cookie? {
        let isHostOnly = line.domain.isEmpty || line.domain == location.host && !line.domain.contains(".")
        let domain = isHostOnly ? location.host : line.domain
        guard
            isHostOnly || domain.contains(".") && Self.domain(domain, hostOnly: false, covers: location.host)
        else { return nil }
        let path = line.path.first == "/" ? line.path : Self.defaultPath(location.path)
        guard line.isSecure ? location.isSecure : !overlaysSecure(line.name, domain, path, location) else {
            return nil
        }
        if line.sameSite == "None" || line.isPartitioned { guard line.isSecure else { return nil } }
        let label = (line.name.isEmpty ? line.value : line.name).lowercased()
        let isHost = label.hasPrefix("__host-")
        if isHost || label.hasPrefix("__secure-") {
            guard line.isSecure, !line.name.isEmpty else { return nil }
            if isHost { guard line.domain.isEmpty, line.path == "/" else { return nil } }
        }
        nextOrder += 1
        return Cookie(
            name: line.name,
            value: line.value,
            domain: domain,
            isHostOnly: isHostOnly,
            path: path,
            isSecure: line.isSecure,
            isHTTPOnly: line.isHTTPOnly,
            sameSite: line.sameSite,
            expires: line.expires,
            order: nextOrder
        )
    }

    /// Whether an insecure cookie would hide a secure one of the same name.
    private func overlaysSecure(_ name: String, _ domain: String, _ path: String, _ location: Location)
        -> Bool
    {
        !location.isSecure
            && kept.contains {
                $0.isSecure && $0.name == name && isAlive($0) && Self.path($0.path, covers: path)
                    && (Self.domain($0.domain, hostOnly: false, covers: domain)
                        || Self.domain(domain, hostOnly: false, covers: $0.domain))
            }
    }

    private static func domain(_ domain: String, hostOnly: Bool, covers host: String) -> Bool {
        if domain == host { return true }
        let isAddress =
            host.contains(":") || host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
        return !hostOnly && !isAddress && host.hasSuffix("." + domain)
    }

    private static func path(_ path: String, covers requested: String) -> Bool {
        requested == path || requested.hasPrefix(path.last == "/" ? path : path + "/")
    }

    private static func defaultPath(_ path: String) -> String {
        guard path.first == "/", let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            return "/"
        }
        return String(path[..<slash])
    }
}
