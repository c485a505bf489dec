// SPDX-License-Identifier: Apache-2.0

public import Sessions
import Synchronization

/// A clock that stands still until a test moves it.
public final class ManualClock: Sendable {
    private let instant: Mutex<SessionInstant>

    /// Starts at the given instant.
    public init(_ start: SessionInstant = SessionInstant(milliseconds: 1_800_000_000_000)) {
        instant = Mutex(start)
    }

    /// The time it shows.
    public var now: SessionInstant { instant.withLock { $0 } }

    /// Moves it forward.
    public func advance(by duration: Duration) { instant.withLock { $0 = $0 + duration } }
}
