// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What goes over the wire: the cookie's exact form, caching, statuses, parameters (R45, R48, R52, R73, R74).
extension SharedFleet {
    @Suite struct `On the wire` {
        let fleet = Fleet.shared

        /// Name, value and sorted attributes of a `Set-Cookie`.
        private func parts(_ setCookie: String) -> (name: String, value: String, attributes: [String]) {
            let parts = setCookie.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
            let pair = parts[0].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(
                String.init
            )
            return (pair[0], pair[1], parts.dropFirst().sorted())
        }

        @Test(arguments: Store.onServers) func `a ticket comes in one host-only, secure, script-proof cookie`(
            store: Store
        ) async throws {
            let browser = fleet.browser()
            for (path, query) in [
                ("/set", ["k": "k", "v": "v"]), ("/login", ["user": fleet.user(), "keep": "k"]),
                ("/renew", [:]),
            ]
                as [(String, KeyValuePairs<String, String>)]
            {
                let reply = try await browser.post(path, query, on: fleet.servers(store)[0])
                #expect(reply.setCookies.count == 1, "\(path)")
                let cookie = parts(try #require(reply.setCookies.first))
                #expect(cookie.name == "__Host-session")
                let ticket =
                    store.hasLocalCopies
                    ? /[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\.[0-9]{1,18}/
                    : /[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}/
                #expect(
                    cookie.value.wholeMatch(of: ticket) != nil,
                    "a handle of 16 and a secret of 32 bytes; a version where copies may lag"
                )
                #expect(cookie.attributes == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"])
                #expect(
                    reply.cacheControl.contains("no-store")
                        && reply["vary"]?.lowercased().contains("cookie") == true
                )
            }
        }

        @Test(arguments: Store.allCases) func `the cookie that takes a ticket away repeats all attributes`(
            store: Store
        ) async throws {
            let browser = fleet.browser()
            try await browser.post("/login", ["user": fleet.user()], on: fleet.servers(store)[0])
            let reply = try await browser.post("/logout", on: fleet.servers(store)[1])
            #expect(reply.setCookies.count == 1)
            let cookie = parts(try #require(reply.setCookies.first))
            #expect(cookie.name == "__Host-session" && cookie.value == "")
            #expect(
                cookie.attributes == [
                    "Expires=Thu, 01 Jan 1970 00:00:00 GMT", "HttpOnly", "Max-Age=0", "Path=/",
                    "SameSite=Lax", "Secure",
                ]
            )
            #expect(reply.cacheControl.contains("no-store"))
            #expect(browser.ticket == nil)
            let again = try await browser.post("/logout", on: fleet.servers(store)[2])
            #expect(again.status == 200 && again.setCookies == [], "signing out twice is harmless")
            for reply in [reply, again] {
                #expect(reply["clear-site-data"] == #""cache""# && reply.cacheControl.contains("no-store"))
            }
        }

        @Test func `plain HTTP needs its switch and gets another name`() async throws {
            var options = FixtureApp.Options(store: "memory")
            options.isPlainHTTP = true
            let app = try await FixtureApp.started(options)
            let browser = Browser(cookieName: "session", isSecure: false)
            let reply = try await browser.post("/set", ["k": "k", "v": "v"], on: app)
            let cookie = parts(try #require(reply.setCookies.first))
            #expect(cookie.name == "session" && cookie.attributes == ["HttpOnly", "Path=/", "SameSite=Lax"])
            #expect(try await browser.get("/peek", ["k": "k"], on: app).json["value"] == .string("v"))
            #expect(app.output.lowercased().contains("warning"), "the switch is loud")
            #expect(!app.output.contains("misconfigured"))
            for _ in 0..<3 {
                let request = "GET /whoami HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n"
                #expect(status(ofRaw: try await sendRaw(Array(request.utf8), port: app.port)) == 200)
            }
            let said = app.output.components(separatedBy: "session misconfigured").count - 1
            #expect(said == 1 && !app.output.contains("shop.example.org"))
            await app.terminate()
        }

        @Test func `a Secure cookie over plain HTTP from elsewhere is told once`() async throws {
            let app = try await FixtureApp.started(FixtureApp.Options(store: "memory"))
            func send(_ host: String, _ field: String = "Accept: */*") async throws {
                let request =
                    "POST /set?k=k&v=v HTTP/1.1\r\nHost: \(host)\r\n\(field)\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                #expect(status(ofRaw: try await sendRaw(Array(request.utf8), port: app.port)) == 200)
            }
            try await send("localhost:\(app.port)")
            try await send("shop.example.org", "X-Forwarded-Proto: https")
            #expect(!app.output.contains("misconfigured"))
            for _ in 0..<3 { try await send("shop.example.org") }
            #expect(app.output.components(separatedBy: "session misconfigured").count == 2)
            await app.terminate()
        }

        @Test(arguments: Store.allCases) func `a 304 loses no message and answers alike`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/flash", ["v": "saved"], on: servers[0])
            for (method, headers) in [("GET", ["If-None-Match": "\"a\""]), ("HEAD", [:])]
                as [(String, KeyValuePairs<String, String>)]
            {
                let reply = try await browser.send(method, "/messages", on: servers[1], headers: headers)
                #expect(reply.status == (method == "GET" ? 304 : 200) && reply.body == "")
            }
            let shown = try await browser.get("/messages", on: servers[2]).json["messages"]
            #expect(shown == .array([.string("saved")]))
            #expect(try await browser.get("/messages", on: servers[2]).json["messages"] == .array([]))
            for visitor in [browser, fleet.browser()] {
                let reply = try await visitor.send(
                    "GET",
                    "/visit",
                    on: servers[0],
                    headers: ["If-None-Match": "\"a\""]
                )
                #expect(reply.status == 304 && reply.setCookies == [])
            }
        }

        @Test(arguments: Store.allCases) func `a request that never touches its session stays cacheable`(
            store: Store
        ) async throws {
            let server = fleet.servers(store)[0]
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: server)
            for visitor in [browser, fleet.browser()] {
                let reply = try await visitor.get("/none", on: server)
                #expect(
                    reply.status == 200 && reply.setCookies == [] && reply["vary"] == nil
                        && reply["cache-control"] == nil
                )
            }
        }

        @Test(arguments: Store.onServers)
        func `a request that looks at its session is private and sets no cookie`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/login", ["user": fleet.user()], on: servers[0])
            let reads: [(String, KeyValuePairs<String, String>)] = [
                ("/peek", ["k": "k"]), ("/has", ["k": "k"]), ("/list", ["k": "k"]), ("/whoami", [:]),
                ("/devices", [:]), ("/public", [:]),
                ("/slow", ["ms": "1", "k": "k", "v": "v"]),
            ]
            for (path, query) in reads {
                for visitor in [browser, fleet.browser()] where path != "/devices" || visitor === browser {
                    let reply = try await visitor.get(path, query, on: servers[1])
                    #expect(reply.status == 200, "\(path)")
                    #expect(reply.setCookies == [], "\(path)")
                    #expect(reply["vary"]?.lowercased().contains("cookie") == true, "\(path)")
                    #expect(
                        reply.cacheControl.isSuperset(of: ["private", "no-cache"])
                            || reply.cacheControl.contains("no-store"),
                        "\(path)"
                    )
                    #expect(reply.cacheControl.isDisjoint(with: ["public", "max-age=60"]), "\(path)")
                }
            }
        }

        @Test(arguments: Store.onServers) func `bad parameters are told, and stored nowhere`(store: Store)
            async throws
        {
            let server = fleet.servers(store)[0]
            let browser = fleet.browser()
            try await browser.post("/login", ["user": fleet.user()], on: server)
            let before = try await browser.get("/whoami", on: server).json
            let bad: [(String, String, KeyValuePairs<String, String>)] = [
                ("GET", "/peek", [:]), ("GET", "/peek", ["k": ""]), ("GET", "/has", [:]),
                ("GET", "/list", [:]),
                ("POST", "/set", ["v": "v"]),
                ("POST", "/set", ["k": "", "v": "v"]), ("POST", "/remove", [:]), ("POST", "/increment", [:]),
                ("POST", "/increment", ["k": "n", "by": "x"]), ("POST", "/append", ["v": "v"]),
                ("POST", "/login", [:]),
                ("POST", "/login", ["user": ""]), ("POST", "/logout-all", [:]), ("POST", "/revoke", [:]),
                ("POST", "/slow", ["k": "k", "v": "v"]),
                ("POST", "/slow", ["ms": "x", "k": "k", "v": "v"]),
                ("POST", "/slow", ["ms": "-1", "k": "k", "v": "v"]),
                ("POST", "/big", ["k": "k"]),
                ("POST", "/big", ["bytes": "x", "k": "k"]), ("POST", "/big", ["bytes": "-1", "k": "k"]),
                ("POST", "/big", ["bytes": "5"]),
            ]
            for (method, path, query) in bad {
                let reply = try await browser.send(method, path, query, on: server)
                #expect(reply.status == 400, "\(method) \(path) \(query)")
                #expect(reply.json["error"].string != nil && reply.json["message"].string != nil, "\(path)")
                #expect(reply.setCookies == [])
                #expect(reply["x-instance"] == server.instance)
            }
            #expect(try await browser.get("/whoami", on: server).json == before)
        }

        @Test func `methods that change something are not reached by GET`() async throws {
            let browser = fleet.browser()
            try await browser.post("/login", ["user": fleet.user()], on: fleet.servers[0])
            for path in [
                "/set", "/remove", "/increment", "/append", "/login", "/renew", "/logout", "/logout-others",
                "/logout-all", "/revoke",
                "/big",
            ] {
                let reply = try await browser.get(
                    path,
                    ["k": "k", "v": "v", "user": "u", "bytes": "1"],
                    on: fleet.servers[0]
                )
                #expect([404, 405].contains(reply.status), "GET \(path)")
                #expect(reply.setCookies == [])
            }
            #expect(try await browser.get("/whoami", on: fleet.servers[0]).json["principal"] != .null)
        }

        @Test(arguments: Store.onServers) func `values come back byte by byte`(store: Store) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            let values = [
                "", " ", "\r\n", "$-1\r\n*1\r\n", "\u{0}", "\"quoted\"", "\\", "a=b; c=d", "é", "e\u{301}",
                "\u{1F469}\u{200D}\u{1F680}",
                "\u{FEFF}x",
                String(repeating: "x", count: 10_000), "null", "1e9999", "{}",
            ]
            for (index, value) in values.enumerated() {
                #expect(
                    try await browser.post("/set", ["k": "k\(index)", "v": value], on: servers[index % 3])
                        .status == 200
                )
                let seen = try #require(
                    try await browser.get("/peek", ["k": "k\(index)"], on: servers[(index + 1) % 3]).json[
                        "value"
                    ].string
                )
                #expect(Array(seen.utf8) == Array(value.utf8))
            }
        }

        @Test(arguments: Store.allCases)
        func `names that differ in bytes are different attributes, or refused`(store: Store) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            let names = [
                "K", "k", "\u{212A}", "\u{E9}", "e\u{301}", "a b", "a:b", "principal", "digest", "version",
                "v", "_", "created",
                "0",
            ]
            let refused = try await browser.post("/set", ["k": "a\nb", "v": "v"], on: servers[0]).status
            #expect(refused == 400, "control characters are no name")
            var accepted: [String] = []
            for name in names {
                let status = try await browser.post("/set", ["k": name, "v": "of \(name)"], on: servers[0])
                    .status
                let isASCII = name.utf8.allSatisfy { $0 < 0x80 }
                #expect(status == 200 || !isASCII && status == 400, "\(name.debugDescription)")
                if status == 200 { accepted.append(name) }
            }
            for name in accepted {
                let seen = try await browser.get("/peek", ["k": name], on: servers[1]).json["value"].string
                #expect(seen.map { Array($0.utf8) } == Array("of \(name)".utf8), "\(name.debugDescription)")
            }
            #expect(
                try await browser.get("/whoami", on: servers[2]).json["principal"] == .null,
                "no attribute reaches what the library keeps"
            )
        }

        @Test(arguments: Store.allCases) func `the attribute that was removed is gone`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": ""], on: servers[0])
            #expect(
                try await browser.get("/has", ["k": "k"], on: servers[1]).json["has"] == .bool(true),
                "an empty value is a value"
            )
            #expect(try await browser.post("/remove", ["k": "k"], on: servers[1]).status == 200)
            #expect(try await browser.get("/has", ["k": "k"], on: servers[2]).json["has"] == .bool(false))
            #expect(try await browser.get("/peek", ["k": "k"], on: servers[0]).json["value"] == .null)
            try await browser.post("/increment", ["k": "n"], on: servers[0])
            try await browser.post("/increment", ["k": "n", "by": "-5"], on: servers[1])
            #expect(try await browser.get("/peek", ["k": "n"], on: servers[2]).json["value"] == .string("-4"))
        }

        @Test(arguments: Store.allCases) func `an operation on the wrong kind of value is no server error`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "text"], on: servers[0])
            for path in ["/increment", "/append"] {
                let reply = try await browser.post(path, ["k": "k", "v": "x"], on: servers[1])
                #expect((200..<500).contains(reply.status), "\(path): \(reply.status)")
            }
            #expect(try await browser.get("/whoami", on: servers[2]).status == 200)
        }
    }

    @Suite struct `A streamed answer` {
        @Test(arguments: Store.allCases) func `says that a value was set if and only if it was stored`(
            store: Store
        ) async throws {
            let fleet = Fleet.shared
            let servers = fleet.servers(store)
            let (known, unknown) = (fleet.browser(), fleet.browser())
            try await known.post("/set", ["k": "other", "v": "v"], on: servers[0])
            for (browser, key) in [(known, "one"), (unknown, "two")] {
                let reply = try await browser.get("/stream", ["k": key, "v": "streamed"], on: servers[1])
                #expect(reply.status == 200)
                let claims = reply.body.replacing(" ", with: "").contains("\"set\":true")
                let stored =
                    try await browser.get("/peek", ["k": key], on: servers[2]).json["value"]
                    == .string("streamed")
                #expect(claims == stored, "\(reply.body)")
            }
            #expect(
                try await known.get("/peek", ["k": "other"], on: servers[0]).json["value"] == .string("v")
            )
        }
    }
}
