// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

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
    ///
    /// The store decides how long the session lives, whatever this says.
    public enum Persistence: Sendable {
        /// Until the browser closes (many restore such cookies with their tabs).
        case browserSession
        /// For the session's remaining lifetime, 400 days at most, as both `Max-Age` and `Expires`.
        case persistent
    }

    /// The cookie's name, a token.
    ///
    /// A name that starts with `__Host-` cannot be set by a sister domain or over plain HTTP.
    public var name: String
    /// The part of the site that gets the cookie; starts with `/`.
    public var path: String
    /// The domain whose every host gets the cookie; `nil` means only the host that set it.
    public var domain: String?
    /// Whether the cookie travels over encrypted connections only.
    public var isSecure: Bool
    /// Whether requests caused by other sites carry the cookie.
    public var sameSite: SameSite
    /// Whether an embedded frame has one cookie per embedding site (CHIPS).
    public var isPartitioned: Bool
    /// How long the browser keeps the cookie.
    public var persistence: Persistence

    /// A cookie with secure defaults; see the properties.
    public init(
        name: String = "__Host-session",
        path: String = "/",
        domain: String? = nil,
        isSecure: Bool = true,
        sameSite: SameSite = .lax,
        isPartitioned: Bool = false,
        persistence: Persistence = .browserSession
    ) {
        self.name = name
        self.path = path
        self.domain = domain
        self.isSecure = isSecure
        self.sameSite = sameSite
        self.isPartitioned = isPartitioned
        self.persistence = persistence
    }

    /// A cookie for development without TLS.
    ///
    /// It has no `Secure`, and therefore no `__Host-` name. The manager warns when it is used.
    public static func plainHTTP(name: String = "session") -> SessionCookie {
        SessionCookie(name: name, isSecure: false)
    }
}

// MARK: - Reading

extension SessionCookie {
    /// What the request's `Cookie` fields say about this cookie, its further parts included.
    package func read(_ fields: HTTPFields) -> CookieLookup {
        let head = CookieParser.read(name, in: fields)
        guard case .value(let text) = head, let count = CookieChunks.count(in: text) else { return head }
        var texts = [text]
        for part in 1..<count {
            switch CookieParser.read(CookieChunks.name(part, of: name), in: fields) {
            case .value(let text): texts.append(text)
            case .absent: return .malformed
            case let reading: return reading
            }
        }
        return CookieChunks.join(texts, name: name).map(CookieLookup.value) ?? .malformed
    }
}

// MARK: - Writing

extension SessionCookie {
    /// The longest lifetime that browsers grant: 400 days (RFC 6265bis §5.5).
    private static let maximumAgeSeconds: Int64 = 400 * 86_400

    /// The values of the `Set-Cookie` fields that hand out `value`: one, and more only when it is too long
    /// for one cookie.
    ///
    /// Pure, so call it before anything is committed: a ticket that does not fit must not be stored either.
    /// - Parameters:
    ///   - value: The ticket; cookie-octets only.
    ///   - remainingLifetime: Until the session's absolute deadline, `nil` for no end. Only a persistent
    ///     cookie uses it.
    ///   - now: When the response is written.
    ///   - request: The fields of the request; parts of an earlier, longer value that it carries are deleted
    ///     (R68).
    /// - Throws: `invalidConfiguration` if `validate()` would, or if `value` has bytes that a cookie cannot
    ///   carry; `tooLarge` if it is longer than `CookieChunks.maximumBytes`. Neither holds the value.
    package func setFields(
        value: String,
        remainingLifetime: Duration?,
        now: Date,
        replacing request: HTTPFields = [:]
    ) throws(SessionError) -> [String] {
        try validate()
        guard value.utf8.allSatisfy(Self.isCookieOctet), CookieChunks.count(in: value) == nil else {
            throw SessionError(
                .invalidConfiguration,
                "The session ticket holds bytes that a cookie cannot carry; write it in base64url."
            )
        }
        var lifetime = ""
        if persistence == .persistent {
            let now = Int64(exactly: now.timeIntervalSince1970.rounded(.down)) ?? 0
            let remaining = remainingLifetime?.components.seconds ?? .max
            let age = min(max(remaining, 0), Self.maximumAgeSeconds)
            lifetime =
                "; Max-Age=\(age); Expires=\(HTTPDate(secondsSince1970: now.addingReportingOverflow(age).partialValue))"
        }
        let parts = try CookieChunks.split(value, name: name)
        let fields = parts.enumerated().map { head(part: $0, value: $1) + lifetime }
        return fields + staleParts(from: parts.count, in: request).map(deletionField)
    }

    /// The values of the `Set-Cookie` fields that make the browser forget the cookie and the parts of it that
    /// `request` carries.
    ///
    /// Repeats every attribute, because browsers keep a cookie whose deletion differs in name, path, domain
    /// or partition, and refuse a `__Host-` name without `Secure` even for deletion (R27). The configuration
    /// must have passed `validate()`.
    package func deletionFields(replacing request: HTTPFields = [:]) -> [String] {
        [deletionField(part: 0)] + staleParts(from: 1, in: request).map(deletionField)
    }

    private func deletionField(part: Int) -> String {
        head(part: part, value: "") + "; Max-Age=0; Expires=\(HTTPDate(secondsSince1970: 0))"
    }

    /// The parts from `first` on that the request carries, whatever it says about their number.
    private func staleParts(from first: Int, in request: HTTPFields) -> [Int] {
        guard request[.cookie] != nil else { return [] }
        return (first..<CookieChunks.maximum).filter {
            CookieParser.read(CookieChunks.name($0, of: name), in: request) != .absent
        }
    }

    /// Whether a response of this status may carry the cookie.
    ///
    /// Not 1xx, which are no final answers, and not 304, whose fields caches copy into what they stored
    /// (R52). Ask before a renewal is committed: one that cannot be sent must wait.
    package static func isPermitted(on status: HTTPResponse.Status) -> Bool {
        status.kind != .informational && status != .notModified
    }

    /// Puts fields made by `setFields` or `deletionFields` into the response as the only ones for these names
    /// (R48).
    /// - Returns: `false`, with the response unchanged, if its status may not carry the cookie.
    package func write(_ fields: [String], to response: inout HTTPResponse) -> Bool {
        guard Self.isPermitted(on: response.status) else { return false }
        response.headerFields.removeAll { $0.name == .setCookie && setsThisCookie($0.value) }
        for field in fields {
            var field = HTTPField(name: .setCookie, value: field)
            // Keeps the secret out of HTTP/2 compression state (RFC 7541 §7.1.3).
            field.indexingStrategy = .disallow
            response.headerFields.append(field)
        }
        return true
    }

    private func setsThisCookie(_ setCookie: String) -> Bool {
        let pair = setCookie.utf8.prefix { $0 != UInt8(ascii: ";") }
        guard let equalsSign = pair.firstIndex(of: UInt8(ascii: "=")) else { return false }
        let set = pair[..<equalsSign].trimmed
        return (0..<CookieChunks.maximum).contains { set.elementsEqual(CookieChunks.name($0, of: name).utf8) }
    }

    /// Name, value and the attributes that a deletion repeats, in a stable order.
    private func head(part: Int, value: String) -> String {
        var field = "\(CookieChunks.name(part, of: name))=\(value); Path=\(path)"
        if let domain { field += "; Domain=\(domain)" }
        if isSecure { field += "; Secure" }
        field += "; HttpOnly; SameSite=\(sameSite.rawValue)"
        if isPartitioned { field += "; Partitioned" }
        return field
    }
}

// MARK: - Validation

extension SessionCookie {
    /// The name prefixes that browsers enforce, longest first, and whether each ties the cookie to one host.
    private static let prefixes = [
        ("__Host-Http-", true), ("__Host-", true), ("__Secure-", false), ("__Http-", false),
    ]

    /// Checks that a browser would accept the cookie and keep it as meant.
    ///
    /// - Throws: `invalidConfiguration` with a sentence that names the mend.
    ///   Source: R46, R47; RFC 6265bis §4.1.1, §4.1.3, §5.7.
    public func validate() throws(SessionError) {
        try check(
            !name.isEmpty && name.utf8.allSatisfy(Self.isTokenByte),
            "its name may have only letters, digits and !#$%&'*+-.^_`|~"
        )
        try check(
            name.utf8.count <= 128,
            "its name is longer than 128 bytes, which leaves too little room for the ticket"
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

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }

    /// Printable ASCII without blank, `"`, `,`, `;` and `\` (RFC 6265bis §4.1.1).
    private static func isCookieOctet(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && !#"",;\"#.utf8.contains(byte)
    }
}

/// A date as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`, independent of locale and calendar settings
/// (R50; RFC 9110 §5.6.7).
private struct HTTPDate: CustomStringConvertible {
    let description: String

    init(secondsSince1970: Int64) {
        // Four-digit years only: 1970 to 9999.
        let seconds = Int(min(max(secondsSince1970, 0), 253_402_300_799))
        let (days, time) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days % 7]

        var (year, day) = (1970, days)
        while day >= Self.days(inYear: year) {
            day -= Self.days(inYear: year)
            year += 1
        }
        var months = [31, Self.days(inYear: year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].enumerated()
            .makeIterator()
        var month = 0
        while let (index, length) = months.next(), day >= length {
            day -= length
            month = index + 1
        }
        let monthName = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][
            month
        ]
        let clock = [time / 3600, time / 60 % 60, time % 60].map(Self.twoDigits).joined(separator: ":")
        description = "\(weekday), \(Self.twoDigits(day + 1)) \(monthName) \(year) \(clock) GMT"
    }

    private static func days(inYear year: Int) -> Int {
        year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400)) ? 366 : 365
    }

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
