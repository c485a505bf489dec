// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Hiredis

/// The decisions, without clock, randomness or network.
@Suite struct StateTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let refused = RedisError(.connection, .unknown, "refused")

    private var ignored: ReplyTarget { .ignored(RedisCommand("PING"), .digest) }

    private func pending(_ count: Int, deadline: NIODeadline) -> PendingRequest {
        PendingRequest(target: ignored, count: count, size: 10 * count, deadline: deadline)
    }

    private func reply(_ number: Int) -> RedisReply {
        RedisReply(RedisReply.Node(kind: .integer, span: 1, offset: 0, value: number))
    }

    // MARK: ReplyQueue

    @Test func `replies are assigned in order and a request receives all of its own`() {
        var queue = ReplyQueue()
        queue.sent(
            [pending(1, deadline: start), pending(3, deadline: start), pending(1, deadline: start)],
            at: start
        )
        let deliveries = (1...5).map { queue.received(reply($0)) }
        #expect(deliveries.map { $0?.replies.all.compactMap(\.integer) } == [[1], nil, nil, [2, 3, 4], [5]])
        #expect(deliveries[3]?.request.count == 3 && deliveries[3]?.request.size == 30)
        #expect(queue.isEmpty)
    }

    @Test func `an overdue request is reported once and keeps its place in the queue`() {
        var queue = ReplyQueue()
        queue.sent(
            [pending(1, deadline: start + .seconds(1)), pending(1, deadline: start + .seconds(3))],
            at: start
        )
        let early = queue.checkDeadlines(
            at: start + .milliseconds(999),
            lastRead: start,
            timeout: .seconds(2)
        )
        #expect(early.overdue.isEmpty && !early.isStalled && early.next == start + .seconds(1))
        let late = queue.checkDeadlines(at: start + .seconds(1), lastRead: start, timeout: .seconds(2))
        #expect(late.overdue.count == 1 && !late.isStalled && late.next == start + .seconds(2))
        let result5 = queue.checkDeadlines(
            at: start + .milliseconds(1100),
            lastRead: start,
            timeout: .seconds(2)
        )
        #expect(result5.overdue.isEmpty)
        let result6 = queue.received(reply(1))
        #expect(result6?.replies.first.integer == 1)
        let result7 = queue.removeAll()
        #expect(result7.count == 1)
    }

    @Test func `silence for the timeout is a stall, a slow reply is one after four times the timeout`() {
        var queue = ReplyQueue()
        let result8 = queue.checkDeadlines(at: start + .hours(1), lastRead: start, timeout: .seconds(1))
        #expect(!result8.isStalled)
        queue.sent([pending(1, deadline: start + .hours(1))], at: start)
        let result9 = queue.checkDeadlines(
            at: start + .milliseconds(999),
            lastRead: start - .hours(1),
            timeout: .seconds(1)
        )
        #expect(!result9.isStalled)
        let result10 = queue.checkDeadlines(
            at: start + .seconds(1),
            lastRead: start - .hours(1),
            timeout: .seconds(1)
        )
        #expect(result10.isStalled)
        let result11 = queue.checkDeadlines(
            at: start + .seconds(3),
            lastRead: start + .seconds(3),
            timeout: .seconds(1)
        )
        #expect(!result11.isStalled)
        let result12 = queue.checkDeadlines(
            at: start + .seconds(4),
            lastRead: start + .seconds(4),
            timeout: .seconds(1)
        )
        #expect(result12.isStalled)
    }

    // MARK: SharedConnectionState

    private func park(_ state: inout SharedConnectionState, until deadline: NIODeadline)
        -> SharedConnectionState.Action
    {
        state.requested(Request(RedisCommand("PING")), for: ignored, deadline: deadline, settled: (0, 0))
    }

    @Test func `the first caller opens a connection, the others wait for it`() {
        var state = SharedConnectionState(limits: RedisLimits())
        guard case .park(connect: true) = park(&state, until: start + .seconds(1)) else {
            return #expect(Bool(false))
        }
        guard case .park(connect: false) = park(&state, until: start + .seconds(2)) else {
            return #expect(Bool(false))
        }
        let result1 = state.started()
        #expect(!result1)
        let review = state.checkDeadlines(at: start + .seconds(1))
        #expect(review.overdue.count == 1 && review.next == start + .seconds(2))
        #expect(review.error.code == .timeout && review.error.outcome == .notSent)
    }

    @Test func `no more callers wait than the limit allows`() {
        var limits = RedisLimits()
        limits.waiters = 2
        var state = SharedConnectionState(limits: limits)
        _ = (park(&state, until: start), park(&state, until: start))
        guard case .reject(let error) = park(&state, until: start) else { return #expect(Bool(false)) }
        #expect(error.code == .overloaded)
    }

    @Test func `callers fail at once after five failures, and the waiting ones with them`() {
        var state = SharedConnectionState(limits: RedisLimits())
        _ = park(&state, until: start + .seconds(9))
        for failure in 1...5 {
            let recovery = state.connectFailed(
                refused,
                at: start + .milliseconds(Int64(failure) * 10),
                jitter: 0.5
            )
            #expect(recovery.pause != nil)
            #expect(recovery.hasOpened == (failure == 5))
            #expect(recovery.rejected.count == (failure == 5 ? 1 : 0))
            #expect(recovery.error.outcome == .notSent)
            guard failure < 5 else { break }
            let result2 = state.retried()
            #expect(result2)
        }
        guard case .reject(let error) = park(&state, until: start + .seconds(9)) else {
            return #expect(Bool(false))
        }
        #expect(error.code == .connection && !error.isTransient)
        let result3 = state.retried()
        #expect(result3, "attempts go on")
    }

    @Test(arguments: [RedisError.Code.authentication, .tls, .configuration])
    func `callers fail at once after one failure that a retry cannot repair`(_ code: RedisError.Code) {
        var state = SharedConnectionState(limits: RedisLimits())
        _ = park(&state, until: start + .seconds(9))
        let recovery = state.connectFailed(RedisError(code, .notSent, "no"), at: start, jitter: 0)
        #expect(recovery.hasOpened && recovery.rejected.count == 1 && recovery.pause != nil)
    }

    @Test
    func `callers fail at once after two seconds without a connection, however few attempts there were`() {
        var state = SharedConnectionState(limits: RedisLimits())
        _ = state.started()
        let result13 = state.connectFailed(refused, at: start, jitter: 0)
        #expect(!result13.hasOpened)
        let result4 = state.retried()
        #expect(result4)
        let result14 = state.connectFailed(refused, at: start + .seconds(2), jitter: 0)
        #expect(result14.hasOpened)
    }

    @Test func `pauses double up to two seconds and half of each is random`() {
        let pauses = (1...8).map { SharedConnectionState.pause(failures: $0, jitter: 1) }
        #expect(pauses == [50, 100, 200, 400, 800, 1600, 2000, 2000].map { .milliseconds($0) })
        #expect(SharedConnectionState.pause(failures: 5, jitter: 0) == .milliseconds(400))
        #expect(SharedConnectionState.pause(failures: .max, jitter: 1) == .seconds(2))
        #expect(SharedConnectionState.pause(failures: 0, jitter: 1) == .milliseconds(10))
    }

    @Test func `a closed client refuses requests and opens no connection`() {
        var state = SharedConnectionState(limits: RedisLimits())
        _ = park(&state, until: start)
        let result15 = state.closed()
        #expect(result15.rejected.count == 1)
        guard case .reject(let error) = park(&state, until: start) else { return #expect(Bool(false)) }
        #expect(error.code == .closed)
        let (starts, retries) = (state.started(), state.retried())
        #expect(!starts && !retries)
        let result16 = state.connectFailed(refused, at: start, jitter: 0)
        #expect(result16.pause == nil)
    }

    // MARK: DedicatedPoolState

    @Test func `permits never exceed the maximum and go to the caller that waits longest`() {
        var pool = DedicatedPoolState(maximum: 2, maximumWaiters: 1)
        let first = DedicatedPoolState.Waiter()
        let result17 = pool.requested(DedicatedPoolState.Waiter())
        #expect(result17 != nil)
        let result18 = pool.requested(DedicatedPoolState.Waiter())
        #expect(result18 != nil)
        let result19 = pool.requested(first)
        #expect(result19 == nil)
        guard case .failure(let error)? = pool.requested(DedicatedPoolState.Waiter()) else {
            return #expect(Bool(false))
        }
        #expect(error.code == .overloaded)
        let result20 = pool.returned(.permit)
        #expect(result20 === first)
        let result21 = pool.returned(.permit)
        #expect(result21 == nil)
        guard case .success(.permit)? = pool.requested(DedicatedPoolState.Waiter()) else {
            return #expect(Bool(false))
        }
        let result22 = pool.requested(DedicatedPoolState.Waiter())
        #expect(result22 == nil)
    }

    // MARK: Handshake

    private func status(_ text: String, _ kind: RedisReply.Kind = .status) -> RedisReply {
        RedisReply(
            RedisReply.Node(kind: kind, span: 1, offset: 0, value: text.utf8.count),
            arena: Array(text.utf8)
        )
    }

    private func verdict(_ replies: [RedisReply], needsPrimary: Bool = false) -> String {
        var configuration = RedisConfiguration(address: .unix(path: "/x"))
        (configuration.database, configuration.clientName) = (2, "n")
        var handshake = Handshake(
            configuration,
            RedisCredentials(password: "pw"),
            needsPrimary: needsPrimary
        )
        for reply in replies {
            switch handshake.received(reply) {
            case .pending: continue
            case .ready: return "ready"
            case .failed(let error): return "\(error.code)"
            }
        }
        return "pending"
    }

    @Test func `the login ends with the last successful reply or the first fatal one`() {
        let ok = status("OK")
        #expect(verdict([ok, ok, ok, ok]) == "pending")
        #expect(verdict([ok, ok, ok, ok, status("PONG")]) == "ready")
        let refused = status("NOPERM x", .error)
        #expect(verdict([ok, ok, refused, refused, refused]) == "ready")
        #expect(verdict([status("WRONGPASS x", .error)]) == "authentication")
        #expect(
            verdict([status("ERR AUTH <password> called without any password", .error)]) == "authentication"
        )
        #expect(verdict([ok, status("ERR DB index is out of range", .error)]) == "configuration")
        #expect(verdict([ok, ok, ok, ok, status("LOADING x", .error)]) == "connection")
        #expect(verdict([status("ERR max number of clients reached", .error)]) == "connection")
        // Without the right to ask for the role, the server is used.
        #expect(verdict([ok, ok, refused, ok, ok, ok], needsPrimary: true) == "ready")
    }
}
