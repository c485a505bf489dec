// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import SessionsTesting
import Synchronization
import Testing

/// The jar is the client of every outside test, so it is held to the browser's rules first (RFC 6265bis §5).
@Suite struct CookieJarTests {
    private let secure = CookieJar.Location(host: "shop.example.org", path: "/cart/view", isSecure: true)
    private let plain = CookieJar.Location(host: "shop.example.org", path: "/cart/view", isSecure: false)

    private func at(_ path: String, host: String = "shop.example.org", isSecure: Bool = true)
        -> CookieJar.Location
    {
        CookieJar.Location(host: host, path: path, isSecure: isSecure)
    }

    /// What a jar sends back to the place where these lines came from.
    private func sent(_ lines: String..., from: CookieJar.Location? = nil, to: CookieJar.Location? = nil)
        -> String?
    {
        var jar = CookieJar()
        for line in lines { jar.receive(line, from: from ?? secure) }
        return jar.cookieField(for: to ?? from ?? secure)
    }

    @Test(arguments: [
        ("a=b", "a=b"), ("a = b ", "a=b"), ("\ta\t=\tb\t; Path=/", "a=b"), ("a=", "a="), ("a=b=c", "a=b=c"),
        ("a==b", "a==b"),
        ("a=\"b\"", "a=\"b\""), ("a=b,c=d", "a=b,c=d"), ("a=b c", "a=b c"), ("a=%3B", "a=%3B"), ("a", "a"),
        ("=a", "a"),
        ("a=\u{E9}", "a=\u{E9}"),
        ("a=b;", "a=b"), ("a=b;;;", "a=b"), ("a=b; nonsense; x=y", "a=b"), ("A=b", "A=b"),
    ]) func `a pair is taken as it stands`(line: String, field: String) {
        #expect(sent(line) == field)
    }

    @Test(arguments: [
        "", ";", "=", " = ; Path=/", "a=\u{0}", "a=b\u{1}", "a\r=b", "a=b\nc=d", "a=\u{7F}",
        "a=b; Path=/\u{2}",
    ])
    func `a line without a cookie or with a control character is ignored`(line: String) {
        var jar = CookieJar()
        let isKept = jar.receive(line, from: secure)
        #expect(!isKept)
        #expect(jar.cookies.isEmpty)
    }

    @Test func `name and value together may have 4096 bytes, an attribute 1024`() {
        #expect(sent("n=" + String(repeating: "v", count: 4095)) != nil)
        #expect(sent("n=" + String(repeating: "v", count: 4096)) == nil)
        let long = "/" + String(repeating: "p", count: 1024)
        #expect(
            sent("a=b; Path=\(long)", to: at("/cart/other")) == "a=b",
            "a path that is too long is left out"
        )
        #expect(sent("a=b; Path=\(long.dropLast())", to: at("/cart/other")) == nil)
    }

    @Test func `a newer cookie of the same name, domain and path replaces the older and keeps its place`() {
        #expect(sent("a=1; Path=/", "b=2; Path=/", "a=3; Path=/") == "a=3; b=2")
        #expect(
            sent("a=1; Path=/", "a=2; Path=/cart") == "a=2; a=1",
            "another path is another cookie; the longer one goes first"
        )
        #expect(sent("a=1", "A=2") == "a=1; A=2")
    }

    @Test(arguments: [
        ("/", "/", true), ("/", "/any", true), ("/cart", "/cart", true), ("/cart", "/cart/view", true),
        ("/cart", "/cartoon", false),
        ("/cart/", "/cart", false), ("/cart/", "/cart/view", true), ("/Cart", "/cart", false),
        ("", "/cart/x", true),
        ("cart", "/cart/x", true),
        ("", "/", false), ("cart", "/other", false),
    ]) func `the path decides where a cookie goes`(path: String, requested: String, isSent: Bool) {
        #expect((sent("a=b; Path=\(path)", to: at(requested)) != nil) == isSent)
    }

    @Test func `without a path the directory of the request counts`() {
        #expect(sent("a=b", to: at("/cart")) == "a=b")
        #expect(sent("a=b", to: at("/")) == nil)
        #expect(sent("a=b", from: at("/top"), to: at("/")) == "a=b")
    }

    @Test(arguments: [
        ("", "shop.example.org", true), ("", "www.shop.example.org", false),
        ("example.org", "example.org", true),
        ("example.org", "any.example.org", true), (".example.org", "any.example.org", true),
        ("EXAMPLE.org", "any.example.org", true),
        ("example.org", "badexample.org", false), ("shop.example.org", "x.shop.example.org", true),
        ("other.org", "other.org", false),
        ("other.org", "shop.example.org", false), ("x.shop.example.org", "x.shop.example.org", false),
        ("org", "any.org", false),
        ("org", "shop.example.org", false),
    ]) func `the domain decides which hosts get a cookie`(domain: String, host: String, isSent: Bool) {
        #expect((sent("a=b; Path=/; Domain=\(domain)", to: at("/", host: host)) != nil) == isSent)
    }

    @Test func `an address is no domain`() {
        let address = at("/", host: "127.0.0.1")
        #expect(sent("a=b", from: address) == "a=b")
        #expect(sent("a=b; Domain=0.0.1", from: address) == nil)
    }

    @Test func `a secure cookie comes and goes over secure connections only`() {
        #expect(sent("a=b; Secure", from: secure) == "a=b")
        #expect(sent("a=b; secure", from: secure, to: plain) == nil)
        #expect(sent("a=b; Secure", from: plain, to: secure) == nil)
        var jar = CookieJar()
        jar.receive("a=real; Path=/; Secure", from: secure)
        for line in ["a=fake; Path=/", "a=; Path=/; Max-Age=0"] {
            let isKept = jar.receive(line, from: plain)
            #expect(!isKept, "an insecure connection can neither hide nor remove a secure cookie")
        }
        #expect(jar.cookieField(for: secure) == "a=real")
    }

    @Test(arguments: [
        ("__Host-a=b; Path=/; Secure", true), ("__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax", true),
        ("__Host-a=b; Path=/", false),
        ("__Host-a=b; Secure", false), ("__Host-a=b; Path=/cart; Secure", false),
        ("__Host-a=b; Path=/; Secure; Domain=shop.example.org", false),
        ("__host-a=b; Path=/", false), ("__HOST-a=b; Secure; Path=/", true), ("__Secure-a=b; Secure", true),
        ("__Secure-a=b", false),
        ("__secure-a=b", false), ("=__Host-a=b; Path=/; Secure", false), ("__Host-a; Path=/; Secure", false),
        ("a=b; SameSite=None", false),
        ("a=b; SameSite=None; Secure", true), ("a=b; Partitioned", false), ("a=b; Partitioned; Secure", true),
        ("a=b; SameSite=nonsense", true),
    ]) func `prefixes and cross-site cookies are held to their rules`(line: String, isKept: Bool) {
        var jar = CookieJar()
        let received = jar.receive(line, from: secure)
        #expect(received == isKept)
        #expect(jar.cookies.isEmpty != isKept)
    }

    @Test func `attributes are kept as the server meant them; the last of a kind counts`() throws {
        var jar = CookieJar()
        jar.receive(
            "a=b; HTTPONLY; samesite=STRICT; Path=/x; Path=/; Secure; Domain=; Max-Age=60; Max-Age=nonsense",
            from: secure
        )
        let cookie = try #require(jar.cookies.first)
        #expect(
            cookie.isHTTPOnly && cookie.isSecure && cookie.isHostOnly && cookie.sameSite == "Strict"
                && cookie.path == "/"
        )
        #expect(cookie.expires != nil)
    }

    @Test func `time ends cookies, and deletion empties the jar`() {
        let clock = StoppedClock(0)
        var jar = CookieJar(now: { clock.now })
        jar.receive("short=1; Path=/; Max-Age=10", from: secure)
        jar.receive("session=1; Path=/", from: secure)
        jar.receive("dated=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:20 GMT", from: secure)
        jar.receive("both=1; Path=/; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:20 GMT", from: secure)
        jar.receive("far=1; Path=/; Max-Age=99999999999999999999", from: secure)
        #expect(jar.cookieField(for: secure) == "short=1; session=1; dated=1; both=1; far=1")
        clock.advance(5)
        #expect(
            jar.cookieField(for: secure) == "short=1; session=1; dated=1; far=1",
            "Max-Age wins; at the end it is over"
        )
        clock.advance(5)
        #expect(jar.cookieField(for: secure) == "session=1; dated=1; far=1")
        clock.advance(10)
        #expect(jar.cookieField(for: secure) == "session=1; far=1")
        clock.advance(400 * 86_400 - 21)
        #expect(jar.cookieField(for: secure) == "session=1; far=1")
        clock.advance(1)
        #expect(jar.cookieField(for: secure) == "session=1", "nothing lives longer than 400 days")
        jar.receive("session=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", from: secure)
        #expect(jar.cookieField(for: secure) == nil)
    }

    @Test(arguments: [
        "Max-Age=0", "Max-Age=-1", "Max-Age=-99999999999999999999", "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    ])
    func `a cookie that is over at once removes the one before`(attribute: String) {
        #expect(sent("a=b; Path=/", "a=gone; Path=/; \(attribute)") == nil)
        #expect(
            sent("a=b; Path=/", "a=gone; Path=/cart; \(attribute)") == "a=b",
            "not the one of another path"
        )
    }

    @Test(arguments: [
        "Max-Age=", "Max-Age=1.5", "Max-Age=+9", "Max-Age=9x", "Max-Age=-", "Expires=", "Expires=never",
        "Expires=32 Jan 2000 00:00:00",
    ])
    func `an attribute that makes no sense is left out`(attribute: String) {
        #expect(sent("a=b; Path=/; \(attribute)") == "a=b")
    }

    @Test(arguments: [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("6 nov 1994 8:49:37", 784_111_777), ("1994 6 November 08:49:37 UTC", 784_111_777),
        ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
        ("01 Jan 1970 00:00:00", 0), ("31 Dec 69 23:59:59", 3_155_759_999), ("1 Jan 70 00:00:01", 1),
    ]) func `dates are read in every form that servers write`(text: String, seconds: Int) throws {
        let clock = StoppedClock(Double(seconds) - 1)
        var jar = CookieJar(now: { clock.now })
        jar.receive("a=b; Expires=\(text)", from: secure)
        #expect(jar.cookies.first?.expires == Date(timeIntervalSince1970: Double(seconds)))
        clock.advance(1)
        #expect(jar.cookies.isEmpty)
    }

    @Test(arguments: [
        "30 Feb 2023 00:00:00", "29 Feb 2023 00:00:00", "1 Jan 1600 00:00:00", "1 Jan 2000 24:00:00",
        "1 Jan 2000 00:60:00", "1 Jan 2000",
    ])
    func `a date that does not exist is none`(text: String) {
        #expect(sent("a=b; Path=/; Expires=\(text)") == "a=b")
    }

    @Test func `all fields of a response are taken in, and a copy of the jar goes its own way`() {
        var fields = HTTPFields()
        fields.append(HTTPField(name: .setCookie, value: "a=1; Path=/"))
        fields.append(HTTPField(name: .setCookie, value: "b=2; Path=/"))
        var jar = CookieJar()
        jar.receive(fields, from: secure)
        var copy = jar
        copy.receive("a=9; Path=/", from: secure)
        #expect(jar.cookieField(for: secure) == "a=1; b=2")
        #expect(copy.value("a", for: secure) == "9" && copy.value("c", for: secure) == nil)
        copy.removeAll()
        #expect(copy.cookieField(for: secure) == nil && jar.cookies.count == 2)
    }
}

/// A clock that stands still until it is moved.
private final class StoppedClock: Sendable {
    private let seconds: Mutex<Double>

    init(_ seconds: Double) { self.seconds = Mutex(seconds) }

    var now: Date { Date(timeIntervalSince1970: seconds.withLock { $0 }) }

    func advance(_ by: Double) { seconds.withLock { $0 += by } }
}
