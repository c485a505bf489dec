// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `make demo` in a real browser: the shop behind its balancer, and what its buttons break.
@Suite(.serialized, .timeLimit(.minutes(10)), .enabled(if: Chromium.isInstalled))
struct StorefrontJourneyTests {
    /// Starts the demo and a browser, runs the steps, and stops both.
    private func demo(
        _ strategy: String = "redis",
        _ steps: (Chromium, RunningDemo) async throws -> Void
    ) async throws {
        let demo = try await RunningDemo(strategy)
        // The certificate is one that the demo has made.
        let browser = try await Chromium(["--ignore-certificate-errors"])
        do { try await steps(browser, demo) } catch { Issue.record("\(error)\n\(demo.output.suffix(1500))") }
        await browser.stop()
        await demo.stop()
    }

    @Test func `a cart and its owner survive the instance that served them`() async throws {
        try await demo { browser, demo in
            _ = try await browser.visit(demo.https + "/")
            try await browser.add("lamp", expecting: "1")
            try await browser.signIn(as: "Ada")
            try await browser.add("mug", expecting: "2")
            #expect(try await browser.cookies("__Host-session", at: demo.https).count == 1)

            let instance = try #require(try await browser.text("instance"))
            try await browser.click("[value=\"kill \(instance)\"]")
            try await browser.wait(until: "document.getElementById('part-\(instance)').textContent == 'down'")
            for _ in 0..<6 {
                _ = try await browser.visit(demo.https + "/")
                #expect(try await browser.text("user") == "Ada")
                #expect(try await browser.text("cart-count") == "2")
                #expect(try await browser.text("instance") != instance)
            }
            try await browser.add("chair", expecting: "3")
            try await browser.wait(until: "document.getElementById('part-\(instance)').textContent == 'up'")
            #expect(try await browser.text("cart-count") == "3")
        }
    }

    @Test func `the shop works over plain HTTP on localhost, with the same cookie`() async throws {
        try await demo { browser, demo in
            _ = try await browser.visit(demo.http + "/")
            try await browser.add("lamp", expecting: "1")
            #expect(try await browser.cookies("__Host-session", at: demo.http).count == 1)
        }
    }

    @Test(arguments: [
        ("kill app2", "redis"), ("kill app2", "memory"), ("freeze app2", "hybrid"),
        ("freeze redis", "replicated"),
    ])
    func `the ledger says what a fault costs`(fault: String, strategy: String) async throws {
        try await demo(strategy) { browser, demo in
            _ = try await browser.visit(demo.https + "/")
            let number = { (column: String) in
                "Number(document.getElementById('\(column)-\(strategy)').textContent)"
            }
            let part = fault.split(separator: " ")[1]
            let state = "document.getElementById('part-\(part)').textContent"
            try await browser.wait(until: "\(number("seen")) >= 15")
            try await browser.click("[value=\"\(fault)\"]")
            try await browser.wait(until: "\(state) == '\(fault.hasPrefix("kill") ? "down" : "frozen")'")
            try await browser.wait(until: "\(state) == 'up'")
            let after = Int(try await browser.text("acknowledged-\(strategy)") ?? "") ?? 0
            // Each visitor has read by then.
            try await browser.wait(until: "\(number("acknowledged")) >= \(after + 15)", seconds: 30)
            let lost = Int(try await browser.text("lost-\(strategy)") ?? "") ?? -1
            #expect(strategy == "memory" ? lost > 0 : lost == 0, "\(lost) are lost")
        }
    }

    @Test(arguments: ["redis": "2 counted", "sealed": "1 counted"])
    func `two tabs at once`(strategy: String, outcome: String) async throws {
        try await demo(strategy) { browser, demo in
            for tab in 0..<2 {
                if tab > 0 { try await browser.openTab() }
                _ = try await browser.visit(demo.https + "/")
            }
            try await browser.add("lamp", expecting: "1")
            try await browser.select(tab: 0)
            try await browser.add("mug", expecting: "2")

            try await browser.click("[value=tabs]")
            let events = "document.getElementById('events').textContent"
            try await browser.wait(until: "\(events).includes('2 of 2 changes acknowledged, \(outcome)')")
        }
    }

    @Test func `a sign-out elsewhere and Back show nothing personal`() async throws {
        try await demo { browser, demo in
            let phone = try await Chromium(["--ignore-certificate-errors"])
            for device in [browser, phone] {
                _ = try await device.visit(demo.https + "/")
                try await device.signIn(as: "Ada")
            }
            try await phone.click("[href=\"/devices\"]")
            try await phone.wait(until: "document.getElementById('device-count')?.textContent == '2'")
            try await phone.click("[action=\"/devices/sign-out-others\"] button")
            try await phone.wait(until: "document.getElementById('device-count')?.textContent == '1'")
            for _ in 0..<4 { #expect(try await !browser.visit(demo.https + "/").contains("Ada")) }

            // A page of its own: the later one of the same address would take its place in the cache.
            #expect(try await phone.visit(demo.https + "/devices").contains("Ada"))
            try await phone.click("[action=\"/sign-out\"] button")
            try await phone.wait(until: "document.querySelector('[action=\"/sign-in\"]') != null")
            try await phone.evaluate("window.isLeft = true; history.back()")
            try await phone.wait(until: "!window.isLeft && document.readyState == 'complete'")
            #expect(try await phone.evaluate("document.body.innerText")?.contains("Ada") == false)
            await phone.stop()
        }
    }

    @Test func `the strategy is switched from the page, which comes back by itself`() async throws {
        try await demo { browser, demo in
            _ = try await browser.visit(demo.https + "/")
            try await browser.click("[value=\"switch memory\"]")
            try await browser.wait(
                until: "document.getElementById('demo')?.dataset.strategy == 'memory'",
                seconds: 40
            )
            #expect(
                try await browser.evaluate("document.body.innerText")?.contains("This strategy has none")
                    == true
            )
            try await browser.add("lamp", expecting: "1")
        }
    }
}

extension Chromium {
    /// Puts a product into the cart by its button, and waits for the page that says so.
    fileprivate func add(_ product: String, expecting count: String) async throws {
        try await click("[value=\(product)] ~ button")
        try await wait(until: "document.getElementById('cart-count')?.textContent == '\(count)'")
        #expect(
            try await evaluate("document.querySelector('.message')?.textContent")?.contains("in the cart")
                == true
        )
    }

    fileprivate func signIn(as name: String) async throws {
        try await click("#name")
        try await type(name)
        try await click(".sign-in button")
        try await wait(until: "document.getElementById('user')?.textContent == '\(name)'")
    }
}

/// `Scripts/demo.sh` as a person starts it.
private final class RunningDemo: Sendable {
    let https: String
    let http: String
    private let child: ChildProcess

    init(_ strategy: String) async throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let child = try ChildProcess(
            root.appending(path: "Scripts/demo.sh").path,
            [builtProduct("Storefront")],
            environment: ["STRATEGY": strategy]
        )
        let isOpen = await poll(seconds: 40) { child.text.contains("Ctrl-C") || !child.isRunning }
        let https = child.text.firstMatch(of: /https:\/\/localhost:\d+/)
        let http = child.text.firstMatch(of: /http:\/\/localhost:\d+/)
        guard isOpen, let https, let http else {
            throw Balancer.Failure(description: "the demo did not start:\n\(child.text)")
        }
        self.child = child
        self.https = String(https.0)
        self.http = String(http.0)
    }

    var output: String { child.text }

    /// As Ctrl-C does.
    func stop() async { await child.stop(SIGTERM, seconds: 20) }
}
