// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing
import ThirdPartyStores

@testable import RedisSessions

/// One cluster for the suite; each test has a prefix of its own.
private let shared = Task { try await RedisCluster() }

/// Another one, whose slots are on their way.
private let moving = Task { try await RedisCluster() }

/// The stores on three nodes: a session, its user's list and another session are in different slots.
@Suite(.limited, .timeLimit(.minutes(10))) struct ClusterStoreTests {
    private struct Fixture {
        let cluster: RedisCluster
        let client: RedisClient
        let prefix = "t\(UUID().uuidString.prefix(8))"

        init(on cluster: RedisCluster? = nil, user: String = "") async throws {
            self.cluster = if let cluster { cluster } else { try await shared.value }
            client = try patientClient(self.cluster.url.replacing("//", with: "//\(user)"))
        }

        func revocable(_ clock: ManualClock) throws -> RevocableSessionStore {
            try RevocableSessionStore(
                SealedSessionStore(RevocableFixture.keys(), application: prefix) { clock.now },
                revocations: client,
                application: prefix,
                peppers: [SessionPepper(Array(7..<7 + 32)), .none]
            )
        }

        func beginMoves() async {
            do { try await cluster.beginMoves(ofKeys: prefix) } catch { Issue.record(error) }
        }

        /// Ages the records of all nodes, with what was sent there without waiting.
        func letTimePass(_ duration: Duration) async throws {
            // Keys of slots of each node.
            for key in ["a", "b", "c"] { _ = try await client.send(RedisCommand("TYPE", key)) }
            for node in cluster.primaries {
                try await RedisFixture.letTimePass(
                    duration,
                    server: node,
                    client: client,
                    prefix: prefix,
                    isAsking: true
                )
            }
        }
    }

    @Test(arguments: SessionStoreContract.rules)
    func `the store keeps the contract`(rule: SessionStoreContract.Rule) async throws {
        let fixture = try await Fixture()
        let store = try RedisSessionStore(fixture.client, application: fixture.prefix)
        try await rule.check(SessionStoreHarness(store: store) { try await fixture.letTimePass($0) })
        #expect(fixture.client.statistics.redirects == 0)
        await fixture.client.shutdown()
    }

    @Test(arguments: `Revocable store and the contract`.kept)
    func `revocable cookies keep the contract`(rule: SessionStoreContract.Rule) async throws {
        let fixture = try await Fixture()
        let clock = ManualClock(.now)
        let store = try fixture.revocable(clock)
        let harness = SessionStoreHarness(store: store, splice: RevocableFixture.splice) {
            clock.advance(by: $0)
            try await fixture.letTimePass($0)
        }
        try await rule.check(harness)
        await fixture.client.shutdown()
    }

    @Test(arguments: SessionStoreContract.rules)
    func `the replicated store keeps the contract`(rule: SessionStoreContract.Rule) async throws {
        let cluster = try await shared.value
        try await rule.check(
            try await ReplicaFleet(1, on: cluster.primaries[0], url: cluster.url).harness
        )
    }

    @Test(arguments: SessionStoreContract.rules, [1, 3])
    func `the near cache keeps the contract`(rule: SessionStoreContract.Rule, instances: Int) async throws {
        let cluster = try await shared.value
        let fleet = try await CachedFleet(
            Array(repeating: cluster.url, count: instances),
            on: cluster.primaries,
            lease: .milliseconds(400),
            timeout: .seconds(20)
        )
        try await rule.check(fleet.harness)
        for client in fleet.clients { #expect(client.statistics.redirects == 0) }
    }

    /// A key that is missing on a node whose slot is on its way cannot be written there, also by the script that deleted it.
    @Test(arguments: SessionStoreContract.rules)
    func `the store keeps the contract while slots are on their way`(rule: SessionStoreContract.Rule)
        async throws
    {
        let fixture = try await Fixture(on: moving.value)
        let store = MeteredStore(try RedisSessionStore(fixture.client, application: fixture.prefix)) {
            await fixture.beginMoves()
        }
        try await rule.check(SessionStoreHarness(store: store) { try await fixture.letTimePass($0) })
        await fixture.client.shutdown()
    }

    @Test(arguments: `Revocable store and the contract`.kept)
    func `revocable cookies keep the contract while slots are on their way`(rule: SessionStoreContract.Rule)
        async throws
    {
        let fixture = try await Fixture(on: moving.value)
        let clock = ManualClock(.now)
        let store = MeteredStore(try fixture.revocable(clock)) { await fixture.beginMoves() }
        let harness = SessionStoreHarness(store: store, splice: RevocableFixture.splice) {
            clock.advance(by: $0)
            try await fixture.letTimePass($0)
        }
        try await rule.check(harness)
        await fixture.client.shutdown()
    }

    @Test func `the rights for a cluster suffice`() async throws {
        let cluster = try await shared.value
        let rules = try RedisSessionStore.accessRules(application: "app").split(separator: " ").map(
            String.init
        )
        for node in cluster.primaries {
            _ = try await run(
                "redis-cli",
                ["-s", node.socketPath, "ACL", "SETUSER", "app", "on", ">pw"] + rules
                    + ["+cluster|slots", "+asking"]
            )
        }
        let fixture = try await Fixture(user: "app:pw@")
        let store = try RedisSessionStore(fixture.client, application: "app:x")
        try await store.check()
        let policy = SessionPolicy()
        for index in 0..<20 {
            let draft = SessionDraft(attributes: ["n": [1]], principal: "user\(index)", policy: policy)
            guard case .committed = try await store.create(draft) else {
                Issue.record("not signed in")
                return
            }
            #expect(try await store.revokeAll(of: "user\(index)", except: nil) == 1)
        }
        for node in cluster.primaries { #expect(try await node.admin("ACL", "LOG") == "") }
        await fixture.client.shutdown()
    }

    @Test func `each operation costs as many round trips as on one server`() async throws {
        let fixture = try await Fixture()
        let store = try RedisSessionStore(fixture.client, application: fixture.prefix)
        let draft = SessionDraft(attributes: ["n": [1]], principal: "user", policy: SessionPolicy())
        // The first write asks for the time.
        guard case .committed(_, _, let credential?, _) = try await store.create(draft) else {
            Issue.record("not created")
            return
        }
        let before = fixture.client.statistics
        guard case .found = try await store.load(credential) else {
            Issue.record("not found")
            return
        }
        let loaded = fixture.client.statistics
        #expect((loaded.commands - before.commands, loaded.batches - before.batches) == (2, 1))
        await fixture.client.shutdown()
    }
}
