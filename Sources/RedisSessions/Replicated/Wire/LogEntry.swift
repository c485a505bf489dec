// SPDX-License-Identifier: Apache-2.0

import Sessions

/// One entry of the log: one change of sessions, or one step in the life of the log itself.
///
/// Contains no secret, token or user name in plain text: secrets are digests, user names are encrypted for the
/// holder of the token.
struct LogEntry: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        // Changes of sessions, in the order of `SessionStore` and `SessionDirectory`.

        case create(SessionID, HashedDraft)
        /// Applies a change that was made for the given version of the record.
        case commit(SessionID, digest: [UInt8], version: Int, HashedChange)
        case touch(SessionID, digest: [UInt8])
        case end(SessionID, digest: [UInt8], tombstone: Duration)
        /// Ends a session without its secret; `user`, if present, must be the signed-in user.
        case revoke(SessionID, user: [UInt8]?, tombstone: Duration)
        case revokeAll(user: [UInt8], except: SessionID?, tombstone: Duration)

        // Upkeep of a log in use.

        /// A whole session that last changed long ago, as it is after all entries up to `asOf`.
        ///
        /// Lets replicas start from a log from which the older entries of the session have been trimmed.
        case snapshot(SessionID, asOf: LogPosition, ReplicatedRecord)
        /// Changes nothing; advances the time of an idle log.
        case heartbeat

        // Recovery of a lost log: see `LogRecovery`.

        /// The first entry of a new log.
        case origin
        /// Offers the sender's sessions for the new log; the nonce of the entry identifies the candidacy.
        ///
        /// `rank` is the position up to which the sender has applied the old log.
        case candidacy(rank: LogPosition)
        /// One session of a candidate, live or remembered as ended.
        case transfer(candidacy: UInt64, SessionID, ReplicatedRecord)
        /// All sessions of a candidate precede this entry.
        case transferComplete(candidacy: UInt64, count: Int)
        /// Makes the sessions of a candidate, or none, those of the new log.
        ///
        /// Ignored unless exactly `candidates` candidacies precede it: none may be overlooked.
        case activate(candidacy: UInt64?, candidates: Int)
    }

    /// The log for which the entry was written; each new log has a higher one.
    var epoch: UInt64
    /// A random number by which the sender recognises its entry.
    var nonce: UInt64
    var content: Content
}

/// A session in the log or in a replica, and the position of its last change.
struct ReplicatedRecord: Hashable, Sendable {
    var session: RecordState
    var changed: LogPosition
}
