// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Who gets which dedicated connection, and who waits.
///
/// Pure. A *permit* is the right to have one more connection; there are never more permits and connections
/// together than the bound.
struct DedicatedPoolState {
    /// What a caller is given.
    enum Grant: Sendable {
        case connection(Link, idleSince: NIODeadline)
        /// Make one.
        case permit
    }

    typealias Waiter = Exchange<Grant>

    private let maximumWaiters: Int
    private var idle: [(link: Link, since: NIODeadline)] = []
    private var permits: Int
    private var waiters = CircularBuffer<Waiter>()
    /// Whether the client was shut down.
    private(set) var isOver = false

    init(bound: Int, maximumWaiters: Int) {
        self.maximumWaiters = maximumWaiters
        permits = bound
    }

    /// A caller wants a connection; nil when it has to wait.
    mutating func requested(_ waiter: Waiter) -> Result<Grant, RedisError>? {
        guard !isOver else { return .failure(RedisError(.closed, .notSent, "the client was shut down")) }
        // The one used last is the most likely to be alive.
        if let last = idle.popLast() { return .success(.connection(last.link, idleSince: last.since)) }
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

    /// A grant is free again; gives the next waiter to offer it to.
    ///
    /// Call again when the waiter has left.
    mutating func returned(_ grant: Grant) -> Waiter? {
        if let waiter = waiters.popFirst() { return waiter }
        switch grant {
        case .permit: permits += 1
        case .connection(let link, let since):
            if isOver { permits += 1 } else { idle.append((link, since)) }
        }
        return nil
    }

    /// The client is shut down: what to close and whom to tell.
    mutating func closed() -> (idle: [Link], waiters: [Waiter]) {
        defer {
            (isOver, permits) = (true, permits + idle.count)
            idle = []
            waiters.removeAll()
        }
        return (idle.map(\.link), Array(waiters))
    }
}
