// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The sessions of one instance: the result of applying the entries of the log in order.
///
/// Reads no clock and does no I/O. Each decision uses the time of its entry, so the same entries produce the
/// same sessions and the same outcomes on every instance.
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
        /// The entry was written for another log, or while the log accepts no changes; it changed nothing.
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
    var table = ReplicaTable()
    /// The first entry that was read.
    private var first: LogPosition?
    private var pending = PendingEntries()
    private let time: @Sendable (SessionInstant) -> SessionInstant

    /// Creates an empty replica, which must read the log from its beginning.
    ///
    /// - Parameter time: maps Redis' time to that of the sessions; the same function on all instances.
    init(time: @escaping @Sendable (SessionInstant) -> SessionInstant = { $0 }) { self.time = time }

    /// The time of the entry applied last, never later than that of any entry to come.
    var now: SessionInstant { time(applied.instant) }

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

    /// Removes expired sessions; changes no outcome.
    mutating func sweep() { table.sweep(at: now) }

    /// Applies the next entry of the log: the transition function of the strategy.
    ///
    /// Depends on nothing but the entries applied before, so all instances that follow the log agree. What an
    /// entry does depends on the phase: a live replica changes sessions; a replaying one changes those it
    /// knows and keeps the changes of others until a snapshot shows them; a recovering one accepts only the
    /// steps of the recovery, up to the activation that makes it live. An entry of an older epoch changes
    /// nothing; a newer epoch means that the log was replaced, which a live replica does not follow: the
    /// caller must continue with a new replica.
    ///
    /// - Parameters:
    ///   - entry: the entry.
    ///   - position: its position; entries up to `applied` are ignored.
    /// - Returns: what became of it, for the instance that wrote it.
    mutating func apply(_ entry: LogEntry, at position: LogPosition) -> Outcome {
        guard position > applied else { return .none }
        if case .origin = entry.content, entry.epoch != epoch {
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
        switch phase {
        case .live: return change(entry.content, at: position)
        case .replaying: replay(entry.content, at: position)
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
            }
        }
        return .none
    }

    private mutating func restart(_ epoch: UInt64) {
        self.epoch = epoch
        table = ReplicaTable()
        pending = PendingEntries()
    }

    // MARK: Changes

    private mutating func change(_ content: LogEntry.Content, at position: LogPosition) -> Outcome {
        switch content {
        case .create(let id, let draft): return create(id, draft, at: position)
        case .commit(let id, let digest, let version, let change):
            return commit(id, digest, version: version, change, at: position)
        case .touch(let id, let digest): return touch(id, digest, at: position)
        case .end(let id, let digest, let tombstone):
            guard case .live? = table[id]?.session.status(of: digest, id, at: time(position.instant)) else {
                return .ended(0)
            }
            return .ended(end(id, .signOut, tombstone: tombstone, at: position))
        case .revoke(let id, let user, let tombstone):
            guard user == nil || user == table[id]?.session.principalHash else { return .ended(0) }
            return .ended(end(id, .revocation, tombstone: tombstone, at: position))
        case .revokeAll(let user, let kept, let tombstone):
            let ids = table.liveSessions(of: user, at: time(position.instant)).filter { $0 != kept }
            for id in ids { _ = end(id, .revocation, tombstone: tombstone, at: position) }
            return .ended(ids.count)
        case .snapshot(let id, let asOf, _):
            table.recordLogged(id, from: asOf)
            return .none
        case .heartbeat, .origin, .candidacy, .transfer, .transferComplete, .activate: return .none
        }
    }

    private mutating func create(_ id: SessionID, _ draft: HashedDraft, at position: LogPosition) -> Outcome {
        guard table[id] == nil else { return .gone(.ended(.revocation)) }
        let session = RecordState(draft, now: time(position.instant))
        table[id] = ReplicatedRecord(session: session, changed: position)
        table.recordLogged(id, from: position)
        return .stored(session, isRotated: true)
    }

    private mutating func commit(
        _ id: SessionID,
        _ digest: [UInt8],
        version: Int,
        _ change: HashedChange,
        at position: LogPosition
    ) -> Outcome {
        let now = time(position.instant)
        guard var session = table[id]?.session else { return .gone(.unknown) }
        switch session.status(of: digest, id, at: now) {
        case .absent(let absence): return .gone(absence)
        case .live(let secretStatus):
            do throws(SessionError) {
                let isRotated = try session.apply(
                    change,
                    to: version,
                    status: secretStatus,
                    isUse: session.isUse(digest),
                    at: now
                )
                guard let isRotated else { return .conflict(session, secretStatus) }
                table[id] = ReplicatedRecord(session: session, changed: position)
                return .stored(session, isRotated: isRotated)
            } catch { return .invalid(error) }
        }
    }

    private mutating func touch(_ id: SessionID, _ digest: [UInt8], at position: LogPosition) -> Outcome {
        let now = time(position.instant)
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
        at position: LogPosition
    ) -> Int {
        let now = time(position.instant)
        guard var session = table[id]?.session, session.isAlive(at: now) else { return 0 }
        session.markEnded(reason, until: now + tombstone)
        table[id] = ReplicatedRecord(session: session, changed: position)
        return 1
    }

    // MARK: Replaying

    /// Applies an entry to the sessions known so far, or keeps it for one that a snapshot may still show.
    private mutating func replay(_ content: LogEntry.Content, at position: LogPosition) {
        switch content {
        case .snapshot(let id, let asOf, let record):
            // Changes between `asOf` and the first entry that was read would be missing.
            guard table[id] == nil, let first, asOf >= first else { break }
            table[id] = record
            for (position, content) in pending.take(id, after: asOf) { _ = change(content, at: position) }
        case .commit(let id, _, _, _), .touch(let id, _), .end(let id, _, _), .revoke(let id, _, _):
            if table[id] == nil { return pending.append(content, of: id, at: position) }
        case .revokeAll: pending.append(content, at: position)
        case .create, .heartbeat, .origin, .candidacy, .transfer, .transferComplete, .activate: break
        }
        _ = change(content, at: position)
    }
}

/// The changes of sessions that a replaying replica does not know yet.
private struct PendingEntries: Sendable {
    private var changes: [SessionID: [(LogPosition, LogEntry.Content)]] = [:]
    private var revocations: [(LogPosition, LogEntry.Content)] = []

    mutating func append(_ content: LogEntry.Content, of id: SessionID, at position: LogPosition) {
        changes[id, default: []].append((position, content))
    }

    mutating func append(_ revocation: LogEntry.Content, at position: LogPosition) {
        revocations.append((position, revocation))
    }

    /// Removes and returns the changes of a session after `position`, in order, with the revocations of all
    /// sessions of a user as revocations of this one.
    mutating func take(_ id: SessionID, after position: LogPosition) -> [(LogPosition, LogEntry.Content)] {
        var all = changes.removeValue(forKey: id) ?? []
        for case (let position, .revokeAll(let user, let kept, let tombstone)) in revocations where kept != id
        {
            all.append((position, .revoke(id, user: user, tombstone: tombstone)))
        }
        return all.filter { $0.0 > position }.sorted { $0.0 < $1.0 }
    }
}
