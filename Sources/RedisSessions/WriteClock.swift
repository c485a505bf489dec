// SPDX-License-Identifier: Apache-2.0

import Sessions
import Synchronization

/// The server's time as far as this process knows it.
///
/// Each write carries the time after which it must not happen, so that a server that was frozen executes nothing its
/// caller was told had failed. Asked once with `TIME`; a monotonic clock goes on from there, and answers that contradict
/// it make the store ask again.
final class WriteClock: Sendable {
    private let start = ContinuousClock.now
    /// Milliseconds from the monotonic clock to the server's; the minimum when it was never asked.
    private let offset = Atomic<Int64>(.min)

    /// The server's time, behind by the way of one answer at most; nil when it was never asked.
    var now: SessionInstant? {
        let offset = offset.load(ordering: .relaxed)
        return offset == .min ? nil : SessionInstant(milliseconds: offset + elapsed)
    }

    /// Sets the clock to the time in an answer that has just arrived.
    func set(_ time: SessionInstant) { offset.store(time.milliseconds - elapsed, ordering: .relaxed) }

    /// Whether a time that has just arrived fits; a clock that was never set takes it.
    func agrees(with time: SessionInstant) -> Bool {
        guard let now else {
            set(time)
            return true
        }
        return (Duration.seconds(-2) ... .seconds(2)).contains(now - time)
    }

    private var elapsed: Int64 { (ContinuousClock.now - start).wholeMilliseconds }
}
