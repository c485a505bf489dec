// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Promise 2: what was signed out, revoked or expired cannot come back through a late save (R26, R70).
extension SharedFleet {
    @Suite struct `A late save` {
        let fleet = Fleet.shared

        /// How the session ends while the slow request is under way.
        enum End: String, CaseIterable { case logout, revoke, logoutOthers, logoutAll }

        /// Ends `browser`'s session; `device` is another session of the same user.
        private func end(
            _ end: End,
            _ browser: Browser,
            by device: Browser,
            user: String,
            on server: FixtureApp
        ) async throws -> Reply {
            switch end {
            case .logout: try await browser.post("/logout", on: server)
            case .revoke:
                try await device.post("/revoke", ["handle": try #require(browser.id)], on: server)
            case .logoutOthers: try await device.post("/logout-others", on: server)
            case .logoutAll: try await device.post("/logout-all", ["user": user], on: server)
            }
        }

        /// The ticket opens nothing, the late value is nowhere, and what remains of the record holds no data.
        private func expectGone(
            _ thief: Browser,
            value: String,
            store: Store,
            sourceLocation: SourceLocation = #_sourceLocation
        )
            async throws
        {
            try await fleet.spread(store)
            for server in fleet.servers(store) {
                let seen = try await thief.get("/whoami", on: server).json
                #expect(
                    seen["principal"] == .null && seen["values"].object == [:],
                    sourceLocation: sourceLocation
                )
            }
            guard store == .redis else { return }
            #expect(
                try await fleet.redis.findings(of: [value]) == [],
                "the late value is not stored",
                sourceLocation: sourceLocation
            )
        }

        @Test(arguments: Store.onServers, End.allCases) func `does not bring an ended session back`(
            store: Store,
            how: End
        ) async throws {
            let servers = fleet.servers(store)
            try await untilUnderWay { milliseconds in
                let user = fleet.user()
                let (browser, device, tally) = (fleet.browser(), fleet.browser(), Tally())
                try await browser.post("/login", ["user": user], on: servers[0])
                try await device.post("/login", ["user": user], on: servers[0])
                let (tab, thief) = (browser.clone(), browser.clone())
                let value = "late-\(randomTicketText(bytes: 9))"
                let query: KeyValuePairs = ["ms": "\(milliseconds)", "k": "k", "v": value]
                async let slow = tab.post("/slow", query, on: servers[1]).counted("over", in: tally)
                await untilPausing(servers[1])
                let ended = try await end(how, browser, by: device, user: user, on: servers[2])
                let wasUnderWay = tally["over"] == 0
                let late = try await slow
                #expect(ended.status == 200)
                // Begun after the end it is a stranger's request, and may start a fresh session of its own.
                guard wasUnderWay, tab.id == thief.id || late.setCookies.allSatisfy(isDeletion) else {
                    return false
                }
                #expect(late.status == 409 && late.json["error"] == .string("session-changed"))
                #expect(late.setCookies == [], "no ticket for an ended session")
                try await expectGone(thief, value: value, store: store)
                return true
            }
        }

        @Test(arguments: Store.onServers)
        func `does not bring a session back in any of many random interleavings`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let values = try await concurrently(80, width: 16) { [fleet] index in
                let how = End.allCases[index % 4]
                let user = fleet.user()
                let (browser, device) = (fleet.browser(), fleet.browser())
                try await browser.post("/login", ["user": user], on: servers[index % 3])
                try await device.post("/login", ["user": user], on: servers[index % 3])
                let thief = browser.clone()
                let id = try #require(thief.id)
                let value = "late-\(randomTicketText(bytes: 9))"
                let tabs = (0..<4).map { _ in browser.clone() }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (step, tab) in tabs.enumerated() {
                        let pause = Int.random(in: 0...20)
                        group.addTask {
                            // A moment at random: each request may be before, during and after the end.
                            try await Task.sleep(for: .milliseconds(Int.random(in: 0...10)))
                            let server = servers[(index + step) % 3]
                            let reply =
                                switch step {
                                case 0:
                                    try await tab.post(
                                        "/slow",
                                        ["ms": "\(pause)", "k": "k", "v": value],
                                        on: server
                                    )
                                case 1: try await tab.post("/append", ["k": "list", "v": value], on: server)
                                case 2: try await tab.post("/renew", on: server)
                                default: try await tab.get("/peek", ["k": "k"], on: server)
                                }
                            // What the end overtook is refused, and says so.
                            let isRefused = reply.status == 409 && reply.setCookies == []
                            #expect(reply.status == 200 || isRefused && step < 3)
                            // Data written after the end may start a fresh session (it is a new request),
                            // never the old one.
                            #expect(tab.ticket != nil || reply.setCookies.allSatisfy(isDeletion))
                        }
                    }
                    let pause = Int.random(in: 0...20)
                    group.addTask {
                        // At random, too.
                        try await Task.sleep(for: .milliseconds(pause))
                        let reply = try await self.end(
                            how,
                            browser,
                            by: device,
                            user: user,
                            on: servers[(index + 1) % 3]
                        )
                        #expect(reply.status == 200, "\(how)")
                    }
                    try await group.waitForAll()
                }
                try await fleet.spread(store)
                // The old ticket, and the one that a renewal in between may have brought.
                for (holder, server) in [
                    (thief, servers[0]), (tabs[2], servers[1]), (tabs[2], servers[2]), (thief, servers[2]),
                ] {
                    let seen = try await holder.get("/whoami", on: server).json
                    #expect(seen["principal"] == .null && seen["values"].object == [:], "\(how)")
                }
                return (id, value)
            }
            guard store == .redis else { return }
            for (id, value) in values {
                #expect(
                    try await fleet.redis.dataFields(ofHandle: id).filter { $0.contains(value) } == []
                )
            }
        }

        @Test func `after the lifetime does not bring the session back`() async throws {
            var options = FixtureApp.Options(redis: fleet.redis.url, prefix: "late")
            options.lifetimeSeconds = 1
            let app = try await FixtureApp.started(options)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: app)
            let old = browser.clone()
            let id = try #require(old.id)
            let reply = try await browser.post("/slow", ["ms": "2200", "k": "k", "v": "late"], on: app)
            #expect(reply.status == 409)
            #expect(try await old.get("/whoami", on: app).json["values"].object == [:])
            let remains = try await fleet.redis.dataFields(ofHandle: id)
            #expect(remains.filter { $0.contains("late") } == [])
            await app.terminate()
        }
    }

    @Suite struct `Signing out everywhere` {
        @Test func `beats sign-ins that run at the same time`() async throws {
            let fleet = Fleet.shared
            let user = fleet.user()
            let before = try await concurrently(20) { index in
                let browser = fleet.browser()
                try await browser.post("/login", ["user": user], on: fleet.servers[index % 3])
                return browser
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<10 {
                    group.addTask {
                        try await fleet.browser().post("/login", ["user": user], on: fleet.servers[index % 3])
                    }
                }
                group.addTask {
                    let reply = try await fleet.browser().post(
                        "/logout-all",
                        ["user": user],
                        on: fleet.servers[0]
                    )
                    #expect(reply.status == 200)
                }
                try await group.waitForAll()
            }
            for (index, browser) in before.enumerated() {
                let seen = try await browser.get("/whoami", on: fleet.servers[index % 3]).json
                #expect(seen["principal"] == .null, "every sign-in from before the call is over")
            }
        }
    }
}

extension RedisServer {
    /// Fields and values of whatever keys carry this session ID in their name, one text per line.
    func dataFields(ofHandle id: String) async throws -> [String] {
        let script = """
            local found = {}
            for _, key in ipairs(redis.call('KEYS', '*' .. ARGV[1] .. '*')) do
              if redis.call('TYPE', key).ok == 'hash' then
                for _, text in ipairs(redis.call('HGETALL', key)) do found[#found + 1] = text end
              end
            end
            return found
            """
        return try await admin("EVAL", script, "0", id).split(separator: "\n").map(String.init)
    }
}
