// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Promise 5: what a request costs in Redis commands, counted as the client sends them (R04, R21, R77).
///
/// These tests have a Redis of their own: nobody else's commands are in the count.
@Suite(.serialized, .timeLimit(.minutes(10))) struct CostTests {
    /// One Redis and one instance for the steps; both are stopped afterwards.
    private func alone(
        _ change: (inout FixtureApp.Options) -> Void = { _ in },
        _ steps: (RedisServer, FixtureApp) async throws -> Void
    ) async throws {
        let redis = try await RedisServer()
        var options = FixtureApp.Options(redis: redis.url, prefix: "cost")
        change(&options)
        let app = try await FixtureApp.started(options)
        let warm = Browser()
        try await warm.post("/set", ["k": "k", "v": "v"], on: app)
        try await warm.get("/whoami", on: app)
        try await warm.post("/login", ["user": "warm"], on: app)
        try await warm.post("/logout", on: app)
        try await steps(redis, app)
        #expect(try await redis.keysWithoutDeadline() == [])
        await app.terminate()
        await redis.crash()
    }

    @Test func `a request that never touches its session costs no command`() async throws {
        try await alone { redis, app in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: app)
            let counts = try await redis.commandNames {
                for _ in 0..<20 { try await browser.get("/none", on: app) }
                for _ in 0..<5 { try await browser.get("/healthz", on: app) }
            }
            #expect(counts == [:])
        }
    }

    @Test func `a read costs one round trip of two commands`() async throws {
        try await alone { redis, app in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: app)
            for (path, query) in [
                ("/peek", ["k": "k"]), ("/has", ["k": "k"]), ("/list", ["k": "l"]), ("/whoami", [:]),
                ("/public", [:]),
            ]
                as [(String, KeyValuePairs<String, String>)]
            {
                let counts = try await redis.commandNames { try await browser.get(path, query, on: app) }
                #expect(counts == ["hgetall": 1, "pttl": 1], "\(path)")
            }
        }
    }

    @Test func `a write on a session that was not read costs a load and one script`() async throws {
        try await alone { redis, app in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: app)
            for (path, query) in [
                ("/set", ["k": "k", "v": "w"]), ("/increment", ["k": "n"]),
                ("/append", ["k": "l", "v": "x"]), ("/remove", ["k": "k"]),
            ] as [(String, KeyValuePairs<String, String>)] {
                let counts = try await redis.commandNames { try await browser.post(path, query, on: app) }
                #expect(counts == ["hgetall": 1, "pttl": 1, "evalsha": 1], "\(path)")
            }
        }
    }

    @Test func `what is committed at once costs no more than a write, and nothing where there is a value`()
        async throws
    {
        try await alone { redis, app in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: app)
            let write = ["hgetall": 1, "pttl": 1, "evalsha": 1]
            let read = ["hgetall": 1, "pttl": 1]
            for expected in [write, read] {
                let token = try await redis.commandNames {
                    try await browser.get("/token", ["k": "csrf"], on: app)
                }
                #expect(token == expected)
                let code = try await redis.commandNames {
                    try await browser.post("/take", ["k": "k"], on: app)
                }
                #expect(code == expected)
            }
            let limit = try await redis.commandNames {
                try await browser.post("/limit", ["k": "n", "max": "1"], on: app)
            }
            #expect(limit == write)
        }
    }

    @Test func `creating a session costs one script and no look-up`() async throws {
        try await alone { redis, app in
            let counts = try await redis.commandNames {
                try await Browser().post("/set", ["k": "k", "v": "v"], on: app)
            }
            #expect(counts == ["evalsha": 1])
        }
    }

    @Test func `reading again and again extends the deadline at most once per granularity`() async throws {
        try await alone({ $0.idleSeconds = 20 }) { redis, app in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "v"], on: app)
            let start = ContinuousClock.now
            let counts = try await redis.commandNames {
                while ContinuousClock.now - start < .seconds(5) {
                    try await browser.get("/peek", ["k": "k"], on: app)
                }
            }
            let reads = try #require(counts["hgetall"])
            #expect(reads > 20)
            let touches = counts.filter { !["hgetall", "pttl"].contains($0.key) }.values.reduce(0, +)
            #expect((1...3).contains(touches), "5 s at a granularity of 2 s: \(counts)")
        }
    }

    @Test func `a malformed ticket is refused before any command`() async throws {
        try await alone { redis, app in
            let counts = try await redis.commandNames {
                for ticket in [
                    "x", "a.b", String(repeating: "A", count: 3000), "*", "\(randomTicketText(bytes: 16)).",
                    "..", "{}.{}",
                ] {
                    let browser = Browser()
                    browser.present(ticket)
                    let reply = try await browser.get("/peek", ["k": "k"], on: app)
                    #expect(reply.json["value"] == .null)
                }
            }
            #expect(counts == [:])
        }
    }

    @Test func `no cookie means no command`() async throws {
        try await alone { redis, app in
            let counts = try await redis.commandNames {
                for path in ["/peek", "/has", "/list"] { try await Browser().get(path, ["k": "k"], on: app) }
                try await Browser().get("/whoami", on: app)
                for path in ["/logout", "/renew"] { try await Browser().post(path, on: app) }
            }
            #expect(counts == [:])
        }
    }

    @Test func `visitors without a session leave no key behind`() async throws {
        try await alone { redis, app in
            let before = Set(try await redis.keys())
            let routes: [(String, String, KeyValuePairs<String, String>)] = [
                ("GET", "/none", [:]), ("GET", "/peek", ["k": "k"]), ("GET", "/has", ["k": "k"]),
                ("GET", "/whoami", [:]),
                ("POST", "/logout", [:]),
            ]
            _ = try await concurrently(5000) { index in
                let (method, path, query) = routes[index % 5]
                let cookies = index % 10 < 5 ? [] : ["__Host-session=\(madeUpTicket())"]
                let reply = try await Browser().send(method, path, query, on: app, cookies: cookies)
                #expect(reply.status == 200)
                #expect(reply.setCookies.allSatisfy(isDeletion))
            }
            #expect(Set(try await redis.keys()).subtracting(before) == [])
        }
    }

    @Test func `many devices are listed and revoked without a scan`() async throws {
        try await alone { redis, app in
            let browsers = try await concurrently(30) { _ in
                let browser = Browser()
                try await browser.post("/login", ["user": "u"], on: app)
                return browser
            }
            let counts = try await redis.commandNames {
                let listed = try await browsers[0].get("/devices", on: app)
                #expect(listed.json["devices"].array.count == 30)
                let ended = try await browsers[0].post("/logout-others", on: app)
                #expect(ended.status == 200)
            }
            for forbidden in ["scan", "keys", "hscan", "zscan", "sscan", "flushdb", "config", "eval"] {
                #expect(counts[forbidden] == nil)
            }
            #expect(
                counts.values.reduce(0, +) <= 30 * 4 + 20,
                "a few commands for each session of that user: \(counts)"
            )
        }
    }
}
