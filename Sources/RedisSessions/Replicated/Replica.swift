// SPDX-License-Identifier: Apache-2.0

import Sessions

/// What one instance makes of the log: all sessions, by applying the entries in order.
///
/// Pure: no clock, no I/O. The time of every decision is the time of its entry, so that the same entries give
/// the same sessions and the same outcomes on every instance.
struct Replica: Sendable {
    enum Phase: Sendable {
        /// The log is being read from its beginning: sessions may be unknown because what made them was
        /// trimmed away.
        case joining
        /// Every session is known.
        case live
        /// A new log is being filled.
        case seeding(Seeding)
    }

    /// What an entry came to.
    enum Outcome: Sendable {
        /// Nothing that anybody waits for.
        case none
        /// It was written for another log, or at a time when nothing can be changed; nothing was.
        case refused
        /// A new log begins here, or has begun where nobody looked: this replica knows nothing of it.
        case replaced
        case stored(RecordState, isRotated: Bool)
        case touched
        case conflict(RecordState, SecretStatus)
        case gone(SessionAbsence)
        case invalid(SessionError)
        case ended(Int)
    }

    private(set) var phase = Phase.joining
    /// Which log it follows; nil as long as no entry has told.
    private(set) var epoch: UInt64?
    /// Everything up to here was applied.
    private(set) var applied = LogPosition.start
    var table = CopyTable()
    /// Where reading began.
    private var first: LogPosition?
    private var pending = PendingEntries()
    private let time: @Sendable (SessionInstant) -> SessionInstant

    /// An empty replica, to be fed from the beginning of a log.
    ///
    /// - Parameter time: what the sessions take the clock of Redis for; the same function on all instances.
    init(time: @escaping @Sendable (SessionInstant) -> SessionInstant = { $0 }) { self.time = time }

    /// The log's own time: that of the entry applied last.
    var now: SessionInstant { time(applied.instant) }

    var isLive: Bool { if case .live = phase { true } else { false } }
    var seeding: Seeding? { if case .seeding(let seeding) = phase { seeding } else { nil } }

    /// An entry that nobody here can read.
    mutating func skip(_ position: LogPosition) {
        first = first ?? position
        applied = max(applied, position)
    }

    /// The end of the log was reached for the first time: whatever is unknown now does not exist.
    mutating func joined() {
        guard case .joining = phase else { return }
        phase = .live
        pending = PendingEntries()
        table.sweep(at: now)
    }

    mutating func apply(_ entry: LogEntry, at position: LogPosition) -> Outcome {
        guard position > applied else { return .none }
        if case .origin = entry.content, entry.epoch != epoch {
            if case .live = phase { return .replaced }
            skip(position)
            (phase, epoch, table, pending) = (
                .seeding(Seeding(origin: position)), entry.epoch, CopyTable(), PendingEntries()
            )
            return .none
        }
        if entry.epoch != epoch, entry.epoch > epoch ?? 0 {
            // Where a new log began is trimmed away: what stood before it does not count.
            guard case .joining = phase else { return .replaced }
            (epoch, table, pending) = (entry.epoch, CopyTable(), PendingEntries())
        }
        skip(position)
        guard entry.epoch == epoch else { return .refused }
        switch phase {
        case .live: return change(entry.content, at: position)
        case .joining:
            join(entry.content, at: position)
            return .none
        case .seeding(var seeding):
            // Or each entry would copy all of it.
            phase = .joining
            guard let rows = seeding.apply(entry, at: position) else {
                phase = .seeding(seeding)
                return entry.content.isSeeding ? .none : .refused
            }
            (phase, table) = (.live, CopyTable(rows))
            return .none
        }
    }

    // MARK: Following

    private mutating func change(_ content: LogEntry.Content, at position: LogPosition) -> Outcome {
        switch content {
        case .revokeAll(let user, let kept, _):
            let ids = table.live(user, at: now).filter { $0 != kept }
            for id in ids { _ = change(content, of: id, at: position) }
            return .ended(ids.count)
        case .full(let id, let asOf, _):
            table.note(id, logged: asOf)
            return .none
        default: return content.id.map { change(content, of: $0, at: position) } ?? .none
        }
    }

    /// Does what an entry says to one session.
    private mutating func change(
        _ content: LogEntry.Content,
        of id: SessionID,
        at position: LogPosition
    ) -> Outcome {
        let now = time(position.instant)
        if case .create(_, let draft) = content {
            guard table[id] == nil else { return .gone(.ended(.revocation)) }
            let session = RecordState(draft, now: now)
            table[id] = LogEntry.Copy(session: session, changed: position)
            table.note(id, logged: position)
            return .stored(session, isRotated: true)
        }
        guard var session = table[id]?.session else {
            return content.isEnding ? .ended(0) : .gone(.unknown)
        }
        if let digest = content.digest {
            guard case .live(let secretStatus) = session.status(of: digest, id, at: now) else {
                guard !content.isEnding,
                    case .absent(let absence) = session.status(of: digest, id, at: now)
                else { return .ended(0) }
                return .gone(absence)
            }
            switch content {
            case .commit(_, _, let version, let change):
                do throws(SessionError) {
                    guard
                        let isRotated = try session.apply(
                            change,
                            to: version,
                            status: secretStatus,
                            at: now
                        )
                    else {
                        return .conflict(session, secretStatus)
                    }
                    table[id] = LogEntry.Copy(session: session, changed: position)
                    return .stored(session, isRotated: isRotated)
                } catch { return .invalid(error) }
            case .touch:
                session.touch(secretStatus, at: now)
                table[id]?.session = session
                return .touched
            default: break
            }
        }
        guard let (end, tombstone) = content.end(of: session), session.isAlive(at: now) else {
            return .ended(0)
        }
        session.markEnded(end, until: now + tombstone)
        table[id] = LogEntry.Copy(session: session, changed: position)
        return .ended(1)
    }

    // MARK: Joining

    /// Applies an entry to what is known so far, and keeps it for what may turn out to exist.
    private mutating func join(_ content: LogEntry.Content, at position: LogPosition) {
        switch content {
        case .full(let id, let asOf, let copy):
            // A state as of a time that the log has forgotten: what came between is lost.
            guard table[id] == nil, let first, asOf >= first else { break }
            table[id] = copy
            for (position, content) in pending.take(id, after: asOf) {
                _ = change(content, of: id, at: position)
            }
        case .revokeAll: pending.append(content, at: position)
        default:
            guard let id = content.id, table[id] == nil else { break }
            if case .create = content { break }
            pending.append(content, of: id, at: position)
            return
        }
        _ = change(content, at: position)
    }
}

/// What was said about sessions that are not known yet.
private struct PendingEntries: Sendable {
    private var bySession: [SessionID: [(LogPosition, LogEntry.Content)]] = [:]
    private var byUser: [(LogPosition, LogEntry.Content)] = []

    mutating func append(_ content: LogEntry.Content, of id: SessionID, at position: LogPosition) {
        bySession[id, default: []].append((position, content))
    }

    mutating func append(_ revocation: LogEntry.Content, at position: LogPosition) {
        byUser.append((position, revocation))
    }

    /// What concerns a session and came after `position`, in order.
    mutating func take(_ id: SessionID, after position: LogPosition) -> [(
        LogPosition, LogEntry.Content
    )] {
        ((bySession.removeValue(forKey: id) ?? []) + byUser).filter { $0.0 > position }.sorted {
            $0.0 < $1.0
        }
    }
}

extension LogEntry.Content {
    /// The one session that it is about.
    fileprivate var id: SessionID? {
        switch self {
        case .create(let id, _), .commit(let id, _, _, _), .touch(let id, _),
            .end(let id, _, _),
            .revoke(let id, _, _):
            id
        default: nil
        }
    }

    /// The digest of the secret that was presented.
    fileprivate var digest: [UInt8]? {
        switch self {
        case .commit(_, let digest, _, _), .touch(_, let digest), .end(_, let digest, _): digest
        default: nil
        }
    }

    fileprivate var isEnding: Bool {
        switch self {
        case .end, .revoke, .revokeAll: true
        default: false
        }
    }

    /// How it ends a session, and for how long that is remembered; nil when it does not.
    fileprivate func end(of session: RecordState) -> (SessionEndReason, Duration)? {
        switch self {
        case .end(_, _, let tombstone): return (.signOut, tombstone)
        case .revoke(_, let user, let tombstone):
            return user == nil || user == session.principalHash ? (.revocation, tombstone) : nil
        case .revokeAll(let user, _, let tombstone):
            return user == session.principalHash ? (.revocation, tombstone) : nil
        default: return nil
        }
    }
}
