// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The sessions of a replica by session ID, by user, and by when the log last held them whole.
struct CopyTable: Sendable {
    struct Row: Hashable, Sendable {
        var copy: LogEntry.Copy
        /// From where on the log must be there for somebody who joins to get this session.
        var logged: LogPosition
    }

    private(set) var rows: [SessionID: Row] = [:]
    private var ids: [[UInt8]: Set<SessionID>] = [:]
    /// Bytes of the names and values of all attributes.
    private(set) var bytes = 0
    private var queue = RelogQueue()

    init() {}

    /// A table of rows that were made elsewhere.
    init(_ rows: [SessionID: Row]) {
        for (id, row) in rows.sorted(by: { $0.value.logged < $1.value.logged }) {
            self[id] = row.copy
            note(id, logged: row.logged)
        }
    }

    var count: Int { rows.count }

    /// The session of that name; set to change, add or forget it.
    subscript(id: SessionID) -> LogEntry.Copy? {
        get { rows[id]?.copy }
        set {
            let old = rows[id]
            if let old {
                bytes -= old.copy.session.size
                if let user = old.copy.session.principalHash, user != newValue?.session.principalHash {
                    ids[user]?.remove(id)
                    if ids[user]?.isEmpty == true { ids[user] = nil }
                }
            }
            guard let newValue else {
                rows[id] = nil
                return
            }
            bytes += newValue.session.size
            rows[id] = Row(copy: newValue, logged: old?.logged ?? .start)
            if let user = newValue.session.principalHash, user != old?.copy.session.principalHash {
                ids[user, default: []].insert(id)
            }
        }
    }

    /// The session IDs of a user's sessions that are alive.
    func live(_ user: [UInt8], at now: SessionInstant) -> [SessionID] {
        (ids[user] ?? []).filter { rows[$0]?.copy.session.isAlive(at: now) ?? false }
    }

    /// Forgets what has been over for a minute; nobody decides anything by it any more.
    ///
    /// - Parameter now: the log's own time, which is never ahead of any entry that is still to come.
    mutating func sweep(at now: SessionInstant) {
        for id in rows.filter({ Self.isOver($0.value, at: now) }).keys { self[id] = nil }
    }

    private static func isOver(_ row: Row, at now: SessionInstant) -> Bool {
        row.copy.session.expiry + .seconds(60) <= now
    }

    // MARK: Logging again

    /// The log holds the session whole, for those who have it from `position` on.
    mutating func note(_ id: SessionID, logged position: LogPosition) {
        guard let row = rows[id], row.logged < position else { return }
        rows[id]?.logged = position
        queue.append(id, position)
    }

    /// From where on the log must be kept; nil when nothing in it is needed.
    mutating func oldest(at now: SessionInstant) -> LogPosition? {
        queue.dropWhile { [rows] id, position in
            guard let row = rows[id], row.logged == position else { return true }
            return Self.isOver(row, at: now)
        }
        return queue.first
    }

    /// Takes sessions that were logged whole before `bound`, oldest first; those taken before are left out
    /// until `retry`.
    mutating func due(before bound: LogPosition, at now: SessionInstant, limit: Int) -> [(
        SessionID, LogEntry.Copy
    )] {
        _ = oldest(at: now)
        var due: [(SessionID, LogEntry.Copy)] = []
        while due.count < limit, let (id, position) = queue.next(before: bound) {
            if let row = rows[id], row.logged == position, !Self.isOver(row, at: now) {
                due.append((id, row.copy))
            }
        }
        return due
    }

    /// What was taken has not reached the log, as far as anybody knows.
    mutating func retry() { queue.rewind() }
}

/// Handles in the order in which the log came to hold their sessions, with those that have been taken and not
/// dropped yet.
private struct RelogQueue: Sendable {
    private var items: [(id: SessionID, position: LogPosition)] = []
    private var head = 0
    private var cursor = 0

    var first: LogPosition? { head < items.count ? items[head].position : nil }

    mutating func append(_ id: SessionID, _ position: LogPosition) {
        items.append((id, position))
    }

    mutating func dropWhile(_ isStale: (SessionID, LogPosition) -> Bool) {
        while head < items.count, isStale(items[head].id, items[head].position) { head += 1 }
        cursor = max(cursor, head)
        guard head > 1024, head > items.count / 2 else { return }
        items.removeFirst(head)
        (head, cursor) = (0, cursor - head)
    }

    mutating func next(before bound: LogPosition) -> (SessionID, LogPosition)? {
        guard cursor < items.count, items[cursor].position < bound else { return nil }
        cursor += 1
        return items[cursor - 1]
    }

    mutating func rewind() { cursor = head }
}
