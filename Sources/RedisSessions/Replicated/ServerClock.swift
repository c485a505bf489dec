// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The time at the Redis server, estimated from what it said and when that came here.
///
/// Each answer gives a bound: by now it is at least that late there. The best of the last bounds counts, so
/// that an answer that lay around in a stopped process spoils nothing, and a clock of the server that was set
/// back is followed soon.
struct ServerClock: Sendable {
    private static let kept = 20

    private let base = ContinuousClock.now
    private var offsets: [Int64] = []

    /// The server said `microseconds` since 1970 in an answer that was here at `instant`.
    mutating func heard(_ microseconds: Int64, at instant: ContinuousClock.Instant) {
        if offsets.count == Self.kept { offsets.removeFirst() }
        offsets.append(microseconds - Self.microseconds(instant - base))
    }

    /// The server's time; nil before it has said any.
    func now(at instant: ContinuousClock.Instant = .now) -> SessionInstant? {
        offsets.max().map { SessionInstant(milliseconds: ($0 + Self.microseconds(instant - base)) / 1000) }
    }

    private static func microseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
    }
}
