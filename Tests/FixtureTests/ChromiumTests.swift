// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What a real browser makes of the cookies and fields: nobody gets stuck, nothing stays to be seen.
@Suite(.serialized, .timeLimit(.minutes(10)), .enabled(if: Chromium.isInstalled)) struct ChromiumTests {
    /// Runs the steps with a browser and an instance, and stops both.
    private func site(
        _ change: (inout FixtureApp.Options) -> Void = { _ in },
        flags: [String] = [],
        _ steps: (Chromium, FixtureApp) async throws -> Void
    ) async throws {
        var options = FixtureApp.Options(store: "memory")
        change(&options)
        let app = try await FixtureApp.started(options)
        let browser = try await Chromium(flags)
        do { try await steps(browser, app) } catch { Issue.record(error) }
        await browser.stop()
        await app.terminate()
    }

    @Test func `the default cookie works on localhost without TLS`() async throws {
        try await site { browser, app in
            let home = "http://localhost:\(app.port)"
            _ = try await browser.visit("\(home)/whoami")
            _ = try await browser.fetch("POST", "/login?user=ann")
            #expect(try await browser.visit("\(home)/whoami").contains("ann"))
            #expect(!app.output.contains("misconfigured"))
        }
    }

    @Test(arguments: [true, false]) func `a second cookie ends after one more request, beside __Host-`(
        isPartitioned: Bool
    ) async throws {
        try await site { browser, app in
            let home = "http://localhost:\(app.port)"
            _ = try await browser.visit("\(home)/whoami")
            func plant() async throws {
                // A cookie like the server's replaces it; the second is of the other kind either way.
                if !isPartitioned { try await browser.plant("__Host-session", "planted", at: home) }
                try await browser.plant("__Host-session", "other", at: home, partition: "http://localhost")
            }
            _ = try await browser.fetch("POST", "/login?user=ann")
            try await plant()
            #expect(try await browser.cookies("__Host-session", at: home).count == 2)
            #expect(try await !browser.visit("\(home)/whoami").contains("ann"), "nobody knows which is ours")
            #expect(try await browser.cookies("__Host-session", at: home) == [], "the request ends it")
            _ = try await browser.fetch("POST", "/login?user=ann")
            for _ in 0..<2 { #expect(try await browser.visit("\(home)/whoami").contains("ann")) }
            try await plant()
            _ = try await browser.fetch("POST", "/login?user=bob")
            #expect(try await browser.cookies("__Host-session", at: home).count == 1)
            #expect(try await browser.visit("\(home)/whoami").contains("bob"), "a sign-in is such a request")
        }
    }

    @Test(arguments: [
        "path=/whoami", "path=/; domain=example.test", "path=/who; domain=shop.example.test",
        "path=/whoami; domain=example.test",
    ])
    func `a second cookie of another path or domain ends after one more request`(attributes: String)
        async throws
    {
        try await site(
            { $0.isPlainHTTP = true },
            flags: ["--host-resolver-rules=MAP *.example.test 127.0.0.1"]
        ) { browser, app in
            let home = "http://shop.example.test:\(app.port)"
            _ = try await browser.visit("\(home)/whoami")
            _ = try await browser.fetch("POST", "/login?user=ann")
            #expect(try await browser.visit("\(home)/whoami").contains("ann"))
            try await browser.evaluate("document.cookie = 'session=planted; \(attributes)'")
            let isSent = try await browser.cookies("session", at: "\(home)/whoami").count == 2
            #expect(isSent == !attributes.contains("/who;"))
            #expect(try await browser.visit("\(home)/whoami").contains("ann") == !isSent)
            _ = try await browser.fetch("POST", "/login?user=ann")
            for _ in 0..<2 { #expect(try await browser.visit("\(home)/whoami").contains("ann")) }
        }
    }

    @Test func `Back after a sign-out shows nothing personal`() async throws {
        try await site { browser, app in
            let home = "http://localhost:\(app.port)"
            _ = try await browser.visit("\(home)/none")
            _ = try await browser.fetch("POST", "/login?user=ann")
            #expect(try await browser.visit("\(home)/whoami").contains("ann"))
            #expect(try await browser.visit("\(home)/peek?k=k").contains("value"))
            #expect(try await browser.visit("\(home)/whoami").contains("ann"))
            #expect(try await browser.submit(to: "/logout").contains("ok"))
            #expect(try await !browser.goBack().contains("ann"))
            _ = try await browser.goBack()
            #expect(try await !browser.goBack().contains("ann"))
        }
    }

    @Test func `a message that a 304 did not show is shown by the next page`() async throws {
        try await site { browser, app in
            let home = "http://localhost:\(app.port)"
            _ = try await browser.visit("\(home)/none")
            _ = try await browser.fetch("POST", "/flash?v=saved")
            _ = try await browser.evaluate(
                "fetch('/messages', {headers: {'If-None-Match': '\"a\"'}}).then(reply => 'done')"
            )
            #expect(try await browser.visit("\(home)/messages").contains("saved"))
            #expect(try await !browser.visit("\(home)/messages").contains("saved"))
        }
    }
}
