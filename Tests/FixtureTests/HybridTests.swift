// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Sealed cookies with a Redis behind them: a list of what was revoked (revocable), or sessions that move to
/// Redis when their user signs in (tiered).
@Suite(.timeLimit(.minutes(10))) struct `Sealed sessions with Redis` {
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

    private static let both = ["sealed-revocable", "sealed-tiered"]

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

    @Test func `revocable: a read costs one round trip, and what does not open costs none`() async throws {
        try await instances("sealed-revocable") { redis, one, _ in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            #expect(
                try await redis.commandNames { try await browser.get("/peek", ["k": "k"], on: one) } == [
                    "get": 1, "hmget": 1,
                ]
            )
            #expect(try await redis.commandNames { try await browser.get("/none", on: one) } == [:])
            #expect(try await redis.commandNames { try await Browser().get("/whoami", on: one) } == [:])
        }
    }

    @Test func `revocable: the end of all sessions reaches those that are not in the list`() async throws {
        try await instances("sealed-revocable") { redis, one, two in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            for key in try await redis.keys("hybrid:d:") { try await redis.admin("DEL", key) }
            #expect(try await browser.get("/whoami", on: two).json["principal"] == .string("ann"))
            try await Browser().post("/logout-all", ["user": "ann"], on: one)
            for app in [one, two] {
                #expect(try await browser.clone().get("/whoami", on: app).json["principal"] == .null)
            }
            try await browser.post("/login", ["user": "ann"], on: two)
            #expect(try await browser.get("/whoami", on: one).json["principal"] == .string("ann"))
        }
    }

    @Test func `revocable: more than a cookie can hold is refused and nothing changes`() async throws {
        try await instances("sealed-revocable") { _, one, two in
            let browser = Browser()
            try await browser.post("/login", ["user": "ann"], on: one)
            try await browser.post("/set", ["k": "k", "v": "v"], on: one)
            #expect(try await browser.post("/big", ["bytes": "20000", "k": "big"], on: one).status == 413)
            let seen = try await browser.get("/whoami", on: two).json
            #expect(seen["principal"] == .string("ann") && seen["values"].object.count == 1)
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
            #expect(try #require(signedIn.ticket).utf8.count == 66, "promoted: the cookie is a token")
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
