// SPDX-License-Identifier: Apache-2.0

/// The bounds that keep one slow or hostile Redis from taking the process with it.
///
/// Beyond a bound on commands a caller fails at once with `overloaded`; beyond a bound on replies the
/// connection is closed.
public struct RedisLimits: Sendable, Hashable {
    /// Unanswered commands per connection.
    public var commandsInFlight = 4096
    /// Bytes of unanswered commands per connection.
    public var bytesInFlight = 8 << 20
    /// Callers that wait for one connection to come up, and for a dedicated one.
    public var waiters = 4096
    /// Bytes of one reply, at most 1 GiB.
    public var replyBytes = 8 << 20 { didSet { replyBytes = min(max(replyBytes, 1024), 1 << 30) } }
    /// Elements of one reply, all levels together.
    public var replyElements = 262_144 { didSet { replyElements = min(max(replyElements, 16), 1 << 26) } }
    /// Arrays within arrays.
    ///
    /// hiredis 0.14 itself ends at 8.
    public var replyDepth = 7 { didSet { replyDepth = min(max(replyDepth, 1), 32) } }

    /// The default bounds.
    public init() {}
}
