// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The sessions of one instance: the result of applying the entries of the log in order.
///
/// Reads no clock and does no I/O. Each decision uses the position and the time of its entry, so the same
/// entries produce the same sessions and the same outcomes on every instance.
struct Replica: Sendable {
    enum Phase: Sendable {
        /// The log is being read from its beginning: sessions whose first entries were trimmed are still
        /// unknown.
        case replaying
        /// Every session is known.
        case live
        /// The log is new and has no sessions yet.
        case recovering(LogRecovery)
    }

    /// The result of applying one entry, as its writer gets it.
    enum Outcome: Sendable {
        /// Nothing that a writer could wait for.
        case none
        /// The entry was written for another log, was too late, or came while the log accepts no changes; it
        /// changed nothing.
        case refused
        /// The entry belongs to a newer log, of which this replica has missed the beginning; it changed
        /// nothing.
        case replaced
        case stored(RecordState, isRotated: Bool)
        case touched
        case conflict(RecordState, SecretStatus)
        case gone(SessionAbsence)
        case invalid(SessionError)
        /// The given number of sessions were ended.
        case ended(Int)
    }

    private(set) var phase = Phase.replaying
    /// The log that the replica follows; nil until an entry has named it.
    private(set) var epoch: UInt64?
    /// The position up to which all entries have been applied.
    private(set) var applied = LogPosition.start
    /// The entry that was accepted last, and the time at the server when it was appended.
    private(set) var accepted = LogMoment(position: .start, time: SessionInstant(milliseconds: 0))
    var table = ReplicaTable()
    /// The time of the entry accepted last.
    private(set) var now: SessionInstant
    /// The first entry that was read.
    private var first: LogPosition?
    private var nonces = RecentNonces()
    /// When all sessions of a user were ended, by hash of the name: for the sign-ins under way.
    private var revoked: [[UInt8]: SessionInstant] = [:]
    private var pending = PendingEntries()
    private let time: @Sendable (SessionInstant) -> SessionInstant

    /// Creates an empty replica, which must read the log from its beginning.
    ///
    /// - Parameter time: maps Redis' time to that of the sessions; the same function on all instances.
    init(time: @escaping @Sendable (SessionInstant) -> SessionInstant = { $0 }) {
        self.time = time
        now = accepted.time
    }

    /// How far the replica has got; nil for one that follows no log.
    var rank: LogRank? { epoch.map { LogRank(epoch: $0, position: accepted.position) } }

    var isLive: Bool { if case .live = phase { true } else { false } }
    var recovery: LogRecovery? { if case .recovering(let recovery) = phase { recovery } else { nil } }

    /// Passes over an entry that cannot be decoded.
    mutating func skip(_ position: LogPosition) {
        first = first ?? position
        applied = max(applied, position)
    }

    /// Makes a replaying replica live: the end of the log was reached, so sessions still unknown do not exist.
    mutating func reachedEnd() {
        guard case .replaying = phase else { return }
        phase = .live
        pending = PendingEntries()
        sweep()
    }

    /// Removes expired sessions; changes no outcome: see `clockMoved`.
    mutating func sweep() {
        table.sweep(at: now)
        revoked = revoked.filter { now - $0.value < SessionPolicy.tombstone }
    }

    /// Applies the next entry of the log: the transition function of the strategy.
    ///
    /// Depends on nothing but the entries applied before, so all instances that follow the log agree. What an
    /// entry does depends on the phase: a live replica changes sessions; a replaying one changes those it
    /// knows and keeps the changes of others until a snapshot shows them; a recovering one accepts only the
    /// steps of the recovery, up to the activation that makes it live. An entry of an older epoch, one that
    /// was appended after its `notAfter`, and a repeated one change nothing; a newer epoch means that the log
    /// was replaced, which a live replica does not follow: the caller must continue with a new replica.
    ///
    /// - Parameters:
    ///   - entry: the entry.
    ///   - moment: where and when it was appended; entries up to `applied` are ignored.
    /// - Returns: what became of it, for the instance that wrote it.
    mutating func apply(_ entry: LogEntry, at moment: LogMoment) -> Outcome {
        let position = moment.position
        guard position > applied else { return .none }
        guard position.milliseconds <= entry.notAfter else {
            skip(position)
            return .refused
        }
        guard nonces.insert(entry.nonce, until: entry.notAfter, at: position.milliseconds) else {
            skip(position)
            return .none
        }
        if case .origin = entry.content, entry.epoch > epoch ?? 0 {
            if isLive { return .replaced }
            restart(entry.epoch)
            phase = .recovering(LogRecovery(origin: position))
        } else if entry.epoch > epoch ?? 0 {
            // The origin of this log has been trimmed: the sessions before it belong to an older log.
            guard case .replaying = phase else { return .replaced }
            restart(entry.epoch)
        }
        skip(position)
        guard entry.epoch == epoch else { return .refused }
        accepted = moment
        clockMoved(to: time(moment.time), at: position)
        let moment = LogMoment(position: position, time: now)
        switch phase {
        case .live: return change(entry.content, at: moment)
        case .replaying: replay(entry.content, at: moment)
        case .recovering(var recovery):
            // Releases the other reference; otherwise `apply` would copy all sessions.
            phase = .replaying
            let step = recovery.apply(entry)
            phase = .recovering(recovery)
            switch step {
            case .refused: return .refused
            case .noted: break
            case .activated(let records):
                phase = .live
                table = ReplicaTable(records, logged: recovery.origin)
                table.clockWasSetBack(to: now)
            }
        }
        return .none
    }

    private mutating func restart(_ epoch: UInt64) {
        self.epoch = epoch
        table = ReplicaTable()
        revoked = [:]
        pending = PendingEntries()
    }

    /// Follows the clock of Redis.
    ///
    /// When it was set back, sessions that a sweep may have removed on some instance, because they had expired
    /// by the clock that was ahead, are removed on all.
    private mutating func clockMoved(to time: SessionInstant, at position: LogPosition) {
        if time < now {
            table.clockWasSetBack(from: now, to: time)
            revoked = revoked.filter { $0.value <= time }
            if case .replaying = phase {
                pending.clockWasSetBack(from: now, LogMoment(position: position, time: time))
            }
        }
        now = time
    }

    // MARK: Changes

    private mutating func change(_ content: LogEntry.Content, at moment: LogMoment) -> Outcome {
        switch content {
        case .create(let id, let draft): return create(id, draft, at: moment)
        case .commit(let id, let digest, let version, let change):
            return commit(id, digest, version: version, change, at: moment)
        case .touch(let id, let digest): return touch(id, digest, at: moment.time)
        case .end(let id, let digest, let tombstone):
            guard case .live? = table[id]?.session.status(of: digest, id, at: moment.time) else {
                return .ended(0)
            }
            return .ended(end(id, .signOut, tombstone: tombstone, at: moment))
        case .revoke(let id, let user, let tombstone):
            guard user == nil || user == table[id]?.session.principalHash else { return .ended(0) }
            return .ended(end(id, .revocation, tombstone: tombstone, at: moment))
        case .revokeAll(let user, let kept, let tombstone):
            revoked[user] = moment.time
            let ids = table.liveSessions(of: user, at: moment.time).filter { $0 != kept }
            for id in ids { _ = end(id, .revocation, tombstone: tombstone, at: moment) }
            return .ended(ids.count)
        case .snapshot(let id, let asOf, _):
            table.recordLogged(id, from: asOf)
            return .none
        case .heartbeat, .origin, .candidacy, .transfer, .transferComplete, .activate: return .none
        }
    }

    private mutating func create(_ id: SessionID, _ draft: HashedDraft, at moment: LogMoment) -> Outcome {
        guard table[id] == nil, !isRevoked(draft.principalHash, since: draft.age, at: moment.time) else {
            return .gone(.ended(.revocation))
        }
        let session = RecordState(draft, now: moment.time)
        table[id] = ReplicatedRecord(session: session, changed: moment.position)
        table.recordLogged(id, from: moment.position)
        if let user = draft.principalHash {
            endSurplus(of: user, above: draft.maximumSessions, keeping: id, at: moment)
        }
        return .stored(session, isRotated: true)
    }

    private mutating func commit(
        _ id: SessionID,
        _ digest: [UInt8],
        version: Int,
        _ change: HashedChange,
        at moment: LogMoment
    ) -> Outcome {
        guard var record = table[id] else { return .gone(.unknown) }
        switch record.session.status(of: digest, id, at: moment.time) {
        case .absent(let absence): return .gone(absence)
        case .live(let status):
            if case .signIn(let signIn) = change.rotation,
                isRevoked(signIn.principalHash, since: signIn.age, at: moment.time)
            {
                return .gone(.ended(.revocation))
            }
            do throws(SessionError) {
                let isRotated = try record.session.apply(
                    change,
                    to: version,
                    status: status,
                    isUse: record.session.isUse(digest),
                    at: moment.time
                )
                guard let isRotated else { return .conflict(record.session, status) }
                if case .signIn = change.rotation { record.started = moment.time }
                record.changed = moment.position
                table[id] = record
                if case .signIn(let signIn) = change.rotation {
                    let maximum = signIn.maximumSessions
                    endSurplus(of: signIn.principalHash, above: maximum, keeping: id, at: moment)
                }
                return .stored(record.session, isRotated: isRotated)
            } catch { return .invalid(error) }
        }
    }

    /// Ends the sessions of a user above a number, those that signed in first.
    private mutating func endSurplus(
        of user: [UInt8],
        above maximum: Int?,
        keeping id: SessionID,
        at moment: LogMoment
    ) {
        for id in table.surplus(of: user, above: maximum, keeping: id, at: moment.time) {
            _ = end(id, .revocation, tombstone: SessionPolicy.tombstone, at: moment)
        }
    }

    /// Whether all sessions of a user were ended in the given time before now.
    private func isRevoked(_ user: [UInt8]?, since age: Duration?, at now: SessionInstant) -> Bool {
        guard let user, let age, let revoked = revoked[user] else { return false }
        return now - revoked < min(age, SessionPolicy.tombstone)
    }

    private mutating func touch(_ id: SessionID, _ digest: [UInt8], at now: SessionInstant) -> Outcome {
        guard var record = table[id] else { return .gone(.unknown) }
        switch record.session.status(of: digest, id, at: now) {
        case .absent(let absence): return .gone(absence)
        case .live:
            record.session.touch(at: now)
            table[id] = record
            return .touched
        }
    }

    /// Ends a session if it is live; returns how many were ended.
    private mutating func end(
        _ id: SessionID,
        _ reason: SessionEndReason,
        tombstone: Duration,
        at moment: LogMoment
    ) -> Int {
        guard var record = table[id], record.session.isAlive(at: moment.time) else { return 0 }
        record.session.markEnded(reason, until: moment.time + tombstone)
        record.changed = moment.position
        table[id] = record
        return 1
    }

    /// See `ReplicaTable.takeVisitors`; changes no outcome.
    mutating func takeVisitors(_ count: Int, bytes: Int) -> [SessionID]? {
        table.takeVisitors(count, bytes: bytes, at: now)
    }

    // MARK: Replaying

    /// Applies an entry to the sessions known so far, or keeps it for one that a snapshot may still show.
    private mutating func replay(_ content: LogEntry.Content, at moment: LogMoment) {
        switch content {
        case .snapshot(let id, let asOf, let record):
            // Changes between `asOf` and the first entry that was read would be missing.
            guard table[id] == nil, let first, asOf >= first else { break }
            table[id] = record
            for step in pending.take(id, after: asOf) {
                switch step {
                case .change(let content, let moment): _ = change(content, at: moment)
                case .clockWasSetBack(let before, let moment):
                    table.clockWasSetBack(for: id, from: before, to: moment.time)
                }
            }
        case .commit(let id, _, _, _), .touch(let id, _), .end(let id, _, _), .revoke(let id, _, _):
            if table[id] == nil { return pending.append(content, of: id, at: moment) }
        case .revokeAll: pending.append(content, at: moment)
        case .create, .heartbeat, .origin, .candidacy, .transfer, .transferComplete, .activate: break
        }
        _ = change(content, at: moment)
    }
}
