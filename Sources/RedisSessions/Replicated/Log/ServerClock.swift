// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The time at the Redis server, estimated from its answers and the instants at which they arrived.
///
/// The server's clock shows at least what an answer says, plus the time since the answer arrived. The estimate
/// is the highest of these bounds among the last 20 answers, so a delayed answer cannot move it backwards. An
/// answer below what the clock showed when it was asked proves that the clock was set back; older answers are
/// forgotten then.
struct ServerClock: Sendable {
    private struct Observation: Sendable {
        let microseconds: Int64
        let received: ContinuousClock.Instant

        func time(at instant: ContinuousClock.Instant) -> Int64 {
            let (seconds, attoseconds) = (instant - received).components
            return microseconds + seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        }
    }

    private static let limit = 20
    /// What the clocks of two machines may differ in speed between two answers, in microseconds.
    private static let drift: Int64 = 10_000

    private var observations: [Observation] = []
    private var best: Observation?

    /// Records the server's time, in microseconds since 1970, and when it was asked and arrived.
    mutating func observed(
        _ microseconds: Int64,
        asked: ContinuousClock.Instant,
        at instant: ContinuousClock.Instant
    ) {
        if let best, microseconds < best.time(at: asked) - Self.drift { observations = [] }
        if observations.count == Self.limit { observations.removeFirst() }
        observations.append(Observation(microseconds: microseconds, received: instant))
        best = observations.max { $0.time(at: instant) < $1.time(at: instant) }
    }

    /// Returns the server's time; nil before its first answer.
    func now(at instant: ContinuousClock.Instant) -> SessionInstant? {
        best.map { SessionInstant(milliseconds: $0.time(at: instant) / 1000) }
    }
}
