// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

extension RedisClient {
    /// What a replica has under a key; nil when the primary has to be asked.
    fileprivate func copy(_ key: String, within age: Duration = .seconds(60)) async -> RedisReply? {
        await sendToReplica([RedisCommand("GET", key, readOnly: true)], within: age)?[0]
    }

    /// Waits until a replica has a value.
    fileprivate func finds(_ value: String, _ key: String, within age: Duration = .seconds(1)) async -> Bool {
        await poll(seconds: 30) { await self.copy(key, within: age)?.string == value }
    }
}

extension Topologies {
    /// Reads that a replica may answer.
    @Suite(.timeLimit(.minutes(10))) struct ReplicaReadTests {
        private func withPair(_ body: (RedisClient, ReplicatedPair) async throws -> Void) async throws {
            let pair = try await ReplicatedPair()
            try await withClient(pair.primary.url) { try await body($0, pair) }
            await pair.close()
        }

        private func withClient(_ url: String, _ body: (RedisClient) async throws -> Void) async throws {
            var configuration = try RedisConfiguration(url: url)
            configuration.commandTimeout = .seconds(8)
            let redis = RedisClient(configuration)
            do { try await body(redis) } catch {
                await redis.shutdown()
                throw error
            }
            await redis.shutdown()
        }

        @Test func `the replica answers, and the primary hears nothing of it`() async throws {
            try await withPair { redis, pair in
                _ = try await redis.send(RedisCommand("SET", "k", "v"))
                try await pair.primary.replicated(to: pair.replica)
                #expect(await redis.finds("v", "k", within: .seconds(60)))
                try await pair.primary.resetCounts()
                try await pair.replica.resetCounts()
                let before = redis.statistics
                for _ in 0..<1000 { #expect(await redis.copy("k")?.string == "v") }
                #expect(redis.statistics.commands - before.commands == 1000)
                #expect(redis.statistics.connects == before.connects)
                for server in [pair.primary, pair.replica] {
                    let counts = try await server.admin("INFO", "commandstats")
                    #expect(
                        !counts.contains("cmdstat_info"),
                        "an examination is kept for a quarter of the age"
                    )
                }
                #expect(try await pair.replica.commandCounts()["get"] == 1000)
                #expect(try await pair.primary.commandCounts()["get"] == nil)
            }
        }

        @Test func `without a replica the primary has to be asked`() async throws {
            try await withRedis { redis, _ in
                _ = try await redis.send(RedisCommand("SET", "k", "v"))
                for _ in 0..<50 { #expect(await redis.copy("k", within: .milliseconds(100)) == nil) }
            }
        }

        @Test func `no answer is older than the age, however far the replica is behind`() async throws {
            try await withPair { redis, pair in
                let age = Duration.milliseconds(800)
                _ = try await redis.send(RedisCommand("SET", "k", "old"))
                #expect(await redis.finds("old", "k", within: age))
                // Neither server notices: the link stays up by their own account.
                pair.cut()
                _ = try await redis.send(RedisCommand("SET", "k", "new"))
                let written = ContinuousClock.now
                var refused = 0
                while refused < 200 || ContinuousClock.now - written < age * 3 {
                    let asked = ContinuousClock.now
                    if let reply = await redis.copy("k", within: age) {
                        try #require(reply.string == "old" && asked - written < age)
                        refused = 0
                    } else {
                        refused += 1
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }
                #expect(try await pair.replica.admin("INFO", "replication").contains("master_link_status:up"))
            }
        }

        @Test func `a server that came back empty is not asked until it has the data`() async throws {
            try await withPair { redis, pair in
                _ = try await redis.send(RedisCommand("SET", "k", "v"))
                #expect(await redis.finds("v", "k", within: .seconds(60)))
                pair.block()
                try await pair.replica.restart()
                #expect(try await pair.replica.admin("DBSIZE") == "0")
                // What was known of it is still young enough; it is examined, and examined again.
                let before = redis.statistics.commands
                let isExamined = await poll(seconds: 30) {
                    #expect(await redis.copy("k") == nil)
                    return redis.statistics.commands - before >= 4
                }
                #expect(isExamined)
                #expect(try await pair.replica.admin("DBSIZE") == "0")
                pair.unblock()
                let isAsked = await poll(seconds: 30) {
                    let reply = await redis.copy("k")
                    #expect(reply == nil || reply?.string == "v")
                    return reply != nil
                }
                #expect(isAsked)
            }
        }

        @Test(arguments: ["frozen", "killed", "cut off", "loading"])
        func `a replica that does not answer is no error, and is asked again later`(_ how: String)
            async throws
        {
            try await withPair { redis, pair in
                let keys = (0..<300).flatMap { ["key:\($0)", String(repeating: "v", count: 1024)] }
                _ = try await redis.send(RedisCommand("SET", "k", "v"))
                try await pair.primary.admin(["MSET"] + keys)
                #expect(await redis.finds("v", "k", within: .seconds(60)))
                var refusal: String?
                switch how {
                case "frozen": pair.replica.freeze()
                case "killed": await pair.replica.crash()
                case "cut off":
                    try await pair.replica.admin("CONFIG", "SET", "replica-serve-stale-data", "no")
                    try await pair.replica.admin("REPLICAOF", "127.0.0.1", "1")
                    refusal = "MASTERDOWN"
                default:
                    guard try await ServerVersion.installed.major > 6 else {
                        try Test.cancel("Redis 6 hears no commands while it loads what its primary sends")
                    }
                    // 100 ms for each key, and it hears of commands after each KiB.
                    try await pair.primary.admin("CONFIG", "SET", "rdbcompression", "no")
                    try await pair.replica.admin("CONFIG", "SET", "key-load-delay", "100000")
                    try await pair.replica.admin(
                        "CONFIG",
                        "SET",
                        "loading-process-events-interval-bytes",
                        "1024"
                    )
                    try await pair.replica.admin("REPLICAOF", "NO", "ONE")
                    try await pair.replica.admin("SET", "own", "write")
                    try await pair.replica.admin("REPLICAOF", "127.0.0.1", "\(pair.primary.port)")
                    let isLoading = await poll(seconds: 20) {
                        (try? await pair.replica.admin("GET", "k"))?.hasPrefix("LOADING") == true
                    }
                    #expect(isLoading)
                    refusal = "LOADING"
                }
                let answers = await withTaskGroup { tasks in
                    for _ in 0..<50 { tasks.addTask { await redis.copy("k") == nil } }
                    return await tasks.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.allSatisfy { $0 })
                let refused = refusal == nil ? nil : try await pair.replica.admin("INFO", "commandstats")
                for _ in 0..<50 { #expect(await redis.copy("k") == nil) }
                if let refused {
                    let reads = { (text: String) in
                        text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_get:") }
                    }
                    let now = try await pair.replica.admin("INFO", "commandstats")
                    #expect(reads(refused) != nil && reads(now) == reads(refused), "it is left alone")
                }
                #expect(try await redis.text(RedisCommand("GET", "k", readOnly: true)) == "v")
                if let refusal {
                    let errors = try await pair.replica.admin("INFO", "errorstats")
                    #expect(errors.contains("errorstat_\(refusal)"))
                }
                switch how {
                case "frozen": pair.replica.thaw()
                case "killed": try await pair.replica.restart()
                case "cut off": try await pair.replica.admin("REPLICAOF", "127.0.0.1", "\(pair.primary.port)")
                default: return
                }
                #expect(await redis.finds("v", "k"))
            }
        }

        @Test func `after a failover the old primary is asked as the replica`() async throws {
            let servers = try await SentinelServers()
            try await withClient(servers.url) { redis in
                let running = Task { try await redis.run() }
                defer { running.cancel() }
                _ = try await redis.send(RedisCommand("SET", "k", "old"))
                #expect(await redis.finds("old", "k"))
                try await servers.sentinels[0].admin("SENTINEL", "FAILOVER", "main")
                #expect(
                    await poll(seconds: 30) {
                        (try? await servers.servers[1].admin("ROLE"))?.hasPrefix("master") == true
                    }
                )
                try await servers.servers[1].admin("SET", "k", "new")
                #expect(await redis.finds("new", "k"))
                #expect(await redis.finds("new", "k", within: .seconds(60)))
                for server in servers.servers { try await server.resetCounts() }
                for _ in 0..<100 { #expect(await redis.copy("k")?.string == "new") }
                #expect(try await servers.servers[0].commandCounts()["get"] == 100)
                #expect(try await servers.servers[1].commandCounts()["get"] == nil)
            }
        }

        @Test func `in a cluster the replica of the slot answers`() async throws {
            let cluster = try await RedisCluster(hasReplicas: true)
            try await withClient(cluster.url) { redis in
                for index in 0..<300 {
                    _ = try await redis.send(RedisCommand("SET", "k\(index)", "\(index)"))
                }
                for index in 0..<300 {
                    #expect(await redis.finds("\(index)", "k\(index)", within: .seconds(60)))
                }
                try await cluster.resetCounts()
                for index in 0..<300 { #expect(await redis.copy("k\(index)")?.string == "\(index)") }
                for node in cluster.primaries { #expect(try await node.commandCounts()["get"] == nil) }
                var sum = 0
                for node in cluster.replicas {
                    let count = try await node.commandCounts()["get"] ?? 0
                    #expect(count > 50)
                    sum += count
                }
                #expect(sum == 300 && redis.statistics.redirects == 0)

                // A slot moves: its old replica sends the read elsewhere, which the primary's reply says better.
                let slot = try await cluster.slot(of: "k0")
                let owner = slot * 3 / RedisCluster.slots
                let (source, target) = (cluster.primaries[owner], cluster.primaries[(owner + 1) % 3])
                try await cluster.move(slot, from: source, to: target)
                try await target.admin("SET", "k0", "new")
                let old = cluster.replicas[owner]
                #expect(
                    await poll(seconds: 20) {
                        (try? await old.admin("CLUSTER", "SLOTS"))?.contains("\n\(slot)\n\(slot)\n") == true
                    }
                )
                #expect(await redis.copy("k0") == nil)
                #expect(try await redis.text(RedisCommand("GET", "k0", readOnly: true)) == "new")
                #expect(await redis.finds("new", "k0"))
            }
        }

        @Test func `in a cluster a primary that died leaves no replica, and a new one is found`() async throws
        {
            let cluster = try await RedisCluster(hasReplicas: true)
            try await withClient(cluster.url) { redis in
                for key in ["a", "b", "c", "d"] {
                    _ = try await redis.send(RedisCommand("SET", key, "1"))
                    #expect(await redis.finds("1", key))
                }
                let owner = try await cluster.slot(of: "a") * 3 / RedisCluster.slots
                let (old, new) = (cluster.primaries[owner], cluster.replicas[owner])
                try await old.replicated(to: new)
                await old.crash()
                #expect(
                    await poll(seconds: 30) { (try? await new.admin("ROLE"))?.hasPrefix("master") == true }
                )
                #expect(
                    await poll(seconds: 30) { (try? await redis.send(RedisCommand("SET", "a", "2"))) != nil }
                )
                for _ in 0..<100 { #expect(await redis.copy("a", within: .milliseconds(500)) == nil) }
                // It comes back empty, with another name, and follows the new one.
                try await old.restart()
                try await old.admin("CLUSTER", "MEET", "127.0.0.1", "\(new.port)")
                let id = try await new.admin("CLUSTER", "MYID")
                #expect(
                    await poll(seconds: 30) { (try? await old.admin("CLUSTER", "REPLICATE", id)) == "OK" }
                )
                #expect(await redis.finds("2", "a"))
            }
        }
    }
}
