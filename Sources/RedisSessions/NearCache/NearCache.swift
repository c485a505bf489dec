// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions
import Synchronization

/// The copies of records: the decisions of `NearCacheState` behind a lock, and what the messages of the invalidation
/// connections, one for each server, mean to them.
final class NearCache: Sendable {
    typealias State = NearCacheState<SessionID, CachedSession>

    /// The channel on which Redis tells a connection what was changed.
    static let channel = "__redis__:invalidate"

    private struct Guarded: Sendable {
        var state: State
        var statistics = CachedSessionStatistics()
        /// Of each server that does not send what was changed, its answer.
        var refusals: [Int: InvalidationConnection.Refusal] = [:]
        /// For each server, the record that was not in memory last.
        var missed: [Int: SessionID] = [:]
        /// For each server, the number of `PING`s since its last answer.
        var unanswered: [Int: Int] = [:]
        var beforeApplying: (@Sendable () async throws -> Void)?
    }

    /// The time of this process.
    let now: @Sendable () -> SessionInstant
    let lease: Duration
    /// What stands before and behind the ID in the key of a record.
    let keyPrefix: String
    private let guarded: Mutex<Guarded>

    init(
        keyPrefix: String,
        lease: Duration,
        maximumBytes: Int,
        now: @escaping @Sendable () -> SessionInstant = SessionInstant.monotonicClock()
    ) {
        self.keyPrefix = keyPrefix
        self.lease = lease
        self.now = now
        guarded = Mutex(Guarded(state: State(lease: lease, maximumBytes: maximumBytes)))
    }

    // MARK: For the store

    func lookedUp(_ id: SessionID, in place: RedisPlacement?, seen version: Int?) -> State.Lookup {
        let now = now()
        return guarded.withLock {
            let lookup = $0.state.lookedUp(id, in: place, seen: version, at: now)
            if case .hit = lookup {
                $0.statistics.hits += 1
            } else {
                $0.statistics.misses += 1
                if let place { $0.missed[place.node] = id }
            }
            return lookup
        }
    }

    func found(_ session: CachedSession, by read: State.Read) {
        let bytes = session.bytes
        guarded.withLock {
            $0.state.found(
                session,
                version: session.version,
                bytes: bytes,
                by: read,
                remaining: session.remaining
            )
        }
    }

    func abandoned(_ read: State.Read) { guarded.withLock { $0.state.abandoned(read) } }

    func changed(_ ids: [SessionID]) {
        guarded.withLock { for id in ids { $0.state.changed(id) } }
    }

    func touchRequested(_ id: SessionID) -> Bool {
        let now = now()
        return guarded.withLock { $0.state.touchRequested(id, at: now) }
    }

    var statistics: CachedSessionStatistics {
        guarded.withLock {
            var statistics = $0.statistics
            (statistics.entries, statistics.bytes) = ($0.state.count, $0.state.bytes)
            return statistics
        }
    }

    // MARK: For the invalidation connections

    /// Applies a message of a server.
    ///
    /// - Throws: the error that refuses the subscription, or one for a message of an unknown form.
    func received(_ message: RedisReply, from node: Int) throws {
        if let error = message.error { throw error }
        switch message.count >= 2 ? message[0].string : nil {
        case "message" where message.count == 3:
            let keys = message[2]
            let ids = (0..<keys.count).compactMap { keys[$0].string.flatMap(id) }
            guarded.withLock {
                if keys.isNull {
                    $0.state.flushed(node)
                    $0.statistics.flushes += 1
                }
                for id in ids { $0.state.invalidated(id) }
                $0.statistics.invalidations += keys.count
            }
        case "subscribe":
            guarded.withLock {
                $0.state.connected(to: node)
                $0.unanswered[node] = 0
                $0.refusals[node] = nil
            }
        case "pong":
            guard let sent = message[1].integer else { break }
            guarded.withLock {
                $0.state.pingAnswered(by: node, sent: SessionInstant(milliseconds: Int64(sent)))
                $0.unanswered[node] = 0
            }
        default: throw SessionError(.storeUnavailable, "A message about changed keys has an unknown form.")
        }
    }

    /// Notes that a `PING` is due; returns how many have had no answer.
    func pinged(_ node: Int) -> Int {
        guarded.withLock {
            $0.unanswered[node, default: 0] += 1
            return $0.unanswered[node] ?? 0
        }
    }

    /// Notes that the connection to a server is lost, or was refused.
    func disconnected(from node: Int, _ refusal: InvalidationConnection.Refusal?) {
        guarded.withLock {
            $0.state.disconnected(from: node)
            $0.statistics.flushes += 1
            ($0.refusals[node], $0.unanswered[node], $0.missed[node]) = (refusal, nil, nil)
        }
    }

    /// The key of the record that was read from a server last; nil without one.
    func lastKey(of node: Int) -> String? {
        guarded.withLock { $0.missed[node] }.map { "\(keyPrefix)\($0)}" }
    }

    /// Why a server does not send what was changed; nil when all do, or cannot be reached.
    var refusal: InvalidationConnection.Refusal? { guarded.withLock(\.refusals.values.first) }

    /// For each server with a connection, the time from which nothing is served without a further answer.
    var leaseEnds: [Int: SessionInstant] { guarded.withLock(\.state.leaseEnds) }

    /// Runs before each message is applied, for tests that delay messages.
    var beforeApplying: (@Sendable () async throws -> Void)? {
        get { guarded.withLock(\.beforeApplying) }
        set { guarded.withLock { $0.beforeApplying = newValue } }
    }

    private func id(_ key: String) -> SessionID? {
        guard key.hasPrefix(keyPrefix), key.hasSuffix("}") else { return nil }
        return SessionID(key.dropFirst(keyPrefix.count).dropLast())
    }
}
