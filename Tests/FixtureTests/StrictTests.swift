// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Promise 1: an id that a client made up, or kept too long, is never adopted (R03, R04, R66).
extension SharedFleet {
    @Suite struct `An unknown ticket` {
        let fleet = Fleet.shared

        /// Whatever is presented reads as anonymous, and what is written goes to a fresh session.
        private func expectNeverAdopted(
            _ presented: String,
            on servers: [FixtureApp],
            sourceLocation: SourceLocation = #_sourceLocation
        )
            async throws
        {
            let sentHandle = presented.split(separator: ".").first.map(String.init) ?? presented
            for path in ["/peek", "/has", "/list"] {
                let reader = fleet.browser()
                reader.present(presented)
                let reply = try await reader.get(path, ["k": "k"], on: servers[0])
                #expect(reply.status == 200, sourceLocation: sourceLocation)
                #expect(
                    reply.setCookies.allSatisfy(isDeletion),
                    "a read hands out no ticket",
                    sourceLocation: sourceLocation
                )
            }
            let looker = fleet.browser()
            looker.present(presented)
            let seen = try await looker.get("/whoami", on: servers[1]).json
            #expect(
                seen["principal"] == .null && seen["handle"] == .null && seen["values"].object == [:],
                sourceLocation: sourceLocation
            )

            for (path, query) in [("/set", ["k": "k", "v": "mine"]), ("/login", ["user": fleet.user()])]
                as [(String, KeyValuePairs<String, String>)]
            {
                let writer = fleet.browser()
                writer.present(presented)
                let thief = writer.clone()
                let reply = try await writer.post(path, query, on: servers[0])
                #expect(reply.status == 200, sourceLocation: sourceLocation)
                #expect(
                    reply.setCookies.count == 1,
                    "\(path) hands out a ticket",
                    sourceLocation: sourceLocation
                )
                let ticket = try #require(writer.ticket, sourceLocation: sourceLocation)
                #expect(ticket != presented, sourceLocation: sourceLocation)
                #expect(writer.id != sentHandle, "the handle is fresh", sourceLocation: sourceLocation)
                #expect(
                    !presented.contains(writer.secret ?? presented),
                    "the secret is fresh",
                    sourceLocation: sourceLocation
                )
                let stolen = try await thief.get("/whoami", on: servers[2]).json
                #expect(
                    stolen["principal"] == .null && stolen["values"].object == [:],
                    "who knew the old ticket learns nothing",
                    sourceLocation: sourceLocation
                )
            }
        }

        @Test(arguments: Store.allCases) func `that is well-formed but made up is never adopted`(store: Store)
            async throws
        {
            let ticket = madeUpTicket()
            try await expectNeverAdopted(ticket, on: fleet.servers(store))
            let id = try #require(ticket.split(separator: ".").first)
            #expect(
                try await fleet.redis.keys().filter { $0.contains(id) } == [],
                "no key comes from the sent handle"
            )
        }

        @Test(arguments: Store.allCases) func `that is malformed is never adopted`(store: Store) async throws
        {
            let (id, secret) = (randomTicketText(bytes: 16), randomTicketText(bytes: 32))
            let malformed = [
                "x", ".", "..", "\(id)", "\(id).", ".\(secret)", "\(id)\(secret)",
                "\(id).\(secret).",
                "\(id)..\(secret)",
                "\(id).\(secret)=", "\(id)=.\(secret)", "\(id).\(secret)A",
                "\(id).\(secret.dropLast())",
                "\(secret).\(id)",
                "\(id.dropLast())*.\(secret)", "\(id).\(secret.dropLast())+",
                "\(id).\(secret.dropLast())/",
                "{\(id.dropFirst())}.\(secret)",
                "../\(id.dropFirst(3)).\(secret)", "\(id):\(secret)", "\"\(id).\(secret)\"",
                "%2E\(id).\(secret)",
                "\(id).\(secret).-1", "\(id).\(secret).99999999999999999999999",
                "\(id).\(secret).x", "\(id).\(secret).1.2",
                String(repeating: "A", count: 3000), String(repeating: ".", count: 3000),
            ]
            let server = fleet.servers(store)[0]
            for presented in malformed {
                let browser = fleet.browser()
                browser.present(presented)
                #expect(
                    try await browser.get("/peek", ["k": "k"], on: server).json["value"] == .null,
                    "\(presented.prefix(80))"
                )
                let reply = try await browser.post("/set", ["k": "k", "v": "v"], on: server)
                #expect(reply.status == 200 && reply.setCookies.count == 1, "\(presented.prefix(80))")
                let fresh = try #require(browser.ticket)
                // Shorter parts, like the version of a sealed cookie, may occur in random text by chance.
                let parts = [browser.id, browser.secret].compactMap(\.self).filter { $0.count >= 20 }
                #expect(fresh != presented && !parts.contains(where: presented.contains))
            }
        }

        @Test(arguments: Store.onServers, [true, false])
        func `made of a real id and a guessed secret opens and harms nothing`(
            store: Store,
            isSignedIn: Bool
        )
            async throws
        {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let victim = fleet.browser()
            if isSignedIn { try await victim.post("/login", ["user": user], on: servers[0]) }
            try await victim.post("/set", ["k": "k", "v": "victim"], on: servers[0])
            let guess = madeUpTicket(id: victim.id)
            let guesser = fleet.browser()
            guesser.present(guess)
            for server in servers {
                let reply = try await guesser.get("/whoami", on: server)
                #expect(reply.setCookies.allSatisfy(isDeletion))
                guesser.present(guess)
                #expect(
                    reply.json["principal"] == .null && reply.json["handle"] == .null
                        && reply.json["values"].object == [:]
                )
            }
            // It looks like a secret that was superseded: what it writes may be dropped, or go to a fresh
            // session.
            for (path, query) in [
                ("/set", ["k": "k", "v": "guessed"]), ("/append", ["k": "l", "v": "guessed"]),
                ("/logout", [:]),
            ]
                as [(String, KeyValuePairs<String, String>)]
            {
                let writer = guesser.clone()
                #expect(try await writer.post(path, query, on: servers[1]).status == 200)
                #expect(writer.ticket == guess || writer.id != victim.id)
            }
            let login = try await guesser.post("/login", ["user": fleet.user("guesser")], on: servers[2])
            #expect(login.status == 200 && login.setCookies.count == 1)
            #expect(guesser.id != nil && guesser.id != victim.id)
            for server in servers {
                let seen = try await victim.get("/whoami", on: server).json
                #expect(seen["principal"] == (isSignedIn ? .string(user) : .null))
                #expect(seen["values"] == .object(["k": .string("victim")]))
            }
        }

        @Test(arguments: Store.allCases)
        func `made of one session's id and another's secret opens neither`(store: Store) async throws {
            let servers = fleet.servers(store)
            let (one, two) = (fleet.browser(), fleet.browser())
            try await one.post("/set", ["k": "k", "v": "one"], on: servers[0])
            try await two.post("/set", ["k": "k", "v": "two"], on: servers[1])
            let mixed = "\(try #require(one.id)).\(try #require(two.secret))"
            let browser = fleet.browser()
            browser.present(mixed)
            #expect(try await browser.get("/whoami", on: servers[2]).json["values"].object == [:])
            try await browser.post("/set", ["k": "k", "v": "mixed"], on: servers[2])
            #expect(try await one.get("/peek", ["k": "k"], on: servers[1]).json["value"] == .string("one"))
            #expect(try await two.get("/peek", ["k": "k"], on: servers[0]).json["value"] == .string("two"))
        }

        @Test(arguments: Store.onServers) func `of a session that was signed out is never adopted`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/login", ["user": fleet.user()], on: servers[0])
            let ticket = try #require(browser.ticket)
            #expect(try await browser.post("/logout", on: servers[1]).status == 200)
            #expect(browser.ticket == nil, "the cookie is taken away")
            try await fleet.spread(store)
            try await expectNeverAdopted(ticket, on: servers)
        }

        @Test(arguments: Store.onServers) func `of a revoked session is never adopted`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let (phone, laptop) = (fleet.browser(), fleet.browser())
            try await phone.post("/login", ["user": user], on: servers[0])
            try await laptop.post("/login", ["user": user], on: servers[1])
            #expect(
                try await laptop.post("/revoke", ["handle": try #require(phone.id)], on: servers[2])
                    .status == 200
            )
            try await fleet.spread(store)
            try await expectNeverAdopted(try #require(phone.ticket), on: servers)
            #expect(try await laptop.get("/whoami", on: servers[0]).json["principal"] == .string(user))
        }
    }

    @Suite struct `An expired ticket` {
        @Test(arguments: Store.onServers) func `is never adopted`(store: Store) async throws {
            let fleet = Fleet.shared
            let app = try await Self.started(store, "brief")
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "old"], on: app)
            let ticket = try #require(browser.ticket)
            let isOver = await poll(seconds: 5, every: .milliseconds(1300)) {
                (try? await browser.clone().get("/peek", ["k": "k"], on: app).json["value"]) == .null
            }
            #expect(isOver, "one second without a request ends it")
            let late = fleet.browser()
            late.present(ticket)
            let reply = try await late.post("/set", ["k": "other", "v": "new"], on: app)
            #expect(reply.status == 200)
            #expect(late.id != nil && late.id != ticket.split(separator: ".").first.map(String.init))
            #expect(try await late.get("/whoami", on: app).json["values"].object.keys.sorted() == ["other"])
            #expect(try await browser.get("/whoami", on: app).json["values"].object == [:])
            await app.terminate()
        }

        @Test func `is not one that expires while a handler holds it`() async throws {
            // They wait; nothing is gained by doing it one after the other.
            try await withThrowingTaskGroup { group in
                for store in Store.allCases {
                    group.addTask { try await Self.holdLongerThanIdleTimeout(store) }
                }
                try await group.waitForAll()
            }
        }

        /// An instance whose sessions end after a second without a request.
        private static func started(_ store: Store, _ name: String) async throws -> FixtureApp {
            var options = FixtureApp.Options(
                store: store.rawValue,
                redis: store.hasRedis ? Fleet.shared.redis.url : nil,
                prefix: store.hasRedis ? "\(name)-\(store)" : nil
            )
            options.idleSeconds = 1
            if store.rawValue.hasPrefix("sealed") { options.extra = ["--seal-keys", sealKey("k")] }
            return try await FixtureApp.started(options)
        }

        private static func holdLongerThanIdleTimeout(_ store: Store) async throws {
            let fleet = Fleet.shared
            let app = try await started(store, "long")
            for isSignedIn in [false, true] {
                let browser = fleet.browser()
                try await browser.post("/set", ["k": "k", "v": "old"], on: app)
                if isSignedIn { try await browser.post("/login", ["user": "long"], on: app) }
                let slow = try await browser.post("/slow", ["k": "k", "v": "new", "ms": "3500"], on: app)
                #expect(slow.status == 200, "\(store)")
                let seen = try await browser.get("/whoami", on: app).json
                #expect(seen["values"].object["k"] == .string("new"), "\(store)")
                #expect(seen["principal"] == (isSignedIn ? .string("long") : .null), "\(store)")
            }
            await app.terminate()
        }

        @Test func `ends at the absolute lifetime however busy it is`() async throws {
            let fleet = Fleet.shared
            var options = FixtureApp.Options(redis: fleet.redis.url, prefix: "absolute")
            options.lifetimeSeconds = 2
            options.idleSeconds = 2
            let app = try await FixtureApp.started(options)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "old"], on: app)
            let first = try await browser.get("/peek", ["k": "k"], on: app).json["value"]
            #expect(first == .string("old"))
            let isOver = await poll(seconds: 8, every: .milliseconds(200)) {
                _ = try? await browser.clone().post("/increment", ["k": "n"], on: app)
                return (try? await browser.clone().get("/peek", ["k": "k"], on: app).json["value"]) == .null
            }
            #expect(isOver, "use does not move the absolute deadline")
            await app.terminate()
        }
    }
}

/// Whether a `Set-Cookie` value only takes a cookie away.
func isDeletion(_ setCookie: String) -> Bool {
    setCookie.lowercased().contains("max-age=0") && setCookie.split(separator: ";")[0].hasSuffix("=")
}
