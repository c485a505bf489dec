// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `ID:BASE64URL-OF-32-BYTES`, for the tests of stores that seal.
func sealKey(_ id: String) -> String { "\(id):\(randomTicketText(bytes: 32))" }

/// Sessions in the browser's cookie and nowhere else (R59–R68): two instances that share keys and nothing
/// besides.
@Suite(.timeLimit(.minutes(10))) struct `Sealed sessions` {
    private static let key = sealKey("k1")

    /// Two instances with these keys, stopped afterwards.
    private func instances(
        _ keys: String = key,
        _ change: (inout FixtureApp.Options) -> Void = { _ in },
        _ steps: (FixtureApp, FixtureApp) async throws -> Void
    ) async throws {
        var options = FixtureApp.Options(store: "sealed")
        options.extra = ["--seal-keys", keys]
        change(&options)
        async let first = FixtureApp.started(options, instance: "a")
        async let second = FixtureApp.started(options, instance: "b")
        let (one, two) = try await (first, second)
        try await steps(one, two)
        for app in [one, two] { await app.terminate() }
    }

    @Test func `are known on every instance, without any server behind them`() async throws {
        try await instances { one, two in
            let browser = Browser()
            #expect(try await browser.post("/set", ["k": "cart", "v": "tea"], on: one).setCookies.count == 1)
            try await browser.post("/set", ["k": "other", "v": "x"], on: two)
            let before = try #require(browser.ticket)
            try await browser.post("/login", ["user": "ann", "keep": "cart"], on: one)
            #expect(browser.ticket != before)
            let seen = try await browser.get("/whoami", on: two).json
            #expect(
                seen["principal"] == .string("ann") && seen["values"] == .object(["cart": .string("tea")])
            )
            try await browser.post("/increment", ["k": "n", "by": "3"], on: two)
            try await browser.post("/append", ["k": "l", "v": "x"], on: one)
            #expect(try await browser.get("/peek", ["k": "n"], on: one).json["value"] == .string("3"))
            #expect(
                try await browser.get("/list", ["k": "l"], on: two).json["values"] == .array([.string("x")])
            )
            #expect(try await browser.post("/logout", on: two).setCookies.allSatisfy(isDeletion))
            #expect(browser.ticket == nil)
            #expect(try await browser.get("/whoami", on: one).json["principal"] == .null)
        }
    }

    @Test func `set a cookie when something changed and never on a plain read`() async throws {
        try await instances { one, two in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            for path in ["/whoami", "/public", "/none"] {
                #expect(try await browser.get(path, on: two).setCookies == [], "\(path)")
            }
            #expect(
                try await browser.get("/peek", ["k": "k"], on: two).cacheControl == ["private", "no-cache"]
            )
            let write = try await browser.post("/set", ["k": "k", "v": "w"], on: two)
            #expect(write.setCookies.count == 1 && write.cacheControl.contains("no-store"))
        }
    }

    @Test func `say that they can neither be listed nor revoked`() async throws {
        try await instances { one, _ in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            let id = try #require(try await browser.get("/whoami", on: one).json["handle"].string)
            for reply in [
                try await browser.get("/devices", on: one), try await browser.post("/logout-others", on: one),
                try await browser.post("/logout-all", ["user": "ann"], on: one),
                try await browser.post("/revoke", ["handle": id], on: one),
                try await browser.post("/revoke", ["handle": randomTicketText(bytes: 16)], on: one),
            ] {
                #expect(reply.status == 501 && reply.json["error"] == .string("unsupported"), "\(reply.body)")
            }
            #expect(try await browser.get("/whoami", on: one).json["principal"] == .string("ann"))
        }
    }

    @Test func `that were changed, cut, mixed or made up open nothing, and the answer does not tell which`()
        async throws
    {
        try await instances { one, two in
            let (browser, other) = (Browser(), Browser())
            try await browser.post("/login", ["user": "ann"], on: one)
            try await other.post("/login", ["user": "bob"], on: one)
            let (ticket, foreign) = (try #require(browser.ticket), try #require(other.ticket))
            var forged = [
                "", "s1", "s1.k1.", "s1..", "s1.k1.AAAA", String(ticket.dropLast()), ticket + "A",
                ticket.replacing("s1.", with: "s2."),
            ]
            forged.append(ticket.replacing("s1.k1.", with: "s1.k2."))
            forged.append(String(ticket.prefix(ticket.count / 2)) + foreign.suffix(foreign.count / 2))
            for position in stride(from: 0, to: ticket.count, by: 7) {
                let index = ticket.index(ticket.startIndex, offsetBy: position)
                let letter: Character = ticket[index] == "A" ? "B" : "A"
                forged.append(ticket.replacingCharacters(in: index...index, with: String(letter)))
            }
            for text in forged {
                let thief = Browser()
                thief.present(text)
                let reply = try await thief.get("/whoami", on: two)
                #expect(reply.status == 200 && reply.setCookies == [], "\(text.count)")
                #expect(reply.json["principal"] == .null && reply.json["values"].object == [:])
                #expect(
                    reply.fields.map(\.name).sorted()
                        == (try await Browser().get("/whoami", on: two)).fields.map(\.name).sorted()
                )
            }
            let late = Browser()
            late.present(try #require(forged.last))
            #expect(try await late.post("/set", ["k": "k", "v": "v"], on: one).status == 200)
            #expect(try await late.get("/whoami", on: two).json["values"] == .object(["k": .string("v")]))
        }
    }

    @Test func `grow over several cookies and shrink again, and are refused before they are too large`()
        async throws
    {
        try await instances(Self.key, { $0.extra += ["--seal-bytes", "8192"] }) { one, two in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            for bytes in [1000, 5000, 100, 6000, 2500, 0] {
                let reply = try await browser.post("/big", ["bytes": "\(bytes)", "k": "big"], on: one)
                #expect(reply.status == 200, "\(bytes): \(reply.body)")
                #expect(reply.setCookies.filter { !isDeletion($0) }.count == (bytes > 4000 ? 2 : 1))
                #expect(
                    try await browser.get("/peek", ["k": "big"], on: two).json["value"].string?.count == bytes
                )
            }
            try await browser.post("/big", ["bytes": "6000", "k": "big"], on: one)
            let before = try await browser.get("/whoami", on: two).json
            for bytes in ["9000", "1000000"] {
                let reply = try await browser.post("/big", ["bytes": bytes, "k": "more"], on: two)
                #expect(reply.status == 413 && reply.setCookies == [])
            }
            #expect(try await browser.get("/whoami", on: one).json == before)
            #expect(
                try await browser.post("/logout", on: one).setCookies.count == 2,
                "both cookies are taken away"
            )
        }
    }

    @Test func `fit a proxy with default settings as they are, in one cookie, up to the last byte`()
        async throws
    {
        try await instances { one, _ in
            let proxy = try await Proxy(before: one)
            let browser = Browser()
            var refused = 0
            for bytes in [100, 1000, 2000, 2100] + Array(stride(from: 2120, through: 2400, by: 8)) {
                let reply = try await browser.post("/big", ["bytes": "\(bytes)", "k": "big"], on: proxy)
                #expect([200, 413].contains(reply.status), "\(bytes): \(reply.status)")
                if reply.status == 413 { refused += 1 }
                #expect(reply.setCookies.count == (reply.status == 200 ? 1 : 0))
                #expect(try await browser.get("/whoami", on: proxy).status == 200, "\(bytes)")
            }
            let longest = try #require(browser.ticket).utf8.count
            print("longest sealed cookie behind nginx with its defaults: \(longest) bytes")
            #expect(refused > 0 && (2900...3072).contains(longest))
            // Beside 5,000 bytes of others' cookies the browser can still do everything.
            let reply = try await browser.send(
                "POST",
                "/logout",
                on: proxy,
                cookies: ["other=\(String(repeating: "x", count: 5000)); \(browser.cookieField ?? "")"]
            )
            #expect(reply.status == 200 && browser.ticket == nil)
            await proxy.stop()
        }
    }

    @Test func `end when they lie unused, and at their lifetime, whatever the browser keeps`() async throws {
        try await instances(Self.key, { $0.idleSeconds = 2 }) { one, two in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            let copy = browser.clone()
            // Used all the time, the cookie is sealed anew before its idle deadline.
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(4) {
                #expect(try await browser.get("/peek", ["k": "k"], on: two).json["value"] == .string("v"))
                // The pace of a visitor for two idle timeouts, by the clock of another process.
                try await Task.sleep(for: .milliseconds(100))
            }
            #expect(
                try await copy.get("/peek", ["k": "k"], on: one).json["value"] == .null,
                "a copy that nobody used is over"
            )
        }
        try await instances(Self.key, { $0.lifetimeSeconds = 2 }) { one, _ in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            let isOver = await poll(seconds: 6, every: .milliseconds(200)) {
                (try? await browser.get("/peek", ["k": "k"], on: one).json["value"]) == .null
            }
            #expect(isOver)
        }
    }

    @Test func `move to a new key while they are used, and end with the last key that opens them`()
        async throws
    {
        let (old, new) = (sealKey("old"), sealKey("new"))
        let browser = Browser()
        try await instances(old) { one, _ in try await browser.post("/set", ["k": "k", "v": "v"], on: one) }
        let idle = browser.clone()
        try await instances("\(new),\(old)") { one, _ in
            let reply = try await browser.get("/peek", ["k": "k"], on: one)
            #expect(
                reply.json["value"] == .string("v") && reply.setCookies.count == 1,
                "sealed under the new key at once"
            )
            #expect(try await browser.get("/peek", ["k": "k"], on: one).setCookies == [])
        }
        try await instances(new) { one, _ in
            let (moved, left) = (
                try await browser.get("/peek", ["k": "k"], on: one),
                try await idle.get("/peek", ["k": "k"], on: one)
            )
            #expect(moved.json["value"] == .string("v") && left.json["value"] == .null)
        }
    }

    @Test func `of a signed-out browser stay valid for anyone who copied them, as documented`() async throws {
        try await instances { one, two in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            let copy = browser.clone()
            try await browser.post("/logout", on: one)
            #expect(
                try await copy.get("/whoami", on: two).json["principal"] == .string("ann"),
                "the price of storing nothing"
            )
        }
    }

    @Test func `can not be written from a streaming body`() async throws {
        try await instances { one, two in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            #expect(
                try await browser.get("/stream", ["k": "k", "v": "late"], on: one).json["set"] == .bool(false)
            )
            #expect(try await browser.get("/peek", ["k": "k"], on: two).json["value"] == .string("v"))
        }
    }

    @Test(arguments: [
        "", "k1", "k1:", "k1:AAAA", "k1:\(String(repeating: "A", count: 43))",
        "a b:\(randomTicketText(bytes: 32))", "k1:!",
    ])
    func `need keys that are keys`(keys: String) async throws {
        var options = FixtureApp.Options(store: "sealed")
        options.extra = ["--seal-keys", keys]
        let app = try FixtureApp(options)
        #expect(try await app.wait(seconds: 20) != 0)
        #expect(app.output.contains("Error: ") && !app.output.contains("Fatal error"), "\(app.output)")
        if let material = keys.split(separator: ":").dropFirst().first, material.count > 8 {
            #expect(!app.output.contains(material))
        }
    }

    @Test func `need different ids for different keys`() async throws {
        var options = FixtureApp.Options(store: "sealed")
        options.extra = ["--seal-keys", "\(sealKey("k")),\(sealKey("k"))"]
        let app = try FixtureApp(options)
        #expect(try await app.wait(seconds: 20) != 0)
    }
}
