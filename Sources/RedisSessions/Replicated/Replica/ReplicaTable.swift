// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The sessions of a replica by ID, by user, and by the age of their last full entry in the log.
struct ReplicaTable: Sendable {
    private struct Row: Sendable {
        var record: ReplicatedRecord
        /// The position from which on the log must be kept for a new replica to obtain this session.
        var logged: LogPosition
    }

    private var rows: [SessionID: Row] = [:]
    private var idsByUser: [[UInt8]: Set<SessionID>] = [:]
    /// The size of the names and values of all attributes, in bytes.
    private(set) var bytes = 0
    /// How many sessions are remembered as ended.
    private(set) var endedCount = 0
    private var queue = RefreshQueue()
    private var visitors = VisitorQueue()

    /// Creates a table of sessions all of which the log contains from one position on.
    init(_ records: [SessionID: ReplicatedRecord] = [:], logged position: LogPosition = .start) {
        for (id, record) in records {
            self[id] = record
            recordLogged(id, from: position)
        }
    }

    var count: Int { rows.count }
    /// The size of all sessions as log entries, in bytes, roughly.
    var encodedBytes: Int { bytes + rows.count * 300 }
    var records: [SessionID: ReplicatedRecord] { rows.mapValues(\.record) }

    /// The session with the given ID; nil removes it.
    subscript(id: SessionID) -> ReplicatedRecord? {
        get { rows[id]?.record }
        set {
            let old = rows[id]
            if let old {
                bytes -= old.record.session.size
                if old.record.session.tombstoneUntil != nil { endedCount -= 1 }
                if let user = old.record.session.principalHash, user != newValue?.session.principalHash {
                    idsByUser[user]?.remove(id)
                    if idsByUser[user]?.isEmpty == true { idsByUser[user] = nil }
                }
            }
            guard let newValue else {
                rows[id] = nil
                return
            }
            bytes += newValue.session.size
            if newValue.session.tombstoneUntil != nil { endedCount += 1 }
            rows[id] = Row(record: newValue, logged: old?.logged ?? .start)
            if let user = newValue.session.principalHash, user != old?.record.session.principalHash {
                idsByUser[user, default: []].insert(id)
            }
            if old == nil, newValue.session.principalHash == nil {
                let now = newValue.session.times.lastUsed
                visitors.append(id) { [rows] in rows[$0]?.record.session.visitorExpiry(at: now) }
            }
        }
    }

    func liveSessions(of user: [UInt8], at now: SessionInstant) -> [SessionID] {
        (idsByUser[user] ?? []).filter { rows[$0]?.record.session.isAlive(at: now) ?? false }
    }

    /// Returns the sessions of a user above a number, those that signed in first.
    func surplus(
        of user: [UInt8],
        above maximum: Int?,
        keeping id: SessionID,
        at now: SessionInstant
    ) -> [SessionID] {
        guard let maximum, (idsByUser[user]?.count ?? 0) > maximum else { return [] }
        // In an order that is the same on all instances.
        let ids = liveSessions(of: user, at: now).sorted { $0.description < $1.description }
        let live = ids.compactMap { id in rows[id].map { (id: id, session: $0.record.session) } }
        return RecordState.surplus(of: live, above: maximum, keeping: id)
    }

    /// Takes live sessions of visitors until this many, with this many bytes, are taken; nil when there are fewer.
    mutating func takeVisitors(_ count: Int, bytes: Int, at now: SessionInstant) -> [SessionID]? {
        var (taken, size): ([SessionID], Int) = ([], 0)
        while taken.count < count || size < bytes {
            let next = visitors.next { [rows] in rows[$0]?.record.session.visitorExpiry(at: now) }
            guard let next, let row = rows[next] else { return nil }
            taken.append(next)
            size += row.record.session.size
        }
        return taken
    }

    /// Removes the sessions that expired more than a minute ago; visits all.
    ///
    /// - Parameter now: the replica's own time.
    mutating func sweep(at now: SessionInstant) {
        for id in rows.filter({ Self.isExpired($0.value, at: now) }).keys { self[id] = nil }
    }

    /// Changes what happened while the clock of Redis was ahead; visits all sessions.
    ///
    /// - Parameters:
    ///   - before: the time before the clock was set back, if it was just now; sessions that `sweep` would have
    ///     removed then are removed.
    ///   - now: the time after.
    mutating func clockWasSetBack(from before: SessionInstant? = nil, to now: SessionInstant) {
        if let before { sweep(at: before) }
        for id in rows.filter({ Self.isAhead($0.value.record, of: now) }).keys {
            rows[id]?.record.clockWasSetBack(to: now)
        }
    }

    /// Does the same for one session.
    mutating func clockWasSetBack(for id: SessionID, from before: SessionInstant, to now: SessionInstant) {
        guard let row = rows[id] else { return }
        if Self.isExpired(row, at: before) {
            self[id] = nil
        } else {
            rows[id]?.record.clockWasSetBack(to: now)
        }
    }

    private static func isAhead(_ record: ReplicatedRecord, of now: SessionInstant) -> Bool {
        let times = record.session.times
        return max(record.started, times.created, times.lastUsed, times.rotated) > now
    }

    private static func isExpired(_ row: Row, at now: SessionInstant) -> Bool {
        row.record.session.expiry + .seconds(60) <= now
    }

    // MARK: Refreshing the log

    /// Records that the log contains the whole session for replicas that read it from `position` on.
    mutating func recordLogged(_ id: SessionID, from position: LogPosition) {
        guard let row = rows[id], row.logged < position else { return }
        rows[id]?.logged = position
        queue.insert(RefreshQueue.Item(id: id, position: position))
    }

    /// Returns the position from which on the log must be kept; nil when no session depends on it.
    mutating func oldestNeeded(at now: SessionInstant) -> LogPosition? {
        while let item = queue.first, !isNeeded(item, at: now) { queue.removeFirst() }
        return queue.first?.position
    }

    /// Takes the sessions whose last full entry is before `bound`, the oldest first, without expired ones.
    ///
    /// The same session is not returned again until `retryRefresh`, or a full entry of any session from before. At most `limit`
    /// sessions, and no further one once their attributes have `bytes` bytes.
    mutating func takeDueForRefresh(
        before bound: LogPosition,
        at now: SessionInstant,
        limit: Int,
        bytes: Int = .max
    ) -> [(id: SessionID, record: ReplicatedRecord)] {
        var due: [(id: SessionID, record: ReplicatedRecord)] = []
        var size = 0
        while due.count < limit, size < bytes, let item = queue.next(before: bound) {
            guard let row = rows[item.id], isNeeded(item, at: now) else { continue }
            due.append((item.id, row.record))
            size += row.record.session.size
        }
        return due
    }

    /// Makes all sessions due again that were taken and whose full entries have not been applied since.
    mutating func retryRefresh() { queue.rewind() }

    private func isNeeded(_ item: RefreshQueue.Item, at now: SessionInstant) -> Bool {
        rows[item.id].map { $0.logged == item.position && !Self.isExpired($0, at: now) } ?? false
    }
}

/// The full entries of sessions in the log, the oldest first, with a cursor behind those taken for refresh.
private struct RefreshQueue: Sendable {
    struct Item: Sendable {
        let id: SessionID
        let position: LogPosition
    }

    private var items: [Item] = []
    private var head = 0
    private var cursor = 0

    var first: Item? { head < items.count ? items[head] : nil }

    /// Inserts a full entry in the order of positions: a snapshot counts from before the entries that came while it was
    /// on its way.
    mutating func insert(_ item: Item) {
        var index = items.count
        while index > head, items[index - 1].position > item.position { index -= 1 }
        items.insert(item, at: index)
        cursor = min(cursor, index)
    }

    mutating func removeFirst() {
        head += 1
        cursor = max(cursor, head)
        guard head > 1024, head > items.count / 2 else { return }
        items.removeFirst(head)
        (head, cursor) = (0, cursor - head)
    }

    mutating func next(before bound: LogPosition) -> Item? {
        guard cursor < items.count, items[cursor].position < bound else { return nil }
        cursor += 1
        return items[cursor - 1]
    }

    mutating func rewind() { cursor = head }
}
