// SPDX-License-Identifier: Apache-2.0

import Sessions

/// A position in the log: the ID that Redis gave an entry, a time in milliseconds and a sequence number within
/// that millisecond.
struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    let milliseconds: UInt64
    let sequence: UInt64

    /// The position before all entries.
    static let start = LogPosition(milliseconds: 0, sequence: 0)

    init(milliseconds: UInt64, sequence: UInt64) {
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    /// Parses `MILLISECONDS-SEQUENCE`; nil for any other text.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let milliseconds = UInt64(parts[0]), let sequence = UInt64(parts[1]) else {
            return nil
        }
        self.init(milliseconds: milliseconds, sequence: sequence)
    }

    var description: String { "\(milliseconds)-\(sequence)" }

    /// The time at which the entry was appended, by the clock of Redis.
    var instant: SessionInstant { SessionInstant(milliseconds: Int64(clamping: milliseconds)) }

    /// The position as the version in a token: milliseconds since 2024 and 18 bits of the sequence.
    ///
    /// Never decreases as positions grow; entries beyond the 262,144th of a millisecond share one version. At
    /// most 18 digits, enough until the year 2093.
    var version: Int {
        let since2024 = milliseconds < Self.epoch ? 0 : min(milliseconds - Self.epoch, (1 << 41) - 1)
        return Int(since2024 << 18 | min(sequence, (1 << 18) - 1))
    }

    /// Returns the first position of the millisecond `duration` before this one, at the earliest `start`.
    func earlier(by duration: Duration) -> LogPosition {
        let distance = min(milliseconds, UInt64(clamping: duration.wholeMilliseconds))
        return LogPosition(milliseconds: milliseconds - distance, sequence: 0)
    }

    private static let epoch: UInt64 = 1_704_067_200_000

    static func < (left: Self, right: Self) -> Bool {
        (left.milliseconds, left.sequence) < (right.milliseconds, right.sequence)
    }
}
