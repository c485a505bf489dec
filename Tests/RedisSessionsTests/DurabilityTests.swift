// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import SessionsTesting
import Synchronization
import TestSupport
import Testing

@testable import RedisSessions

/// Copies that sign-ins, sign-outs, revocations and new secrets wait for.
@Suite(.limited, .timeLimit(.minutes(10))) struct `Durable writes` {
    private static let policy = SessionPolicy()

    private static let pair = Task { try await ReplicatedPair() }

    private func change(
        _ rotation: SessionChange.Rotation,
        _ operations: [String: SessionChange.Operation] = [:]
    )
        -> SessionChange
    {
        SessionChange(operations: operations, rotation: rotation, policy: Self.policy)
    }

    @Test func `what is signed in, out, revoked or renewed waits for the replica, and nothing else`()
        async throws
    {
        let fixture = try await DurableFixture()
        let store = try fixture.store(.replicas(1, within: .seconds(10)))
        var credential = try await store.start(as: "bob")
        // Nothing is asked for visitors, ordinary commits and touches.
        let (visitor, none, visitorCost) = try await fixture.cost { try await store.start(["a": "1"]) }
        #expect(none == nil && visitorCost == ["evalsha": 1])
        let visit = try await store.found(visitor)
        let (_, ordinary, ordinaryCost) = try await fixture.cost {
            try await store.commit(change(.none, ["a": .set([50])]), to: visit)
        }
        #expect(ordinary == nil && ordinaryCost == ["evalsha": 1])
        let (_, touched, touchCost) = try await fixture.cost { try await store.touch(visit, isDue: true) }
        #expect(touched == nil && touchCost["wait"] == nil)
        // A sign-in: the list, then the record, each with its question.
        let before = fixture.client.statistics
        let (_, created, createCost) = try await fixture.cost { try await store.start(as: "ann") }
        #expect(created == SessionAcknowledgement.all && createCost == ["evalsha": 2, "wait": 2])
        // Two pings of the test, and the two writes with the reading of the list; a connection may have been pinged.
        let after = fixture.client.statistics
        #expect(after.batches - before.batches == 4 + after.commands - before.commands - 7)
        let (signedIn, signIn, signInCost) = try await fixture.cost {
            try await store.signIn(visitor, as: "ann")
        }
        #expect(signIn == SessionAcknowledgement.all && signInCost["wait"] == 2)
        for rotation in [SessionChange.Rotation.renew, .elevate] {
            let record = try await store.found(credential)
            let (result, renewed, cost) = try await fixture.cost {
                try await store.commit(change(rotation), to: record)
            }
            #expect(renewed == SessionAcknowledgement.all && cost == ["evalsha": 1, "wait": 1])
            credential = try result.newCredential()
        }
        let record = try await store.found(signedIn)
        let (_, signedOut, endCost) = try await fixture.cost { try await store.end(record) }
        #expect(signedOut == SessionAcknowledgement.all && endCost == ["evalsha": 1, "wait": 1, "zrem": 1])
        let bob = try await store.found(credential)
        let (isRevoked, revoked, revokeCost) = try await fixture.cost {
            try await store.revoke(bob.id, of: "bob")
        }
        #expect(isRevoked && revoked == SessionAcknowledgement.all)
        #expect(revokeCost == ["evalsha": 1, "wait": 1, "zscore": 1, "zrem": 1])
        let (count, ended, allCost) = try await fixture.cost {
            try await store.revokeAll(of: "ann", except: nil)
        }
        #expect(
            count == 1 && ended == SessionAcknowledgement.all
                && allCost == ["evalsha": 2, "wait": 2, "zrem": 1]
        )
        // Nothing was stored, so nothing is said.
        let (again, gone, _) = try await fixture.cost { try await store.revoke(bob.id, of: "bob") }
        #expect(!again && gone == nil)
        await fixture.end()
    }

    @Test func `without durability nothing is asked`() async throws {
        let fixture = try await DurableFixture()
        let store = try fixture.store(.primary)
        let (credential, signIn, signInCost) = try await fixture.cost { try await store.start(as: "ann") }
        let record = try await store.found(credential)
        let (_, signOut, cost) = try await fixture.cost { try await store.end(record) }
        #expect(signIn == nil && signInCost == ["evalsha": 2])
        #expect(signOut == nil && cost == ["evalsha": 1, "zrem": 1])
        await fixture.end()
    }

    @Test(arguments: SessionStoreContract.rules) func `the store keeps the contract`(
        rule: SessionStoreContract.Rule
    ) async throws {
        let fixture = try await DurableFixture(try await Self.pair.value)
        let store = try fixture.store(.replicas(1, within: .seconds(10)))
        let harness = SessionStoreHarness(store: store) {
            try await RedisFixture.letTimePass(
                $0,
                server: fixture.pair.primary,
                client: fixture.client,
                prefix: fixture.prefix
            )
        }
        try await rule.check(harness)
        await fixture.client.shutdown()
    }

    @Test func `a replica that does not answer is a value and an event, and no failure`() async throws {
        let fixture = try await DurableFixture()
        let events = Mutex<[SessionEvent]>([])
        let manager = try SessionManager(
            store: try fixture.store(.replicas(1, within: .seconds(1))),
            onEvent: { event in events.withLock { $0.append(event) } }
        )
        func taken() -> [SessionEvent] {
            events.withLock { events in
                defer { events = [] }
                return events
            }
        }
        let visitor = Visitor(manager)
        try await visitor.send { try $0.signIn(as: "ann") }
        #expect(taken().map(\.kind) == [.signedIn])
        fixture.pair.replica.freeze()
        let other = Visitor(manager)
        let (_, signIn, cost) = try await fixture.cost { try await other.send { try $0.signIn(as: "ann") } }
        // The second write of the operation does not wait once more; the script of the list reads a score.
        #expect(signIn == SessionAcknowledgement.none && cost == ["evalsha": 2, "zscore": 1, "wait": 1])
        var seen = taken()
        try #require(seen.map(\.kind) == [.notReplicated, .signedIn])
        #expect(
            seen[0].acknowledgement == SessionAcknowledgement.none && seen[0].principal == "ann"
                && seen[0].id != nil
        )
        #expect(seen[0].id == seen[1].id && "\(seen[0])".hasSuffix(": copies in time: 0 of 1"))
        try await other.send { #expect($0.principal == "ann") }
        try await visitor.send { try $0.signOut() }
        try await visitor.send { #expect($0.principal == nil) }
        seen = taken()
        #expect(seen.map(\.kind) == [.notReplicated, .signedOut])
        let (count, ended) = try await SessionAcknowledgement.collect {
            try await manager.revokeAll(of: "ann")
        }
        #expect(count == 1 && ended == SessionAcknowledgement.none)
        #expect(taken().map(\.kind).filter { $0 != .unknown } == [.notReplicated, .revoked])
        fixture.pair.replica.thaw()
        // One write asks in vain at most, until the replica has caught up.
        let recovers = await poll(seconds: 10) {
            let result = try? await SessionAcknowledgement.collect { try await manager.revokeAll(of: "ann") }
            return result?.1 == SessionAcknowledgement.all
        }
        #expect(recovers)
        await fixture.end()
    }

    @Test func `no other caller waits while a write waits for its replica`() async throws {
        let fixture = try await DurableFixture()
        let store = try fixture.store(.replicas(1, within: .seconds(15)))
        let leaving = try await store.found(try await store.start(as: "ann"))
        let staying = try await store.start(["a": "1"])
        fixture.pair.replica.freeze()
        let told = Told()
        async let signOut = SessionAcknowledgement.collect {
            let result = try await store.end(leaving)
            told.end()
            return result
        }
        #expect(await fixture.pair.isWaitedFor())
        let record = try await store.found(staying)
        _ = try await store.commit(change(.none, ["a": .set([50])]), to: record)
        #expect(try await store.text("a", staying) == "2")
        // Answered by the primary already, and not told.
        #expect(try await store.absence(leaving.credential) == .ended(.signOut))
        #expect(!told.isOver)
        #expect(await fixture.pair.isWaitedFor())
        fixture.pair.replica.thaw()
        let (result, acknowledgement) = try await signOut
        #expect(result == .ended && acknowledgement == SessionAcknowledgement.all)
        await fixture.end()
    }

    @Test func `a replica that is down does not make writes queue for connections`() async throws {
        let fixture = try await DurableFixture()
        let store = try fixture.store(.replicas(1, within: .seconds(3)))
        var records: [SessionRecord] = []
        for _ in 0..<24 { records.append(try await store.found(try await store.start(as: "ann"))) }
        fixture.pair.replica.freeze()
        // It learns that the replica is behind.
        let probe = records.removeLast()
        let first = try await SessionAcknowledgement.collect { try await store.end(probe) }
        #expect(first.1 == SessionAcknowledgement.none)
        let monitor = try await fixture.pair.primary.monitor()
        let outcomes = try await withThrowingTaskGroup(of: SessionAcknowledgement?.self) { group in
            for record in records {
                group.addTask { try await SessionAcknowledgement.collect { try await store.end(record) }.1 }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count == 23 && outcomes.allSatisfy { $0 == SessionAcknowledgement.none })
        let isSeen = await poll(seconds: 5) {
            monitor.text.components(separatedBy: #""WAIT" "1""#).count > 23
        }
        #expect(isSeen)
        let patient = monitor.text.components(separatedBy: #""WAIT" "1" "3000""#).count - 1
        let brief = monitor.text.components(separatedBy: #""WAIT" "1" "1""#).count - 1
        #expect((patient, brief) == (1, 22))
        await fixture.end()
    }

    @Test func `a script that the server has lost is waited for when it has been executed`() async throws {
        let fixture = try await DurableFixture()
        let store = try fixture.store(.replicas(1, within: .seconds(10)))
        let record = try await store.found(try await store.start(as: "ann"))
        try await fixture.pair.primary.admin("SCRIPT", "FLUSH")
        let monitor = try await fixture.pair.primary.monitor()
        let (result, acknowledgement) = try await SessionAcknowledgement.collect {
            try await store.end(record)
        }
        #expect(result == .ended && acknowledgement == SessionAcknowledgement.all)
        let isSeen = await poll(seconds: 5) {
            let text = monitor.text
            guard let write = text.range(of: #""EVAL" "#, options: .backwards) else { return false }
            return text[write.upperBound...].contains(#""WAIT" "1""#)
        }
        #expect(isSeen)
        await fixture.end()
    }

    @Test func `a write that was refused does not happen when the server thaws`() async throws {
        let fixture = try await DurableFixture()
        let (store, client) = try fixture.store(
            .replicas(1, within: .milliseconds(200)),
            timeout: .milliseconds(800)
        )
        let credential = try await store.start(as: "ann")
        let record = try await store.found(credential)
        fixture.pair.primary.freeze()
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.end(record) }
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.revoke(record.id) }
        fixture.pair.primary.thaw()
        #expect(try await store.user(credential) == "ann")
        // The commands that were on their way have been executed.
        let isExecuted = await poll(seconds: 5) {
            (try? await fixture.pair.primary.commandCounts()["evalsha"]) ?? 0 >= 3
        }
        #expect(isExecuted)
        #expect(try await store.user(credential) == "ann")
        await client.shutdown()
        await fixture.end()
    }

    @Test func `a cancelled caller's sign-out is carried out and waited for`() async throws {
        let fixture = try await DurableFixture(try await Self.pair.value)
        let store = try fixture.store(.replicas(1, within: .seconds(10)))
        let record = try await store.found(try await store.start(as: "ann"))
        let signOut = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await SessionAcknowledgement.collect { try await store.end(record) }
        }
        let (result, acknowledgement) = try await signOut.value
        #expect(result == .ended && acknowledgement == SessionAcknowledgement.all)
        await fixture.client.shutdown()
    }

    @Test func `cached and revocable sessions wait, too`() async throws {
        let fixture = try await DurableFixture()
        let durability = SessionDurability.replicas(1, within: .seconds(10))
        let cached = try CachedSessionStore(try fixture.store(durability))
        for store in [cached, try fixture.revocable(durability)] as [any SessionDirectory] {
            let visitor = try await store.start(["a": "1"])
            let (_, late, lateCost) = try await fixture.cost { try await store.signIn(visitor, as: "ann") }
            #expect(late == SessionAcknowledgement.all && lateCost["wait"] == 2)
            let (credential, signIn, signInCost) = try await fixture.cost { try await store.start(as: "ann") }
            #expect(signIn == SessionAcknowledgement.all && signInCost["wait"] == signInCost["evalsha"])
            let (renewed, renewal, _) = try await fixture.cost { try await store.renew(credential) }
            #expect(renewal == SessionAcknowledgement.all)
            let record = try await store.found(renewed)
            let (_, signOut, cost) = try await fixture.cost { try await store.end(record) }
            #expect(signOut == SessionAcknowledgement.all && cost["wait"] == 1)
            let id = try await store.found(try await store.start(as: "ann")).id
            let (_, revoked, _) = try await fixture.cost { try await store.revoke(id, of: "ann") }
            #expect(revoked == SessionAcknowledgement.all)
            let (_, ended, _) = try await fixture.cost { try await store.revokeAll(of: "ann", except: nil) }
            #expect(ended == SessionAcknowledgement.all)
        }
        await fixture.end()
    }

    @Test func `revocations by an operator, and of what a sign-in leaves no room for, wait`() async throws {
        let fixture = try await DurableFixture()
        let durability = SessionDurability.replicas(1, within: .seconds(10))
        let store = try fixture.store(durability)
        let policy = SessionPolicy(maximumSessionsPerUser: 1)
        for (store, writes) in [(store, 3), (try fixture.revocable(durability), 2)]
            as [(any SessionDirectory, Int)]
        {
            let first = try await store.start(as: "ann", policy: policy)
            let (second, signIn, cost) = try await fixture.cost {
                try await store.start(as: "ann", policy: policy)
            }
            #expect(try await store.absence(first) == .ended(.revocation))
            #expect(signIn == SessionAcknowledgement.all)
            #expect(cost["evalsha"] == writes && cost["wait"] == writes)
            let id = try await store.found(second).id
            let (_, revoked, revokeCost) = try await fixture.cost { try await store.revoke(id) }
            #expect(revoked == SessionAcknowledgement.all && revokeCost == ["evalsha": 1, "wait": 1])
        }
        var ids: [SessionID] = []
        for _ in 0..<2 { ids.append(try await store.found(try await store.start(as: "bob")).id) }
        let (ended, acknowledgement, cost) = try await fixture.cost { [ids] in try await store.end(ids) }
        #expect(ended == Set(ids) && acknowledgement == SessionAcknowledgement.all)
        #expect(cost == ["evalsha": 2, "wait": 1])
        await fixture.end()
    }
}
