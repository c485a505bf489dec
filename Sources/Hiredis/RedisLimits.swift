// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Bounds on memory and on load; variable for tests only.
///
/// Beyond a bound on commands, bytes or waiters, a caller fails at once with `overloaded`, and nothing was sent. Beyond the
/// bound on elements, the connection is closed. Without a retry left, a caller receives the error that it would have been
/// retried for.
struct RedisLimits: Sendable {
    /// Unanswered commands per connection.
    var commandsInFlight = 4096
    /// Bytes of unanswered commands per connection.
    var bytesInFlight = 8 << 20
    /// Callers that wait for one shared connection to connect, for a dedicated one, and for the slots of a cluster; of these,
    /// half as many because of a node that cannot be reached.
    var waiters = 4096
    /// Elements of one reply, all levels together.
    var replyElements = 262_144
    /// Retries for each command of the client, of those that a server may have worked on.
    var retryShare = 0.2
    /// The same for each second, without regard to the number of commands.
    var retriesPerSecond = 100.0
    /// How long commands and seconds count for retries, in seconds.
    var retryWindow = 10.0
    /// How long callers wait for the failover of a node of a cluster, from the time when its connections are given up.
    ///
    /// More than the 15 s of `cluster-node-timeout`, by default, and the vote.
    var failover = TimeAmount.seconds(20)
}
