// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// The fixture with more than one Redis behind it.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Instances with copies` {
    /// Uses two instances as one visitor and one other browser of the same session.
    private func use(_ url: String, store: String = "redis-cached", _ extra: [String] = []) async throws {
        var options = FixtureApp.Options(store: store, redis: url, prefix: "topology")
        options.extra = extra
        let one = try await FixtureApp.started(options, instance: "one")
        let two = try await FixtureApp.started(options, instance: "two")
        for number in 0..<8 {
            let browser = Browser()
            try await browser.post("/login", ["user": "user\(number)"], on: one)
            for value in ["a", "b", "c"] {
                try await browser.post("/set", ["k": "k", "v": value], on: one)
                for app in [two, one, two] {
                    let seen = try await browser.get("/whoami", on: app).json
                    #expect(seen["values"]["k"] == .string(value))
                }
            }
            let other = browser.clone()
            try await browser.post("/logout", on: two)
            #expect(
                await poll(seconds: 20) {
                    (try? await other.get("/whoami", on: one).json["principal"]) == .null
                }
            )
        }
        for app in [one, two] {
            #expect(try await Browser().get("/readyz", on: app).status == 200)
            await app.terminate()
        }
    }

    @Test func `serve over a cluster`() async throws {
        let cluster = try await RedisCluster()
        try await use(cluster.url)
        for node in cluster.nodes { await node.crash() }
    }

    @Test func `serve over the primary that sentinels name`() async throws {
        let servers = try await SentinelServers()
        try await use(servers.url)
        for server in servers.sentinels + servers.servers { await server.crash() }
    }

    @Test func `serve with reads from a replica`() async throws {
        let pair = try await ReplicatedPair()
        try await pair.replica.resetCounts()
        try await use(pair.primary.url, store: "redis", ["--reads", "replicas"])
        let counts = try await pair.replica.commandCounts()
        #expect((counts["hgetall"] ?? 0) > 20, "\(counts)")
        for server in [pair.primary, pair.replica] { await server.crash() }
    }
}
