// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Two applications on one Redis, under one key prefix, with the same user names and the same seal keys.
@Suite(.timeLimit(.minutes(10))) struct `Applications on one Redis` {
    @Test(arguments: ["redis", "redis-cached", "replicated", "sealed-revocable", "sealed-tiered"])
    func `accept neither each other's cookies nor end each other's sessions`(store: String) async throws {
        let redis = try await RedisServer()
        var options = FixtureApp.Options(store: store, redis: redis.url, prefix: "shared")
        let keys = store.hasPrefix("sealed") ? ["--seal-keys", sealKey("k1")] : []
        options.extra = keys + ["--application", "shop"]
        let shop = try await FixtureApp.started(options, instance: "shop")
        options.extra = keys + ["--application", "admin"]
        let admin = try await FixtureApp.started(options, instance: "admin")

        let browser = Browser()
        try await browser.post("/login", ["user": "root"], on: shop)
        try await browser.post("/set", ["k": "k", "v": "v"], on: shop)
        let stranger = browser.clone()
        let seen = try await stranger.get("/whoami", on: admin).json
        #expect(seen["principal"] == .null && seen["values"].object == [:])
        #expect(try await stranger.clone().post("/logout", on: admin).status == 200)

        let keeper = Browser()
        try await keeper.post("/login", ["user": "root"], on: admin)
        #expect(try await keeper.get("/devices", on: admin).json["devices"].array.count == 1)
        #expect(try await keeper.post("/logout-others", on: admin).json["revoked"] == .number(0))
        try await Browser().post("/logout-all", ["user": "root"], on: admin)
        #expect(try await browser.get("/whoami", on: shop).json["principal"] == .string("root"))
        #expect(try await keeper.get("/whoami", on: admin).json["principal"] == .null)

        for app in [shop, admin] { await app.terminate() }
        await redis.crash()
    }
}
