// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// How many commands a client may send again that a server may have worked on: a bucket of tokens.
///
/// Filled by a share of the commands that were written and by a number for each second; what is not used is forgotten within
/// a window. Looks at the count of commands only when a token is asked for, so commands that succeed pay nothing.
/// Reads no clock.
struct RetryBudget {
    private let limits: RedisLimits
    private var tokens: Double
    /// The commands that it has let through, and those besides them that have filled it.
    private var granted = 0
    private var counted = 0
    private var filled: NIODeadline?

    init(_ limits: RedisLimits) {
        self.limits = limits
        tokens = limits.retriesPerSecond * limits.retryWindow
    }

    /// Takes tokens for `count` commands of one request.
    ///
    /// A request of many commands may take more than there is, which those after it lack.
    ///
    /// - Parameters:
    ///   - count: The commands to send again.
    ///   - written: All commands that the client has written until now.
    ///   - now: The time.
    /// - Returns: False when no token is left.
    mutating func took(_ count: Int, written: Int, at now: NIODeadline) -> Bool {
        fill(written, now)
        guard tokens >= 1 else { return false }
        tokens -= Double(count)
        granted += count
        return true
    }

    private mutating func fill(_ written: Int, _ now: NIODeadline) {
        let window = limits.retryWindow
        let elapsed = filled.map { Double((now - $0).nanoseconds) / 1e9 } ?? window
        // What is sent again earns nothing; it may not have been written yet.
        let first = max(counted, written - granted)
        let new = limits.retryShare * Double(first - counted)
        // Of a longer time, what came in its last window on average.
        tokens *= max(0, 1 - elapsed / window)
        tokens += (new + limits.retriesPerSecond * elapsed) * min(1, window / max(elapsed, window))
        (counted, filled) = (first, now)
    }
}
