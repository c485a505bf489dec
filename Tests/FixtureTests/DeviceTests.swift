// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What users can do with their own sessions: list, end one, end the others, end all (R28, R29).
extension SharedFleet {
    @Suite struct `The device list` {
        let fleet = Fleet.shared

        private func signedIn(_ user: String, on server: FixtureApp) async throws -> Browser {
            let browser = fleet.browser()
            #expect(try await browser.post("/login", ["user": user], on: server).status == 200)
            return browser
        }

        @Test(arguments: Store.onServers) func `shows each of one's own sessions and marks the current one`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let (user, other) = (fleet.user(), fleet.user("other"))
            let began = Date.now
            let phone = try await signedIn(user, on: servers[0])
            let laptop = try await signedIn(user, on: servers[1])
            _ = try await signedIn(other, on: servers[2])
            let reply = try await phone.get("/devices", on: servers[2])
            #expect(reply.status == 200 && reply.setCookies == [])
            let devices = reply.json["devices"].array
            #expect(
                Set(devices.compactMap { $0["handle"].string })
                    == Set([phone.id, laptop.id].compactMap(\.self))
            )
            for device in devices {
                #expect(device["current"] == .bool(device["handle"].string == phone.id))
                let created = try Date(try #require(device["created"].string), strategy: .iso8601OrFraction)
                let seen = try Date(try #require(device["lastSeen"].string), strategy: .iso8601OrFraction)
                #expect(abs(created.timeIntervalSince(began)) < 120 && seen >= created)
            }
            let fromLaptop = try await laptop.get("/devices", on: servers[0]).json["devices"].array
            #expect(
                fromLaptop.filter { $0["current"] == .bool(true) }.map { $0["handle"].string } == [
                    laptop.id
                ]
            )
        }

        @Test(arguments: Store.onServers) func `is for those who are signed in`(store: Store) async throws {
            let server = fleet.servers(store)[0]
            let anonymous = fleet.browser()
            try await anonymous.post("/set", ["k": "k", "v": "v"], on: server)
            for browser in [fleet.browser(), anonymous] {
                #expect(try await browser.get("/devices", on: server).status == 401)
                #expect(
                    try await browser.post("/revoke", ["handle": randomTicketText(bytes: 16)], on: server)
                        .status == 401
                )
                let reply = try await browser.post("/logout-others", on: server)
                #expect(reply.status == 401 && reply.json["error"].string != nil && reply.setCookies == [])
            }
        }

        @Test(arguments: Store.onServers) func `ends one session, at once and everywhere`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let (phone, laptop, tablet) = (
                try await signedIn(user, on: servers[0]), try await signedIn(user, on: servers[1]),
                try await signedIn(user, on: servers[2])
            )
            #expect(
                try await phone.post("/revoke", ["handle": try #require(laptop.id)], on: servers[0])
                    .status == 200
            )
            try await fleet.spread(store)
            for server in servers {
                let reply = try await laptop.clone().get("/whoami", on: server)
                #expect(
                    reply.status == 200 && reply.json["principal"] == .null && reply.json["handle"] == .null
                )
                #expect(try await tablet.get("/whoami", on: server).json["principal"] == .string(user))
            }
            let left = try await tablet.get("/devices", on: servers[1]).json["devices"].array.compactMap {
                $0["handle"].string
            }
            #expect(Set(left) == Set([phone.id, tablet.id].compactMap(\.self)))
            #expect(
                try await phone.post("/revoke", ["handle": try #require(laptop.id)], on: servers[1])
                    .status == 404,
                "it is over already"
            )
        }

        @Test(arguments: Store.onServers) func `ends the current session, too`(store: Store) async throws {
            let servers = fleet.servers(store)
            let browser = try await signedIn(fleet.user(), on: servers[0])
            let thief = browser.clone()
            #expect(
                try await browser.post("/revoke", ["handle": try #require(browser.id)], on: servers[1])
                    .status == 200
            )
            for server in servers {
                #expect(try await thief.get("/whoami", on: server).json["principal"] == .null)
            }
            #expect(try await browser.get("/whoami", on: servers[2]).json["principal"] == .null)
        }

        @Test(arguments: Store.onServers) func `does not reach other people's sessions`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let alice = try await signedIn(fleet.user("alice"), on: servers[0])
            let bobsName = fleet.user("bob")
            let bob = try await signedIn(bobsName, on: servers[1])
            let anonymous = fleet.browser()
            try await anonymous.post("/set", ["k": "k", "v": "v"], on: servers[1])
            for id in [bob.id, anonymous.id, randomTicketText(bytes: 16)] {
                #expect(
                    try await alice.post("/revoke", ["handle": try #require(id)], on: servers[2]).status
                        == 404
                )
            }
            for malformed in ["", "x", "*", "../x", "\(try #require(bob.id))A", try #require(bob.ticket)] {
                let status = try await alice.post("/revoke", ["handle": malformed], on: servers[2]).status
                #expect(status == 400, "\(malformed.prefix(4))… is no handle")
            }
            #expect(try await bob.get("/whoami", on: servers[0]).json["principal"] == .string(bobsName))
            #expect(
                try await anonymous.get("/peek", ["k": "k"], on: servers[0]).json["value"] == .string("v")
            )
        }

        @Test(arguments: Store.onServers) func `ends all other sessions and keeps the current one`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let browsers = try await concurrently(8) { index in
                try await self.signedIn(user, on: servers[index % 3])
            }
            let stranger = try await signedIn(fleet.user("stranger"), on: servers[0])
            #expect(try await browsers[0].post("/logout-others", on: servers[1]).status == 200)
            try await fleet.spread(store)
            for (index, browser) in browsers.enumerated() {
                let seen = try await browser.get("/whoami", on: servers[index % 3]).json["principal"]
                #expect(seen == (index == 0 ? .string(user) : .null))
            }
            #expect(try await browsers[0].get("/devices", on: servers[2]).json["devices"].array.count == 1)
            #expect(try await stranger.get("/whoami", on: servers[1]).json["principal"] != .null)
        }

        @Test(arguments: Store.onServers) func `ends all sessions of a user, and no one else's`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let user = fleet.user()
            let browsers = try await concurrently(8) { index in
                try await self.signedIn(user, on: servers[index % 3])
            }
            let neighbour = user + "x"
            let stranger = try await signedIn(neighbour, on: servers[0])
            #expect(try await stranger.post("/logout-all", ["user": user], on: servers[2]).status == 200)
            try await fleet.spread(store)
            for (index, browser) in browsers.enumerated() {
                #expect(try await browser.get("/whoami", on: servers[index % 3]).json["principal"] == .null)
            }
            #expect(try await stranger.get("/whoami", on: servers[0]).json["principal"] == .string(neighbour))
            let again = try await signedIn(user, on: servers[1])
            #expect(
                try await again.get("/devices", on: servers[0]).json["devices"].array.count == 1,
                "signing in again works"
            )
        }

        @Test(arguments: Store.onServers) func `tells user names apart byte by byte`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let base = fleet.user()
            let names = [
                base + "\u{E9}", base + "e", base + "K", base + "k", base + "\u{FF4B}", base + " ",
                base + ":x", base + "\r\nx",
            ]
            var browsers: [Browser] = []
            for name in names { browsers.append(try await signedIn(name, on: servers[0])) }
            for (browser, name) in zip(browsers, names) {
                let listed = try await browser.get("/devices", on: servers[1]).json["devices"].array
                #expect(listed.count == 1, "\(name.debugDescription) shares no list")
                let seen = try #require(
                    try await browser.get("/whoami", on: servers[2]).json["principal"].string
                )
                #expect(Array(seen.utf8) == Array(name.utf8))
            }
        }

        @Test func `forgets what has expired`() async throws {
            let long = FixtureApp.Options(redis: fleet.redis.url, prefix: "listed")
            var short = long
            short.idleSeconds = 1
            async let first = FixtureApp.started(long, instance: "long")
            async let second = FixtureApp.started(short, instance: "short")
            let (keeping, dropping) = try await (first, second)
            let user = fleet.user()
            let browser = try await signedIn(user, on: keeping)
            _ = try await signedIn(user, on: dropping)
            #expect(try await browser.get("/devices", on: keeping).json["devices"].array.count == 2)
            let isForgotten = await poll(seconds: 5, every: .milliseconds(100)) {
                (try? await browser.get("/devices", on: keeping).json["devices"].array.count) == 1
            }
            #expect(isForgotten)
            for app in [keeping, dropping] { await app.terminate() }
        }
    }
}

/// RFC 3339 with or without fractions of a second.
struct RFC3339: ParseStrategy {
    func parse(_ text: String) throws -> Date {
        do { return try Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(text) } catch {
            return try Date.ISO8601FormatStyle().parse(text)
        }
    }
}

extension ParseStrategy where Self == RFC3339 {
    static var iso8601OrFraction: RFC3339 { RFC3339() }
}
