// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// Redis with the log, its clock, and what it comes back with after a failure.
///
/// Does what the scripts of the log and `XTRIM` do; `ReplicaTests` and the tests with a real server check those.
struct SimulatedLog {
    private(set) var items: [LogPage.Item] = []
    /// The log as it was saved, or as a replica has it that is promoted later.
    private var saved: [LogPage.Item] = []
    /// The highest position that the stream has given out, which Redis remembers when entries are trimmed.
    private var highest = LogPosition.start
    /// The clock of the server, in milliseconds.
    var time: Int64 = 1_800_000_000_000
    /// What an entry counts as in the size of the log, in bytes.
    let entrySize: Int

    init(entrySize: Int) { self.entrySize = entrySize }

    var last: LogPosition? { items.last?.moment.position }

    // MARK: Commands

    /// Does what `log-append.lua` does; `share` decides how much Redis trims of what it may trim.
    mutating func append(
        _ entry: LogEntry,
        to target: AppendTarget,
        isEssential: Bool,
        share: UInt64
    ) -> AppendReply {
        guard let last = items.last?.moment, last.position >= target.applied else { return .missing }
        let (now, before) = (UInt64(time), last.position)
        var next = (milliseconds: now, sequence: UInt64(0))
        if now <= before.milliseconds {
            let elapsed = max(0, time - last.time.milliseconds)
            next.milliseconds = before.milliseconds + UInt64(elapsed)
        }
        if next.milliseconds == before.milliseconds { next.sequence = before.sequence + 1 }
        guard next.milliseconds <= target.notAfter else { return .late }
        if isEssential { trim(before: target.trimBound, share: share) }
        add(entry, at: LogPosition(milliseconds: next.milliseconds, sequence: next.sequence))
        trim(before: target.trimBound, share: share)
        return .appended
    }

    /// Does what `log-origin.lua` does; false if the log was not begun.
    mutating func begin(after last: LogPosition?, notBefore: UInt64, origin: LogEntry) -> Bool {
        guard self.last == last else { return false }
        let position = LogPosition(milliseconds: max(UInt64(time), notBefore + 1), sequence: 0)
        // Redis refuses an ID that is not above all before.
        guard position > highest else { return false }
        add(origin, at: position)
        return true
    }

    /// Does what `XADD KEY *` does with the bytes of an entry; false if there is no log.
    mutating func addAgain(_ entry: LogEntry) -> Bool {
        guard let last else { return false }
        let sequence = last.milliseconds >= UInt64(time) ? last.sequence + 1 : 0
        add(entry, at: LogPosition(milliseconds: max(UInt64(time), last.milliseconds), sequence: sequence))
        return true
    }

    /// Does what `XTRIM KEY MINID ~ BOUND` does, which may leave some of the entries before the bound, or all.
    mutating func trim(before bound: LogPosition, share: UInt64) {
        let count = items.firstIndex { $0.moment.position >= bound } ?? items.count
        items.removeFirst([0, count / 2, count, count][Int(share % 4)])
    }

    /// Does what `log-state.lua` does.
    func bounds(lookingFor position: LogPosition = .start, tag: [UInt8] = []) -> LogBounds {
        var bounds = LogBounds(last: last, time: time * 1000)
        guard position != .start else { return bounds }
        bounds.isFound = items.contains { $0.moment.position == position && $0.tag == tag }
        bounds.first = items.first?.moment.position
        return bounds
    }

    func entries(after position: LogPosition, limit: Int) -> [LogPage.Item] {
        guard let first = items.firstIndex(where: { $0.moment.position > position }) else { return [] }
        return Array(items[first...].prefix(limit))
    }

    private mutating func add(_ entry: LogEntry, at position: LogPosition) {
        highest = position
        items.append(
            LogPage.Item(
                moment: LogMoment(position: position, time: SessionInstant(milliseconds: time)),
                entry: entry,
                tag: [UInt8(truncatingIfNeeded: entry.nonce), UInt8(truncatingIfNeeded: entry.nonce >> 8)],
                size: entrySize
            )
        )
    }

    // MARK: Failures

    mutating func save() { saved = items }

    /// Comes back as it was saved; empty if it never was.
    mutating func restoreSaved() { replace(with: saved) }

    mutating func restoreEmpty() { replace(with: []) }

    /// Continues as a replica that had not received the last entries.
    mutating func loseLast(_ count: Int) { replace(with: items.dropLast(count)) }

    private mutating func replace(with items: [LogPage.Item]) {
        self.items = items
        highest = last ?? .start
    }
}
