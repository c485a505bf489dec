// SPDX-License-Identifier: Apache-2.0

/// The session cookie's name and attributes.
///
/// The default is the strictest that works everywhere: `__Host-session`, with `Path=/; Secure; HttpOnly;
/// SameSite=Lax`, no `Domain`, gone when the browser closes. `HttpOnly` cannot be switched off. The session
/// manager checks the combination when it is created. Source: R45–R52; RFC 6265bis §4.1.
public struct SessionCookie: Sendable, Equatable {
    /// Whether the browser sends the cookie with requests that another site caused.
    public enum SameSite: String, Sendable {
        /// Never; a link from another site opens signed out.
        case strict = "Strict"
        /// Only when the user follows a link or types the address.
        case lax = "Lax"
        /// Always. Needs `Secure`, and protection against cross-site request forgery by other means.
        case none = "None"
    }

    /// How long the browser keeps the cookie.
    public typealias Persistence = CookiePersistence

    /// The cookie's name, a token.
    ///
    /// A name that starts with `__Host-` cannot be set by a sister domain or over plain HTTP.
    public var name: String
    /// The part of the site that gets the cookie; starts with `/`.
    public var path: String
    /// The domain of which all hosts get the cookie; `nil` means only the host that set it.
    public var domain: String?
    /// Whether the cookie travels over encrypted connections only.
    public var isSecure: Bool
    /// Whether requests caused by other sites carry the cookie.
    public var sameSite: SameSite
    /// Whether an embedded frame has one cookie per embedding site (CHIPS).
    public var isPartitioned: Bool
    /// How long the browser keeps the cookie.
    public var persistence: Persistence
    /// Whether the Back button shows nothing personal after a sign-out.
    ///
    /// If so, responses that looked at the session of a signed-in user are `no-store`, and a sign-out sends
    /// `Clear-Site-Data: "cache"` when the cookie is `Secure`. The price: browsers fetch these pages again
    /// (no `ETag`, no instant Back), and a sign-out may take a moment longer, because the browser empties its
    /// cache for the site. If not, they are `private, no-cache`, and browsers may show them from history.
    public var hidesPagesAfterSignOut: Bool

    /// A cookie with secure defaults; see the properties.
    public init(
        name: String = "__Host-session",
        path: String = "/",
        domain: String? = nil,
        isSecure: Bool = true,
        sameSite: SameSite = .lax,
        isPartitioned: Bool = false,
        persistence: Persistence = .browserSession,
        hidesPagesAfterSignOut: Bool = true
    ) {
        self.name = name
        self.path = path
        self.domain = domain
        self.isSecure = isSecure
        self.sameSite = sameSite
        self.isPartitioned = isPartitioned
        self.persistence = persistence
        self.hidesPagesAfterSignOut = hidesPagesAfterSignOut
    }

    /// A cookie for development without TLS.
    ///
    /// It has no `Secure`, and therefore no `__Host-` name. The manager warns when it is used, and once more
    /// when a request comes to a host other than loopback. `http://localhost` does not need it: browsers, and
    /// curl from 7.79 on, keep the default cookie there.
    public static func plainHTTP(name: String = "session") -> SessionCookie {
        SessionCookie(name: name, isSecure: false)
    }
}

extension SessionCookie {
    /// The name prefixes that browsers enforce, longest first, and whether each ties the cookie to one host.
    private static let prefixes = [
        ("__Host-Http-", true), ("__Host-", true), ("__Secure-", false), ("__Http-", false),
    ]

    /// Whether browsers accept the name from the host alone, for all of its paths.
    var isHostBound: Bool { Self.prefixes.contains { $0.1 && name.hasPrefix($0.0) } }

    /// Checks that a browser would accept the cookie and keep it as meant.
    ///
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    ///   Source: R46, R47; RFC 6265bis §4.1.1, §4.1.3, §5.7.
    public func validate() throws(SessionError) {
        try check(
            !name.isEmpty && name.utf8.allSatisfy(Self.isTokenByte),
            "its name may have only letters, digits and !#$%&'*+-.^_`|~"
        )
        try check(
            name.utf8.count <= 128,
            "its name is longer than 128 bytes, which leaves too little room for the token"
        )
        try check(
            !(1..<CookieChunks.maximum).contains { name.hasSuffix(".\($0)") },
            "its name may not end in \".1\", \".2\" or \".3\", which are the further parts of another cookie"
        )
        try checkPrefix()
        try check(path.utf8.first == UInt8(ascii: "/"), "path must start with \"/\"")
        try check(
            path.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ";") }
                && path.utf8.last != 0x20,
            "path may not hold control characters, \";\" or non-ASCII, nor end in a blank; percent-encode them"
        )
        try check(
            path.utf8.count <= 1024,
            "path is longer than 1024 bytes, which browsers ignore; shorten it"
        )
        if let domain {
            try check(
                domain.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy {
                    label in
                    !label.isEmpty && label.allSatisfy(Self.isHostByte)
                },
                "domain must be a plain host name like \"example.org\": no dot at either end, no port, other scripts in punycode"
            )
            try check(
                domain.utf8.count <= 1024,
                "domain is longer than 1024 bytes, which browsers ignore; shorten it"
            )
        }
        try check(
            isSecure || sameSite != .none,
            "SameSite=None needs isSecure = true, otherwise browsers refuse it"
        )
        try check(
            isSecure || !isPartitioned,
            "isPartitioned needs isSecure = true, otherwise browsers refuse it"
        )
    }

    private func checkPrefix() throws(SessionError) {
        let lowercased = name.lowercased()
        guard
            let (prefix, isHostBound) = Self.prefixes.first(where: { lowercased.hasPrefix($0.0.lowercased()) }
            )
        else { return }
        try check(
            name.hasPrefix(prefix),
            "its name must spell the prefix \"\(prefix)\" exactly so, or start otherwise"
        )
        try check(name.utf8.count > prefix.utf8.count, "its name needs something after \"\(prefix)\"")
        try check(
            isSecure,
            "the prefix \"\(prefix)\" needs isSecure = true; for development without TLS use SessionCookie.plainHTTP()"
        )
        guard isHostBound else { return }
        try check(
            path == "/",
            "the prefix \"\(prefix)\" needs path = \"/\"; for another path use \"__Secure-\""
        )
        try check(
            domain == nil,
            "the prefix \"\(prefix)\" allows no domain; for several hosts use \"__Secure-\""
        )
    }

    private func check(_ isValid: Bool, _ reason: @autoclosure () -> String) throws(SessionError) {
        guard !isValid else { return }
        throw SessionError(.invalidConfiguration, "The session cookie cannot work: \(reason()).")
    }

    static func isHostByte(_ byte: UInt8) -> Bool {
        ASCII.isAlphanumeric(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        ASCII.isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
