// SPDX-License-Identifier: Apache-2.0

import Sessions

/// A place in the log: the id that Redis gave to an entry, its time in milliseconds and a number within that
/// millisecond.
struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    let milliseconds: UInt64
    let sequence: UInt64

    /// Before everything.
    static let start = LogPosition(milliseconds: 0, sequence: 0)

    init(milliseconds: UInt64, sequence: UInt64) {
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    /// The position that `text` spells as `MILLISECONDS-SEQUENCE`; nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let milliseconds = UInt64(parts[0]), let sequence = UInt64(parts[1]) else {
            return nil
        }
        self.init(milliseconds: milliseconds, sequence: sequence)
    }

    var description: String { "\(milliseconds)-\(sequence)" }

    /// When the entry was appended, by the clock of Redis.
    var instant: SessionInstant { SessionInstant(milliseconds: Int64(clamping: milliseconds)) }

    /// The position as the version in a ticket: milliseconds since 2024 and 18 bits of the sequence.
    ///
    /// At most 18 digits; ends in the year 2093. Grows with the position; entries beyond the 262,144th of a
    /// millisecond share one.
    var version: Int {
        let since2024 = milliseconds < Self.epoch ? 0 : min(milliseconds - Self.epoch, (1 << 41) - 1)
        return Int(since2024 << 18 | min(sequence, (1 << 18) - 1))
    }

    private static let epoch: UInt64 = 1_704_067_200_000

    static func < (left: Self, right: Self) -> Bool {
        (left.milliseconds, left.sequence) < (right.milliseconds, right.sequence)
    }
}
