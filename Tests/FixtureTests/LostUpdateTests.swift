// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Promise 3: updates that run at the same time on several servers all count (R69).
extension SharedFleet {
    @Suite struct `Parallel updates` {
        let fleet = Fleet.shared

        @Test(arguments: Store.onServers) func `of a counter are all counted`(store: Store) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "other", "v": "v"], on: servers[0])
            let statuses = try await concurrently(200, width: 48) { index in
                try await browser.clone().post(
                    "/increment",
                    ["k": "n", "by": "\(index % 3 + 1)"],
                    on: servers[index % 3]
                ).status
            }
            #expect(statuses.filter { $0 != 200 } == [])
            let expected = (0..<200).map { $0 % 3 + 1 }.reduce(0, +)
            for server in servers {
                #expect(
                    try await browser.get("/peek", ["k": "n"], on: server).json["value"]
                        == .string("\(expected)")
                )
                #expect(try await browser.get("/whoami", on: server).json["values"]["n"].int == expected)
            }
        }

        @Test(arguments: Store.onServers) func `of a list by closures are all kept`(store: Store) async throws
        {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "other", "v": "v"], on: servers[0])
            let statuses = try await concurrently(200, width: 48) { index in
                try await browser.clone().post(
                    "/append",
                    ["k": "list", "v": "item-\(index)"],
                    on: servers[index % 3]
                ).status
            }
            #expect(statuses.filter { $0 != 200 } == [], "a conflict is solved by running the closure again")
            let values = try await browser.get("/list", ["k": "list"], on: servers[0]).json["values"].array
                .compactMap(\.string)
            #expect(values.count == 200)
            #expect(Set(values) == Set((0..<200).map { "item-\($0)" }))
        }

        @Test(arguments: Store.onServers) func `of different attributes are all kept`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "first", "v": "v"], on: servers[0])
            let statuses = try await concurrently(100) { index in
                try await browser.clone().post(
                    "/set",
                    ["k": "k\(index)", "v": "v\(index)"],
                    on: servers[index % 3]
                ).status
            }
            #expect(statuses.filter { $0 != 200 } == [])
            let values = try await browser.get("/whoami", on: servers[1]).json["values"].object
            #expect(values.count == 101)
            for index in 0..<100 { #expect(values["k\(index)"] == .string("v\(index)")) }
        }

        @Test(arguments: Store.onServers) func `of one attribute leave one of the written values`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "first"], on: servers[0])
            _ = try await concurrently(30) { index in
                let reply = try await browser.clone().post(
                    "/set",
                    ["k": "k", "v": "v\(index)"],
                    on: servers[index % 3]
                )
                #expect(reply.status == 200)
            }
            let value = try #require(
                try await browser.get("/peek", ["k": "k"], on: servers[2]).json["value"].string
            )
            #expect((0..<30).map { "v\($0)" }.contains(value))
        }

        @Test(arguments: Store.allCases) func `are seen by the next request on every other server`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            var version = 0
            for round in 0..<30 {
                try await browser.post("/set", ["k": "k", "v": "\(round)"], on: servers[round % 3])
                let seen = try await browser.get("/whoami", on: servers[(round + 1) % 3]).json
                #expect(seen["values"]["k"] == .string("\(round)"), "a client reads its own writes")
                let next = try #require(seen["version"].int)
                #expect(next > version, "versions grow")
                version = next
            }
        }

        @Test(arguments: Store.onServers) func `survive a renewal in the middle`(store: Store) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "other", "v": "v"], on: servers[0])
            let (tabs, renewing) = (browser.clone(), browser.clone())
            let statuses = try await concurrently(60, width: 20) { index in
                if index == 30 { return try await renewing.post("/renew", on: servers[index % 3]).status }
                return try await tabs.clone().post(
                    "/append",
                    ["k": "list", "v": "\(index)"],
                    on: servers[index % 3]
                ).status
            }
            #expect(statuses.filter { $0 != 200 } == [])
            let values = try await renewing.get("/list", ["k": "list"], on: servers[0]).json["values"].array
            #expect(
                values.count == 59,
                "the new ticket was not shown before the end, so the old one still wrote"
            )
        }
    }
}
