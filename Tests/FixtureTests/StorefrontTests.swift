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
        #expect(devices.contains("id=\"device-count\">2<") && devices.contains("<strong>curl</strong>"))
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

    @Test func `the panel says what Redis and the cookie say`() async throws {
        let shop = try await Shop()
        for product in ["mug", "lamp", "mug"] {
            #expect(try await shop.status("--data", "product=\(product)", "/cart") == "303")
        }
        // Shows the messages, which is a change.
        _ = try await shop.curl("/")

        try await shop.redis.resetCounts()
        #expect(try await shop.status("--data", "product=chair", "/cart") == "303")
        let write = try await shop.redis.commandCounts().filter { $0.key != "evalsha" || $0.value > 0 }
        #expect(write == ["hgetall": 1, "pttl": 1, "evalsha": 1] || write["evalsha"] == 1, "\(write)")
        let written = try await shop.curl("/")
        #expect(
            written.contains(
                "form <code>/cart</code></span> <strong>one</strong>\n<span>2 round trips, 3 commands<"
            )
        )

        try await shop.redis.resetCounts()
        let page = try await shop.curl("/")
        let read = try await shop.redis.commandCounts()
        #expect(read == ["hgetall": 1, "pttl": 1])
        #expect(page.contains("id=\"cost\">1 round trip, 2 commands<"))
        #expect(!page.contains("form <code>/cart"), "the form is an older page's")

        let cookie = try #require(try shop.jar.cookie("session"))
        let parts = cookie.split(separator: ".").map(String.init)
        #expect(page.contains("id=\"cookie-bytes\">\(cookie.utf8.count)<"))
        #expect(page.contains("<code>\(parts[0])</code>") && !page.contains(parts[1]))
        let key = try #require(try await shop.redis.keys("storefront:s:").first)
        let version = try #require(page.firstMatch(of: /id="version">(\d+)</)).1
        let stored = try await shop.redis.admin("HGETALL", key).split(separator: "\n").map(String.init)
        #expect(stored.contains(String(version)), "\(version) in \(stored)")
        let left = try #require(Int(try await shop.redis.admin("PTTL", key)))
        let shown = try #require(
            page.firstMatch(of: /id="idle-end" data-seconds="(\d+)"/).flatMap { Int($0.1) }
        )
        #expect((shown - 30...shown + 1).contains(left / 1000), "\(shown) s are shown, \(left) ms are left")
    }

    @Test func `what the panel says about a sealed cookie is not what is in it`() async throws {
        let shop = try await Shop(store: "sealed", "--seal-keys", sealKey("demo"))
        #expect(try await shop.status("--data", "product=mug", "/cart") == "303")
        _ = try await shop.curl("/")
        let page = try await shop.curl("/")
        let cookie = try #require(try shop.jar.cookie("session"))
        let parts = cookie.split(separator: ".").map(String.init)
        #expect(page.contains("id=\"cookie-bytes\">\(cookie.utf8.count)<") && !page.contains(parts[2]))
        #expect(page.contains("sealed payload <small>\(parts[2].count) bytes</small>"))
        #expect(page.contains("id=\"cost\">no Redis<"))
    }

    @Test func `outside of the demo there are no buttons that break things`() async throws {
        let shop = try await Shop()
        #expect(try await !shop.curl("/").contains("/demo/order"))
        for path in ["/demo/order", "/demo/count"] {
            #expect(try await shop.status("--data", "order=tabs", path) == "404")
        }
        #expect(try await shop.status("/events") == "404")
    }

    @Test func `an order comes from a page of this machine, is known and reaches the supervisor`()
        async throws
    {
        let folder = try makeTemporaryFolder("demo")
        defer { removeTemporaryFolder(folder) }
        try "strategy=redis app1=up app2=down app3=up redis=frozen\n".write(
            to: folder.appending(path: "status"),
            atomically: true,
            encoding: .utf8
        )
        let shop = try await Shop("--demo", folder.path)
        let page = try await shop.curl("/")
        #expect(page.contains("id=\"part-app2\" data-state=\"down\">down<"))
        #expect(page.contains("id=\"part-redis\" data-state=\"frozen\">frozen<"))

        let order = ["--data-urlencode", "order=kill app2"]
        #expect(try await shop.send(order + ["/demo/order"]).contains("One moment"), "there is no supervisor")
        let pipe = folder.appending(path: "orders").path
        #expect(mkfifo(pipe, 0o600) == 0)
        let orders = open(pipe, O_RDWR | O_NONBLOCK)
        defer { close(orders) }
        for foreign in [
            "Host: shop.example:1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 127.0.0.1, 192.0.2.1",
        ] {
            let answer = try await shop.send(["--header", foreign] + order + ["/demo/order"])
            #expect(answer.contains("Nothing here"), "\(foreign)")
        }
        let other = try await shop.send(["--header", "Origin: http://localhost:1"] + order + ["/demo/order"])
        #expect(other.contains("Not from here"))
        #expect(try await shop.status("--data-urlencode", "order=kill redis", "/demo/order") == "400")
        #expect(try await shop.status("--data-urlencode", "order=tabs\ntabs", "/demo/order") == "400")
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(read(orders, &buffer, 100) < 0, "no order has got through so far")
        let own = try await shop.send(["--header", "X-Forwarded-For: 127.0.0.1"] + order + ["/demo/order"])
        #expect(own.isEmpty)
        let count = read(orders, &buffer, 100)
        #expect(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self) == "kill app2\n")
    }

    @Test func `the stream of events ends when the instance is told to stop`() async throws {
        let folder = try makeTemporaryFolder("demo")
        defer { removeTemporaryFolder(folder) }
        let shop = try await Shop("--demo", folder.path)
        let stream = try ChildProcess("curl", ["--silent", "--no-buffer", shop.url + "/events"])
        #expect(await poll(seconds: 10) { stream.text.contains("data: {") })
        try "strategy=redis app1=down\n".write(
            to: folder.appending(path: "status"),
            atomically: true,
            encoding: .utf8
        )
        #expect(await poll(seconds: 10) { stream.text.contains(#""part-app1":"down""#) })
        shop.stop()
        #expect(try await stream.wait(seconds: 10) == 0, "it was cut instead of ended")
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

    /// The value of a cookie in it.
    func cookie(_ name: String) throws -> String? {
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let columns = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            if columns.count == 7, columns[5] == name { return columns[6] }
        }
        return nil
    }
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

    /// Tells the instance to stop.
    func stop() { child.send(SIGTERM) }

    func send(_ arguments: [String], _ other: Jar? = nil) async throws -> String {
        let path = (other ?? jar).path
        let cookies = ["--silent", "--max-time", "10", "--cookie", path, "--cookie-jar", path]
        return try await run("curl", cookies + arguments.dropLast() + [url + (arguments.last ?? "")])
    }
}
