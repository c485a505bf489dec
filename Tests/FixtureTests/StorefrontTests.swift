// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The sample shop as a browser sees it; how it behaves as a cluster is what `make demo CHECK=1` plays.
@Suite struct StorefrontTests {
    @Test func `a name is text, whatever is in it`() async throws {
        let shop = try await Shop()
        let name = #"<script>alert("1")</script> & 'Söhne'"#
        #expect(try await shop.status("--data-urlencode", "name=\(name)", "/sign-in") == "303")
        for path in ["/", "/devices"] {
            let page = try await shop.curl(path)
            #expect(
                page.contains(
                    "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;Söhne&#39;</strong>"
                )
            )
            #expect(!page.contains("<script>"))
        }
        #expect(try await shop.curl("--include", "/").contains("Content-Security-Policy: default-src 'none'"))
    }

    @Test func `a form from another site changes nothing`() async throws {
        let shop = try await Shop()
        for foreign in [
            "Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
        ] {
            #expect(
                try await shop.status("--header", foreign, "--data", "product=mug", "/cart") == "403",
                "\(foreign)"
            )
        }
        #expect(try await shop.redis.keys().isEmpty)
        for own in ["Origin: \(shop.url)", "Sec-Fetch-Site: same-origin", "Accept: */*"] {
            #expect(
                try await shop.status("--header", own, "--data", "product=mug", "/cart") == "303",
                "\(own)"
            )
        }
        #expect(try await shop.curl("/").contains("id=\"cart-count\">3<"))
    }

    @Test(
        .enabled(if: ChromiumRun.isInstalled),
        arguments: ["<form id=x method=post action=URL><input name=product value=mug></form>", ""]
    )
    func `a page elsewhere changes nothing from a real browser`(form: String) async throws {
        let shop = try await Shop()
        let action = shop.url + "/cart"
        let script =
            form.isEmpty
            ? "fetch('\(action)', {method: 'POST', mode: 'no-cors', body: new URLSearchParams({product: 'mug'})})"
                + ".then(() => { document.title = 'sent' })"
            : "document.getElementById('x').submit()"
        let page = form.replacing("URL", with: action) + "<script>\(script)</script>"
        let encoded = try #require(page.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
        let chromium = try ChromiumRun(
            "data:text/html,\(encoded)",
            [
                "--dump-dom", "--virtual-time-budget=10000",
                // Otherwise the browser itself keeps this page from asking a loopback address.
                "--disable-features=LocalNetworkAccessChecks",
            ]
        )
        try await chromium.wait(seconds: 60)
        let text = chromium.text
        // The form leads to the shop's page that says no; the script gets an answer that it cannot read.
        #expect(text.contains(form.isEmpty ? "<title>sent</title>" : "Not from here"), "\(text.suffix(2000))")
        #expect(try await shop.redis.keys().isEmpty)
    }

    @Test func `looking around stores nothing, and a form that makes no sense neither`() async throws {
        let shop = try await Shop()
        let page = try await shop.curl("--include", "/")
        #expect(page.contains("nothing is stored about you") && !page.lowercased().contains("set-cookie"))
        for form in ["", "product=", "product=ship", "product=%zz"] {
            #expect(try await shop.status("--data", form, "/cart") == "400", "\(form)")
        }
        for form in ["", "name=", "name=%20", "name=\(String(repeating: "x", count: 41))"] {
            #expect(try await shop.status("--data", form, "/sign-in") == "400", "\(form)")
        }
        #expect(try await shop.status("--data", "id=x", "/devices/sign-out") == "303")
        #expect(try await shop.redis.keys().isEmpty)
    }

    @Test func `one device signs out another`() async throws {
        let shop = try await Shop()
        let phone = Jar()
        for jar in [shop.jar, phone] {
            #expect(try await shop.status(jar: jar, "--data", "name=Ada", "/sign-in") == "303")
        }
        let devices = try await shop.curl("/devices")
        #expect(devices.contains("id=\"device-count\">2<"))
        let ids = devices.matches(of: /name="id" value="([^"]+)"/).map { String($0.1) }
        let own = try #require(devices.firstMatch(of: /this device.*\n.*<code>([^<]+)/)).1
        let other = try #require(ids.first { $0 != own })

        #expect(try await shop.status("--data", "id=\(other)", "/devices/sign-out") == "303")
        #expect(try await shop.curl(jar: phone, "/").contains("action=\"/sign-in\""))
        #expect(try await shop.curl("/").contains("id=\"user\">Ada<"))
        #expect(try await shop.status("--data", "id=\(own)", "/devices/sign-out") == "303")
        #expect(try await shop.curl("/").contains("action=\"/sign-in\""))
    }

    @Test func `with memory, each instance has its own list of devices and says so`() async throws {
        let shop = try await Shop(store: "memory")
        #expect(try await shop.status("--data", "name=Ada", "/sign-in") == "303")
        let page = try await shop.curl("/devices")
        #expect(
            page.contains("id=\"device-count\">1<")
                && page.contains("signed in on this instance; others keep their own lists")
        )
        #expect(try await shop.redis.keys().isEmpty)
    }

    @Test func `with sealed cookies there is no list of devices, and the page says so`() async throws {
        let shop = try await Shop(store: "sealed", "--seal-keys", sealKey("demo"))
        #expect(try await shop.status("--data", "name=Ada", "/sign-in") == "303")
        let page = try await shop.curl("--include", "/devices")
        #expect(page.hasPrefix("HTTP/1.1 501 ") && page.contains("<h1>No list here</h1>"))
        #expect(try await shop.status("--data", "", "/devices/sign-out-others") == "501")
        #expect(try await shop.curl("/").contains("id=\"user\">Ada<"), "nobody was signed out by that")
    }

    @Test func `an unknown store in the environment ends with a sentence`() async throws {
        let shop = try ChildProcess(Shop.program, [], environment: ["STOREFRONT_STORE": "floppy"])
        #expect(try await shop.wait(seconds: 20) != 0)
        #expect(shop.text.contains("STOREFRONT_STORE: give one of redis, redis-cached, memory"))
    }

    @Test(arguments: [
        ["--port", "70000"], ["--port", "x"], ["--redis", "http://127.0.0.1"], ["--instance", "two words"],
        ["--nonsense"],
        ["--store", "floppy"], ["--store", "sealed"], ["--store", "sealed", "--seal-keys", "demo:c2hvcnQ"],
    ]) func `settings that cannot be used end with a sentence`(arguments: [String]) async throws {
        let shop = try ChildProcess(Shop.program, arguments)
        #expect(try await shop.wait(seconds: 20) != 0)
        #expect(shop.text.contains("Error: ") && !shop.text.contains("Fatal error"), "\(shop.text)")
    }
}

/// A cookie jar in a file, as curl keeps it.
private final class Jar: Sendable {
    let path = FileManager.default.temporaryDirectory.appending(path: "jar-\(UUID().uuidString)").path
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// One running instance with its own Redis, asked by curl.
private struct Shop {
    static let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(
        path: "Storefront"
    ).path

    let redis: RedisServer
    let url: String
    let jar = Jar()
    private let child: ChildProcess

    init(store: String = "redis", _ further: String...) async throws {
        redis = try await RedisServer()
        let port = try freePort()
        url = "http://127.0.0.1:\(port)"
        let place = ["--port", "\(port)", "--store", store, "--redis", redis.url]
        child = try ChildProcess(Self.program, place + ["--plain-http", "--instance", "one"] + further)
        let ready = url + "/readyz"
        let isReady = await poll(seconds: 20) {
            (try? await run("curl", ["--fail", "--silent", ready])) != nil
        }
        try #require(isReady, "the Storefront did not start: \(child.text)")
    }

    /// Sends one request and gives the answer's body; the last argument is the path.
    func curl(jar: Jar? = nil, _ arguments: String...) async throws -> String {
        try await send(arguments, jar)
    }

    /// The same, for its status code.
    func status(jar: Jar? = nil, _ arguments: String...) async throws -> String {
        try await send(["--output", "/dev/null", "--write-out", "%{http_code}"] + arguments, jar)
    }

    private func send(_ arguments: [String], _ other: Jar?) async throws -> String {
        let path = (other ?? jar).path
        let cookies = ["--silent", "--max-time", "10", "--cookie", path, "--cookie-jar", path]
        return try await run("curl", cookies + arguments.dropLast() + [url + (arguments.last ?? "")])
    }
}
