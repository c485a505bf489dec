// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Nobody ever gets somebody else's reply, however requests are cut off (R43).
extension SharedFleet {
    @Suite struct `Ten thousand requests with random disconnects` {
        @Test func `never show one visitor another's session`() async throws {
            let fleet = Fleet.shared
            let visitors = try await concurrently(40) { index in
                let browser = fleet.browser()
                let reply = try await browser.post(
                    "/set",
                    ["k": "own", "v": "visitor-\(index)"],
                    on: fleet.servers[index % 3]
                )
                #expect(reply.status == 200)
                return (browser, "visitor-\(index)")
            }
            let tally = Tally()
            _ = try await concurrently(10_000, width: 48) { index in
                let (browser, own) = visitors[Int.random(in: 0..<visitors.count)]
                let server = fleet.servers[index % 3]
                let request = Task {
                    switch index % 7 {
                    case 0: try await browser.clone().post("/increment", ["k": "n"], on: server)
                    case 1:
                        try await browser.clone().get("/slow", ["ms": "3", "k": "x", "v": "x"], on: server)
                    default: try await browser.clone().get("/whoami", on: server)
                    }
                }
                let patience = Int.random(in: 0..<10) < 3 ? Int.random(in: 0...4000) : nil
                if let patience {
                    // A moment at random, in which anything may be under way in another process.
                    try await Task.sleep(for: .microseconds(patience))
                    request.cancel()
                }
                switch await request.result {
                case .success(let reply):
                    tally.count("answered")
                    #expect(reply.status == 200)
                    #expect(reply.setCookies == [])
                    #expect(reply["x-instance"] == server.instance)
                    if index % 7 > 1 {
                        #expect(reply.json["values"]["own"] == .string(own))
                        #expect(reply.json["handle"].string == browser.id)
                    }
                case .failure(let error):
                    tally.count("cut")
                    #expect(patience != nil, "only a request that was cut off may fail: \(error)")
                }
            }
            #expect(tally["answered"] > 5000)
            #expect(tally["cut"] > 100, "some were really cut off")
            for (index, (browser, own)) in visitors.enumerated() {
                let seen = try await browser.get("/whoami", on: fleet.servers[index % 3]).json
                #expect(seen["values"]["own"] == .string(own))
            }
        }

        @Test func `a write whose client hung up is stored`() async throws {
            let fleet = Fleet.shared
            let browser = fleet.browser()
            try await browser.post("/set", ["k": "own", "v": "v"], on: fleet.servers[0])
            let ticket = try #require(browser.ticket)
            for index in 0..<10 {
                let query = "/slow?ms=80&k=hung\(index)&v=up"
                let request =
                    "POST \(query) HTTP/1.1\r\nHost: x\r\nCookie: __Host-session=\(ticket)\r\nContent-Length: 0\r\n\r\n"
                try hangUp(after: Array(request.utf8), port: fleet.servers[index % 3].port)
            }
            let areStored = await poll(seconds: 5, every: .milliseconds(50)) {
                guard
                    let values = try? await browser.get("/whoami", on: fleet.servers[0]).json["values"].object
                else { return false }
                return (0..<10).allSatisfy { values["hung\($0)"] == .string("up") }
            }
            #expect(areStored, "the commit does not end with the connection")
        }
    }

    /// Promise 4's foundation: any instance may die without a visitor noticing.
    @Suite struct `An instance that dies` {
        @Test func `takes no session and no acknowledged write with it`() async throws {
            let redis = Fleet.shared.redis
            let options = FixtureApp.Options(redis: redis.url, prefix: "dying")
            let apps = try await [
                FixtureApp.started(options, instance: "a"), FixtureApp.started(options, instance: "b"),
            ]
            let browser = Fleet.shared.browser()
            try await browser.post("/login", ["user": Fleet.shared.user()], on: apps[0])
            let tally = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<300 {
                    if index >= 24 { try await group.next() }
                    if index == 150 { group.addTask { await apps[0].kill9() } }
                    group.addTask {
                        do {
                            let reply = try await browser.clone().post(
                                "/increment",
                                ["k": "n"],
                                on: apps[index % 2]
                            )
                            #expect(reply.status == 200)
                            tally.count("acknowledged")
                        } catch {
                            #expect(index % 2 == 0, "only requests to the dead instance fail: \(error)")
                            tally.count("lost")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let (acknowledged, lost) = (tally["acknowledged"], tally["lost"])
            #expect(lost > 0)
            try await apps[0].restart()
            for app in apps {
                let text = try #require(
                    try await browser.get("/peek", ["k": "n"], on: app).json["value"].string
                )
                let value = try #require(Int(text))
                #expect((acknowledged...(acknowledged + lost)).contains(value))
            }
            for app in apps { await app.terminate() }
        }

        @Test func `by SIGTERM finishes what it has begun`() async throws {
            let redis = Fleet.shared.redis
            let options = FixtureApp.Options(redis: redis.url, prefix: "leaving")
            let apps = try await [
                FixtureApp.started(options, instance: "a"), FixtureApp.started(options, instance: "b"),
            ]
            let browser = Fleet.shared.browser()
            try await browser.post("/set", ["k": "k", "v": "before"], on: apps[0])
            let (tab, monitor) = (browser.clone(), try await redis.monitor())
            let id = try #require(browser.id)
            async let slow = tab.post("/slow", ["ms": "700", "k": "k", "v": "finished"], on: apps[0])
            try #require(
                await poll(seconds: 10) { monitor.text.contains(id) },
                "the slow request is under way"
            )
            await monitor.stop(SIGKILL)
            await apps[0].terminate()
            #expect(apps[0].exitCode == 0, "a clean end, not \(apps[0].exitCode ?? -1)")
            #expect(try await slow.status == 200)
            #expect(
                try await browser.get("/peek", ["k": "k"], on: apps[1]).json["value"] == .string("finished")
            )
            try await apps[0].restart()
            #expect(
                try await browser.get("/peek", ["k": "k"], on: apps[0]).json["value"] == .string("finished")
            )
            for app in apps { await app.terminate() }
        }
    }
}
