// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The time at the Redis server, estimated from its answers and the instants at which they arrived.
///
/// The server's clock shows at least what an answer says, plus the time since the answer arrived. The estimate
/// is the highest of these bounds among the last 20 answers: a delayed answer cannot move it backwards, and a
/// server clock that was set back is followed after 20 answers.
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

    private var observations: [Observation] = []
    private var best: Observation?

    /// Records the server's time, in microseconds since 1970, and when it arrived.
    mutating func observed(_ microseconds: Int64, at instant: ContinuousClock.Instant) {
        if observations.count == Self.limit { observations.removeFirst() }
        observations.append(Observation(microseconds: microseconds, received: instant))
        best = observations.max { $0.time(at: instant) < $1.time(at: instant) }
    }

    /// Returns the server's time; nil before its first answer.
    func now(at instant: ContinuousClock.Instant) -> SessionInstant? {
        best.map { SessionInstant(milliseconds: $0.time(at: instant) / 1000) }
    }
}
