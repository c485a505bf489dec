// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The decisions of the pool: which caller receives which connection, and which one waits.
///
/// Does no I/O. A *permit* is the right to open one more connection; permits and connections together never
/// exceed the maximum.
struct DedicatedPoolState {
    /// What a caller receives.
    enum Grant: Sendable {
        case connection(ConnectionRef, idleSince: NIODeadline)
        /// The right to open a connection.
        case permit
    }

    typealias Waiter = PendingValue<Grant>

    private let maximumWaiters: Int
    private var idle: [(connection: ConnectionRef, since: NIODeadline)] = []
    private var permits: Int
    private var waiters = CircularBuffer<Waiter>()
    /// Whether the client was shut down.
    private(set) var isClosed = false

    init(maximum: Int, maximumWaiters: Int) {
        self.maximumWaiters = maximumWaiters
        permits = maximum
    }

    /// Serves a caller; returns nil when it has to wait.
    mutating func requested(_ waiter: Waiter) -> Result<Grant, RedisError>? {
        guard !isClosed else { return .failure(RedisError(.closed, .notSent, "the client was shut down")) }
        // The one used last is the most likely to be open still.
        if let last = idle.popLast() { return .success(.connection(last.connection, idleSince: last.since)) }
        if permits > 0 {
            permits -= 1
            return .success(.permit)
        }
        waiters.removeAll(where: \.isFinished)
        guard waiters.count < maximumWaiters else {
            return .failure(
                RedisError(.overloaded, .notSent, "too many callers wait for a dedicated connection")
            )
        }
        waiters.append(waiter)
        return nil
    }

    /// Takes a grant back; returns the next waiter to offer it to.
    ///
    /// Call again when that waiter is finished already.
    mutating func returned(_ grant: Grant) -> Waiter? {
        if let waiter = waiters.popFirst() { return waiter }
        switch grant {
        case .permit: permits += 1
        case .connection(let connection, let since):
            if isClosed { permits += 1 } else { idle.append((connection, since)) }
        }
        return nil
    }

    /// Shuts the pool down; returns the connections to close and the waiters to fail.
    mutating func closed() -> (idle: [ConnectionRef], waiters: [Waiter]) {
        defer {
            (isClosed, permits) = (true, permits + idle.count)
            idle = []
            waiters.removeAll()
        }
        return (idle.map(\.connection), Array(waiters))
    }
}
