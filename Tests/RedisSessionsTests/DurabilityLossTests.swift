// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import Synchronization
import TestSupport
import Testing

/// What is left of writes when their primary is lost.
@Suite(.limited, .timeLimit(.minutes(10))) struct `Durable writes, losing the primary` {
    /// What is done before the primary is lost, and what of it is there afterwards.
    @Test(arguments: [
        (durability: SessionDurability.primary, isCut: true, said: nil, survives: false),
        (.replicas(1, within: .milliseconds(100)), true, SessionAcknowledgement.none, false),
        (.replicas(1, within: .seconds(10)), false, SessionAcknowledgement.all, true),
    ])
    func `a sign-out that a replica has acknowledged survives the loss of the primary`(
        outcome: (durability: SessionDurability, isCut: Bool, said: SessionAcknowledgement?, survives: Bool)
    ) async throws {
        let fixture = try await DurableFixture()
        let store = try fixture.store(outcome.durability)
        let credential = try await store.start(as: "ann")
        try await fixture.pair.primary.replicated(to: fixture.pair.replica)
        let record = try await store.found(credential)
        if outcome.isCut { fixture.pair.cut() }
        let (_, said) = try await SessionAcknowledgement.collect { try await store.end(record) }
        #expect(said == outcome.said)
        try await fixture.pair.failOver()
        let client = try patientClient(fixture.pair.replica.url)
        let next = try RedisSessionStore(client, application: fixture.prefix)
        #expect(try await next.absence(credential) == (outcome.survives ? .ended(.signOut) : nil))
        await client.shutdown()
        await fixture.end()
    }

    @Test func `of what was acknowledged under load nothing is lost with the primary`() async throws {
        let fixture = try await DurableFixture()
        let (store, client) = try fixture.store(.replicas(1, within: .seconds(1)), timeout: .seconds(2))
        let told = Told()
        let unclear = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<16 {
                group.addTask {
                    var unclear = 0
                    for turn in 0... {
                        if told.isOver { break }
                        do {
                            let (credential, signIn) = try await SessionAcknowledgement.collect {
                                try await store.start(as: "user\(number)")
                            }
                            guard signIn == SessionAcknowledgement.all else { continue }
                            guard turn % 2 == 0 else {
                                told.add(credential, isSignedOut: false)
                                continue
                            }
                            let record = try await store.found(credential)
                            let (_, signOut) = try await SessionAcknowledgement.collect {
                                try await store.end(record)
                            }
                            if signOut == SessionAcknowledgement.all {
                                told.add(credential, isSignedOut: true)
                            }
                        } catch {
                            unclear += 1
                            // The primary is away for a while: not all of that time in a loop of refusals.
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    }
                    return unclear
                }
            }
            _ = await poll(seconds: 20) { told.all.count > 300 }
            try await fixture.pair.failOver()
            told.end()
            return try await group.reduce(0, +)
        }
        let next = try RedisSessionStore(
            try patientClient(fixture.pair.replica.url),
            application: fixture.prefix
        )
        let acknowledged = told.all
        var lost = 0
        for (credential, isSignedOut) in acknowledged {
            let absence = try await next.absence(credential)
            // Those that signed in first are ended where a user has too many.
            if isSignedOut ? absence != .ended(.signOut) : absence != nil && absence != .ended(.revocation) {
                lost += 1
            }
        }
        #expect(acknowledged.count > 300 && lost == 0)
        print("durable writes: \(acknowledged.count) acknowledged, \(unclear) unclear, \(lost) lost")
        await client.shutdown()
        await fixture.end()
    }
}

/// What clients were told: which sessions were signed in, and out again.
final class Told: Sendable {
    private let state = Mutex<(all: [(SessionCredential, isSignedOut: Bool)], isOver: Bool)>(([], false))

    var all: [(SessionCredential, isSignedOut: Bool)] { state.withLock(\.all) }
    var isOver: Bool { state.withLock(\.isOver) }

    func add(_ credential: SessionCredential, isSignedOut: Bool) {
        state.withLock { $0.all.append((credential, isSignedOut)) }
    }

    func end() { state.withLock { $0.isOver = true } }
}
