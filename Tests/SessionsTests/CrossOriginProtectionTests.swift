// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions
import Testing

/// The decision table of the protection against requests from other sites (R83).
@Suite struct `Cross-origin protection` {
    private static let own = "https://shop.example"

    private func request(
        _ method: HTTPRequest.Method = .post,
        site: [String] = [],
        origin: [String] = [],
        host: String? = "shop.example",
        scheme: String? = "http",
        path: String = "/cart",
        upgrade: String? = nil
    ) -> HTTPRequest {
        var fields = HTTPFields()
        for value in site { fields.append(HTTPField(name: HTTPField.Name("Sec-Fetch-Site")!, value: value)) }
        for value in origin { fields.append(HTTPField(name: .origin, value: value)) }
        fields[.upgrade] = upgrade
        return HTTPRequest(method: method, scheme: scheme, authority: host, path: path, headerFields: fields)
    }

    private func passes(_ request: HTTPRequest, _ protection: CrossOriginProtection = .init()) -> Bool {
        protection.refusal(of: request) == nil
    }

    /// `Sec-Fetch-Site`, `Origin`, and whether an unsafe request passes.
    private static let table: [([String], [String], Bool)] = [
        (["same-origin"], [own], true), (["same-origin"], [], true), (["none"], [], true),
        (["none"], [own], true),
        // `Referrer-Policy: no-referrer` makes a page's own forms say null.
        (["same-origin"], ["null"], true),
        (["cross-site"], ["https://evil.example"], false), (["cross-site"], [], false),
        (["same-site"], ["https://blog.shop.example"], false), (["same-site"], [], false),
        (["cross-site"], ["null"], false), (["cross-site"], [own], false), (["same-site"], [own], false),
        ([], [own], true), ([], ["HTTPS://SHOP.EXAMPLE"], true), ([], ["http://shop.example"], true),
        ([], ["https://shop.example:443"], true), ([], ["https://shop.example:8443"], false),
        ([], ["http://shop.example:443"], false), ([], ["https://evil.example"], false),
        ([], ["https://shop.example.evil.example"], false), ([], ["https://evilshop.example"], false),
        ([], ["https://a.shop.example"], false), ([], ["null"], false), ([], ["ftp://shop.example"], false),
        ([], [], true),
        // Repeated and malformed.
        (["same-origin", "same-origin"], [own], false), (["same-origin", "cross-site"], [own], false),
        (["same-origin, cross-site"], [own], false), (["Same-Origin"], [own], false), ([""], [], false),
        ([""], [own], false), (["same-party"], [own], false), (["same-origin;a"], [], false),
        ([], [own, own], false), ([], [own, "https://evil.example"], false),
        (["same-origin"], [own, "https://evil.example"], false), ([], ["\(own) https://evil.example"], false),
        ([], [""], false), (["same-origin"], [""], false), ([], ["shop.example"], false),
        ([], ["\(own)/"], false), ([], ["\(own)/cart"], false), ([], ["https://ann@shop.example"], false),
        ([], ["https://shop.example:"], false), ([], ["https://shop.example:0443"], true),
        ([], ["https://shop.example:99999"], false), ([], ["https://"], false),
        ([], ["//shop.example"], false),
        ([], ["https://shop.example?"], false), ([], ["https://shop.example#"], false),
        ([], ["*"], false), ([], ["NULL"], false),
        (["same-origin"], ["javascript:1"], false),
    ]

    @Test(arguments: table) func `decides about an unsafe request`(
        site: [String],
        origin: [String],
        isAllowed: Bool
    ) throws {
        for method in [HTTPRequest.Method.post, .put, .patch, .delete, .trace, .connect, .init("get")!] {
            #expect(passes(request(method, site: site, origin: origin)) == isAllowed, "\(method)")
        }
        for method in [HTTPRequest.Method.get, .head, .options] {
            #expect(passes(request(method, site: site, origin: origin)), "\(method)")
            let handshake = request(method, site: site, origin: origin, upgrade: "websocket")
            #expect(passes(handshake) == isAllowed, "\(method) with Upgrade")
        }
    }

    @Test(
        arguments: [
            ("shop.example:8080", "http://shop.example:8080", true),
            ("shop.example:8080", "http://shop.example:8081", false),
            ("shop.example:8080", "http://shop.example", false),
            ("shop.example", "http://shop.example:8080", false),
            ("SHOP.Example:80", "http://shop.example", true),
            ("shop.example:443", "https://shop.example", true),
            ("shop.example:443", "http://shop.example", false), ("127.0.0.1:80", "http://127.0.0.1", true),
            ("[::1]:8080", "http://[::1]:8080", true), ("[::1]", "http://[::1]", true),
            ("[::1]:8080", "http://[::1]:8081", false), ("[::2]", "http://[::1]", false),
            ("xn--bcher-kva.example", "https://xn--bcher-kva.example", true),
            ("shop.example.", "https://shop.example", false), (nil, "https://shop.example", false),
            ("", "https://", false), ("shop.example,evil.example", "https://evil.example", false),
            ("ann@shop.example", "https://shop.example", false),
            ("shop.example:x", "https://shop.example", false),
        ] as [(String?, String, Bool)]
    )
    func `compares the origin with the host that was asked`(host: String?, origin: String, isAllowed: Bool) {
        #expect(passes(request(origin: [origin], host: host)) == isAllowed)
    }

    @Test func `compares schemes where the connection tells`() {
        #expect(passes(request(origin: ["https://shop.example"], scheme: "https")))
        #expect(!passes(request(origin: ["http://shop.example"], scheme: "https")))
        #expect(
            !passes(request(origin: ["http://shop.example:443"], host: "shop.example:443", scheme: "https"))
        )
        #expect(passes(request(origin: ["http://shop.example"], scheme: nil)))
    }

    @Test func `a trusted origin passes, and no other`() throws {
        let protection = try CrossOriginProtection(trustedOrigins: [
            "https://Admin.Example", "http://127.0.0.1:3000", "chrome-extension://abcdef",
        ])
        for origin in [
            "https://admin.example", "https://admin.example:443", "http://127.0.0.1:3000",
            "chrome-extension://abcdef",
        ] {
            for site in [["cross-site"], ["same-site"], []] {
                #expect(passes(request(site: site, origin: [origin]), protection), "\(origin) \(site)")
            }
            for site in [["nonsense"], ["cross-site", "cross-site"]] {
                #expect(!passes(request(site: site, origin: [origin]), protection))
            }
            #expect(!passes(request(origin: [origin, origin]), protection))
        }
        for origin in [
            "http://admin.example", "https://admin.example:444", "https://a.admin.example", "null",
            "http://127.0.0.1", "https://admin.example/", "moz-extension://abcdef",
        ] {
            #expect(!passes(request(site: ["cross-site"], origin: [origin]), protection), "\(origin)")
        }
        #expect(!passes(request(site: ["cross-site"]), protection))
    }

    @Test(arguments: [
        "", "null", "*", "https://*.example", "admin.example", "https://", "https://admin.example/",
        "https://admin.example/path", "https://admin.example?x", "https://admin.example#x",
        "https://ann@admin.example", "https://admin.example:", "https://admin.example:0",
        "https://admin.example:65536", "https://admin.example:x", " https://admin.example",
        "https://admin.example ", "https://bücher.example", "https://[::1", "https://[1]", "://admin.example",
        "1ttp://admin.example", "https:admin.example", "https//admin.example",
    ]) func `an impossible trusted origin is refused at construction`(origin: String) throws {
        let error = try #require(throws: SessionError.self) {
            try CrossOriginProtection(trustedOrigins: ["https://fine.example", origin])
        }
        #expect(error.code == .invalidConfiguration && error.message.contains("scheme://host"))
    }

    @Test func `an exempt path is not examined, whatever the request says`() throws {
        let protection = try CrossOriginProtection(exemptPaths: ["/hooks/mail", "/public/*", "/"])
        for path in [
            "/hooks/mail", "/hooks/mail?from=/../a", "/public/a", "/public/a/b.c", "/public/..a", "/", "/?a",
        ] {
            #expect(
                passes(request(site: ["cross-site"], origin: ["null"], path: path), protection),
                "\(path)"
            )
        }
    }

    /// Ways to write a path that a router, proxy or file system may read as another one.
    @Test(arguments: [
        "/public", "/public/", "/publicity", "/hooks/mail/", "/hooks/mail/more", "/hooks/mail%2f",
        "/Hooks/mail",
        "/hooks", "/public/../cart", "/public/./cart", "/public/..", "/public/.", "/public/...",
        "/public/%2e%2e/cart",
        "/public/%2E./cart", "/public//cart", "//public/a", "/public/..;/cart", "/public/a;b", "/public/a%00",
        "/public\\..\\cart", "/public/..\\cart", "/public/a/../../cart", "/cart/../public/a",
        "/x/..//public/a",
        "http://shop.example/public/a", "public/a", "/public/a#b", "/public/\u{E9}", "/public/a/", "*", "",
        "/cart?/public/a", "/cart#/public/a", "/%70ublic/a", "/public/a b",
    ]) func `no other spelling opens an exempt path`(path: String) throws {
        let protection = try CrossOriginProtection(exemptPaths: ["/hooks/mail", "/public/*"])
        #expect(!passes(request(site: ["cross-site"], path: path), protection))
        #expect(passes(request(site: ["same-origin"], path: path), protection))
    }

    @Test(arguments: [
        "", "/*", "*", "hooks", "hooks/*", "/hooks/", "/hooks*", "/*/mail", "/hooks/**", "/hooks/:id",
        "/hooks/{id}", "/hooks/%6dail", "/a//b", "/a/../b", "/a/.", "/a?b", "/a#b", "/a;b", "/hooks//*",
        "/a b",
        "https://shop.example/hooks",
    ]) func `an impossible exempt path is refused at construction`(path: String) throws {
        let error = try #require(throws: SessionError.self) {
            try CrossOriginProtection(exemptPaths: ["/fine", path])
        }
        #expect(error.code == .invalidConfiguration && error.message.contains("/path/*"))
    }

    @Test func `a refusal can be logged as it is`() throws {
        let long = "https://evil.example\u{22}}\\\u{E9}<script>" + String(repeating: "x", count: 8000)
        let hostile = request(site: ["cross-site", "a\tb"], origin: [long, "null"])
        let refusal = try #require(CrossOriginProtection().refusal(of: hostile))
        #expect(refusal.site == "cross-site,a?b")
        #expect(refusal.origin?.hasPrefix("https://evil.example??????script?xxx") == true)
        #expect(refusal.origin?.count == 129 && refusal.description.utf8.count < 220)
        let silent = try #require(CrossOriginProtection().refusal(of: request(site: ["cross-site"])))
        #expect("\(silent)" == "cross-origin: Sec-Fetch-Site cross-site, Origin missing")
        #expect(silent.status == .forbidden && silent.headers[.vary] == "Origin, Sec-Fetch-Site")
        #expect(silent.headers[.cacheControl] == "no-store")
    }
}
