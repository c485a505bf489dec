// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Promise 7: an unreachable store is never mistaken for "no session" (R71, R81).
@Suite(.serialized, .timeLimit(.minutes(10))) struct OutageTests {
    /// The bounds that callers rely on.
    private let answerBound = Duration.seconds(5), recoveryBound = 10.0

    /// A Redis of its own and two instances on it.
    private func apart(_ steps: @Sendable (RedisServer, [FixtureApp]) async throws -> Void) async throws {
        let redis = try await RedisServer()
        let options = FixtureApp.Options(redis: redis.url, prefix: "outage")
        let apps = try await [
            FixtureApp.started(options, instance: "a"), FixtureApp.started(options, instance: "b"),
        ]
        try await steps(redis, apps)
        for app in apps { await app.terminate() }
        await redis.crash()
    }

    /// The answers while the store is away: all at once, each within the bound, none that lies.
    private func expectHonest(_ visitor: Browser, _ app: FixtureApp) async throws {
        let needy: [(String, String, KeyValuePairs<String, String>)] = [
            ("GET", "/peek", ["k": "k"]), ("GET", "/has", ["k": "k"]), ("GET", "/whoami", [:]),
            ("GET", "/list", ["k": "l"]),
            ("GET", "/devices", [:]), ("GET", "/public", [:]), ("POST", "/set", ["k": "k", "v": "lie"]),
            ("POST", "/append", ["k": "l", "v": "lie"]),
            ("POST", "/increment", ["k": "n"]), ("POST", "/remove", ["k": "k"]),
            ("POST", "/login", ["user": "mallory"]),
            ("POST", "/renew", [:]),
            ("POST", "/logout-others", [:]), ("POST", "/slow", ["ms": "1", "k": "k", "v": "lie"]),
        ]
        let bound = answerBound
        let ticket = visitor.ticket
        _ = try await concurrently(needy.count) { index in
            let (method, path, query) = needy[index]
            let start = ContinuousClock.now
            let reply = try await visitor.clone().send(method, path, query, on: app)
            let took = ContinuousClock.now - start
            #expect(took < bound, "\(path) took \(took)")
            #expect(reply.status == 503, "\(path)")
            #expect(reply["retry-after"] != nil, "\(path)")
            #expect(reply.setCookies == [], "\(path) must not touch the cookie")
            #expect(reply.cacheControl.contains("no-store"), "\(path): an outage is nothing to keep")
            #expect(reply.json["error"].string != nil, "\(path): \(reply.body)")
            #expect(!secretForms(ticket ?? "-").contains { reply.body.contains($0) })
        }
        for path in ["/none", "/healthz"] {
            let reply = try await visitor.get(path, on: app)
            #expect(reply.status == 200 && reply.setCookies == [], "\(path) needs no store")
        }
        let start = ContinuousClock.now
        #expect(try await visitor.get("/readyz", on: app).status == 503)
        #expect(ContinuousClock.now - start < bound)
        for (method, path) in [("GET", "/peek"), ("POST", "/set")] {
            let newcomer = Browser()
            let reply = try await newcomer.send(method, path, ["k": "k", "v": "v"], on: app)
            #expect(
                method == "GET" ? [200, 503].contains(reply.status) : reply.status == 503,
                "a newcomer's \(path)"
            )
            #expect(reply.setCookies == [])
        }
        #expect(visitor.ticket == ticket)
    }

    private func recovers(_ app: FixtureApp) async -> Bool {
        await poll(seconds: recoveryBound, every: .milliseconds(50)) {
            (try? await Browser().get("/readyz", on: app).status) == 200
        }
    }

    @Test func `a frozen Redis is told honestly, and afterwards everything is still there`() async throws {
        try await apart { redis, apps in
            let visitor = Browser()
            try await visitor.post("/login", ["user": "alice"], on: apps[0])
            try await visitor.post("/set", ["k": "k", "v": "v"], on: apps[1])
            redis.freeze()
            defer { redis.thaw() }
            async let first: Void = expectHonest(visitor, apps[0])
            async let second: Void = expectHonest(visitor, apps[1])
            _ = try await (first, second)
            // Again, with the failures known by now.
            try await expectHonest(visitor, apps[0])
            redis.thaw()
            for app in apps {
                #expect(await recovers(app))
                let seen = try await visitor.get("/whoami", on: app).json
                #expect(
                    seen["principal"] == .string("alice") && seen["values"] == .object(["k": .string("v")])
                )
            }
            let after = try await visitor.post("/set", ["k": "k", "v": "after"], on: apps[0])
            #expect(after.status == 200)
            #expect(try await redis.keysWithoutDeadline() == [])
        }
    }

    @Test func `a Redis that was killed and comes back empty leaves clean anonymous visitors`() async throws {
        try await apart { redis, apps in
            let visitor = Browser()
            try await visitor.post("/login", ["user": "alice"], on: apps[0])
            try await visitor.post("/set", ["k": "k", "v": "v"], on: apps[1])
            let old = try #require(visitor.ticket)
            await redis.crash()
            try await expectHonest(visitor, apps[0])
            try await redis.restart()
            for app in apps {
                #expect(await recovers(app))
                for path in ["/whoami", "/peek"] {
                    let clone = visitor.clone()
                    let reply = try await clone.get(path, ["k": "k"], on: app)
                    #expect(reply.status == 200 && reply.setCookies.allSatisfy(isDeletion))
                    #expect(clone.ticket == nil, "\(path) leaves a dead ticket in the browser")
                }
                #expect(try await visitor.clone().get("/whoami", on: app).json["principal"] == .null)
            }
            #expect(visitor.ticket == old)
            let reply = try await visitor.post("/set", ["k": "k", "v": "new"], on: apps[0])
            #expect(reply.status == 200 && reply.setCookies.count == 1)
            #expect(
                visitor.id != old.split(separator: ".").first.map(String.init),
                "the lost id is not adopted"
            )
            #expect(try await visitor.get("/peek", ["k": "k"], on: apps[1]).json["value"] == .string("new"))
        }
    }

    @Test(arguments: ["READONLY", "OOM"]) func `a Redis that refuses writes is an outage for writers`(
        kind: String
    ) async throws {
        try await apart { redis, apps in
            let visitor = Browser()
            try await visitor.post("/set", ["k": "k", "v": "v"], on: apps[0])
            if kind == "OOM" {
                try await redis.admin("CONFIG", "SET", "maxmemory", "1")
            } else {
                try await redis.admin("REPLICAOF", "127.0.0.1", "1")
            }
            let write = try await visitor.post("/set", ["k": "k", "v": "lost"], on: apps[0])
            #expect(write.status == 503 && write.setCookies == [] && write["retry-after"] != nil)
            let newcomer = try await Browser().post("/login", ["user": "u"], on: apps[1])
            #expect(newcomer.status == 503 && newcomer.setCookies == [])
            if kind == "OOM" {
                try await redis.admin("CONFIG", "SET", "maxmemory", "0")
            } else {
                try await redis.admin("REPLICAOF", "NO", "ONE")
            }
            let isBack = await poll(seconds: recoveryBound, every: .milliseconds(50)) {
                (try? await visitor.clone().post("/set", ["k": "other", "v": "w"], on: apps[0]).status) == 200
            }
            #expect(isBack)
            #expect(try await visitor.get("/peek", ["k": "k"], on: apps[1]).json["value"] == .string("v"))
        }
    }

    /// Two servers, the second a copy of the first; instances that reach the first through a proxy; and a
    /// visitor.
    private func failover(
        _ store: String,
        _ steps: @Sendable (RedisServer, RedisServer, TCPProxy, [FixtureApp]) async throws -> Void
    ) async throws {
        let (first, second) = (try await RedisServer(), try await RedisServer())
        let proxy = try await TCPProxy(to: first.port)
        var options = FixtureApp.Options(
            store: store,
            redis: "redis://localhost:\(proxy.port)",
            prefix: "failover"
        )
        if store.hasPrefix("sealed") {
            options.extra = ["--seal-keys", sealKey("k1")]
        }
        let apps = try await [
            FixtureApp.started(options, instance: "a"), FixtureApp.started(options, instance: "b"),
        ]
        for app in apps { #expect(await recovers(app)) }
        try await steps(first, second, proxy, apps)
        for app in apps { await app.terminate() }
        await proxy.close()
        for server in [first, second] { await server.crash() }
    }

    /// Makes the second server a copy of the first, and then the primary of both.
    private func promote(_ second: RedisServer, over first: RedisServer) async throws {
        try await second.admin("REPLICAOF", "127.0.0.1", "\(first.port)")
        #expect(
            await poll(seconds: 20) {
                (try? await second.admin("INFO", "replication"))?.contains("master_link_status:up") == true
            }
        )
        try await second.admin("REPLICAOF", "NO", "ONE")
        try await first.admin("REPLICAOF", "127.0.0.1", "\(second.port)")
    }

    @Test(arguments: ["redis", "replicated", "sealed-revocable"])
    func `after a failover the address is looked up anew, whatever connections the old server keeps`(
        store: String
    ) async throws {
        try await failover(store) { first, second, proxy, apps in
            let visitor = Browser()
            try await visitor.post("/login", ["user": "alice"], on: apps[0])
            try await visitor.post("/set", ["k": "k", "v": "v"], on: apps[1])
            try await promote(second, over: first)
            proxy.lead(to: second.port)
            for app in apps {
                let isBack = await poll(seconds: recoveryBound, every: .milliseconds(50)) {
                    (try? await visitor.post("/increment", ["k": "n"], on: app).status) == 200
                }
                #expect(isBack)
                let login = try await Browser().post("/login", ["user": "bob"], on: app)
                #expect(login.status == 200)
                #expect(try await visitor.get("/peek", ["k": "k"], on: app).json["value"] == .string("v"))
                #expect(try await Browser().get("/readyz", on: app).status == 200)
            }
            #expect(try await visitor.get("/peek", ["k": "n"], on: apps[0]).json["value"] == .string("2"))
        }
    }

    @Test(arguments: ["redis", "replicated", "sealed-revocable"])
    func `an instance is not ready while its server cannot take writes`(store: String) async throws {
        try await failover(store) { first, _, _, apps in
            try await first.admin("REPLICAOF", "127.0.0.1", "1")
            let isTold = await poll(seconds: recoveryBound) {
                (try? await Browser().get("/readyz", on: apps[0]).status) == 503
            }
            #expect(isTold)
            #expect(try await Browser().get("/healthz", on: apps[0]).status == 200)
            try await first.admin("REPLICAOF", "NO", "ONE")
            for app in apps { #expect(await recovers(app)) }
            guard store != "replicated" else { return }
            try await first.admin("CONFIG", "SET", "min-replicas-to-write", "1")
            #expect(try await Browser().get("/readyz", on: apps[0]).status == 503)
            try await first.admin("CONFIG", "SET", "min-replicas-to-write", "0")
            #expect(await recovers(apps[0]))
        }
    }

    @Test(arguments: ["redis", "sealed-revocable"])
    func `the first visitors after the connection was dropped in silence are served`(store: String)
        async throws
    {
        try await failover(store) { _, _, proxy, apps in
            let visitor = Browser()
            try await visitor.post("/login", ["user": "alice"], on: apps[0])
            try await visitor.post("/set", ["k": "k", "v": "v"], on: apps[0])
            proxy.forget()
            let replies = try await concurrently(30) { _ in
                try await visitor.clone().get("/peek", ["k": "k"], on: apps[0])
            }
            #expect(replies.allSatisfy { $0.status == 200 }, "\(replies.map(\.status))")
            #expect(try await visitor.post("/increment", ["k": "n"], on: apps[0]).status == 200)
            proxy.forget()
            #expect(try await visitor.post("/increment", ["k": "n"], on: apps[0]).status == 200)
        }
    }

    /// What disturbs the visitors of the next test.
    enum Trouble: String, CaseIterable { case freeze, crash }

    @Test(arguments: Trouble.allCases) func `visitors under load see their own data, or an honest failure`(
        trouble: Trouble
    ) async throws {
        try await apart { redis, apps in
            let tally = Tally()
            let bound = answerBound
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<24 {
                    group.addTask {
                        let browser = Browser()
                        let own = "visitor-\(index)"
                        var round = 0
                        while tally["over"] == 0 {
                            round += 1
                            let before = browser.ticket
                            let start = ContinuousClock.now
                            let reply =
                                round % 4 == 1 || browser.ticket == nil
                                ? try await browser.post(
                                    "/set",
                                    ["k": "own", "v": own],
                                    on: apps[(index + round) % 2]
                                )
                                : try await browser.get("/peek", ["k": "own"], on: apps[(index + round) % 2])
                            let took = ContinuousClock.now - start
                            #expect(took < bound, "took \(took)")
                            #expect([200, 409, 503].contains(reply.status))
                            tally.count("\(reply.status)")
                            if reply.status == 503 {
                                #expect(
                                    reply.setCookies == [] && browser.ticket == before
                                        && reply["retry-after"] != nil
                                )
                                // The pace of a visitor, so that the requests last as long as the trouble.
                                try await Task.sleep(for: .milliseconds(10))
                            } else if case .string(let value) = reply.json["value"] {
                                #expect(value == own, "somebody else's data")
                            } else if trouble == .freeze, round % 4 != 1, before != nil, reply.status == 200 {
                                #expect(reply.json["value"] == .string(own), "frozen is not forgotten")
                            }
                        }
                    }
                }
                group.addTask {
                    defer { tally.count("over") }
                    func enough(_ status: Int) async {
                        let before = tally["\(status)"]
                        #expect(
                            await poll(seconds: 15) { tally["\(status)"] >= before + 60 },
                            "answers of \(status)"
                        )
                    }
                    await enough(200)
                    switch trouble {
                    case .freeze:
                        redis.freeze()
                        await enough(503)
                        redis.thaw()
                    case .crash:
                        await redis.crash()
                        await enough(503)
                        try await redis.restart()
                    }
                    for app in apps { #expect(await self.recovers(app)) }
                    await enough(200)
                }
                try await group.waitForAll()
            }
            #expect(try await redis.keysWithoutDeadline() == [])
        }
    }
}
