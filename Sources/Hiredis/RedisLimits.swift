// SPDX-License-Identifier: Apache-2.0

/// Bounds on memory; variable for tests only.
///
/// Beyond a bound on commands, a caller fails at once with `overloaded`. Beyond the bound on elements, the
/// connection is closed.
struct RedisLimits: Sendable {
    /// Unanswered commands per connection.
    var commandsInFlight = 4096
    /// Bytes of unanswered commands per connection.
    var bytesInFlight = 8 << 20
    /// Callers that wait for one shared connection to connect, and for a dedicated one.
    var waiters = 4096
    /// Elements of one reply, all levels together.
    var replyElements = 262_144
}
