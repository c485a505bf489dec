// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Sealed cookies with a Redis behind them: a small record for each session (guarded), or sessions that move
/// to Redis when their user signs in (tiered).
@Suite(.timeLimit(.minutes(3))) struct `Sealed sessions with Redis` {
    private func instances(
        _ store: String,
        _ steps: (RedisServer, FixtureApp, FixtureApp) async throws -> Void
    ) async throws {
        let redis = try await RedisServer()
        var options = FixtureApp.Options(store: store, redis: redis.url, prefix: "hybrid")
        options.extra = ["--seal-keys", sealKey("k1")]
        async let first = FixtureApp.started(options, instance: "a")
        async let second = FixtureApp.started(options, instance: "b")
        let (one, two) = try await (first, second)
        try await steps(redis, one, two)
        #expect(try await redis.keysWithoutDeadline() == [])
        for app in [one, two] { await app.terminate() }
        await redis.crash()
    }

    private static let both = ["sealed-guarded", "sealed-tiered"]

    @Test(arguments: both) func `sign-out and revocation reach every copy, on every instance`(store: String)
        async throws
    {
        try await instances(store) { redis, one, two in
            let browsers = try await concurrently(4) { _ in
                let browser = Browser()
                try await browser.post("/set", ["k": "cart", "v": "tea"], on: one)
                try await browser.post("/login", ["user": "ann", "keep": "cart"], on: two)
                return browser
            }
            let copies = browsers.map { $0.clone() }
            #expect(
                try await browsers[0].get("/whoami", on: one).json["values"]
                    == .object(["cart": .string("tea")])
            )
            #expect(try await browsers[0].get("/devices", on: one).json["devices"].array.count == 4)

            #expect(try await browsers[1].post("/logout", on: one).status == 200)
            let id = try #require(try await browsers[2].get("/whoami", on: two).json["handle"].string)
            #expect(try await browsers[0].post("/revoke", ["handle": id], on: two).status == 200)
            for gone in [copies[1], copies[2], browsers[2]] {
                for app in [one, two] {
                    let seen = try await gone.get("/whoami", on: app).json
                    #expect(seen["principal"] == .null && seen["values"].object == [:])
                }
            }
            #expect(try await browsers[0].post("/logout-others", on: one).json["revoked"] == .number(1))
            #expect(try await copies[3].get("/whoami", on: one).json["principal"] == .null)
            #expect(try await browsers[0].get("/whoami", on: two).json["principal"] == .string("ann"))
            #expect(
                try await redis.findings(of: ["ann"] + browsers.compactMap(\.ticket).flatMap(secretForms))
                    == []
            )
        }
    }

    @Test(arguments: both) func `a cookie from before the sign-in has no part in it`(store: String)
        async throws
    {
        try await instances(store) { _, one, two in
            let browser = Browser()
            try await browser.post("/set", ["k": "k", "v": "before"], on: one)
            let planted = browser.clone()
            try await browser.post("/login", ["user": "ann", "keep": "k"], on: two)
            try await browser.post("/set", ["k": "k", "v": "after"], on: one)
            for app in [one, two] {
                let seen = try await planted.get("/whoami", on: app).json
                #expect(seen["principal"] == .null && seen["values"]["k"] != .string("after"))
            }
            try await planted.clone().post("/set", ["k": "k", "v": "planted"], on: one)
            #expect(try await browser.get("/peek", ["k": "k"], on: two).json["value"] == .string("after"))
        }
    }

    @Test func `guarded: an older cookie can not undo what came after it`() async throws {
        try await instances("sealed-guarded") { _, one, two in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            let old = browser.clone()
            try await browser.post("/increment", ["k": "spent", "by": "5"], on: one)
            for app in [one, two] {
                let write = try await old.clone().post("/increment", ["k": "spent"], on: app)
                #expect(
                    write.status == 409 && write.setCookies == []
                        && write.json["error"] == .string("conflict"),
                    "\(write.body)"
                )
            }
            #expect(try await browser.get("/peek", ["k": "spent"], on: two).json["value"] == .string("5"))
        }
    }

    @Test func `guarded: of writes at once every one that was acknowledged counts`() async throws {
        try await instances("sealed-guarded") { _, one, two in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            let tabs = try await concurrently(20) { index in
                let tab = browser.clone()
                return (
                    tab, try await tab.post("/increment", ["k": "n"], on: index % 2 == 0 ? one : two).status
                )
            }
            #expect(tabs.allSatisfy { [200, 409].contains($0.1) })
            let winners = tabs.filter { $0.1 == 200 }
            #expect(winners.count == 1, "all began with the same cookie")
            #expect(
                try await winners.first?.0.get("/peek", ["k": "n"], on: one).json["value"] == .string("1")
            )
        }
    }

    @Test func `guarded: a session that outgrows the cookie moves to Redis`() async throws {
        try await instances("sealed-guarded") { redis, one, two in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            #expect(browser.ticket?.hasPrefix("g1.") == true)
            #expect(try await browser.post("/big", ["bytes": "20000", "k": "big"], on: one).status == 200)
            #expect(try #require(browser.ticket).utf8.count == 66, "a ticket")
            for app in [one, two] {
                let seen = try await browser.get("/whoami", on: app).json
                #expect(seen["principal"] == .string("ann") && seen["values"].object.count == 2)
            }
            #expect(try await browser.post("/big", ["bytes": "1000000", "k": "more"], on: two).status == 413)
            try await browser.post("/logout", on: two)
            #expect(try await redis.keys("hybrid:u:").isEmpty)
        }
    }

    @Test func `guarded: a read costs one round trip`() async throws {
        try await instances("sealed-guarded") { redis, one, _ in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            #expect(
                try await redis.commandNames { try await browser.get("/peek", ["k": "k"], on: one) } == [
                    "hgetall": 1, "pttl": 1,
                ]
            )
            #expect(try await redis.commandNames { try await browser.get("/none", on: one) } == [:])
        }
    }

    @Test
    func `tiered: visitors who are not signed in cost Redis nothing, and do not notice when it is away`()
        async throws
    {
        try await instances("sealed-tiered") { redis, one, two in
            let visitor = Browser()
            let counts = try await redis.commandNames {
                _ = try await concurrently(100) { index in
                    let bot = Browser()
                    try await bot.post("/append", ["k": "l", "v": "x"], on: index % 2 == 0 ? one : two)
                    try await bot.get("/list", ["k": "l"], on: one)
                    try await bot.post("/logout", on: two)
                }
                try await visitor.post("/set", ["k": "cart", "v": "tea"], on: one)
            }
            #expect(counts == [:])
            #expect(try await redis.keys().isEmpty)

            let signedIn = Browser()
            try await signedIn.post("/login", ["user": "bob"], on: one)
            #expect(try #require(signedIn.ticket).utf8.count == 66, "promoted: the cookie is a ticket")
            redis.freeze()
            #expect(try await visitor.get("/peek", ["k": "cart"], on: two).json["value"] == .string("tea"))
            #expect(try await visitor.post("/append", ["k": "l", "v": "x"], on: one).status == 200)
            let before = visitor.ticket
            #expect(try await visitor.post("/login", ["user": "ann", "keep": "cart"], on: one).status == 503)
            #expect(try await signedIn.get("/whoami", on: two).status == 503)
            #expect(visitor.ticket == before)
            redis.thaw()
            let isBack = await poll(seconds: 10) {
                (try? await visitor.post("/login", ["user": "ann", "keep": "cart"], on: one).status) == 200
            }
            #expect(isBack)
            #expect(
                try await visitor.get("/whoami", on: two).json["values"] == .object(["cart": .string("tea")])
            )
        }
    }
}
