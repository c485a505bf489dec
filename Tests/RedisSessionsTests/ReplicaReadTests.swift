// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import SessionsTesting
import TestSupport
import Testing

/// Sessions that are read from replicas.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Reads from replicas` {
    /// Stores over one primary, each as in a process of its own.
    private struct World {
        let servers: [RedisServer]
        let prefix = "t\(UUID().uuidString.prefix(8))"
        let clients: [RedisClient]
        let stores: [RedisSessionStore]

        init(
            _ url: String,
            _ servers: [RedisServer],
            stores count: Int = 2,
            maximumAge: Duration = .seconds(60),
            timeout: Duration = .seconds(8)
        ) throws {
            self.servers = servers
            var configuration = try RedisConfiguration(url: url)
            configuration.commandTimeout = timeout
            clients = (0..<count).map { [configuration] _ in RedisClient(configuration) }
            stores = try clients.map { [prefix] in
                try RedisSessionStore($0, application: prefix, reads: .replicas(maximumAge: maximumAge))
            }
        }

        init(_ pair: ReplicatedPair, maximumAge: Duration = .seconds(60), timeout: Duration = .seconds(8))
            throws
        {
            try self.init(
                pair.primary.url,
                [pair.primary, pair.replica],
                maximumAge: maximumAge,
                timeout: timeout
            )
        }

        /// How often sessions were read on each server since the last call.
        func reads() async throws -> [Int] {
            var counts: [Int] = []
            for server in servers {
                counts.append(try await server.commandCounts()["hgetall"] ?? 0)
                try await server.resetCounts()
            }
            return counts
        }

        /// Reads a session until a replica answers.
        func warm(_ credential: SessionCredential, _ position: Int = 0, replica: Int = 1) async throws {
            let isWarm = await poll(seconds: 30) {
                _ = try? await reads()
                _ = try? await stores[position].load(credential)
                let counts = try? await reads()
                return counts?[0] == 0 && counts?[replica] == 1
            }
            if !isWarm { throw SessionError(.storeUnavailable, "No replica is asked.") }
        }

        func end() async { for client in clients { await client.shutdown() } }
    }

    private func withWorld(
        maximumAge: Duration = .seconds(60),
        timeout: Duration = .seconds(8),
        _ body: (World, ReplicatedPair) async throws -> Void
    ) async throws {
        let pair = try await ReplicatedPair()
        let world = try World(pair, maximumAge: maximumAge, timeout: timeout)
        try await body(world, pair)
        await world.end()
        await pair.close()
    }

    private func set(_ value: String) -> SessionChange {
        SessionChange(operations: ["a": .set(Array(value.utf8))], policy: SessionPolicy())
    }

    // MARK: Cost

    @Test func `a thousand reads are none on the primary`() async throws {
        try await withWorld { world, _ in
            let credential = try await world.stores[1].start(["a": "1"], as: "ann")
            try await world.warm(credential)
            _ = try await world.reads()
            for _ in 0..<1000 {
                let record = try await world.stores[0].found(credential)
                #expect(record.principal == "ann" && record.attributes["a"] == [UInt8(ascii: "1")])
                #expect(try await world.stores[0].touch(record, isDue: false) == nil)
            }
            #expect(try await world.reads() == [0, 1000])
        }
    }

    @Test func `an own write is seen, and costs the primary one read for each that follows`() async throws {
        try await withWorld { world, pair in
            let store = world.stores[0]
            let credential = try await world.stores[1].start(["a": "1"])
            try await world.warm(credential)
            pair.cut()
            _ = try await world.reads()
            let new = try await store.commit(set("2"), to: try await store.found(credential)).newCredential()
            #expect(try await world.reads() == [0, 1])
            for _ in 0..<10 {
                #expect(try await store.text("a", new) == "2")
                // Also where the client ignores the new cookie, as another request of its own may do.
                #expect(try await store.text("a", credential) == "2")
            }
            #expect(try await world.reads() == [20, 0])
        }
    }

    @Test func `what the client has seen elsewhere costs one read more, on the primary`() async throws {
        try await withWorld { world, pair in
            let credential = try await world.stores[1].start(["a": "1"])
            try await world.warm(credential)
            pair.cut()
            let record = try await world.stores[1].found(credential)
            let new = try await world.stores[1].commit(set("2"), to: record).newCredential()
            _ = try await world.reads()
            #expect(try await world.stores[0].text("a", new) == "2")
            #expect(try await world.reads() == [1, 1])
            for _ in 0..<10 { #expect(try await world.stores[0].text("a", new) == "2") }
            #expect(try await world.reads() == [10, 10])
        }
    }

    @Test func `a conflict is resolved with what the primary has`() async throws {
        try await withWorld { world, pair in
            let store = world.stores[0]
            let credential = try await world.stores[1].start(["a": "1"])
            try await world.warm(credential)
            pair.cut()
            let record = try await world.stores[1].found(credential)
            _ = try await world.stores[1].commit(set("2"), to: record)
            let stale = try await store.found(credential)
            #expect(stale.attributes["a"] == Array("1".utf8), "the replica lags")
            var change = set("3")
            change.needsVersion = true
            guard case .conflict(let fresh) = try await store.commit(change, to: stale) else {
                Issue.record("no conflict")
                return
            }
            #expect(fresh.attributes["a"] == Array("2".utf8))
            #expect(try await store.text("a", credential) == "2", "the next try reads from the primary, too")
        }
    }

    // MARK: Versions and secrets

    @Test func `a cookie without a version, or with an older one, gets the version from the primary`()
        async throws
    {
        try await withWorld { world, pair in
            let store = world.stores[0]
            var credential = try await world.stores[1].start(["a": "1"])
            try await world.warm(credential)
            let first = try #require(SessionToken(credential))
            let record = try await world.stores[1].found(credential)
            _ = try await world.stores[1].commit(set("2"), to: record)
            try await pair.primary.replicated(to: pair.replica)
            let plain = SessionToken(id: first.id, secret: first.secret).credential
            for old in [plain, credential] {
                _ = try await world.reads()
                let record = try await store.found(old)
                #expect(record.attributes["a"] == Array("2".utf8))
                #expect(try await world.reads()[0] == 1)
                credential = try #require(try await store.touch(record, isDue: false))
                #expect(SessionToken(credential)?.version == record.version)
            }
            for _ in 0..<10 { #expect(try await store.text("a", credential) == "2") }
            #expect(try await world.reads() == [0, 10])
        }
    }

    @Test func `another secret is judged by the primary`() async throws {
        try await withWorld { world, pair in
            let store = world.stores[0]
            let credential = try await world.stores[1].start(["a": "1"])
            try await world.warm(credential)
            let token = try #require(SessionToken(credential))
            let guess = SessionToken(id: token.id, secret: token.secret.map { ~$0 }).seen(token.version ?? 0)
            _ = try await world.reads()
            #expect(try await store.absence(guess.credential) != nil)
            #expect(try await world.reads() == [1, 1])
            // The replica has the secret before this one as the current one.
            pair.cut()
            let renewed = try await world.stores[1].renew(credential)
            #expect(try await store.text("a", renewed) == "1")
            #expect(try await world.reads()[0] > 0)
        }
    }

    // MARK: Ends

    @Test func `what this process has ended is over at once`() async throws {
        try await withWorld { world, pair in
            let store = world.stores[0]
            var credentials: [SessionCredential] = []
            for _ in 0..<5 { credentials.append(try await world.stores[1].start(["a": "1"], as: "ann")) }
            for credential in credentials { try await world.warm(credential) }
            pair.cut()
            _ = try await store.end(try await store.found(credentials[0]))
            #expect(try await store.revoke(try #require(SessionToken(credentials[1])).id, of: "ann"))
            try await store.revoke(try #require(SessionToken(credentials[2])).id)
            #expect(try await store.revokeAll(of: "ann", except: nil) == 2)
            for credential in credentials { #expect(try await store.absence(credential) != nil) }
        }
    }

    @Test func `what another process has ended is over when the age has passed`() async throws {
        let age = Duration.seconds(2)
        try await withWorld(maximumAge: age) { world, pair in
            let store = world.stores[0]
            let credential = try await world.stores[1].start(["a": "1"], as: "ann")
            try await world.warm(credential)
            pair.cut()
            #expect(try await world.stores[1].revokeAll(of: "ann", except: nil) == 1)
            let ended = ContinuousClock.now
            var late = 0
            while late < 100 || ContinuousClock.now - ended < age * 2 {
                let asked = ContinuousClock.now
                if try await store.absence(credential) == nil {
                    // This is the price: the replica has the version that the cookie carries.
                    try #require(asked - ended < age)
                } else {
                    late += 1
                }
            }
        }
    }

    // MARK: Faults

    @Test(arguments: [true, false])
    func `a replica that is frozen or killed is no error`(_ isFrozen: Bool) async throws {
        try await withWorld(timeout: .seconds(2)) { world, pair in
            let credential = try await world.stores[1].start(["a": "1"])
            try await world.warm(credential)
            if isFrozen { pair.replica.freeze() } else { await pair.replica.crash() }
            try await withThrowingTaskGroup { tasks in
                for _ in 0..<50 { tasks.addTask { try await world.stores[0].text("a", credential) } }
                for try await text in tasks { #expect(text == "1") }
            }
            for _ in 0..<50 { #expect(try await world.stores[0].text("a", credential) == "1") }
            pair.replica.thaw()
        }
    }

    @Test func `with sentinels, reads go on after a failover and come from the other server`() async throws {
        let servers = try await SentinelServers()
        let world = try World(servers.url, servers.servers, maximumAge: .seconds(2))
        let running = world.clients.map { client in Task { try? await client.run() } }
        let credential = try await world.stores[1].start(["a": "1"])
        try await world.warm(credential)
        try await servers.servers[0].replicated(to: servers.servers[1])
        try await servers.sentinels[0].admin("SENTINEL", "FAILOVER", "main")
        let isFollowing = await poll(seconds: 40) {
            (try? await servers.servers[1].admin("INFO", "replication"))?.contains("state=online") == true
        }
        #expect(isFollowing)
        let isWarm = await poll(seconds: 30) {
            _ = try? await world.reads()
            _ = try? await world.stores[0].load(credential)
            return (try? await world.reads()) == [1, 0]
        }
        #expect(isWarm)
        for task in running { task.cancel() }
        await world.end()
    }

    @Test func `in a cluster, every session is read from a replica of its node`() async throws {
        let cluster = try await RedisCluster(hasReplicas: true)
        let world = try World(cluster.url, cluster.nodes)
        var credentials: [SessionCredential] = []
        for _ in 0..<60 { credentials.append(try await world.stores[1].start(["a": "1"])) }
        for (primary, replica) in zip(cluster.primaries, cluster.replicas) {
            try await primary.replicated(to: replica)
        }
        // The first time tells of the primary's clock, the second has the replicas examined.
        let isWarm = await poll(seconds: 30) {
            _ = try? await world.reads()
            for credential in credentials { _ = try? await world.stores[0].load(credential) }
            return (try? await world.reads())?.prefix(3).allSatisfy { $0 == 0 } == true
        }
        #expect(isWarm)
        for credential in credentials { #expect(try await world.stores[0].text("a", credential) == "1") }
        let counts = try await world.reads()
        #expect(counts.prefix(3).allSatisfy { $0 == 0 } && counts.reduce(0, +) == 60)
        #expect(counts.suffix(3).allSatisfy { $0 > 5 })
        await world.end()
    }

    // MARK: Contract

    @Test func `keeps the contract when requests land on any of three instances`() async throws {
        let pair = try await ReplicatedPair()
        var fromReplica = 0
        for rule in SessionStoreContract.rules {
            let world = try World(
                pair.primary.url,
                [pair.primary, pair.replica],
                stores: 3,
                maximumAge: .milliseconds(400)
            )
            let settle: @Sendable () async throws -> Void = {
                // What was sent without waiting, on both connections.
                for client in world.clients {
                    for isRead in [true, false] {
                        _ = try await client.send(RedisCommand("EXISTS", "x", readOnly: isRead))
                    }
                }
                try await pair.primary.replicated(to: pair.replica)
            }
            let harness = SessionStoreHarness(store: Router(stores: world.stores, settled: settle)) {
                duration in
                try await settle()
                try await RedisFixture.letTimePass(
                    duration,
                    server: pair.primary,
                    client: world.clients[0],
                    prefix: world.prefix
                )
                try await settle()
            }
            for store in world.stores {
                let credential = try await store.start()
                for _ in 0..<3 { _ = try await store.load(credential) }
            }
            _ = try await world.reads()
            try await rule.check(harness)
            fromReplica += try await world.reads()[1]
            await world.end()
        }
        #expect(fromReplica > 100)
        await pair.close()
    }

    @Test func `the least rights suffice, also on the replicas`() async throws {
        let rules = try RedisSessionStore.accessRules(application: "app")
            .replacing("~app:*", with: "~t*").split(separator: " ").map(String.init)
        let cluster = try await RedisCluster(primaries: 1, hasReplicas: true)
        for node in cluster.nodes {
            try await node.admin(
                ["ACL", "SETUSER", "app", "on", ">pw"] + rules + ["+cluster|slots", "+asking", "+readonly"]
            )
        }
        let world = try World(cluster.url.replacing("//", with: "//app:pw@"), cluster.nodes)
        let credential = try await world.stores[1].start(["a": "1"])
        try await world.warm(credential)
        for node in cluster.nodes { #expect(try await node.admin("ACL", "LOG") == "") }
        await world.end()
    }

    @Test func `refuses an age out of range, and to fill a near cache from replicas`() throws {
        let client = RedisClient(try RedisConfiguration(url: "redis://127.0.0.1:1"))
        let wrong = SessionError(.invalidConfiguration, "")
        for age in [Duration.milliseconds(99), .seconds(61)] {
            #expect(throws: wrong) {
                try RedisSessionStore(client, application: "a", reads: .replicas(maximumAge: age))
            }
        }
        let store = try RedisSessionStore(client, application: "a", reads: .replicas())
        #expect(throws: wrong) { try CachedSessionStore(store) }
    }
}
