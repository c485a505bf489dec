// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// Counters of a client since its creation.
///
/// Each number but the last three only grows; they are read one after the other, not as a consistent snapshot.
public struct RedisStatistics: Sendable, Hashable {
    /// Commands of callers written to a connection; logins are not counted.
    public var commands = 0
    /// Writes to connections; `commands / batches` is the mean size of a pipeline.
    public var batches = 0
    /// Bytes written for callers.
    public var bytesSent = 0
    /// Bytes received on all connections.
    public var bytesReceived = 0
    /// Connections established, including the first ones.
    public var connects = 0
    /// Failed attempts to connect.
    public var failedConnects = 0
    /// Connections lost after they were established.
    public var lostConnections = 0
    /// Callers cancelled before their reply.
    public var abandoned = 0
    /// Callers whose deadline passed.
    public var timeouts = 0
    /// Callers refused at a limit: nothing was sent, and a retry is safe.
    public var overloaded = 0
    /// Commands sent once more: after a lost connection, to a new server, or with their script.
    public var retries = 0
    /// Retries that were not made because there had been too many: their callers received the error at once.
    ///
    /// A command that a server may have worked on is sent again only while such retries of the last 10 seconds are fewer than a
    /// fifth of all commands and 100 a second.
    public var refusedRetries = 0
    /// Failures of `submit`.
    public var submitErrors = 0
    /// Commands, and transactions, that a node of a cluster has sent to another one (`MOVED`, `ASK`).
    public var redirects = 0
    /// How often the slots of a cluster were read.
    public var slotRefreshes = 0
    /// Servers that are given up at the moment: their callers fail at once, and in a cluster wait for a failover of at most
    /// 20 seconds before.
    public var unavailableServers = 0
    /// Connections that are open at the moment, dedicated ones and those to replicas included.
    public var connections = 0
    /// Commands on shared connections that are to be written or have no reply yet, at the moment.
    public var commandsInFlight = 0
}

/// The live counters behind `RedisStatistics`, and the retries that they allow.
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
    let refusedRetries = Atomic(0)
    let submitErrors = Atomic(0)
    let redirects = Atomic(0)
    let slotRefreshes = Atomic(0)
    private let budget: Mutex<RetryBudget>

    init(_ limits: RedisLimits = RedisLimits()) { budget = Mutex(RetryBudget(limits)) }

    /// Whether `count` commands may be sent again that a server may have worked on; a refusal is counted.
    func mayRepeat(_ count: Int) -> Bool {
        let written = commands.load(ordering: .relaxed)
        if budget.withLock({ $0.took(count, written: written, at: .now()) }) { return true }
        refusedRetries.add()
        return false
    }

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
        statistics.refusedRetries = refusedRetries.load(ordering: .relaxed)
        statistics.submitErrors = submitErrors.load(ordering: .relaxed)
        statistics.redirects = redirects.load(ordering: .relaxed)
        statistics.slotRefreshes = slotRefreshes.load(ordering: .relaxed)
        return statistics
    }
}

extension Atomic<Int> {
    /// Adds without ordering other memory accesses.
    func add(_ amount: Int = 1) { wrappingAdd(amount, ordering: .relaxed) }
}
