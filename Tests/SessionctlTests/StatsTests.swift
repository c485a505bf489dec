// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import TestSupport
import Testing

/// `sessionctl stats` and `watch`, and the tool on a cluster.
@Suite(.timeLimit(.minutes(10))) struct StatsTests {
    @Test func `stats counts what is there, and estimates from a sample`() async throws {
        let server = try await RedisServer()
        let site = try Site(server.url)
        for number in 0..<40 { try await site.session(user: "user\(number % 10)") }
        for _ in 0..<20 { try await site.session() }
        try await site.session(["big": "\"\(String(repeating: "x", count: 5000))\""])
        _ = try await site.store.end(try await site.record())
        let damaged = try await site.session()
        try await server.admin("HDEL", "shop:s:{\(damaged)}", "@format")
        try await server.admin("SET", "shop:s:{\(SessionID())}", "x")
        try await server.admin("SET", "elsewhere", "x")
        try await server.resetCounts()
        let exact = try await site.run("stats", "--json")
        let counts = try await server.commandCounts()
        #expect(counts["keys"] == nil)
        let json = try exact.json
        for (name, value) in [
            ("sessions", 61.0), ("signedIn", 40), ("ended", 1), ("userLists", 10), ("unreadable", 2),
            ("otherKeys", 1), ("keys", 75), ("servers", 1),
        ] { #expect(json[name] == .number(value), "\(name): \(json[name])") }
        #expect(json["exact"] == .bool(true))
        guard case .number(let median) = json["bytesPerSession"]["p50"],
            case .number(let largest) = json["bytesPerSession"]["max"]
        else {
            Issue.record("no bytes")
            return
        }
        #expect(median > 100 && median < 2000 && largest > 5000)
        #expect(exact.errors.isEmpty)

        let text = try await site.run("stats")
        #expect(text.output.contains("sessions           61\n") && text.errors.isEmpty)

        let sampled = try await site.run("stats", "--json", "--sample", "25").json
        #expect(sampled["exact"] == .bool(false) && sampled["sampledKeys"] == .number(25))
        guard case .number(let estimate) = sampled["sessions"] else {
            Issue.record("no estimate")
            return
        }
        #expect(estimate > 25 && estimate <= 75)
    }

    @Test func `on a cluster each node is asked`() async throws {
        let cluster = try await RedisCluster()
        let site = try Site(cluster.url)
        for number in 0..<60 { try await site.session(user: "user\(number % 12)") }
        for node in cluster.primaries { #expect(try await !node.keys("shop:s:").isEmpty) }
        let stats = try await site.run("stats", "--json").json
        #expect(stats["sessions"] == .number(60) && stats["servers"] == .number(3))
        #expect(stats["userLists"] == .number(12))
        let list = try await site.run("list", "--user", "user3", "--json").json
        #expect(list["sessions"].array.count == 5)
        let doctor = try await site.run("doctor", "--json").json
        let slots = doctor["findings"].array.filter { $0["check"].string == "cluster" }
        #expect(slots.count == 3)
        #expect(slots.allSatisfy { $0["text"].string == "state ok, 16384 of 16384 slots served" })
        let single = try await site.run(
            "doctor",
            environment: ["SESSIONS_REDIS_URL": cluster.primaries[0].url]
        )
        #expect(single.exitCode == 2 && single.output.contains("redis-cluster://"))
        #expect(try await site.run("revoke-all", "--yes").output == "60 sessions ended\n")
        #expect(try await site.run("stats", "--json").json["ended"] == .number(60))
    }

    @Test(arguments: [false, true])
    func `watch shows what happens, on one server and on a cluster`(isCluster: Bool) async throws {
        let cluster = isCluster ? try await RedisCluster() : nil
        let server = isCluster ? nil : try await RedisServer()
        let url = try #require(cluster?.url ?? server?.url)
        let site = try Site(url)
        let old = try await site.record(user: "ann")
        let watch = try ChildProcess(
            builtProduct("sessionctl"),
            ["watch", "--json", "--count", "6"],
            environment: ["SESSIONS_REDIS_URL": url, "SESSIONS_APPLICATION": "shop"]
        )
        let count = isCluster ? 3 : 1
        #expect(await poll(seconds: 20) { watch.text.matches(of: /watching/).count == count })
        func seen(_ change: String, _ id: SessionID) async {
            let text = "\"change\":\"\(change)\",\"id\":\"\(id)\""
            #expect(await poll(seconds: 20) { watch.text.contains(text) }, "\(change): \(watch.text)")
        }
        let anonymous = try await site.session()
        await seen("created", anonymous)
        let user = try await site.record(user: "bob")
        await seen("signed-in", user.id)
        _ = try await site.store.end(user)
        await seen("signed-out", user.id)
        #expect(try await site.store.revoke(old.id, of: "ann"))
        await seen("revoked", old.id)
        let passing = SessionDraft(
            attributes: [:],
            policy: SessionPolicy(idleTimeout: .seconds(2), lifetime: .seconds(2))
        )
        guard case .committed = try await site.store.create(passing) else {
            Issue.record("not created")
            return
        }
        #expect(try await watch.wait(seconds: 20) == 0)
        #expect(watch.text.matches(of: /"change"/).count == 6)
        #expect(watch.text.matches(of: /"change":"expired"/).count == 1)
    }
}
