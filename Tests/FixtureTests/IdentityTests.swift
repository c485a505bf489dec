// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Who is signed in, with what rights and for how long, over HTTP.
extension SharedFleet {
    @Suite struct `Identity over HTTP` {
        let fleet = Fleet.shared

        @Test(arguments: Store.onServers + [.revocable, .tiered])
        func `an elevation ends the old ticket on every instance and keeps the rest`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            let user = fleet.user()
            try await browser.post("/login", ["user": user], on: servers[0])
            try await browser.post("/set", ["k": "k", "v": "v"], on: servers[1])
            let thief = browser.clone()
            let id = try await browser.get("/whoami", on: servers[2]).json["handle"]
            let time = try await browser.get("/authenticated", on: servers[2]).json["at"]
            let reply = try await browser.post("/elevate", on: servers[1])
            #expect(reply.status == 200 && reply.setCookies.count == 1)
            try await fleet.spread(store)
            for server in servers {
                #expect(try await thief.get("/whoami", on: server).json["principal"] == .null)
                let seen = try await browser.get("/whoami", on: server).json
                #expect(seen["principal"] == .string(user) && seen["handle"] == id)
                #expect(seen["values"] == .object(["k": .string("v")]))
                let signIn = try await browser.get("/authenticated", on: server).json
                #expect(signIn["at"] == time && time != .null && signIn["within"] == .bool(true))
            }
            #expect(try await thief.post("/elevate", on: servers[0]).status == 409)
        }

        @Test(arguments: Store.onServers + [.revocable, .tiered])
        func `a remembered user has a cookie for thirty days until the next sign-in`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            let user = fleet.user()
            var reply = try await browser.post("/login", ["user": user, "remember": "1"], on: servers[0])
            #expect(try #require(reply.setCookies.first).contains("; Max-Age=2592000; Expires="))
            for path in ["/renew", "/elevate"] {
                reply = try await browser.post(path, on: servers[1])
                #expect(try #require(reply.setCookies.first).contains("; Max-Age=259"))
            }
            let expiry = try await browser.get("/authenticated", on: servers[2]).json["expiresIn"].int
            #expect((14 * 86_400 - 5...14 * 86_400).contains(try #require(expiry)))
            reply = try await browser.post("/login", ["user": user], on: servers[2])
            #expect(try !#require(reply.setCookies.first).contains("Max-Age"))
            let after = try await browser.get("/authenticated", on: servers[0]).json["expiresIn"].int
            #expect(try #require(after) < 86_400)
        }

        @Test(arguments: Store.onServers + [.revocable, .tiered])
        func `two spellings of one name are one user`(store: Store) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            let user = fleet.user()
            try await browser.post("/login", ["user": user + "Jose\u{301}"], on: servers[0])
            #expect(try await browser.get("/devices", on: servers[1]).json["devices"].array.count == 1)
            let reply = try await fleet.browser().post(
                "/logout-all",
                ["user": user + "Jos\u{E9}"],
                on: servers[2]
            )
            #expect(reply.json["revoked"].int == 1)
            try await fleet.spread(store)
            #expect(try await browser.get("/whoami", on: servers[1]).json["principal"] == .null)
        }

        @Test(arguments: Store.onServers + [.revocable, .tiered])
        func `a changed password ends all sessions and begins one`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let (browser, other) = (fleet.browser(), fleet.browser())
            let user = fleet.user()
            try await browser.post("/login", ["user": user], on: servers[0])
            try await other.post("/login", ["user": user], on: servers[1])
            let thief = browser.clone()
            let reply = try await browser.post("/change-password", ["user": user], on: servers[2])
            #expect(reply.status == 200 && reply.json["revoked"].int == 2)
            try await fleet.spread(store)
            for server in servers {
                #expect(try await browser.get("/whoami", on: server).json["principal"] == .string(user))
                for lost in [other, thief] {
                    #expect(try await lost.get("/whoami", on: server).json["principal"] == .null)
                }
            }
            #expect(try await browser.get("/devices", on: servers[0]).json["devices"].array.count == 1)
        }

        @Test(arguments: Store.onServers + [.revocable, .tiered])
        func `a sign-in loses against the end of all sessions while it is checked`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let user = fleet.user()
            for place in servers {
                let (browser, other) = (fleet.browser(), fleet.browser())
                try await browser.post("/set", ["k": "k", "v": "v"], on: servers[0])
                async let slow = browser.post("/login", ["user": user, "ms": "700"], on: servers[0])
                // Not a wait for something: what overlaps by less than a command takes to the store counts as before.
                try await Task.sleep(for: .milliseconds(250))
                try await other.post("/change-password", ["user": user], on: place)
                let reply = try await slow
                #expect(reply.status == 409 && reply.setCookies == [])
                #expect(try await other.get("/devices", on: place).json["devices"].array.count == 1)
                // At once, and not refused.
                for server in servers {
                    #expect(try await other.post("/logout-all", ["user": user], on: place).status == 200)
                    #expect(try await browser.post("/login", ["user": user], on: server).status == 200)
                }
            }
        }
    }
}
