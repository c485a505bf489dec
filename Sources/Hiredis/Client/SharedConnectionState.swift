// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The decisions of one shared connection: which requests are written, wait or fail, and when to reconnect.
///
/// Reads no clock, uses no randomness and does no I/O: `SharedConnection` passes times in and performs the
/// returned actions.
struct SharedConnectionState {
    /// The action after a new request.
    enum Action {
        case nothing
        /// Schedule a write: the batch was empty.
        case drain
        /// The request waits for a connection: open one if `connect`, and watch the deadline.
        case park(connect: Bool)
        case reject(RedisError)
    }

    private enum Phase {
        case idle, connecting, backingOff, closed
        case ready(ConnectionRef, since: NIODeadline)
    }

    private struct Parked {
        let request: Request
        let target: ReplyTarget
        let deadline: NIODeadline
    }

    /// After this many failures in a row, or this long without a connection, callers fail at once.
    static let failuresToOpen = 5
    static let downtimeToOpen = TimeAmount.seconds(2)
    /// A connection that lasted this long resets the back-off.
    static let stableAfter = TimeAmount.seconds(5)
    /// A read is compared with so many reads before it that have not been written yet.
    static let comparedReads = 16

    private let limits: RedisLimits
    private var phase = Phase.idle
    private var failures = 0
    private var downSince: NIODeadline?
    /// Set while callers fail at once (a circuit breaker).
    private var breaker: RedisError?
    private var lastError: RedisError?
    /// Replacements in a row of connections whose server was the wrong one.
    private var replacements = 0
    private var batch = ByteBuffer()
    private var batched: [PendingRequest] = []
    private var parked: [Parked] = []
    private var commands = 0
    private var bytes = 0

    init(limits: RedisLimits) { self.limits = limits }

    var connection: ConnectionRef? {
        if case .ready(let connection, _) = phase { connection } else { nil }
    }
    var isReady: Bool { connection != nil }
    /// The commands that were accepted since the connection was established.
    var accepted: Int { commands }

    /// Accepts, parks or rejects a request.
    ///
    /// `settled` counts what is no longer in flight since the connection was established; read here, so that
    /// it never belongs to an earlier connection.
    mutating func requested(
        _ request: Request,
        for target: ReplyTarget,
        deadline: NIODeadline,
        settled: @autoclosure () -> (commands: Int, bytes: Int)
    ) -> Action {
        switch phase {
        case .closed: return .reject(RedisError(.closed, .notSent, "the client was shut down"))
        case .ready:
            let settled = settled()
            guard commands - settled.commands + request.count <= limits.commandsInFlight,
                bytes - settled.bytes + request.size <= limits.bytesInFlight
            else {
                return .reject(RedisError(.overloaded, .notSent, "too much is in flight on this connection"))
            }
            let isFirst = batched.isEmpty
            append(request, target, deadline)
            return isFirst ? .drain : .nothing
        case .idle, .connecting, .backingOff:
            if let breaker { return .reject(breaker) }
            guard parked.count < limits.waiters else {
                return .reject(RedisError(.overloaded, .notSent, "too many callers wait for Redis"))
            }
            if case .caller(let pending) = target { pending.park() }
            parked.append(Parked(request: request, target: target, deadline: deadline))
            return .park(connect: started())
        }
    }

    /// Requests a connection; returns true when the caller must open one.
    mutating func started() -> Bool {
        guard case .idle = phase else { return false }
        phase = .connecting
        return true
    }

    /// Ends the pause; returns false when the client was shut down.
    mutating func retried() -> Bool {
        guard case .backingOff = phase else { return false }
        phase = .connecting
        return true
    }

    /// Notes that Redis can be reached: ends the pause and lets callers wait again; returns true when the
    /// caller must connect.
    mutating func peerConnected() -> Bool {
        (breaker, downSince) = (nil, nil)
        return retried()
    }

    /// Takes a connection that has logged in; returns true when requests are to be written.
    ///
    /// Ignores the connection when the client was shut down; `isReady` is then false.
    mutating func connected(_ connection: ConnectionRef, at now: NIODeadline) -> Bool {
        guard case .connecting = phase else { return false }
        phase = .ready(connection, since: now)
        (breaker, lastError, downSince) = (nil, nil, nil)
        let waiting = parked
        parked = []
        for entry in waiting where entry.deadline > now {
            if case .caller(let pending) = entry.target, !pending.unpark() { continue }
            append(entry.request, entry.target, entry.deadline)
        }
        for entry in waiting where entry.deadline <= now { entry.target.fail(Self.late) }
        return !batched.isEmpty
    }

    /// Takes the batch, to be written at once.
    mutating func drained() -> (connection: ConnectionRef, bytes: ByteBuffer, requests: [PendingRequest])? {
        guard let connection, !batched.isEmpty else { return nil }
        let (bytes, requests) = (batch, batched)
        batch = connection.channel.allocator.buffer(capacity: min(bytes.readableBytes, 65536))
        batched = []
        batched.reserveCapacity(min(requests.count, 1024))
        return (connection, bytes, requests)
    }

    /// The actions after a failure: fail the rejected requests with the error, reconnect after the pause.
    struct Recovery {
        var pause: TimeAmount?
        var rejected: [ReplyTarget] = []
        var error: RedisError
        /// Whether the circuit breaker has just opened.
        var hasOpened = false
    }

    /// Notes a failed attempt to connect; `jitter` is from 0 to 1.
    mutating func connectFailed(_ error: RedisError, at now: NIODeadline, jitter: Double) -> Recovery {
        var error = error
        error.outcome = .notSent
        guard case .connecting = phase else { return Recovery(pause: nil, error: error) }
        failures += 1
        lastError = error
        downSince = downSince ?? now
        phase = .backingOff
        var recovery = Recovery(pause: Self.pause(failures: failures, jitter: jitter), error: error)
        let isPermanent = [.authentication, .tls, .configuration].contains(error.code)
        if isPermanent || failures >= Self.failuresToOpen || now - downSince! >= Self.downtimeToOpen {
            recovery.hasOpened = breaker == nil
            breaker = error
            recovery.rejected = parked.map(\.target)
            parked = []
        }
        return recovery
    }

    /// Notes that the connection was closed; `jitter` is from 0 to 1.
    ///
    /// The requests that were not written are returned as rejected.
    mutating func lost(_ error: RedisError, at now: NIODeadline, jitter: Double) -> Recovery {
        var error = error
        (error.outcome, error.isTransient) = (.notSent, true)
        guard case .ready(_, let since) = phase else { return Recovery(pause: nil, error: error) }
        let rejected = withdrawBatch()
        failures = now - since >= Self.stableAfter ? 0 : failures + 1
        (lastError, downSince, phase) = (error, now, .backingOff)
        return Recovery(
            pause: Self.pause(failures: failures, jitter: jitter),
            rejected: rejected,
            error: error
        )
    }

    /// The actions when a connection is given up: let it end, and fail the requests that were not written.
    struct Replacement {
        let connection: ConnectionRef
        let rejected: [ReplyTarget]
        /// Whether the connection before was one in use, not a replacement itself.
        let isFirst: Bool
    }

    /// Notes that the server is the wrong one; returns nil when it is too early to replace this connection,
    /// too.
    ///
    /// The first replacement is immediate. When the next server is a wrong one as well, the pauses grow as
    /// those between attempts to connect. The caller must connect.
    mutating func refused(at now: NIODeadline) -> Replacement? {
        guard case .ready(let connection, let since) = phase else { return nil }
        if now - since >= Self.stableAfter { replacements = 0 }
        guard replacements == 0 || now - since >= Self.pause(failures: replacements, jitter: 1) else {
            return nil
        }
        replacements += 1
        phase = .connecting
        return Replacement(connection: connection, rejected: withdrawBatch(), isFirst: replacements == 1)
    }

    private mutating func withdrawBatch() -> [ReplyTarget] {
        defer {
            batched = []
            batch.clear()
            (commands, bytes) = (0, 0)
        }
        return batched.map(\.target)
    }

    /// Removes the parked requests that are overdue or cancelled; `next` is the time of the next check.
    mutating func checkDeadlines(at now: NIODeadline) -> (
        overdue: [ReplyTarget], error: RedisError, next: NIODeadline?
    ) {
        let overdue = parked.filter { $0.deadline <= now }.map(\.target)
        parked.removeAll { $0.deadline <= now || $0.target.isFinished }
        return (overdue, lastError ?? Self.late, parked.map(\.deadline).min())
    }

    /// Shuts down; returns the parked requests, and the last batch with the connection to close after it.
    mutating func closed() -> (
        rejected: [ReplyTarget],
        last: (connection: ConnectionRef, bytes: ByteBuffer, requests: [PendingRequest])?
    ) {
        let last = drained() ?? connection.map { ($0, ByteBuffer(), []) }
        defer {
            phase = .closed
            parked = []
        }
        return (parked.map(\.target), last)
    }

    /// Returns 50 ms, doubled with each failure up to 2 s.
    ///
    /// The upper half is random, so that many clients do not reconnect at the same time.
    static func pause(failures: Int, jitter: Double) -> TimeAmount {
        let full = min(50.0 * Double(1 << min(max(failures - 1, 0), 10)), 2000)
        return .microseconds(Int64((full / 2 + full / 2 * jitter) * 1000 * (failures == 0 ? 0.2 : 1)))
    }

    private static let late = RedisError(.timeout, .notSent, "there was no connection to Redis in time")

    private mutating func append(_ request: Request, _ target: ReplyTarget, _ deadline: NIODeadline) {
        let before = batch.writerIndex
        request.encode(into: &batch)
        let size = batch.writerIndex - before
        var isRead = false
        if case .caller(let pending) = target, request.isRead {
            if join(pending, deadline, size) { return batch.moveWriterIndex(to: before) }
            isRead = true
        }
        commands += request.count
        bytes += size
        batched.append(
            PendingRequest(
                target: target,
                count: request.count,
                size: size,
                deadline: deadline,
                isRead: isRead,
                isRepeatable: request.isRepeatable,
                transactionEnds: request.transactionEnds
            )
        )
    }

    /// Lets the caller of a read, the last `size` bytes of the batch, share the replies to an equal one in it.
    ///
    /// Nothing of the batch was sent yet: the replies will be no older than the call. No further back than the last
    /// write, which may be the caller's own.
    private mutating func join(_ pending: PendingReply, _ deadline: NIODeadline, _ size: Int) -> Bool {
        var distance = 0
        var index = batched.count
        while index > max(0, batched.count - Self.comparedReads) {
            index -= 1
            guard batched[index].isRead else { return false }
            distance += batched[index].size
            guard batched[index].size == size, batched[index].deadline <= deadline,
                batch.repeats(size, after: distance), batched[index].target.join(pending)
            else { continue }
            batched[index].deadline = deadline
            return true
        }
        return false
    }
}

extension ByteBuffer {
    /// Whether the last `size` bytes repeat those that are so far before them.
    ///
    /// Compared from the end, because keys differ there.
    fileprivate func repeats(_ size: Int, after distance: Int) -> Bool {
        unsafe withUnsafeReadableBytes { bytes in
            var index = bytes.count
            while index > bytes.count - size {
                index -= 1
                if unsafe bytes[index] != bytes[index - distance] { return false }
            }
            return true
        }
    }
}

extension ReplyTarget {
    fileprivate var isFinished: Bool {
        // Only callers of their own wait for a connection.
        if case .caller(let pending) = self { pending.isFinished } else { false }
    }
}
