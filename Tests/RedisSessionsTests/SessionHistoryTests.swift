// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing

@testable import RedisSessions

/// What clients see on three instances while invalidations are late, lost in a connection that has gone silent, or come
/// from other nodes because slots move.
///
/// Prints how stale reads were; asserts the promises only. `HISTORY_SEED=7` begins with another seed.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Recorded histories of the near cache` {
    /// What happens to the invalidations.
    enum Weather: String, CaseIterable, CustomTestStringConvertible {
        /// They come at once.
        case fair
        /// All that Redis sends on an invalidation connection comes 300 ms later, through a proxy.
        case late
        /// In addition, nothing is applied for two leases, then everything is for one.
        case stalled
        /// They are up to 300 ms late, in a cluster whose slots move between its nodes.
        case moving

        var testDescription: String { rawValue }
    }

    private static let sessions = 6
    private static let clients = 3
    private static let rounds = 400
    private static let lease = Duration.milliseconds(600)
    private static let delay = Duration.milliseconds(300)

    @Test(arguments: Weather.allCases) func `keep the promises`(weather: Weather) async throws {
        let seed = ProcessInfo.processInfo.environment["HISTORY_SEED"].flatMap(UInt64.init) ?? 1
        var proxy: TCPProxy?
        let fleet: CachedFleet
        let cluster = weather == .moving ? try await RedisCluster() : nil
        if let cluster {
            let urls = Array(repeating: cluster.url, count: 3)
            fleet = try await CachedFleet(urls, on: cluster.primaries, lease: Self.lease)
            for store in fleet.stores { hold(store, for: Self.delay, every: Self.lease) }
        } else {
            let server = try await RedisServer()
            if weather != .fair {
                proxy = try await TCPProxy(to: server.port, delaying: ("SUBSCRIBE", Self.delay))
            }
            let url = proxy.map { "redis://127.0.0.1:\($0.port)" } ?? server.url
            fleet = try await CachedFleet(Array(repeating: url, count: 3), on: server, lease: Self.lease)
        }
        if weather == .stalled {
            for store in fleet.stores { hold(store, for: Self.lease * 2, every: Self.lease * 3) }
        }
        let recorder = SessionRecorder()
        let commands = fleet.clients.reduce(0) { $0 + $1.statistics.commands }
        try await withThrowingTaskGroup { group in
            for session in 0..<Self.sessions {
                let record = try await fleet.stores[session % 3].make(["a": [0]])
                if let cluster, session < 2 {
                    group.addTask { try await move("\(fleet.prefix):s:{\(record.id)}", in: cluster) }
                }
                for client in 0..<Self.clients {
                    var random = SplitMix(state: seed &* 1000 &+ UInt64(session * Self.clients + client))
                    group.addTask {
                        try await use(record, session, client, fleet.stores, recorder, &random)
                    }
                }
            }
            // Slots move as long as there are clients.
            for _ in 0..<Self.sessions * Self.clients { try await group.next() }
            group.cancelAll()
        }
        let history = recorder.history
        let violations = history.violations(lease: Self.lease)
        #expect(violations == [], "HISTORY_SEED=\(seed)")
        let hits = fleet.stores.reduce(0) { $0 + $1.statistics.hits }
        #expect(hits > history.reads / 10, "\(hits) of \(history.reads)")
        let staleness = history.staleness
        if weather != .fair { #expect(staleness.count > 10, "nothing was late") }
        let sent = fleet.clients.reduce(0) { $0 + $1.statistics.commands } - commands
        print(
            "\(weather): \(history.reads) reads, \(hits) hits, \(staleness.count) stale by "
                + "p50 \(staleness.at(0.5)), p99 \(staleness.at(0.99)), max \(staleness.at(1)); "
                + "\(Double(sent) / Double(history.events.count)) commands per request"
        )
        await proxy?.close()
    }

    /// Holds up what a store hears of, for the first part of each period.
    private func hold(_ store: CachedSessionStore, for part: Duration, every period: Duration) {
        let start = ContinuousClock.now
        store.beforeApplying {
            let age = ContinuousClock.now - start
            let left = part - (age - period * Int(age / period))
            if left > .zero { try await Task.sleep(for: left) }
        }
    }

    /// Reads and writes as a browser does.
    ///
    /// Of the clients of a session, the first goes to any instance, and may end the session at last; the second writes on
    /// one; the last reads on one, and so is shown what that one does not know to be old.
    private func use(
        _ record: SessionRecord,
        _ session: Int,
        _ client: Int,
        _ stores: [CachedSessionStore],
        _ recorder: SessionRecorder,
        _ random: inout SplitMix
    ) async throws {
        var credential = record.credential
        for round in 0..<Self.rounds {
            let instance = client == 0 ? Int.random(in: 0..<3, using: &random) : client
            let store = stores[instance]
            var found: SessionRecord?
            try await recorder.record(session: session, client: client, instance: instance) {
                guard case .found(let record) = try await store.load(credential) else {
                    return .read(version: nil)
                }
                found = record
                return .read(version: record.version)
            }
            if let found {
                credential = try await store.touch(found, isDue: false) ?? credential
                // The end comes early enough for the other clients to go on.
                let isLast = client == 0 && round > Self.rounds * 3 / 4 && session % 2 == 0
                let place = (instance, store)
                try await change(found, &credential, session, client, place, recorder, &random, isLast)
            }
            try await Task.sleep(for: .microseconds(Int.random(in: 500..<8000, using: &random)))
        }
    }

    private func change(
        _ record: SessionRecord,
        _ credential: inout SessionCredential,
        _ session: Int,
        _ client: Int,
        _ place: (instance: Int, store: CachedSessionStore),
        _ recorder: SessionRecorder,
        _ random: inout SplitMix,
        _ isLast: Bool
    ) async throws {
        if isLast {
            return try await recorder.record(session: session, client: client, instance: place.instance) {
                guard case .ended = try await place.store.end(record) else { return .read(version: nil) }
                return .ended
            }
        }
        // One write in 20 requests; in every other session few, so that no other invalidation is early enough.
        let chance = session % 2 == 0 ? 13 : 150
        guard client < 2, Int.random(in: 0..<chance, using: &random) == 0 else { return }
        let change = SessionChange(operations: ["a": .set([1])], policy: SessionPolicy())
        let before = credential
        var after: SessionCredential?
        try await recorder.record(session: session, client: client, instance: place.instance) {
            let result = try await place.store.commit(change, to: record)
            guard case .committed(_, let version, let newer, _) = result else { return .read(version: nil) }
            after = newer
            return .wrote(version: version)
        }
        credential = after ?? before
    }

    /// Moves the slot of a key from node to node until the task is cancelled.
    private func move(_ key: String, in cluster: RedisCluster) async throws {
        let slot = try await cluster.slot(of: key)
        var owner = cluster.primaries.firstIndex { $0 === cluster.primary(of: slot) } ?? 0
        while !Task.isCancelled {
            let next = (owner + 1) % cluster.primaries.count
            try? await cluster.move(slot, from: cluster.primaries[owner], to: cluster.primaries[next])
            owner = next
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    // MARK: The judge

    private typealias Event = SessionHistory.Event

    private func event(
        _ outcome: SessionHistory.Outcome,
        at time: Int64,
        client: Int = 0,
        instance: Int = 0
    ) -> Event {
        Event(
            session: 0,
            client: client,
            instance: instance,
            began: time * 1_000_000,
            finished: time * 1_000_000,
            outcome: outcome
        )
    }

    @Test func `are judged: what breaks a promise, and what does not`() {
        func judged(_ events: Event...) -> [Substring] {
            SessionHistory(events: events).violations(lease: .milliseconds(100))
                .map { $0.prefix(while: { $0 != ":" }) }
        }
        let write = event(.wrote(version: 2), at: 10)
        #expect(judged(event(.read(version: 1), at: 0), write, event(.read(version: 2), at: 11)) == [])
        #expect(judged(write, event(.read(version: 1), at: 110, client: 1)) == [])
        #expect(judged(write, event(.read(version: 1), at: 111, client: 1)) == ["older than the lease"])
        #expect(judged(write, event(.read(version: 1), at: 11)) == ["less than the client has seen"])
        #expect(
            judged(event(.read(version: 2), at: 0), event(.read(version: 1), at: 1, instance: 1))
                == ["less than the client has seen"]
        )
        let end = event(.ended, at: 10)
        #expect(judged(event(.read(version: 1), at: 10), end, event(.read(version: nil), at: 11)) == [])
        #expect(judged(end, event(.read(version: 1), at: 11)) == ["ended by this instance"])
        #expect(judged(end, event(.read(version: 1), at: 110, instance: 1)) == [])
        #expect(
            judged(end, event(.read(version: 1), at: 111, instance: 1)) == ["ended longer than the lease ago"]
        )
    }
}

extension [Duration] {
    /// A quantile of sorted values.
    fileprivate func at(_ share: Double) -> Duration {
        isEmpty ? .zero : self[Swift.min(count - 1, Int(Double(count) * share))]
    }
}
