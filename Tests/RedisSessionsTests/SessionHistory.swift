// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What clients did with sessions on several instances, and when: recorded while it happens, judged afterwards.
///
/// Times are nanoseconds of one monotonic clock. Each client does one thing after the other.
struct SessionHistory: Sendable {
    enum Outcome: Sendable {
        /// A session of this version was shown; nil for none.
        case read(version: Int?)
        /// A change was acknowledged with the version that it made.
        case wrote(version: Int)
        /// The end of the session was acknowledged.
        case ended
    }

    struct Event: Sendable {
        let session: Int
        let client: Int
        let instance: Int
        let began: Int64
        var finished: Int64
        var outcome: Outcome
    }

    /// The events of each client in their order.
    var events: [Event] = []

    /// Returns what breaks a promise of the near cache.
    ///
    /// * a version that was replaced, as was acknowledged, longer than the lease before the read began, or a session that
    ///   was ended then;
    /// * an older version than the same client has seen or made, on whichever instance;
    /// * a session whose end this instance had acknowledged before the read began.
    func violations(lease: Duration) -> [String] {
        let lease = lease.nanoseconds
        var replaced: [Place: Int64] = [:]
        var ended: [Place: Int64] = [:]
        for event in events {
            switch event.outcome {
            case .wrote(let version): replaced[Place(event.session, version - 1)] = event.finished
            case .ended:
                for instance in [event.instance, -1] {
                    let place = Place(event.session, instance)
                    ended[place] = min(event.finished, ended[place] ?? .max)
                }
            case .read: break
            }
        }
        var seen: [Place: Int] = [:]
        var violations: [String] = []
        for event in events {
            let client = Place(event.session, event.client)
            let version: Int
            switch event.outcome {
            case .wrote(let written): version = written
            case .read(let read?): version = read
            case .read(nil), .ended: continue
            }
            if version < seen[client] ?? 0 { violations.append("less than the client has seen: \(event)") }
            seen[client] = max(version, seen[client] ?? 0)
            guard case .read = event.outcome else { continue }
            if replaced[Place(event.session, version)] ?? .max < event.began - lease {
                violations.append("older than the lease: \(event)")
            }
            if ended[Place(event.session, -1)] ?? .max < event.began - lease {
                violations.append("ended longer than the lease ago: \(event)")
            }
            if ended[Place(event.session, event.instance)] ?? .max < event.began {
                violations.append("ended by this instance: \(event)")
            }
        }
        return violations
    }

    /// For each read of a version that had been replaced, how long that had been acknowledged when the read began.
    var staleness: [Duration] {
        var replaced: [Place: Int64] = [:]
        for event in events {
            if case .wrote(let version) = event.outcome {
                replaced[Place(event.session, version - 1)] = event.finished
            }
        }
        return events.compactMap { event in
            guard case .read(let version?) = event.outcome,
                let time = replaced[Place(event.session, version)], time < event.began
            else { return nil }
            return .nanoseconds(event.began - time)
        }.sorted()
    }

    /// How many reads there are.
    var reads: Int { events.count { if case .read = $0.outcome { true } else { false } } }

    private struct Place: Hashable {
        let session: Int
        let other: Int

        init(_ session: Int, _ other: Int) { (self.session, self.other) = (session, other) }
    }
}

/// Collects the events of clients that run at the same time.
final class SessionRecorder: Sendable {
    private let recorded = Mutex<[SessionHistory.Event]>([])
    private let start = ContinuousClock.now

    /// The events so far.
    var history: SessionHistory { SessionHistory(events: recorded.withLock(\.self)) }

    private var now: Int64 { (ContinuousClock.now - start).nanoseconds }

    /// Records what `body` has done.
    func record(
        session: Int,
        client: Int,
        instance: Int,
        _ body: () async throws -> SessionHistory.Outcome
    ) async throws {
        let began = now
        let outcome = try await body()
        let event = SessionHistory.Event(
            session: session,
            client: client,
            instance: instance,
            began: began,
            finished: now,
            outcome: outcome
        )
        recorded.withLock { $0.append(event) }
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }
}
