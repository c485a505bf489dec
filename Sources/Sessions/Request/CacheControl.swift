// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes

/// What caches are told about a response that depends on a session.
///
/// A response whose handler never asked for the session is not changed and stays cacheable. For the others,
/// what the handler allows to caches is dropped and what it forbids is kept. `Age` stays: it permits nothing.
/// Source: R73, R74; RFC 9111 §3, §4.1, §5.2.2, §7.3; RFC 9213.
package enum CacheControl {
    /// How much of a session a response shows.
    package enum Exposure: Sendable {
        /// The handler looked at the session, even if only whether it exists.
        case touched
        /// The response sets or deletes the session cookie, shows a signed-in user, or answers a sign-out.
        case cookieSet

        /// What a response that says nothing itself tells caches.
        fileprivate var directives: [String] {
            switch self {
            case .touched: ["private", "no-cache"]
            case .cookieSet: ["no-store"]
            }
        }
    }

    /// Makes the response as private as its exposure demands; a second application changes nothing.
    ///
    /// `Vary` gets `Cookie`, unless it has it or `*`. `Cache-Control` becomes `private, no-cache`, or
    /// `no-store` with a cookie, followed by the handler's own restrictions. `Expires` becomes `0` where the
    /// handler gave a date, because caches of HTTP/1.0 read nothing else (RFC 9111 §5.3: already expired).
    /// Fields that overrule `Cache-Control` for some caches are removed.
    package static func apply(to headers: inout HTTPFields, exposure: Exposure) {
        if headers.contains(where: { overrulesCacheControl($0.name) }) {
            headers.removeAll { overrulesCacheControl($0.name) }
        }
        if headers.contains(.expires) { headers[.expires] = "0" }
        if let existing = headers[.vary] {
            headers[.vary] = vary(existing)
        } else {
            headers.append(HTTPField(name: .vary, value: "Cookie"))
        }
        if let existing = headers[.cacheControl] {
            headers[.cacheControl] = cacheControl(existing, exposure: exposure)
        } else {
            headers.append(HTTPField(name: .cacheControl, value: exposure.directives.joined(separator: ", ")))
        }
    }

    private static func vary(_ existing: String) -> String {
        var isEmpty = true
        for member in members(of: existing) {
            if member == "*" || member == "cookie" { return existing }
            isEmpty = false
        }
        return isEmpty ? "Cookie" : existing + ", Cookie"
    }

    /// Builds the value from known directives only, so that an unknown one cannot permit anything.
    ///
    /// Splitting at each comma ignores quoted strings. That is safe here: the worst it does is to find a
    /// restriction in one.
    private static func cacheControl(_ existing: String, exposure: Exposure) -> String {
        var directives = exposure.directives
        for member in members(of: existing) {
            let name = String(decoding: member.utf8.prefix { $0 != UInt8(ascii: "=") }.trimmed, as: UTF8.self)
            if restrictions.contains(name), !directives.contains(name) { directives.append(name) }
        }
        return directives.joined(separator: ", ")
    }

    /// The response directives that only ever take something from a cache.
    ///
    /// Not `must-understand`, which lifts `no-store` (RFC 9111 §5.2.2.3), and not `private` or `no-cache`,
    /// which may be qualified (`no-cache="Set-Cookie"` protects that one field only) and are written whole
    /// where they are needed.
    private static let restrictions: Set<String> = [
        "no-store", "no-transform", "must-revalidate", "proxy-revalidate",
    ]

    /// The members of a comma-separated list, trimmed and with ASCII letters in lower case; empty ones left
    /// out.
    ///
    /// On bytes: `Character` takes a comma with a combining mark for something else, and `lowercased()` makes
    /// the Kelvin sign a k.
    private static func members(of list: String) -> [String] {
        list.utf8.split(separator: UInt8(ascii: ",")).compactMap { member in
            let word = member.trimmed.map {
                (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0
            }
            return word.isEmpty ? nil : String(decoding: word, as: UTF8.self)
        }
    }

    /// Makes browsers forget what they keep of the site's pages, the copies behind the Back button included
    /// (R30); a field that the handler wrote stays.
    ///
    /// Only `"cache"`: `"cookies"` would delete those of other applications on the registered domain,
    /// `"storage"` their data.
    package static func clear(_ headers: inout HTTPFields) {
        guard let name = HTTPField.Name("Clear-Site-Data"), headers[name] == nil else { return }
        headers[name] = #""cache""#
    }

    /// Whether some cache obeys the field before `Cache-Control`.
    ///
    /// Targeted fields (RFC 9213) are named `NAME-Cache-Control` by custom; the others are older:
    /// `Surrogate-Control` (Varnish, Fastly), `Edge-Control` (Akamai), `X-Accel-Expires` (nginx).
    private static func overrulesCacheControl(_ name: HTTPField.Name) -> Bool {
        let name = name.canonicalName
        guard name.utf8.count >= 12 else { return false }
        return name.hasSuffix("-cache-control") || name == "surrogate-control" || name == "edge-control"
            || name == "x-accel-expires"
    }
}
