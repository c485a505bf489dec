// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing

@testable import RedisSessions

/// One cluster for the tests that leave its slots and its nodes where they are.
private let shared = Task { try await RedisCluster() }

/// One test at a time: most have servers of their own, which need processor time for what they agree on.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Cached store in a cluster` {
    private func fleet(
        _ count: Int,
        on cluster: RedisCluster,
        lease: Duration = .seconds(60),
        timeout: Duration = .seconds(20)
    ) async throws -> CachedFleet {
        try await CachedFleet(
            Array(repeating: cluster.url, count: count),
            on: cluster.primaries,
            lease: lease,
            timeout: timeout
        )
    }

    /// Sessions that are in memory, the first of them on the first node and so on.
    private func sessions(_ store: CachedSessionStore, on cluster: RedisCluster) async throws
        -> [SessionCredential]
    {
        var found: [Int: SessionCredential] = [:]
        while found.count < cluster.primaries.count {
            let record = try await store.make(["a": [1]])
            let slot = try await cluster.slot(of: "{\(record.id)}")
            found[slot * cluster.primaries.count / RedisCluster.slots] = record.credential
        }
        // A late invalidation would remove a copy.
        try await store.heard(1)
        let credentials = found.sorted { $0.key < $1.key }.map(\.value)
        for credential in credentials { try await store.warm(credential) }
        return credentials
    }

    private func key(_ credential: SessionCredential, _ fleet: CachedFleet) throws -> String {
        "\(fleet.prefix):s:{\(try #require(SessionToken(credential)).id)}"
    }

    /// What the session of a credential has under `a`; nil while Redis does not answer.
    private func value(_ store: CachedSessionStore, _ credential: SessionCredential) async -> [UInt8]? {
        guard case .found(let record) = try? await store.load(credential) else { return nil }
        return record.attributes["a"]
    }

    @Test func `reads what it knows without a command, on every node`() async throws {
        let cluster = try await shared.value
        let fleet = try await fleet(1, on: cluster)
        let store = fleet.stores[0]
        let credentials = try await sessions(store, on: cluster)
        try await cluster.resetCounts()
        for _ in 0..<300 {
            for credential in credentials {
                #expect(try await store.found(credential).attributes["a"] == [1])
            }
        }
        var counts = try await cluster.commandCounts()
        // The questions whether each node serves its slots.
        #expect(counts["exists"] ?? 0 <= 6)
        counts["exists"] = nil
        #expect(counts == [:])
    }

    @Test func `each node is asked four times in a lease whether it serves its slots`() async throws {
        let cluster = try await shared.value
        let lease = Duration.seconds(1)
        let fleet = try await fleet(1, on: cluster, lease: lease)
        let store = fleet.stores[0]
        try await cluster.resetCounts()
        let first = try #require(store.leaseEnd(3))
        #expect(await poll(seconds: 20) { store.leaseEnd(3).map { $0 >= first + lease } ?? false })
        let asked = try await cluster.commandCounts()["exists"] ?? 0
        let last = try #require(store.cache.leaseEnds.values.max())
        // One more that was answered before the first `PING`, and one whose `PING` has no answer yet.
        #expect(asked > 0 && asked <= 3 * (Int((last - first) / (lease / 4)) + 2))
    }

    @Test func `the least rights suffice`() async throws {
        let cluster = try await shared.value
        let rules = try CachedSessionStore.accessRules(application: "app")
            .replacing("~app:*", with: "~t*").split(separator: " ").map(String.init)
        for node in cluster.primaries {
            try await node.admin(
                ["ACL", "SETUSER", "near", "on", ">pw"] + rules + ["+cluster|slots", "+asking"]
            )
        }
        let url = cluster.url.replacing("//", with: "//near:pw@")
        let fleet = try await CachedFleet([url], on: cluster.primaries, lease: .milliseconds(400))
        _ = try await sessions(fleet.stores[0], on: cluster)
        try await fleet.stores[0].check()
        for node in cluster.primaries { #expect(try await node.admin("ACL", "LOG") == "") }
    }

    @Test func `a lost connection to one node costs its copies, and no others`() async throws {
        let cluster = try await shared.value
        let fleet = try await fleet(1, on: cluster)
        let store = fleet.stores[0]
        let credentials = try await sessions(store, on: cluster)
        let (entries, flushes) = (store.statistics.entries, store.statistics.flushes)
        try await cluster.primaries[0].admin("CLIENT", "KILL", "TYPE", "pubsub")
        try await cluster.primaries[0].admin("HSET", try key(credentials[0], fleet), "a:a", "x")
        #expect(await poll(seconds: 20) { store.statistics.flushes > flushes })
        #expect(store.statistics.entries < entries && store.statistics.entries > 0)
        #expect(await value(store, credentials[0]) == Array("x".utf8))
        for credential in credentials[1...] { #expect(try await store.isHit(credential)) }
        #expect(store.statistics.flushes == flushes + 1)
        try await store.ready(3)
        try await store.warm(credentials[0])
    }

    @Test func `of a node that sends no invalidations any more nothing is served, however long its lease`()
        async throws
    {
        let cluster = try await shared.value
        let fleet = try await fleet(1, on: cluster)
        let store = fleet.stores[0]
        let credentials = try await sessions(store, on: cluster)
        let flushes = store.statistics.flushes
        try await cluster.primaries[0].admin("ACL", "SETUSER", "default", "-subscribe")
        try await cluster.primaries[0].admin("CLIENT", "KILL", "TYPE", "pubsub")
        #expect(await poll(seconds: 20) { store.statistics.flushes > flushes })
        for _ in 0..<10 { #expect(try await !store.isHit(credentials[0])) }
        for credential in credentials[1...] { #expect(try await store.isHit(credential)) }
        try await cluster.primaries[0].admin("ACL", "SETUSER", "default", "+subscribe")
        #expect(await poll(seconds: 20) { (try? await store.isHit(credentials[0])) == true })
    }

    @Test func `a primary that is cut off from the others ends its lease`() async throws {
        let cluster = try await RedisCluster()
        // Longer than a command takes at most: what counts is that the question fails, not that it takes its time.
        let fleet = try await fleet(1, on: cluster, lease: .seconds(2), timeout: .milliseconds(500))
        let store = fleet.stores[0]
        let credential = try await sessions(store, on: cluster)[0]
        for node in cluster.primaries[1...] { node.freeze() }
        // It goes on to answer `PING`, and no question about a key once it has noticed.
        #expect(await poll(seconds: 20) { await self.value(store, credential) == nil })
        let hits = store.statistics.hits
        #expect(await value(store, credential) == nil)
        #expect(store.statistics.hits == hits)
        for node in cluster.primaries[1...] { node.thaw() }
        #expect(await poll(seconds: 20) { (try? await store.isHit(credential)) == true })
    }

    @Test func `a session that has moved is heard of from its new node`() async throws {
        let cluster = try await RedisCluster()
        let fleet = try await fleet(2, on: cluster)
        let (one, two) = (fleet.stores[0], fleet.stores[1])
        let credential = try await sessions(one, on: cluster)[0]
        try await two.warm(credential)
        let slot = try await cluster.slot(of: try key(credential, fleet))
        let (source, target) = (cluster.primaries[0], cluster.primaries[1])
        try await cluster.move(slot, from: source, to: target)
        for store in fleet.stores { try await store.warm(credential) }
        for number in 2...5 as ClosedRange<UInt8> {
            try await target.admin("HSET", try key(credential, fleet), "a:a", "\(number)")
            for store in fleet.stores {
                #expect(
                    await poll(seconds: 20) { await self.value(store, credential) == Array("\(number)".utf8) }
                )
                try await store.warm(credential)
            }
        }
        let newer = try await one.set("a", 9, try await one.found(credential))
        #expect(await poll(seconds: 20) { await self.value(two, credential) == [9] })
        #expect(await value(two, newer) == [9])
    }

    @Test func `a copy ends when the client learns that its slot has moved`() async throws {
        let cluster = try await RedisCluster()
        let fleet = try await fleet(1, on: cluster)
        let store = fleet.stores[0]
        let credentials = try await sessions(store, on: cluster)
        let id = try #require(SessionToken(credentials[0])).id
        let slot = try await cluster.slot(of: "{\(id)}")
        let gate = Gate()
        store.beforeApplying(gate.pass)
        gate.close()
        try await cluster.move(slot, from: cluster.primaries[0], to: cluster.primaries[1])
        try await cluster.primaries[1].admin("HSET", try key(credentials[0], fleet), "a:a", "x")
        #expect(try await store.isHit(credentials[0]), "nothing was learned")
        // Another command on the slot is sent elsewhere.
        _ = try await fleet.clients[0].send(RedisCommand("TYPE", "{\(id)}", readOnly: true))
        #expect(try await !store.isHit(credentials[0]))
        #expect(await value(store, credentials[0]) == Array("x".utf8))
        // The others stay.
        #expect(try await store.isHit(credentials[1]))
        gate.open()
    }

    @Test func `what another node than that of the slot has answered is not kept`() async throws {
        let cluster = try await RedisCluster()
        let fleet = try await fleet(2, on: cluster)
        let (one, two) = (fleet.stores[0], fleet.stores[1])
        var credential = try await sessions(one, on: cluster)[0]
        try await two.warm(credential)
        let slot = try await cluster.slot(of: try key(credential, fleet))
        let (source, target) = (cluster.primaries[0], cluster.primaries[1])
        try await cluster.beginMove(slot, from: source, to: target)
        try await cluster.moveKeys(of: slot, from: source, to: target)
        #expect(await poll(seconds: 20) { (try? await !two.isHit(credential)) == true })
        for number in 2...9 as ClosedRange<UInt8> {
            credential = try await one.set("a", number, try await one.found(credential))
            for store in fleet.stores {
                // The second read would be served what the first one has got.
                for _ in 0..<2 { #expect(try await !store.isHit(credential)) }
                #expect(await value(store, credential) == [number])
            }
        }
        try await cluster.endMove(slot, from: source, to: target)
        for store in fleet.stores { try await store.warm(credential) }
    }

    @Test func `a node that joins is heard of, and one that leaves is left`() async throws {
        let cluster = try await RedisCluster()
        let fleet = try await fleet(1, on: cluster)
        let store = fleet.stores[0]
        let credential = try await sessions(store, on: cluster)[0]
        let slot = try await cluster.slot(of: try key(credential, fleet))
        let new = try await cluster.addNode()
        try await cluster.move(slot, from: cluster.primaries[0], to: new)
        #expect(await poll(seconds: 20) { (try? await store.isHit(credential)) == true })
        #expect(store.cache.leaseEnds.count == 4)
        try await new.admin("HSET", try key(credential, fleet), "a:a", "x")
        #expect(await poll(seconds: 20) { await self.value(store, credential) == Array("x".utf8) })
        try await cluster.move(slot, from: new, to: cluster.primaries[0])
        // It has no slots any more, which is found out with the next command for it.
        try await store.warm(credential)
        #expect(await poll(seconds: 20) { store.cache.leaseEnds.count == 3 })
        let listeners = { try await new.admin("PUBSUB", "NUMSUB", "__redis__:invalidate") }
        #expect(await poll(seconds: 20) { (try? await listeners())?.hasSuffix("\n0") == true })
    }

    @Test func `nothing of a primary that was killed is served`() async throws {
        let cluster = try await RedisCluster(hasReplicas: true)
        let fleet = try await fleet(1, on: cluster)
        let store = fleet.stores[0]
        let credentials = try await sessions(store, on: cluster)
        let (old, new) = (cluster.primaries[0], cluster.replicas[0])
        try await old.replicated(to: new)
        let flushes = store.statistics.flushes
        await old.crash()
        #expect(await poll(seconds: 20) { store.statistics.flushes > flushes })
        for credential in credentials[1...] { #expect(try await store.isHit(credential)) }
        #expect(await poll(seconds: 30) { (try? await new.admin("ROLE"))?.hasPrefix("master") == true })
        try await new.admin("HSET", try key(credentials[0], fleet), "a:a", "x")
        #expect(await value(store, credentials[0]) == Array("x".utf8))
        #expect(await poll(seconds: 20) { (try? await store.isHit(credentials[0])) == true })
        try await new.admin("HSET", try key(credentials[0], fleet), "a:a", "y")
        #expect(await poll(seconds: 20) { await self.value(store, credentials[0]) == Array("y".utf8) })
    }
}
