// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// What the store holds: its limits, and records that are broken (R20, R36, R78).
extension SharedFleet {
    @Suite struct `A value above the limit` {
        let fleet = Fleet.shared

        @Test(arguments: Store.onServers) func `is refused and leaves the stored state as it was`(
            store: Store
        ) async throws {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: servers[0])
            let ticket = browser.ticket
            let before = try await browser.get("/whoami", on: servers[1]).json
            let reply = try await browser.post("/big", ["bytes": "1000000", "k": "big"], on: servers[2])
            #expect(reply.status == 413 && reply.json["error"].string != nil && reply.setCookies == [])
            #expect(reply["x-instance"] == servers[2].instance)
            #expect(browser.ticket == ticket)
            #expect(try await browser.get("/whoami", on: servers[0]).json == before)
            #expect(
                try await browser.post("/big", ["bytes": "20000", "k": "big"], on: servers[1]).status == 200
            )
            #expect(
                try await browser.get("/peek", ["k": "big"], on: servers[2]).json["value"].string?.utf8.count
                    == 20_000
            )
            #expect(try await browser.post("/big", ["bytes": "0", "k": "big"], on: servers[1]).status == 200)
            #expect(try await browser.get("/peek", ["k": "big"], on: servers[2]).json["value"] == .string(""))
        }

        @Test(arguments: Store.allCases) func `gives a newcomer no session`(store: Store) async throws {
            let browser = fleet.browser()
            let reply = try await browser.post(
                "/big",
                ["bytes": "1000000", "k": "big"],
                on: fleet.servers(store)[0]
            )
            #expect(reply.status == 413 && reply.setCookies == [] && browser.ticket == nil)
        }

        @Test(arguments: Store.allCases) func `cannot be reached in many small steps`(store: Store)
            async throws
        {
            let servers = fleet.servers(store)
            let browser = fleet.browser()
            var statuses: [Int] = []
            for index in 0..<40 where statuses.last != 413 {
                statuses.append(
                    try await browser.post(
                        "/big",
                        ["bytes": "20000", "k": "k\(index)"],
                        on: servers[index % 3]
                    ).status
                )
            }
            #expect(statuses.last == 413 && Set(statuses).isSubset(of: [200, 413]), "\(statuses)")
            let stored = statuses.filter { $0 == 200 }.count
            #expect(try await browser.get("/whoami", on: servers[0]).json["values"].object.count == stored)
            #expect(
                try await browser.post("/remove", ["k": "k0"], on: servers[1]).status == 200,
                "there is a way back"
            )
        }
    }

    @Suite struct `A broken record` {
        let fleet = Fleet.shared

        /// A signed-in visitor and the key of its record.
        private func record(_ user: String) async throws -> (Browser, key: String) {
            let browser = fleet.browser()
            try await browser.post("/login", ["user": user], on: fleet.servers[0])
            try await browser.post("/set", ["k": "k", "v": "v"], on: fleet.servers[1])
            let id = try #require(browser.id)
            return (
                browser,
                try #require(try await fleet.redis.keys("\(fleet.prefix):s:").first { $0.contains(id) })
            )
        }

        /// Reading it is never an error, again and again, and the visitor can sign in afresh.
        private func expectSurvivable(_ browser: Browser, _ what: String, isAnonymous: Bool = true)
            async throws
        {
            for server in fleet.servers {
                let reply = try await browser.clone().get("/whoami", on: server)
                #expect(reply.status == 200, "\(what): \(reply.body)")
                if isAnonymous {
                    #expect(reply.json["principal"] == .null && reply.json["values"].object == [:], "\(what)")
                }
                #expect(
                    try await browser.clone().get("/peek", ["k": "k"], on: server).status == 200,
                    "\(what)"
                )
                let write = try await browser.clone().post("/set", ["k": "x", "v": "y"], on: server)
                #expect((200..<500).contains(write.status), "\(what): \(write.status) \(write.body)")
            }
            let fresh = browser.clone()
            #expect(
                try await fresh.post("/login", ["user": fleet.user()], on: fleet.servers[0]).status == 200,
                "\(what)"
            )
            #expect(
                try await fresh.get("/whoami", on: fleet.servers[1]).json["principal"] != .null,
                "\(what)"
            )
        }

        @Test func `of the wrong type counts as absent`() async throws {
            for command in [["SET", "text"], ["RPUSH", "a"], ["ZADD", "1", "a"], ["SADD", "a"]] {
                let (browser, key) = try await record(fleet.user())
                try await fleet.redis.admin("DEL", key)
                _ = try await run(
                    "redis-cli",
                    ["-s", fleet.redis.socketPath, command[0], key] + command.dropFirst()
                )
                try await fleet.redis.admin("EXPIRE", key, "600")
                try await expectSurvivable(browser, command[0])
                try await fleet.redis.admin("DEL", key)
            }
        }

        @Test func `that lost a field or holds rubbish in one is no server error`() async throws {
            let user = fleet.user()
            let (_, sample) = try await record(user)
            let fields = try await fleet.redis.admin("HKEYS", sample).split(separator: "\n").map(String.init)
            #expect(fields.count >= 5)
            for field in fields {
                for rubbish in [
                    nil, "", "\u{1}\u{2}rubbish", "99999999999999999999999",
                    String(repeating: "[", count: 5000),
                ] {
                    let (browser, key) = try await record(user)
                    if let rubbish {
                        try await fleet.redis.admin("HSET", key, field, rubbish)
                    } else {
                        try await fleet.redis.admin("HDEL", key, field)
                    }
                    let what = "\(field) = \(rubbish.map { $0.prefix(12).debugDescription } ?? "nothing")"
                    for server in fleet.servers.shuffled().prefix(1) {
                        let reply = try await browser.clone().get("/whoami", on: server)
                        #expect(reply.status == 200, "\(what)")
                        let principal = reply.json["principal"]
                        if rubbish == nil {
                            #expect(principal == .null || principal == .string(user), "\(what)")
                        }
                        let write = try await browser.clone().post(
                            "/append",
                            ["k": "l", "v": "y"],
                            on: server
                        )
                        #expect((200..<500).contains(write.status), "\(what): \(write.status)")
                    }
                    try await fleet.redis.admin("DEL", key)
                }
            }
        }

        @Test func `that is empty but for a stranger's field is anonymous`() async throws {
            let (browser, key) = try await record(fleet.user())
            try await fleet.redis.admin("DEL", key)
            try await fleet.redis.admin("HSET", key, "nonsense", "1")
            try await fleet.redis.admin("EXPIRE", key, "600")
            try await expectSurvivable(browser, "only a stranger's field")
            try await fleet.redis.admin("DEL", key)
        }

        @Test func `without a deadline is refused`() async throws {
            let (browser, key) = try await record(fleet.user())
            #expect(try await fleet.redis.admin("PERSIST", key) == "1")
            for server in fleet.servers {
                let seen = try await browser.clone().get("/whoami", on: server)
                #expect(
                    seen.status == 200 && seen.json["principal"] == .null && seen.json["values"].object == [:]
                )
            }
            try await fleet.redis.admin("DEL", key)
        }

        @Test func `under another session's name does not open`() async throws {
            let (one, oneKey) = try await record(fleet.user("one"))
            let (two, twoKey) = try await record(fleet.user("two"))
            try await fleet.redis.admin("DEL", twoKey)
            try await fleet.redis.admin(
                "EVAL",
                "return redis.call('RESTORE', KEYS[2], 600000, redis.call('DUMP', KEYS[1]))",
                "2",
                oneKey,
                twoKey
            )
            #expect(
                try await two.get("/whoami", on: fleet.servers[0]).json["principal"] == .null,
                "the copy has another digest"
            )
            #expect(try await one.get("/whoami", on: fleet.servers[1]).json["principal"] != .null)
        }
    }
}
