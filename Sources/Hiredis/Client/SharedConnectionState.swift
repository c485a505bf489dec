// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What one shared connection decides: who may send, who waits, when to try again, when to give up at once.
///
/// Pure: no clock, no randomness, no I/O; the shell passes times in and does what the returned values say.
struct SharedConnectionState {
    /// What a new request leads to.
    enum Action {
        case nothing
        /// Write the batch soon: it was empty.
        case drain
        /// The request waits for a connection; start one, and watch its deadline.
        case park(connect: Bool)
        case reject(RedisError)
    }

    private enum Phase {
        case idle, connecting, backingOff, closed
        case ready(Link, since: NIODeadline)
    }

    private struct Parked {
        let request: Request
        let receiver: Receiver
        let deadline: NIODeadline
    }

    /// After so many failures in a row, or so long without a connection, callers are turned away at once.
    static let failuresToOpen = 5
    static let downtimeToOpen = TimeAmount.seconds(2)
    /// A connection that lived this long counts as good.
    static let stableAfter = TimeAmount.seconds(5)

    private let limits: RedisLimits
    private var phase = Phase.idle
    private var failures = 0
    private var downSince: NIODeadline?
    /// Set while callers are turned away.
    private var breaker: RedisError?
    private var lastError: RedisError?
    private var batch = ByteBuffer()
    private var batched: [Expected] = []
    private var parked: [Parked] = []
    private var commands = 0
    private var bytes = 0

    init(limits: RedisLimits) { self.limits = limits }

    var link: Link? { if case .ready(let link, _) = phase { link } else { nil } }
    var isReady: Bool { link != nil }
    var isClosed: Bool { if case .closed = phase { true } else { false } }

    /// A caller wants to send; `settled` is what is no longer in flight since the connection came up.
    mutating func requested(
        _ request: Request,
        for receiver: Receiver,
        deadline: NIODeadline,
        settled: (commands: Int, bytes: Int)
    ) -> Action {
        switch phase {
        case .closed: return .reject(RedisError(.closed, .notSent, "the client was shut down"))
        case .ready:
            guard commands - settled.commands + request.count <= limits.commandsInFlight,
                bytes - settled.bytes + request.size <= limits.bytesInFlight
            else {
                return .reject(RedisError(.overloaded, .notSent, "too much is in flight on this connection"))
            }
            let isFirst = batched.isEmpty
            append(request, receiver, deadline)
            return isFirst ? .drain : .nothing
        case .idle, .connecting, .backingOff:
            if let breaker { return .reject(breaker) }
            guard parked.count < limits.waiters else {
                return .reject(RedisError(.overloaded, .notSent, "too many callers wait for Redis"))
            }
            if case .caller(let exchange) = receiver { exchange.park() }
            parked.append(Parked(request: request, receiver: receiver, deadline: deadline))
            return .park(connect: started())
        }
    }

    /// A connection is wanted; true when one has to be started.
    mutating func started() -> Bool {
        guard case .idle = phase else { return false }
        phase = .connecting
        return true
    }

    /// The pause is over; false when the client was shut down meanwhile.
    mutating func retried() -> Bool {
        guard case .backingOff = phase else { return false }
        phase = .connecting
        return true
    }

    /// The connection has logged in; true when something waits to be written.
    ///
    /// False also when it is not wanted any more.
    mutating func connected(_ link: Link, at now: NIODeadline) -> Bool {
        guard case .connecting = phase else { return false }
        phase = .ready(link, since: now)
        (breaker, lastError, downSince) = (nil, nil, nil)
        let waiting = parked
        parked = []
        for entry in waiting where entry.deadline > now {
            if case .caller(let exchange) = entry.receiver, !exchange.unpark() { continue }
            append(entry.request, entry.receiver, entry.deadline)
        }
        for entry in waiting where entry.deadline <= now { entry.receiver.fail(Self.late) }
        return !batched.isEmpty
    }

    /// The batch, to be written now.
    mutating func drained() -> (link: Link, bytes: ByteBuffer, expected: [Expected])? {
        guard let link, !batched.isEmpty else { return nil }
        let (bytes, expected) = (batch, batched)
        batch = link.channel.allocator.buffer(capacity: min(bytes.readableBytes, 65536))
        batched = []
        return (link, bytes, expected)
    }

    /// What to do after a failure: turn these away with that error, try again after the pause.
    struct Recovery {
        var pause: TimeAmount?
        var rejected: [Receiver] = []
        var error: RedisError
        /// Whether callers are turned away from now on, and were not before.
        var hasOpened = false
    }

    /// An attempt to connect failed; `jitter` is from 0 to 1.
    mutating func connectFailed(_ error: RedisError, at now: NIODeadline, jitter: Double) -> Recovery {
        var error = error
        error.outcome = .notSent
        guard case .connecting = phase else { return Recovery(pause: nil, error: error) }
        failures += 1
        lastError = error
        downSince = downSince ?? now
        phase = .backingOff
        var recovery = Recovery(pause: Self.pause(failures: failures, jitter: jitter), error: error)
        let isHopeless = [.authentication, .tls, .configuration].contains(error.code)
        if isHopeless || failures >= Self.failuresToOpen || now - downSince! >= Self.downtimeToOpen {
            recovery.hasOpened = breaker == nil
            breaker = error
            recovery.rejected = parked.map(\.receiver)
            parked = []
        }
        return recovery
    }

    /// A connection that was ready is gone.
    ///
    /// What had not been written is returned as rejected: it was not sent.
    mutating func lost(_ error: RedisError, at now: NIODeadline, jitter: Double) -> Recovery {
        var error = error
        (error.outcome, error.isTransient) = (.notSent, true)
        guard case .ready(_, let since) = phase else { return Recovery(pause: nil, error: error) }
        let rejected = batched.map(\.receiver)
        batched = []
        batch.clear()
        (commands, bytes) = (0, 0)
        failures = now - since >= Self.stableAfter ? 0 : failures + 1
        (lastError, downSince, phase) = (error, now, .backingOff)
        return Recovery(
            pause: Self.pause(failures: failures, jitter: jitter),
            rejected: rejected,
            error: error
        )
    }

    /// Removes the waiting callers that are late or gone; `next` is when to look again.
    mutating func reviewed(at now: NIODeadline) -> (
        overdue: [Receiver], error: RedisError, next: NIODeadline?
    ) {
        let overdue = parked.filter { $0.deadline <= now }.map(\.receiver)
        parked.removeAll { $0.deadline <= now || $0.receiver.isGone }
        return (overdue, lastError ?? Self.late, parked.map(\.deadline).min())
    }

    /// The client is shut down: who waits, and the last batch with the connection to close after it.
    mutating func closed() -> (
        rejected: [Receiver], last: (link: Link, bytes: ByteBuffer, expected: [Expected])?
    ) {
        let last = drained() ?? link.map { ($0, ByteBuffer(), []) }
        defer {
            phase = .closed
            parked = []
        }
        return (parked.map(\.receiver), last)
    }

    /// 50 ms doubled up to 2 s, of which the upper half is chance, so that many clients do not come at once.
    static func pause(failures: Int, jitter: Double) -> TimeAmount {
        let full = min(50.0 * Double(1 << min(max(failures - 1, 0), 10)), 2000)
        return .microseconds(Int64((full / 2 + full / 2 * jitter) * 1000 * (failures == 0 ? 0.2 : 1)))
    }

    private static let late = RedisError(.timeout, .notSent, "there was no connection to Redis in time")

    private mutating func append(_ request: Request, _ receiver: Receiver, _ deadline: NIODeadline) {
        let before = batch.writerIndex
        request.encode(into: &batch)
        let size = batch.writerIndex - before
        commands += request.count
        bytes += size
        batched.append(Expected(receiver: receiver, count: request.count, size: size, deadline: deadline))
    }
}

extension Receiver {
    fileprivate var isGone: Bool {
        if case .caller(let exchange) = self { exchange.isFinished } else { false }
    }
}
