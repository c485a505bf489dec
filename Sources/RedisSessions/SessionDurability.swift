// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// Which copies a store waits for when it signs in, signs out, revokes or gives a session a new secret.
///
/// Replication is asynchronous: after a failover, the last writes of the old primary are gone. For most changes of a session
/// that is the price of speed. It is another matter for a sign-out that comes undone, or a cookie that stands for nothing;
/// a store with `replicas(_:within:)` tells its caller about those when a replica has them, too.
///
/// **What is waited for**: sign-ins with the entry in the user's list, sign-outs, revocations, renewals of the secret and
/// changes of rights (`Session.elevate`). Ordinary commits, touches and visitors' sessions are not, and cost what they
/// did.
///
/// **The outcome** is never an error: the write is stored on the primary, and an error would say that a sign-in did not happen
/// whose session exists. `SessionAcknowledgement.collect` returns how many copies have acknowledged in time, and the
/// event `SessionEvent.Kind.notReplicated` says so when there are too few. There is no option to fail instead: an
/// application that must not go on looks at the value.
///
/// **What it guarantees**: a write that all wanted copies have acknowledged survives the loss of the primary, if one of them
/// becomes the next. Sentinels and clusters choose the replica that is furthest, but promise it only when they see all of
/// them: with two replicas, wait for both. It is no consensus, and a primary that is cut off from its replicas
/// accepts writes that it loses; `min-replicas-to-write` bounds that on the server.
///
/// **Cost**: no round trip more. The question follows the write on a connection that no other caller uses, at most four for each
/// server. Until replicas answer, only its caller waits, once in an operation and not longer than `within` beyond the
/// command timeout of the client. While replicas are known to be behind, one write at a time waits for them
/// and the others a millisecond, so that a replica that is down does not delay every sign-in.
public struct SessionDurability: Hashable, Sendable {
    private enum Copies: Hashable {
        case primary
        case replicas(Int, within: Duration, onDisk: Bool)
    }

    private let copies: Copies

    /// The primary alone, in its memory: nothing is waited for; the default.
    public static let primary = Self(copies: .primary)

    /// As many replicas, in their memory, besides the primary (`WAIT`).
    ///
    /// - Parameters:
    ///   - count: how many; 1 to 100. In a cluster, of each primary that is written to.
    ///   - within: how long they are waited for: at least a millisecond, and less than the command timeout of the client.
    /// - Returns: the value for a store, which refuses numbers out of range (`.invalidConfiguration`).
    public static func replicas(_ count: Int, within: Duration) -> Self {
        Self(copies: .replicas(count, within: within, onDisk: false))
    }

    /// The append-only file of the primary and of as many replicas, on disk (`WAITAOF`).
    ///
    /// Needs Redis 7.2 or Valkey with `appendonly yes` on all of them. Other servers refuse the question: `check` throws, and each
    /// write counts as acknowledged by none. With `appendfsync everysec` files are written once a second, so give it that long.
    ///
    /// - Parameters:
    ///   - replicas: how many replicas; 0 to 100.
    ///   - within: how long they are waited for: at least a millisecond, and less than the command timeout of the client.
    /// - Returns: the value for a store, which refuses numbers out of range (`.invalidConfiguration`).
    public static func appendOnlyFiles(replicas: Int, within: Duration) -> Self {
        Self(copies: .replicas(replicas, within: within, onDisk: true))
    }

    /// What a store sends for it.
    var commands: [String] {
        switch copies {
        case .primary: []
        case .replicas(_, _, let onDisk): [onDisk ? "WAITAOF" : "WAIT"]
        }
    }

    /// Returns what one operation waits for; nil for nothing.
    func wait() -> RedisReplicaWait? {
        guard case .replicas(let count, let within, let onDisk) = copies else { return nil }
        return RedisReplicaWait(replicas: count, isOnDisk: onDisk, timeout: within)
    }

    /// - Throws: `.invalidConfiguration` for numbers that are out of range.
    func validate(for redis: RedisClient) throws(SessionError) {
        guard case .replicas(let count, let within, let onDisk) = copies else { return }
        guard ((onDisk ? 0 : 1)...100).contains(count) else {
            throw SessionError(
                .invalidConfiguration,
                "durability: the number of replicas must be \(onDisk ? 0 : 1) to 100."
            )
        }
        guard within >= .milliseconds(1), within < redis.configuration.commandTimeout else {
            throw SessionError(
                .invalidConfiguration,
                "durability: the time must be a millisecond or more, and less than the client's command timeout."
            )
        }
    }
}

extension RedisReplicaWait {
    /// Reports how many copies have what was stored.
    func report() { SessionAcknowledgement(wanted: wanted, acknowledged: acknowledged).report() }
}
