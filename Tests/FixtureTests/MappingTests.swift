// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Session mapping: real balancers that pin each user to one of three instances (R86).
@Suite(.serialized, .timeLimit(.minutes(10))) struct MappingTests {
    @Test(arguments: Pinning.allCases) func `every request of a user reaches the same instance`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "memory") { site in
            let homes = try await concurrently(12) { index in
                let user = User(index, site)
                let home = try await user.moveIn()
                for _ in 1..<60 {
                    let reply = try await user.get("/peek", ["k": "own"])
                    #expect(reply.status == 200 && reply.instance == home, "user \(index)")
                    #expect(
                        reply.json["value"] == .string(user.name),
                        "what is only in that instance's memory"
                    )
                }
                return home
            }
            let newcomers = try await concurrently(24) {
                try await User(100 + $0, site).get("/none").instance
            }
            #expect(Set(homes + newcomers).count > 1, "users are spread")
            #expect(Set(homes + newcomers).isSubset(of: site.names))
        }
    }

    @Test(arguments: Pinning.allCases) func `signing in and renewing change the secret, not the instance`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "memory") { site in
            _ = try await concurrently(12) { index in
                let user = User(index, site)
                let home = try await user.moveIn()
                let before = user.browser.ticket
                for path in ["/login", "/renew", "/logout"] {
                    let reply = try await user.post(path, ["user": user.name])
                    #expect(reply.status == 200 && reply.instance == home, "\(path)")
                }
                #expect(before != nil && user.browser.ticket != before)
                // Signed out, he is a newcomer to the instances, not to the balancer.
                #expect(try await user.moveIn() == home)
                #expect(try await user.get("/peek", ["k": "own"]).json["value"] == .string(user.name))
            }
        }
    }

    @Test(arguments: Pinning.allCases)
    func `with memory, a killed instance loses its users and nobody else's`(pinning: Pinning)
        async throws
    {
        try await MappedSite.with(pinning, store: "memory") { site in
            let (users, victim) = try await site.settle(12)
            await victim.kill9()
            var lost: [User] = []
            for (user, home) in users {
                let reply = try await user.get("/whoami")
                let isKnown = reply.json["principal"] == .string(user.name)
                #expect(reply.status == 200 && isKnown == (home != victim.instance), "\(user.name)")
                #expect(isKnown == (reply.instance == home))
                if !isKnown { lost.append(user) }
            }
            print(
                "\(pinning.rawValue) with memory: \(lost.count) of \(users.count) users lost with one of three instances"
            )
            #expect(!lost.isEmpty && lost.count < users.count)

            // They live on elsewhere, pinned as before.
            try await site.balancer.notice(endOf: victim)
            for user in lost {
                let home = try await user.moveIn()
                #expect(home != victim.instance)
                for _ in 0..<10 {
                    #expect(try await user.get("/peek", ["k": "own"]).json["value"] == .string(user.name))
                }
            }
            try await victim.restart()
            #expect(await site.sends(newcomersTo: victim))
            for user in lost {
                let reply = try await user.get("/peek", ["k": "own"])
                #expect((reply.instance == victim.instance) == pinning.returnsHome)
                #expect((reply.json["value"] == .string(user.name)) == !pinning.returnsHome)
            }
        }
    }

    @Test(arguments: Pinning.allCases) func `with Redis behind the pinning, nobody is lost`(pinning: Pinning)
        async throws
    {
        try await MappedSite.with(pinning, store: "redis") { site in
            let (users, victim) = try await site.settle(12)
            await victim.kill9()
            var lost = 0
            for (user, home) in users {
                let reply = try await user.get("/whoami")
                if reply.json["principal"] != .string(user.name)
                    || reply.json["values"]["own"] != .string(user.name)
                {
                    lost += 1
                }
                #expect((reply.instance == home) == (home != victim.instance))
                #expect(try await user.post("/append", ["k": "after", "v": "1"]).status == 200)
            }
            print(
                "\(pinning.rawValue) with Redis: \(lost) of \(users.count) users lost with one of three instances"
            )
            #expect(lost == 0)
            try await victim.restart()
            #expect(await site.sends(newcomersTo: victim))
            for (user, _) in users {
                #expect(try await user.get("/list", ["k": "after"]).json["values"].array.count == 1)
            }
        }
    }

    @Test func `an instance that is drained keeps its users and gets no others`() async throws {
        try await MappedSite.with(.haproxyCookie, store: "memory") { site in
            let (users, leaving) = try await site.settle(12)
            try await site.balancer.drain(leaving)
            for (user, home) in users {
                let reply = try await user.get("/peek", ["k": "own"])
                #expect(reply.instance == home && reply.json["value"] == .string(user.name))
            }
            for index in 100..<120 {
                #expect(try await User(index, site).get("/none").instance != leaving.instance)
            }
        }
    }

    /// HAProxy sees the instance's health check fail; nginx has none and is told.
    ///
    /// What its old worker has taken by then goes to the old
    /// place still, so with both the instance serves on for a moment.
    @Test(arguments: Pinning.allCases)
    func `an instance that is told to stop ends what is under way, and no request fails`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "redis", noticeSeconds: 2) { site in
            let (users, victim) = try await site.settle(9)
            let guests = users.filter { $0.home == victim.instance }.map(\.user)
            let tally = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for user in guests {
                    // Longer than the notice: it is under way when the port closes.
                    let tab = user.clone()
                    group.addTask {
                        let reply = try await tab.post("/slow", ["ms": "3500", "k": "slow", "v": user.name])
                        #expect(
                            reply.status == 200 && reply.instance == victim.instance,
                            "what was under way"
                        )
                    }
                }
                for (user, _) in users {
                    group.addTask {
                        var count = 0
                        while tally["gone"] == 0 || count < 5 {
                            let reply = try await user.post("/append", ["k": "list", "v": "\(count)"])
                            #expect(reply.status == 200, "\(user.name) at \(reply.instance)")
                            tally.count(user.name)
                            count += 1
                        }
                        let values = try await user.get("/list", ["k": "list"]).json["values"].array
                        #expect(values == (0..<count).map { .string("\($0)") }, "each change, once")
                    }
                }
                group.addTask {
                    defer { tally.count("gone") }
                    // What was sent before so many answers came has arrived as well.
                    #expect(await poll(seconds: 20) { guests.allSatisfy { tally[$0.name] >= 20 } })
                    if !pinning.isHAProxy { try await site.balancer.takeOut(victim) }
                    await victim.terminate(seconds: 20)
                    #expect(victim.exitCode == 0)
                }
                try await group.waitForAll()
            }
            for user in guests {
                let reply = try await user.get("/whoami").json
                #expect(
                    reply["values"]["slow"] == .string(user.name) && reply["principal"] == .string(user.name)
                )
            }
        }
    }
}
