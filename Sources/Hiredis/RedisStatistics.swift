// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What a client has done since it was made.
///
/// Each number only grows; together they are no consistent snapshot.
public struct RedisStatistics: Sendable, Hashable {
    /// Commands of callers written to a connection; the login of a connection is not counted.
    public var commands = 0
    /// Batches written by shared connections; `commands / batches` is how well callers were pipelined.
    public var batches = 0
    /// Bytes written for callers.
    public var bytesSent = 0
    /// Bytes received on all connections.
    public var bytesReceived = 0
    /// Connections that came up, first ones included.
    public var connects = 0
    /// Attempts to connect that failed.
    public var failedConnects = 0
    /// Connections that were lost after they had come up.
    public var lostConnections = 0
    /// Callers that left before their reply: cancelled.
    public var abandoned = 0
    /// Callers that ran into their deadline.
    public var timeouts = 0
    /// Callers turned away at a bound.
    public var overloaded = 0
    /// Commands sent once more: after a lost connection, or as `EVAL`.
    public var retries = 0
    /// Error replies to commands that nobody waited for.
    public var submitErrors = 0
}

/// The live counters behind `RedisStatistics`.
final class Counters: Sendable {
    let commands = Atomic(0)
    let batches = Atomic(0)
    let bytesSent = Atomic(0)
    let bytesReceived = Atomic(0)
    let connects = Atomic(0)
    let failedConnects = Atomic(0)
    let lostConnections = Atomic(0)
    let abandoned = Atomic(0)
    let timeouts = Atomic(0)
    let overloaded = Atomic(0)
    let retries = Atomic(0)
    let submitErrors = Atomic(0)

    var snapshot: RedisStatistics {
        var statistics = RedisStatistics()
        statistics.commands = commands.load(ordering: .relaxed)
        statistics.batches = batches.load(ordering: .relaxed)
        statistics.bytesSent = bytesSent.load(ordering: .relaxed)
        statistics.bytesReceived = bytesReceived.load(ordering: .relaxed)
        statistics.connects = connects.load(ordering: .relaxed)
        statistics.failedConnects = failedConnects.load(ordering: .relaxed)
        statistics.lostConnections = lostConnections.load(ordering: .relaxed)
        statistics.abandoned = abandoned.load(ordering: .relaxed)
        statistics.timeouts = timeouts.load(ordering: .relaxed)
        statistics.overloaded = overloaded.load(ordering: .relaxed)
        statistics.retries = retries.load(ordering: .relaxed)
        statistics.submitErrors = submitErrors.load(ordering: .relaxed)
        return statistics
    }
}

extension Atomic<Int> {
    /// Counts; orders nothing.
    func add(_ amount: Int = 1) { wrappingAdd(amount, ordering: .relaxed) }
}
