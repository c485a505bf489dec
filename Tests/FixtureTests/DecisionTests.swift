// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// What a handler decides by a value and shows is what is stored, however many requests run at the same time.
extension SharedFleet {
    @Suite struct `Decisions in parallel requests` {
        let fleet = Fleet.shared

        private func started(_ store: Store) async throws -> ([FixtureApp], Browser) {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "code", "v": "4711"], on: servers[0])
            return (servers, browser)
        }

        @Test(arguments: Store.onServers, ["/limit", "/limit-inside"])
        func `let exactly as many through as the limit says`(store: Store, route: String) async throws {
            let (servers, browser) = try await started(store)
            let statuses = try await concurrently(20) { index in
                try await browser.clone().post(route, ["k": "n", "max": "5"], on: servers[index % 2]).status
            }
            #expect(statuses.count { $0 == 200 } == 5, "\(statuses)")
            #expect(statuses.count { $0 == 429 } == 15, "\(statuses)")
        }

        @Test(arguments: Store.onServers) func `show eight tabs one token, the stored one`(store: Store)
            async throws
        {
            let (servers, browser) = try await started(store)
            let tokens = try await concurrently(8) { index in
                try await browser.clone().get("/token", ["k": "csrf"], on: servers[index % 2]).json["token"]
                    .string
            }
            let stored = try await browser.get("/peek", ["k": "csrf"], on: servers[1]).json["value"].string
            #expect(stored != nil && Set(tokens) == [stored])
        }

        @Test(arguments: Store.onServers) func `hand a one-time code out once`(store: Store) async throws {
            let (servers, browser) = try await started(store)
            let codes = try await concurrently(12) { index in
                try await browser.clone().post("/take", ["k": "code"], on: servers[index % 2]).json["value"]
                    .string
            }
            #expect(codes.compactMap { $0 } == ["4711"])
            #expect(try await browser.get("/has", ["k": "code"], on: servers[0]).json["has"] == .bool(false))
        }

        @Test(arguments: Store.allCases) func `work in a new session, too`(store: Store) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            let token = try await browser.get("/token", ["k": "csrf"], on: servers[0]).json["token"].string
            #expect(token != nil)
            for server in servers {
                let seen = try await browser.get("/token", ["k": "csrf"], on: server).json["token"].string
                #expect(seen == token)
            }
            #expect(try await browser.post("/limit", ["k": "n", "max": "1"], on: servers[0]).status == 200)
            #expect(try await browser.post("/limit", ["k": "n", "max": "1"], on: servers[1]).status == 429)
        }
    }
}
