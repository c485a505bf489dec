// SPDX-License-Identifier: Apache-2.0

/// One case of the client's benchmark: what is sent, by how many, and by whom.
struct ClientCase: Sendable, Hashable, CustomStringConvertible {
    enum Command: String, Sendable, CaseIterable {
        case hgetall = "HGETALL"
        case get = "GET"
        case set = "SET"
        case commit = "EVALSHA commit"
    }

    enum Runner: String, Sendable, CaseIterable {
        /// `redis-benchmark`, one command at a time on each connection.
        case reference = "redis-benchmark"
        /// `redis-benchmark -P 16`.
        case pipelined = "redis-benchmark -P 16"
        /// This client, callers on Swift's default pool.
        case pool
        /// This client, callers spread over the event loops.
        case loops
    }

    var command: Command
    var isTLS: Bool
    var callers: Int
    var runner: Runner

    var description: String {
        "\(command.rawValue)\(isTLS ? " over TLS" : ""), \(callers) callers, \(runner.rawValue)"
    }
}

/// One round of one case; everything but the rate is for one command.
struct ClientSample: Rated {
    var rate: Double
    /// Of the client's process, in microseconds, user and system time.
    var processor: Double?
    /// Context switches of the client's process, voluntary and not.
    var switches: Double?
    /// Calls that wrote: to the connection, and to wake an event loop.
    var socketWrites: Double?
    var wakeUps: Double?
    /// Calls that read, of sockets and of the counters that wake event loops.
    var reads: Double?
    var allocations: Double?
}
