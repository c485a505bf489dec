// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Sessions
import Testing

@Suite struct SessionCookieTests {
    let now = Date(timeIntervalSince1970: 1_793_000_000)

    private func set(
        _ cookie: SessionCookie,
        _ value: String = "abc",
        lifetime: Duration? = nil,
        now: Date? = nil
    ) throws -> String {
        try cookie.validate()
        return try #require(
            try cookie.setFields(value: value, remainingLifetime: lifetime, now: now ?? self.now).first
        )
    }

    private func isValid(_ cookie: SessionCookie) -> Bool {
        (try? cookie.validate()) != nil
    }

    // MARK: Rendering (R45, R50)

    @Test func `the default is the strictest cookie`() throws {
        #expect(try set(SessionCookie()) == "__Host-session=abc; Path=/; Secure; HttpOnly; SameSite=Lax")
        #expect(
            try set(SessionCookie(), lifetime: .seconds(60))
                == "__Host-session=abc; Path=/; Secure; HttpOnly; SameSite=Lax"
        )
    }

    @Test func `plain HTTP drops Secure and the prefix, nothing else`() throws {
        #expect(try set(.plainHTTP()) == "session=abc; Path=/; HttpOnly; SameSite=Lax")
        #expect(try set(.plainHTTP(name: "dev")) == "dev=abc; Path=/; HttpOnly; SameSite=Lax")
        #expect(!isValid(.plainHTTP(name: "__Host-session")))
    }

    @Test func `every attribute has its place`() throws {
        let cookie = SessionCookie(
            name: "__Secure-s",
            path: "/app",
            domain: "example.org",
            sameSite: .none,
            isPartitioned: true,
            persistence: .persistent
        )
        #expect(
            try set(cookie, lifetime: .seconds(90)) == """
                __Secure-s=abc; Path=/app; Domain=example.org; Secure; HttpOnly; SameSite=None; Partitioned; \
                Max-Age=90; Expires=Mon, 26 Oct 2026 07:34:50 GMT
                """
        )
    }

    @Test func `a persistent cookie lives as long as the session, 400 days at most`() throws {
        let cookie = SessionCookie(persistence: .persistent)
        func age(_ lifetime: Duration?) throws -> String {
            let field = try set(cookie, lifetime: lifetime)
            return try #require(field.components(separatedBy: "Max-Age=").last)
        }
        #expect(try age(.seconds(1)) == "1; Expires=Mon, 26 Oct 2026 07:33:21 GMT")
        #expect(try age(.milliseconds(1999)) == "1; Expires=Mon, 26 Oct 2026 07:33:21 GMT")
        #expect(try age(.milliseconds(999)) == "0; Expires=Mon, 26 Oct 2026 07:33:20 GMT")
        #expect(try age(.seconds(-5)) == "0; Expires=Mon, 26 Oct 2026 07:33:20 GMT")
        let cap = "34560000; Expires=Tue, 30 Nov 2027 07:33:20 GMT"
        #expect(try age(.seconds(34_560_000)) == cap)
        #expect(try age(.seconds(34_560_001)) == cap)
        #expect(try age(.seconds(Int64.max)) == cap)
        #expect(try age(nil) == cap)
    }

    @Test func `dates agree with an independent calendar, through leap years and into the next century`()
        throws
    {
        let cookie = SessionCookie(persistence: .persistent)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "GMT"))
        let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        // A step of a day and a bit meets every day of year, weekday and hour; the range holds 2000 (leap)
        // and 2100 (not).
        for seconds in stride(from: 0, to: 4_400_000_000, by: 86_400 * 3 + 3_671) {
            let date = Date(timeIntervalSince1970: Double(seconds))
            let parts = calendar.dateComponents(
                [.weekday, .day, .month, .year, .hour, .minute, .second],
                from: date
            )
            func two(_ number: Int?) -> String { String(format: "%02d", number ?? -1) }
            let expected =
                "\(weekdays[parts.weekday! - 1]), \(two(parts.day)) \(months[parts.month! - 1]) \(parts.year!) "
                + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) GMT"
            let field = try set(cookie, lifetime: .zero, now: date)
            #expect(field.hasSuffix("; Expires=\(expected)"), "\(seconds)")
        }
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity, -1, 1e300, Double(Int64.max), 253_402_300_799])
    func `an absurd clock yields a date and no crash`(seconds: Double) throws {
        let field = try set(
            SessionCookie(persistence: .persistent),
            lifetime: nil,
            now: Date(timeIntervalSince1970: seconds)
        )
        #expect(field.hasSuffix(" GMT"))
    }

    // MARK: Deletion (R27)

    @Test func `a deletion repeats the attributes of the original`() throws {
        for (secure, domain, path) in [
            (true, nil, "/"), (true, "example.org", "/a"), (false, nil, "/"), (false, "example.org", "/b"),
        ]
            as [(Bool, String?, String)]
        {
            for sameSite in [SessionCookie.SameSite.strict, .lax, .none] where secure || sameSite != .none {
                for partitioned in [false, true] where secure || !partitioned {
                    for persistence in [SessionCookie.Persistence.browserSession, .persistent] {
                        let cookie = SessionCookie(
                            name: "s",
                            path: path,
                            domain: domain,
                            isSecure: secure,
                            sameSite: sameSite,
                            isPartitioned: partitioned,
                            persistence: persistence
                        )
                        let attributes = try set(cookie).dropFirst("s=abc".count).components(
                            separatedBy: "; Max-Age"
                        )[0]
                        #expect(
                            cookie.deletionFields()[0]
                                == "s=\(attributes); Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
                        )
                    }
                }
            }
        }
        #expect(
            SessionCookie().deletionFields()[0]
                == "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        )
    }

    // MARK: Prefixes and combinations (R46)

    @Test func `the table of prefixes and attributes`() {
        let prefixes = ["", "__Secure-", "__Http-", "__Host-", "__Host-Http-"]
        for prefix in prefixes {
            for isSecure in [true, false] {
                for path in ["/", "/app"] {
                    for domain in [nil, "example.org"] {
                        for sameSite in [SessionCookie.SameSite.strict, .lax, .none] {
                            for isPartitioned in [true, false] {
                                let cookie = SessionCookie(
                                    name: prefix + "session",
                                    path: path,
                                    domain: domain,
                                    isSecure: isSecure,
                                    sameSite: sameSite,
                                    isPartitioned: isPartitioned
                                )
                                let needsSecure = prefix != "" || sameSite == .none || isPartitioned
                                let isHostBound = prefix.hasPrefix("__Host-")
                                let expected =
                                    (isSecure || !needsSecure)
                                    && (!isHostBound || (path == "/" && domain == nil))
                                #expect(isValid(cookie) == expected, "\(cookie)")
                                #expect(((try? set(cookie)) != nil) == expected, "\(cookie)")
                            }
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: [
        "__host-session", "__HOST-session", "__hOST-s", "__secure-s", "__SECURE-s", "__http-s", "__HTTP-s",
        "__host-http-s",
        "__Host-http-s",
        "__host-Http-s", "__Host-HTTP-s",
    ])
    func `a mis-cased prefix is refused, because browsers guard it in any case`(name: String) {
        #expect(!isValid(SessionCookie(name: name)))
    }

    @Test(arguments: ["__Host-", "__Secure-", "__Http-", "__Host-Http-"])
    func `a bare prefix is no name`(name: String) {
        #expect(!isValid(SessionCookie(name: name)))
    }

    @Test(arguments: [
        "session", "_Host-s", "__Hosts", "host-s", "a__Host-s", "__Host_s", "a", "!#$%&'*+-.^_`|~",
    ])
    func `other names carry no obligations`(name: String) {
        #expect(isValid(SessionCookie(name: name, path: "/app", domain: "example.org", isSecure: false)))
    }

    @Test func `the message says what to change`() {
        func message(_ cookie: SessionCookie) -> String {
            do throws(SessionError) {
                try cookie.validate()
                return "valid"
            } catch {
                #expect(error.code == .invalidConfiguration)
                return error.message
            }
        }
        #expect(message(SessionCookie(isSecure: false)).contains("SessionCookie.plainHTTP()"))
        #expect(message(SessionCookie(path: "/app")).contains("__Secure-"))
        #expect(message(SessionCookie(domain: "example.org")).contains("no domain"))
        #expect(message(SessionCookie(name: "__host-x")).contains("\"__Host-\""))
        #expect(message(SessionCookie(name: "s", path: "app")).contains("start with"))
        #expect(message(SessionCookie(name: "s", domain: ".example.org")).contains("no dot"))
        #expect(
            message(SessionCookie(name: "s", isSecure: false, sameSite: .none)).contains("isSecure = true")
        )
    }

    // MARK: Bytes (R47)

    /// Each byte as a string: ASCII as itself, the others both as the character of that number and as an
    /// invalid byte.
    private static let bytes: [(UInt8, [String])] = (UInt8.min...UInt8.max).map { byte in
        (
            byte,
            [String(Unicode.Scalar(byte))] + (byte < 0x80 ? [] : [String(decoding: [byte], as: UTF8.self)])
        )
    }

    private static let alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

    @Test func `all 256 bytes in the name`() {
        let allowed = Set((Self.alphanumerics + "!#$%&'*+-.^_`|~").utf8)
        for (byte, strings) in Self.bytes {
            for string in strings {
                for name in ["a\(string)z", "\(string)z", "a\(string)"] {
                    #expect(isValid(SessionCookie(name: name)) == allowed.contains(byte), "byte \(byte)")
                }
            }
        }
        #expect(!isValid(SessionCookie(name: "")))
    }

    @Test func `all 256 bytes in the path`() {
        for (byte, strings) in Self.bytes {
            for string in strings {
                let expected = (0x20...0x7E).contains(byte) && byte != UInt8(ascii: ";")
                #expect(isValid(SessionCookie(name: "s", path: "/a\(string)z")) == expected, "byte \(byte)")
                #expect(
                    isValid(SessionCookie(name: "s", path: "/a\(string)")) == (expected && byte != 0x20),
                    "byte \(byte)"
                )
                #expect(
                    isValid(SessionCookie(name: "s", path: "\(string)a")) == (byte == UInt8(ascii: "/")),
                    "byte \(byte)"
                )
            }
        }
        #expect(!isValid(SessionCookie(name: "s", path: "")))
        #expect(isValid(SessionCookie(name: "s", path: "/" + String(repeating: "a", count: 1023))))
        #expect(!isValid(SessionCookie(name: "s", path: "/" + String(repeating: "a", count: 1024))))
    }

    @Test func `all 256 bytes in the domain`() {
        let allowed = Set((Self.alphanumerics + "-._").utf8)
        for (byte, strings) in Self.bytes {
            for string in strings {
                #expect(
                    isValid(SessionCookie(name: "s", domain: "a\(string)z")) == allowed.contains(byte),
                    "byte \(byte)"
                )
            }
        }
        for domain in [
            "", ".", ".example.org", "example.org.", "a..b", "example.org:80", "*.example.org", "http://a",
        ] {
            #expect(!isValid(SessionCookie(name: "s", domain: domain)), "\(domain)")
        }
        let labels = Array(repeating: "a", count: 512).joined(separator: ".")
        #expect(isValid(SessionCookie(name: "s", domain: labels + "a")))
        #expect(!isValid(SessionCookie(name: "s", domain: labels + "aa")))
    }

    @Test func `all 256 bytes in the value`() throws {
        for (byte, strings) in Self.bytes {
            for string in strings {
                let expected = (0x21...0x7E).contains(byte) && !#"",;\"#.utf8.contains(byte)
                for value in ["a\(string)z", string] {
                    #expect(((try? set(SessionCookie(), value)) != nil) == expected, "byte \(byte)")
                }
            }
        }
    }

    @Test func `an error does not repeat the value`() {
        for value in ["sekret;", String(repeating: "sekret", count: 2000)] {
            let error = #expect(throws: SessionError.self) { try set(SessionCookie(), value) }
            #expect(
                error.map { !"\($0)".contains("sekret") && !String(reflecting: $0).contains("sekret") }
                    == true
            )
        }
    }

    // MARK: Into the response (R48, R52)

    private func cookies(_ response: HTTPResponse) -> [String] { response.headerFields[values: .setCookie] }

    @Test func `there is one Set-Cookie for the name, other cookies stay`() throws {
        let cookie = SessionCookie()
        var response = HTTPResponse(status: .ok)
        let others = [
            "theme=dark; Path=/", "__Host-session2=x", "__host-session=x", "x=__Host-session=y",
            "__Host-session", "=__Host-session=z", "",
        ]
        response.headerFields[values: .setCookie] =
            ["__Host-session=handler; Path=/"] + others + [" __Host-session\t= again"]
        #expect(cookie.write([try set(cookie, "first")], to: &response))
        #expect(cookie.write([try set(cookie, "second")], to: &response))
        #expect(
            cookies(response) == others + ["__Host-session=second; Path=/; Secure; HttpOnly; SameSite=Lax"]
        )
    }

    @Test func `interim responses and 304 carry no cookie`() throws {
        for code in 100...599 {
            var response = HTTPResponse(status: .init(code: code))
            response.headerFields[.setCookie] = "__Host-session=handler"
            let isPermitted = code >= 200 && code != 304
            #expect(SessionCookie.isPermitted(on: response.status) == isPermitted)
            #expect(SessionCookie().write(SessionCookie().deletionFields(), to: &response) == isPermitted)
            #expect(
                cookies(response) == [
                    isPermitted ? SessionCookie().deletionFields()[0] : "__Host-session=handler"
                ]
            )
        }
    }

    @Test func `what is written can be read`() throws {
        let octets = String(decoding: (0x21...0x7E).filter { !#"",;\"#.utf8.contains($0) }, as: UTF8.self)
        for cookie in [SessionCookie(), .plainHTTP(), SessionCookie(name: "!#$%&'*+-.^_`|~")] {
            let pair = try set(cookie, octets).components(separatedBy: "; ")[0]
            #expect(cookie.read([.cookie: "a=1; \(pair); b=2"]).value == .value(octets))
        }
    }
}
