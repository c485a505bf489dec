// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing

@testable import RedisSessions

/// Redis comes back with another log than the instances know.
@Suite(.limited) struct `Replicated store with an older log` {
    private func key(_ fleet: ReplicaFleet) -> String { "\(fleet.prefix):log:\(fleet.prefix)" }

    @Test func `after a restart from a snapshot all that the instances know is there`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await RedisServer())
        let ann = try await fleet.stores[0].make(["a": [1]], principal: "ann")
        let bob = try await fleet.stores[0].make(["a": [1]], principal: "bob")
        try await fleet.settle()
        try await fleet.server.admin("SAVE")
        #expect(try await fleet.stores[1].end(ann) == .ended)
        let carl = try await fleet.stores[0].make(["a": [1]], principal: "carl")
        let changed = try await fleet.stores[1].set("a", 2, bob)
        try await fleet.settle()
        try await fleet.server.restart()
        for store in fleet.stores { try await store.ready() }
        let late = try ReplicaFleet.member(fleet.server.url, fleet.prefix)
        defer { late.running.cancel() }
        try await late.store.ready()
        for store in fleet.stores + [late.store] {
            guard case .absent(.ended(.signOut)) = try await store.load(ann.credential) else {
                Issue.record("signed in again")
                continue
            }
            #expect(try await store.found(carl.credential).principal == "carl")
            #expect(try await store.found(changed).attributes["a"] == [2])
        }
        try await late.store.set("a", 3, try await late.store.found(changed))
    }

    @Test func `a restart from a snapshot loses nothing to a writer that is faster than the log readers`()
        async throws
    {
        let fleet = try await ReplicaFleet(2, on: try await RedisServer()) { $0.timeout = .seconds(10) }
        let ann = try await fleet.stores[0].make(["a": [1]], principal: "ann")
        let bob = try await fleet.stores[0].make(["a": [1]], principal: "bob")
        try await fleet.settle()
        try await fleet.server.admin("SAVE")
        #expect(try await fleet.stores[0].end(ann) == .ended)
        try await fleet.settle()
        let gate = Gate()
        for store in fleet.stores { store.beforeApplying(gate.pass) }
        gate.close()
        try await fleet.server.restart()
        // Must not be appended to the older log.
        async let changed = fleet.stores[1].set("a", 2, bob)
        #expect(await poll(seconds: 10) { !fleet.stores[1].log.isWritable })
        gate.open(losing: true)
        let credential = try await changed
        for store in fleet.stores {
            guard case .absent(.ended(.signOut)) = try await store.load(ann.credential) else {
                Issue.record("signed in again")
                continue
            }
            #expect(try await store.found(credential).attributes["a"] == [2])
        }
    }

    @Test func `a log that ends with another entry at the same position is another log`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await RedisServer())
        let record = try await fleet.stores[0].make(["a": [1]])
        try await fleet.settle()
        let script = """
            redis.call('DEL', KEYS[1])
            redis.call('XADD', KEYS[1], ARGV[1], 'e', 'x', 't', '1')
            """
        let position = fleet.stores[0].statistics.position
        try await fleet.server.admin("EVAL", script, "1", key(fleet), position)
        let isNoticed = await poll(seconds: 10) {
            fleet.stores.allSatisfy { $0.statistics.recoveries == 2 }
        }
        #expect(isNoticed)
        for store in fleet.stores {
            #expect(try await store.found(record.credential).attributes["a"] == [1])
        }
    }

    @Test func `an end whose effect is not known here is no failed sign-out`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await RedisServer())
        let (here, away) = (fleet.stores[0], fleet.stores[1])
        let record = try await here.make(principal: "ann")
        try await fleet.settle()
        let gate = Gate()
        away.beforeApplying(gate.pass)
        gate.close()
        #expect(await poll(seconds: 10) { gate.hasWaiters })
        async let ended = away.end(record)
        let isEnded = await poll(seconds: 10) {
            guard case .absent = try? await here.load(record.credential) else { return false }
            return true
        }
        #expect(isEnded)
        // The other instance reads the end in a log without the session.
        try await fleet.server.admin("XTRIM", key(fleet), "MAXLEN", "=", "1")
        gate.open(losing: true)
        do {
            _ = try await ended
            Issue.record("an outcome that is not known")
        } catch let error as SessionError { #expect(error.code == .storeUnavailable) }
    }

    @Test func `an instance that is cut off serves reads for the stated time only`() async throws {
        let fleet = try await ReplicaFleet(1, on: try await RedisServer()) { options in
            options.timeout = .seconds(1)
            options.freshness = .zero
            options.servesAlone = .zero
        }
        let record = try await fleet.stores[0].make()
        #expect(try await fleet.stores[0].found(record.credential).principal == nil)
        await fleet.server.crash()
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await fleet.stores[0].load(record.credential)
        }
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await fleet.stores[0].check() }
        try await fleet.server.restart()
        try await fleet.stores[0].ready()
        _ = try await fleet.stores[0].found(record.credential)
    }
}
