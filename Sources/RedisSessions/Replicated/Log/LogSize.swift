// SPDX-License-Identifier: Apache-2.0

/// The size of the log between the bound up to which it may be trimmed and its end.
struct LogSize: Sendable {
    /// What Redis needs for an entry besides its bytes, roughly.
    static let overhead = 64

    private struct Mark: Sendable {
        let position: LogPosition
        /// The bytes of all entries before the position.
        let before: Int
    }

    /// Positions some kilobytes, or a thousandth of the log, apart; the first of them at or before the trim bound.
    private var marks: [Mark] = []
    private var total = 0
    private var spacing: Int { max(16 << 10, bytes >> 10) }

    /// The size in bytes, at most one entry and the spacing of the marks too large.
    var bytes: Int { total - (marks.first?.before ?? total) }

    /// Records an entry that was read.
    mutating func read(_ bytes: Int, at position: LogPosition) {
        if marks.last.map({ total - $0.before >= spacing }) ?? true {
            marks.append(Mark(position: position, before: total))
        }
        total += bytes + Self.overhead
    }

    /// Returns a position from which on the log has about this size; nil for a log that is not larger.
    func start(ofLast bytes: Int) -> LogPosition? {
        guard self.bytes > bytes else { return nil }
        var (low, high) = (0, marks.count)
        while low < high {
            let middle = (low + high) / 2
            if total - marks[middle].before > bytes { low = middle + 1 } else { high = middle }
        }
        return low < marks.count ? marks[low].position : marks.last?.position
    }

    /// Records that entries before the bound count no more.
    mutating func trimmed(before bound: LogPosition) {
        let count = marks.firstIndex { $0.position > bound } ?? marks.count
        if count > 1 { marks.removeFirst(count - 1) }
    }
}
