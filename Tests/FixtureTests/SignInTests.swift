// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Promise 1, second half: signing in always changes the credential, at once and everywhere (R08, R10, R11,
/// R15).
extension SharedFleet {
    @Suite struct `Signing in` {
        let fleet = Fleet.shared

        @Test(arguments: Store.onServers) func `changes the secret and keeps only what was named`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "cart", "v": "apple"], on: servers[0])
            try await browser.post("/set", ["k": "csrf", "v": "token"], on: servers[1])
            let before = try #require(browser.ticket)
            let reply = try await browser.post("/login", ["user": user, "keep": "cart"], on: servers[2])
            #expect(reply.status == 200 && reply.setCookies.count == 1)
            #expect(browser.ticket != before)
            #expect(browser.secret != before.split(separator: ".").last.map(String.init))
            for server in servers {
                let seen = try await browser.get("/whoami", on: server).json
                #expect(seen["principal"] == .string(user))
                #expect(seen["handle"].string == browser.id)
                #expect(seen["values"] == .object(["cart": .string("apple")]))
            }
        }

        @Test(arguments: Store.onServers) func `makes the old ticket worthless at once on every instance`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let victim = fleet.browser()
            try await victim.post("/set", ["k": "k", "v": "before"], on: servers[0])
            let thief = victim.clone()
            for server in servers {
                #expect(
                    try await thief.get("/peek", ["k": "k"], on: server).json["value"] == .string("before")
                )
            }
            try await victim.post("/login", ["user": fleet.user(), "keep": "k"], on: servers[1])
            try await victim.post("/set", ["k": "private", "v": "after"], on: servers[2])
            try await fleet.spread(store)
            for server in servers {
                let reply = try await thief.get("/whoami", on: server)
                #expect(reply.status == 200 && reply.setCookies == [])
                #expect(
                    reply.json["principal"] == .null && reply.json["handle"] == .null
                        && reply.json["values"].object == [:]
                )
            }
        }

        @Test(arguments: Store.onServers)
        func `makes late writes with the old ticket vanish without a cookie`(store: Store) async throws {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "before"], on: servers[0])
            let old = browser.clone()
            try await browser.post("/login", ["user": user, "keep": "k"], on: servers[1])
            let writes: [(String, KeyValuePairs<String, String>)] = [
                ("/set", ["k": "k", "v": "late"]), ("/append", ["k": "l", "v": "late"]),
                ("/increment", ["k": "n"]),
                ("/remove", ["k": "k"]),
                ("/renew", [:]), ("/big", ["bytes": "10", "k": "big"]),
            ]
            for (path, query) in writes {
                let reply = try await old.post(path, query, on: servers[2])
                // There is nothing to renew, and so nothing that was lost.
                #expect(reply.status == (path == "/renew" ? 200 : 409), "\(path)")
                #expect(
                    reply.setCookies == [],
                    "\(path) must not touch the cookie that the browser holds by now"
                )
            }
            let seen = try await browser.get("/whoami", on: servers[0]).json
            #expect(seen["principal"] == .string(user) && seen["values"] == .object(["k": .string("before")]))
        }

        @Test(arguments: Store.onServers) func `with an old ticket starts afresh`(store: Store) async throws {
            let servers = fleet.servers(store)
            let (alice, bob) = (fleet.user("alice"), fleet.user("bob"))
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: servers[0])
            let old = browser.clone()
            try await browser.post("/login", ["user": alice], on: servers[1])
            let reply = try await old.post("/login", ["user": bob, "keep": "k"], on: servers[2])
            #expect(reply.status == 200 && reply.setCookies.count == 1)
            #expect(old.id != browser.id)
            let seen = try await old.get("/whoami", on: servers[0]).json
            #expect(seen["principal"] == .string(bob) && seen["values"].object == [:])
            #expect(try await browser.get("/whoami", on: servers[2]).json["principal"] == .string(alice))
        }

        @Test(arguments: Store.onServers) func `spares a slow request that is under way`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            try await untilUnderWay { milliseconds in
                let user = fleet.user()
                let browser = fleet.browser()
                try await browser.post("/set", ["k": "k", "v": "before"], on: servers[0])
                let (other, tally) = (browser.clone(), Tally())
                let query: KeyValuePairs = ["ms": "\(milliseconds)", "k": "k", "v": "late"]
                async let slowWrite = other.post("/slow", query, on: servers[1]).counted("over", in: tally)
                async let slowRead = other.get("/slow", query, on: servers[2]).counted("over", in: tally)
                try await Task.sleep(for: .milliseconds(milliseconds / 3))
                try await browser.post("/login", ["user": user, "keep": "k"], on: servers[0])
                let wasUnderWay = tally["over"] == 0
                let replies = try await [slowWrite, slowRead]
                guard wasUnderWay else { return false }
                #expect(replies.map(\.status) == [409, 200])
                for reply in replies { #expect(reply.setCookies == []) }
                let seen = try await browser.get("/whoami", on: servers[1]).json
                #expect(
                    seen["principal"] == .string(user) && seen["values"] == .object(["k": .string("before")])
                )
                return true
            }
        }

        @Test(arguments: Store.onServers) func `as somebody else leaves nothing of the first user`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let (alice, bob) = (fleet.user("alice"), fleet.user("bob"))
            let browser = fleet.browser()
            try await browser.post("/login", ["user": alice], on: servers[0])
            try await browser.post("/set", ["k": "k", "v": "of-alice"], on: servers[1])
            let first = try #require(browser.ticket)
            try await browser.post("/login", ["user": bob], on: servers[2])
            #expect(browser.ticket != first)
            let seen = try await browser.get("/whoami", on: servers[0]).json
            #expect(seen["principal"] == .string(bob) && seen["values"].object == [:])
            let second = fleet.browser()
            try await second.post("/login", ["user": alice], on: servers[1])
            let listed = try await second.get("/devices", on: servers[2]).json["devices"].array
            #expect(
                listed.map { $0["handle"].string } == [second.id],
                "the session is no longer one of the first user's"
            )
        }

        @Test func `gives the same browser one session, however many sign-ins run at once`() async throws {
            let user = fleet.user()
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: fleet.servers[0])
            let tabs = try await concurrently(12) { [fleet] index in
                let tab = browser.clone()
                let reply = try await tab.post("/login", ["user": user], on: fleet.servers[index % 3])
                #expect(reply.status == 200 || reply.status == 409, "an honest answer, not \(reply.status)")
                return tab
            }
            #expect(
                try await browser.get("/whoami", on: fleet.servers[0]).json["handle"] == .null,
                "the ticket from before is dead"
            )
            var signedIn = 0
            for tab in tabs
            where try await tab.get("/whoami", on: fleet.servers[1]).json["principal"] == .string(user) {
                signedIn += 1
            }
            #expect(signedIn >= 1)
        }
    }

    /// Renewal at equal privilege (R12): both secrets work until the new one is first shown.
    @Suite struct `Renewing` {
        let fleet = Fleet.shared

        @Test(arguments: Store.onServers)
        func `changes the secret, not the id, and the old one goes on beside it for a while`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let browser = fleet.browser()
            try await browser.post("/login", ["user": user], on: servers[0])
            try await browser.post("/set", ["k": "k", "v": "v"], on: servers[1])
            let old = browser.clone()
            let reply = try await browser.post("/renew", on: servers[2])
            #expect(reply.status == 200 && reply.setCookies.count == 1)
            #expect(browser.id == old.id && browser.secret != old.secret)

            let early = try await old.get("/whoami", on: servers[0])
            #expect(
                early.json["principal"] == .string(user),
                "the response with the new ticket may have been lost"
            )
            #expect(early.setCookies == [])
            let write = try await old.post("/set", ["k": "k", "v": "through-the-old"], on: servers[1])
            #expect(write.status == 200 && write.setCookies == [], "no response sends an old secret again")

            #expect(
                try await browser.get("/peek", ["k": "k"], on: servers[2]).json["value"]
                    == .string("through-the-old")
            )
            // A request that left before the new ticket came.
            let late = try await old.post("/set", ["k": "k", "v": "late"], on: servers[1])
            #expect(late.status == 200 && late.setCookies == [])
            let seen = try await browser.get("/whoami", on: servers[0]).json
            #expect(seen["principal"] == .string(user) && seen["values"]["k"] == .string("late"))
        }

        @Test(arguments: Store.onServers) func `many times at once leaves a session that works`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: servers[0])
            let tabs = try await concurrently(20) { index in
                let tab = browser.clone()
                let reply = try await tab.post("/renew", on: servers[index % 3])
                #expect(reply.status == 200)
                return tab
            }
            #expect(tabs.allSatisfy { $0.id == browser.id })
            // A real browser has one jar: it keeps the ticket of whichever response came last. Some tab must
            // still be in.
            var working = 0
            for tab in tabs
            where try await tab.get("/peek", ["k": "k"], on: servers[1]).json["value"] == .string("v") {
                working += 1
            }
            #expect(working >= 1)
        }

        @Test(arguments: Store.allCases) func `without a session stores nothing and sets no cookie`(
            store: Store
        ) async throws {
            for path in ["/renew", "/logout"] {
                let browser = fleet.browser()
                let reply = try await browser.post(path, on: fleet.servers(store)[0])
                #expect(reply.status == 200 && reply.setCookies == [], "\(path)")
            }
            let reply = try await fleet.browser().post("/remove", ["k": "k"], on: fleet.servers(store)[0])
            #expect(reply.status == 200 && reply.setCookies == [])
        }
    }
}
