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
        /// `rank` is how far the sender has applied the old logs.
        case candidacy(rank: LogRank)
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
    /// A random number by which the sender recognises its entry, and all instances a repeated one.
    var nonce: UInt64
    /// The milliseconds of the last position at which the entry counts; see `LogPosition`.
    ///
    /// Nobody is told that a change failed and sees it happen later, and an old entry cannot be appended again.
    var notAfter = UInt64.max
    var content: Content
}

extension LogEntry.Content {
    /// Whether a full Redis must take the entry: everything but new data, which leaves the room to the others.
    var isEssential: Bool {
        switch self {
        case .create, .commit: false
        default: true
        }
    }
}

/// A session in the log or in a replica.
struct ReplicatedRecord: Hashable, Sendable {
    var session: RecordState
    /// The position of its last change.
    var changed: LogPosition
    /// When its lifetime began: at its creation or at the last sign-in.
    var started: SessionInstant

    init(session: RecordState, changed: LogPosition, started: SessionInstant? = nil) {
        self.session = session
        self.changed = changed
        self.started = started ?? session.times.created
    }

    /// Moves what happened while the clock of Redis was ahead to `now`, the time after it was set back.
    ///
    /// Otherwise the limits of the session would stand still until the clock has caught up.
    mutating func clockWasSetBack(to now: SessionInstant) {
        session.times.created = min(session.times.created, now)
        session.times.lastUsed = min(session.times.lastUsed, now)
        session.times.authenticated = session.times.authenticated.map { min($0, now) }
        if session.times.rotated > now {
            let lead = now - session.times.rotated
            session.previousValidUntil = session.previousValidUntil + lead
            session.previousIsReplayFrom = session.previousIsReplayFrom + lead
            session.times.rotated = now
        }
        if started > now {
            session.times.deadline = session.times.deadline + (now - started)
            started = now
        }
    }
}
