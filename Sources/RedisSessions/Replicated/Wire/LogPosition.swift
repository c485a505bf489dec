// SPDX-License-Identifier: Apache-2.0

import Sessions

/// A position in the log: the ID of an entry, milliseconds and a sequence number within the millisecond.
///
/// The milliseconds advance as the clock of Redis does and usually show its time, but never go back: after the
/// clock was set back they go on from where they were. So they measure how old an entry is; what time it was
/// is said by the time of the entry.
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

    /// The position as the version in a token: milliseconds since 2024 and 18 bits of the sequence.
    ///
    /// Never decreases as positions grow, and differs for those that `log-append.lua` gives out. At most 18
    /// digits, enough until the year 2093.
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

/// Where and when an entry was appended.
struct LogMoment: Hashable, Sendable {
    let position: LogPosition
    /// By the clock of Redis, which may have been set back since the entry before.
    let time: SessionInstant
}

/// How far a replica has got: the later log is further, and in one log the later position.
struct LogRank: Hashable, Comparable, Sendable {
    let epoch: UInt64
    /// The last entry that changed the replica.
    let position: LogPosition

    static func < (left: Self, right: Self) -> Bool {
        (left.epoch, left.position) < (right.epoch, right.position)
    }
}
