// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions
import Synchronization

/// The copies of one server's records: the decisions of `NearCacheState` behind a lock, and what the messages of an
/// invalidation connection mean to them.
///
/// A cluster needs one for each primary, with a connection of its own.
final class NearCache: Sendable {
    typealias State = NearCacheState<SessionID, CachedSession>

    /// The channel on which Redis tells a connection what was changed.
    static let channel = "__redis__:invalidate"

    private struct Guarded: Sendable {
        var state: State
        var statistics = CachedSessionStatistics()
        var refusal: InvalidationConnection.Refusal?
        /// The number of `PING`s since the last answer.
        var unanswered = 0
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

    func lookedUp(_ id: SessionID, seen version: Int?) -> State.Lookup {
        let now = now()
        return guarded.withLock {
            let lookup = $0.state.lookedUp(id, seen: version, at: now)
            if case .hit = lookup { $0.statistics.hits += 1 } else { $0.statistics.misses += 1 }
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

    // MARK: For the invalidation connection

    /// Applies a message.
    ///
    /// - Throws: the error that refuses the subscription, or one for a message of an unknown form.
    func received(_ message: RedisReply) throws {
        if let error = message.error { throw error }
        switch message.count >= 2 ? message[0].string : nil {
        case "message" where message.count == 3:
            let keys = message[2]
            let ids = (0..<keys.count).compactMap { keys[$0].string.flatMap(id) }
            guarded.withLock {
                if keys.isNull {
                    $0.state.flushed()
                    $0.statistics.flushes += 1
                }
                for id in ids { $0.state.invalidated(id) }
                $0.statistics.invalidations += keys.count
            }
        case "subscribe":
            guarded.withLock {
                $0.state.connected()
                $0.unanswered = 0
                $0.refusal = nil
            }
        case "pong":
            guard let sent = message[1].integer else { break }
            guarded.withLock {
                $0.state.pingAnswered(sent: SessionInstant(milliseconds: Int64(sent)))
                $0.unanswered = 0
            }
        default: throw SessionError(.storeUnavailable, "A message about changed keys has an unknown form.")
        }
    }

    /// Notes that a `PING` is sent; returns how many have had no answer.
    func pinged() -> Int {
        guarded.withLock {
            $0.unanswered += 1
            return $0.unanswered
        }
    }

    /// Notes that the connection is lost, or was refused.
    func disconnected(_ refusal: InvalidationConnection.Refusal?) {
        guarded.withLock {
            $0.state.disconnected()
            $0.statistics.flushes += 1
            $0.refusal = refusal
        }
    }

    /// Why the server does not send what was changed; nil when it does, or cannot be reached.
    var refusal: InvalidationConnection.Refusal? { guarded.withLock(\.refusal) }

    /// The time from which nothing is served without a further answer; nil without a connection.
    var leaseEnd: SessionInstant? { guarded.withLock(\.state.leaseEnd) }

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
