// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

extension SessionCookie {
    /// The longest lifetime that browsers grant: 400 days (RFC 6265bis §5.5).
    private static let maximumAgeSeconds: Int64 = 400 * 86_400

    /// Returns the values of the `Set-Cookie` fields that send `value`: one, and more when it is too long for
    /// one cookie.
    ///
    /// - Parameters:
    ///   - value: the credential; cookie-octets only.
    ///   - remainingLifetime: until the session's absolute deadline, nil for no end; only a persistent cookie
    ///     uses it.
    ///   - now: when the response is written.
    ///   - chunks: the chunks of an earlier value that the browser holds; those that are left over are
    ///     deleted (R68).
    ///   - isDivided: whether the value may take more than one cookie.
    /// - Returns: the values in the order of the chunks.
    /// - Throws: `.invalidConfiguration` if `value` has bytes that a cookie cannot carry; `.tooLarge` if it
    ///   is longer than it may be. Neither holds the value.
    package func setFields(
        value: String,
        remainingLifetime: Duration?,
        now: Date,
        replacing chunks: [Int] = [],
        isDivided: Bool = true
    ) throws(SessionError) -> [String] {
        guard value.utf8.allSatisfy(Self.isCookieOctet), CookieChunks.count(in: value) == nil else {
            throw SessionError(
                .invalidConfiguration,
                "The store's credential holds bytes that a cookie cannot carry; write it in base64url."
            )
        }
        var lifetime = ""
        if persistence == .persistent {
            let now = Int64(exactly: now.timeIntervalSince1970.rounded(.down)) ?? 0
            let age = min(max(remainingLifetime?.components.seconds ?? .max, 0), Self.maximumAgeSeconds)
            let end = HTTPDate(secondsSince1970: now.addingReportingOverflow(age).partialValue)
            lifetime = "; Max-Age=\(age); Expires=\(end)"
        }
        let texts = try CookieChunks.split(value, name: name)
        guard isDivided || texts.count == 1 else {
            throw SessionError(
                .tooLarge,
                "The session cookie would have \(value.utf8.count) bytes, more than one cookie can hold."
            )
        }
        let fields = texts.enumerated().map { start(chunk: $0, value: $1) + lifetime }
        return fields + chunks.filter { $0 >= texts.count }.map(deletionField)
    }

    /// Returns the values of the `Set-Cookie` fields that make the browser forget the cookie and its chunks.
    ///
    /// Repeats every attribute, because browsers keep a cookie whose deletion differs in name, path, domain
    /// or partition, and refuse a `__Host-` name without `Secure` even for deletion (R27).
    ///
    /// - Parameter chunks: the further chunks that the browser holds.
    /// - Returns: the values in the order of the chunks.
    package func deletionFields(replacing chunks: [Int] = []) -> [String] {
        ([0] + chunks).map(deletionField)
    }

    func deletionField(chunk: Int) -> String {
        start(chunk: chunk, value: "") + "; Max-Age=0; Expires=\(HTTPDate(secondsSince1970: 0))"
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
    ///
    /// - Parameters:
    ///   - fields: the values of the `Set-Cookie` fields.
    ///   - response: the response.
    /// - Returns: false, with the response unchanged, if its status may not carry the cookie.
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
    private func start(chunk: Int, value: String) -> String {
        var field = "\(CookieChunks.name(chunk, of: name))=\(value); Path=\(path)"
        if let domain { field += "; Domain=\(domain)" }
        if isSecure { field += "; Secure" }
        field += "; HttpOnly; SameSite=\(sameSite.rawValue)"
        if isPartitioned { field += "; Partitioned" }
        return field
    }

    /// Printable ASCII without blank, `"`, `,`, `;` and `\` (RFC 6265bis §4.1.1).
    private static func isCookieOctet(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && !#"",;\"#.utf8.contains(byte)
    }
}

/// A date as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`, independent of locale and calendar (R50; RFC
/// 9110 §5.6.7).
///
/// No formatter of FoundationEssentials writes this form.
private struct HTTPDate: CustomStringConvertible {
    let description: String

    /// - Parameter secondsSince1970: limited to four-digit years, 1970 to 9999.
    init(secondsSince1970: Int64) {
        let (days, time) = Int(min(max(secondsSince1970, 0), 253_402_300_799)).quotientAndRemainder(
            dividingBy: 86_400
        )
        // Years that start in March, so that the leap day is the last of its year, in eras of 400 years.
        let (era, dayOfEra) = (days + 719_468).quotientAndRemainder(dividingBy: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let year = era * 400 + yearOfEra + (monthFromMarch < 10 ? 0 : 1)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days % 7]
        let months = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"]
        let clock = [time / 3600, time / 60 % 60, time % 60].map(Self.twoDigits).joined(separator: ":")
        description = "\(weekday), \(Self.twoDigits(day)) \(months[monthFromMarch]) \(year) \(clock) GMT"
    }

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
