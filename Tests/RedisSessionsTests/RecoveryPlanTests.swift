// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@testable import RedisSessions

/// One instance during a recovery, with a clock and random numbers that only the test advances.
///
/// Times are in quiet periods since the plan was made.
private struct Instance {
    private static let quietPeriod = Duration.milliseconds(100)
    private static let start = ContinuousClock.now

    private var plan: RecoveryPlan
    var recovery = LogRecovery(origin: .start)
    var isCreator = false
    /// Nil for an instance that was never live.
    var rank: LogRank? = Instance.rank(5)

    init(emptyDelay periods: Double = 0) {
        plan = RecoveryPlan(
            epoch: 3,
            quietPeriod: Self.quietPeriod,
            emptyDelay: Self.quietPeriod * periods,
            now: Self.start
        )
    }

    static func rank(_ number: UInt64, epoch: UInt64 = 2) -> LogRank {
        LogRank(epoch: epoch, position: LogPosition(milliseconds: number, sequence: 0))
    }

    mutating func next(nonce: UInt64 = 0, at periods: Double) -> RecoveryPlan.Action {
        let status = RecoveryStatus(
            epoch: 3,
            isCreator: isCreator,
            rank: rank,
            candidates: recovery.candidates,
            progress: recovery.progress
        )
        return plan.next(status, nonce: nonce, now: Self.start + Self.quietPeriod * periods)
    }

    @discardableResult mutating func apply(_ content: LogEntry.Content, nonce: UInt64 = 0) -> LogRecovery.Step
    {
        recovery.apply(LogEntry(epoch: 3, nonce: nonce, content: content))
    }
}

@Suite(.limited) struct `Recovery plan` {
    private static let record = ReplicatedRecord(
        session: RecordState(
            HashedDraft(
                attributes: [:],
                principal: nil,
                principalHash: nil,
                secretHash: [],
                family: Array(repeating: 7, count: 16),
                idleTimeout: .seconds(1),
                lifetime: .seconds(1)
            ),
            now: SessionInstant(milliseconds: 0)
        ),
        changed: .start
    )

    @Test func `the only candidate announces, transfers after a quiet period and activates`() {
        var instance = Instance()
        #expect(instance.next(nonce: 1, at: 0) == .announce(1))
        #expect(instance.next(nonce: 2, at: 0.5) == .wait)
        instance.apply(.candidacy(rank: Instance.rank(5)), nonce: 1)
        #expect(instance.next(at: 1) == .wait)
        #expect(instance.next(at: 1.99) == .wait, "others may still announce themselves")
        #expect(instance.next(at: 2) == .transfer(1))
        #expect(instance.next(at: 2.1) == .wait)
        instance.apply(.transferComplete(candidacy: 1, count: 0))
        #expect(instance.next(at: 2.2) == .activate(1, candidates: 1))
        #expect(instance.next(at: 2.3) == .wait)
    }

    @Test func `when all candidates have stopped, an instance without sessions begins another log`() {
        var instance = Instance(emptyDelay: 20)
        instance.rank = nil
        instance.apply(.candidacy(rank: Instance.rank(5)), nonce: 8)
        instance.apply(.candidacy(rank: Instance.rank(6)), nonce: 9)
        for periods in 0..<20 { #expect(instance.next(at: Double(periods)) == .wait) }
        // The transfer of one of them is progress, as long as it goes on.
        instance.apply(.transfer(candidacy: 8, SessionID(), Self.record))
        for periods in 20..<40 { #expect(instance.next(at: Double(periods)) == .wait) }
        #expect(instance.next(at: 40) == .beginAnew)
        #expect(instance.next(at: 40.5) == .wait, "not again until that has failed")
        #expect(instance.next(at: 60) == .beginAnew)
        // One that is complete is activated, by any instance.
        instance.apply(.transferComplete(candidacy: 8, count: 1))
        let later = (80..<100).map { instance.next(at: Double($0)) }
        #expect(later.contains(.activate(8, candidates: 2)) && !later.contains(.beginAnew))
    }

    @Test func `a better candidate goes first, and is passed over when it makes no progress`() {
        var instance = Instance()
        _ = instance.next(nonce: 1, at: 0)
        instance.apply(.candidacy(rank: Instance.rank(5)), nonce: 1)
        instance.apply(.candidacy(rank: Instance.rank(6)), nonce: 9)
        #expect(instance.recovery.candidates.map(\.nonce) == [9, 1])
        #expect(instance.next(at: 1) == .wait)
        #expect(instance.next(at: 3.9) == .wait)
        #expect(instance.next(at: 4) == .wait, "passes over")
        #expect(instance.next(at: 4.5) == .wait)
        #expect(instance.next(at: 5) == .transfer(1))
        instance.apply(.transferComplete(candidacy: 1, count: 0))
        #expect(instance.next(at: 5.1) == .activate(1, candidates: 2))
    }

    @Test func `progress of a better candidate restarts the wait for it`() {
        var instance = Instance()
        _ = instance.next(nonce: 1, at: 0)
        instance.apply(.candidacy(rank: Instance.rank(5)), nonce: 1)
        instance.apply(.candidacy(rank: Instance.rank(6)), nonce: 9)
        _ = instance.next(at: 1)
        instance.apply(.transfer(candidacy: 9, SessionID(), Self.record))
        #expect(instance.next(at: 3.9) == .wait)
        #expect(instance.next(at: 6.8) == .wait)
        // Complete, but its own instance does not activate it.
        instance.apply(.transferComplete(candidacy: 9, count: 1))
        #expect(instance.next(at: 6.9) == .wait)
        #expect(instance.next(at: 9.8) == .wait)
        #expect(instance.next(at: 9.9) == .activate(9, candidates: 2))
    }

    @Test
    func `the creator activates an empty log if no instance is a candidate, others only if it does not`() {
        var creator = Instance()
        (creator.isCreator, creator.rank) = (true, nil)
        var other = creator
        other.isCreator = false
        #expect(creator.next(at: 1.9) == .wait)
        #expect(creator.next(at: 2) == .activate(nil, candidates: 0))
        #expect(creator.next(at: 2.1) == .wait)
        #expect(other.next(at: 2.9) == .wait)
        #expect(other.next(at: 3) == .activate(nil, candidates: 0))
    }

    @Test func `a log without sessions is begun after a longer wait, and not if a candidate comes`() {
        var creator = Instance(emptyDelay: 20)
        (creator.isCreator, creator.rank) = (true, nil)
        var other = creator
        for periods in [2, 3, 6, 19.9] { #expect(creator.next(at: periods) == .wait) }
        #expect(creator.next(at: 20) == .activate(nil, candidates: 0))
        other.apply(.candidacy(rank: Instance.rank(5)), nonce: 9)
        #expect(other.next(at: 20) == .wait)
    }

    @Test func `of two candidates the one that knows a later log is better, whatever the clock was`() {
        var instance = Instance()
        instance.apply(.candidacy(rank: Instance.rank(90, epoch: 1)), nonce: 1)
        instance.apply(.candidacy(rank: Instance.rank(4, epoch: 2)), nonce: 2)
        #expect(instance.recovery.candidates.map(\.nonce) == [2, 1])
    }

    @Test func `what did not reach the log is sent again`() {
        var instance = Instance()
        #expect(instance.next(nonce: 1, at: 0) == .announce(1))
        #expect(instance.next(nonce: 2, at: 2.9) == .wait)
        #expect(instance.next(nonce: 2, at: 3) == .announce(2))
        instance.apply(.candidacy(rank: Instance.rank(5)), nonce: 2)
        #expect(instance.next(at: 3.5) == .wait)
        #expect(instance.next(at: 4.5) == .transfer(2))
        #expect(instance.next(at: 6.4) == .wait)
        #expect(instance.next(at: 6.5) == .transfer(2))
        instance.apply(.transferComplete(candidacy: 2, count: 0))
        #expect(instance.next(at: 6.6) == .activate(2, candidates: 1))
        #expect(instance.next(at: 9.5) == .wait)
        #expect(instance.next(at: 9.6) == .activate(2, candidates: 1))
    }

    @Test func `when all candidates were passed over it starts again with the best`() {
        var instance = Instance(emptyDelay: 40)
        instance.rank = nil
        for nonce: UInt64 in [7, 8] { instance.apply(.candidacy(rank: Instance.rank(1)), nonce: nonce) }
        #expect(instance.recovery.candidates.map(\.nonce) == [7, 8], "the earlier of equal rank is better")
        for periods in [0, 3, 6, 9] { #expect(instance.next(at: Double(periods)) == .wait) }
        instance.apply(.transferComplete(candidacy: 7, count: 0))
        #expect(instance.next(at: 10) == .wait)
        #expect(instance.next(at: 13) == .wait, "passes over the other one again")
        #expect(instance.next(at: 16) == .activate(7, candidates: 2))
    }
}

@Suite(.limited) struct `Log recovery` {
    @Test func `is activated only for a complete candidate, and only with all candidates counted`() {
        var instance = Instance()
        #expect(instance.apply(.activate(candidacy: nil, candidates: 1)) == .noted)
        #expect(instance.apply(.activate(candidacy: nil, candidates: 0)) == .activated([:]))
        instance.apply(.candidacy(rank: Instance.rank(0)), nonce: 4)
        instance.apply(.candidacy(rank: Instance.rank(0)), nonce: 4)
        #expect(instance.recovery.candidates.count == 1 && instance.recovery.progress == 1)
        #expect(instance.apply(.activate(candidacy: nil, candidates: 1)) == .noted)
        #expect(instance.apply(.activate(candidacy: 4, candidates: 1)) == .noted)
        instance.apply(.transferComplete(candidacy: 4, count: 1))
        #expect(instance.apply(.activate(candidacy: 4, candidates: 1)) == .noted, "a session is missing")
        instance.apply(.transferComplete(candidacy: 4, count: 0))
        #expect(instance.apply(.activate(candidacy: 5, candidates: 1)) == .noted)
        #expect(instance.apply(.activate(candidacy: 4, candidates: 1)) == .activated([:]))
    }

    @Test func `refuses changes of sessions`() {
        var instance = Instance()
        let changes: [LogEntry.Content] = [
            .touch(SessionID(), digest: []), .end(SessionID(), digest: [], tombstone: .zero),
            .revoke(SessionID(), user: nil, tombstone: .zero),
            .revokeAll(user: [], except: nil, tombstone: .zero),
        ]
        for change in changes { #expect(instance.apply(change) == .refused) }
        #expect(instance.apply(.heartbeat) == .noted && instance.recovery.progress == 0)
    }
}

@Suite(.limited) struct `Server clock` {
    @Test func `follows the highest estimate among the last twenty answers`() {
        let start = ContinuousClock.now
        var clock = ServerClock()
        #expect(clock.now(at: start) == nil)
        clock.observed(1_000_000, asked: start, at: start)
        #expect(clock.now(at: start + .milliseconds(5)) == SessionInstant(milliseconds: 1005))
        // Five seconds late.
        clock.observed(1_100_000, asked: start, at: start + .milliseconds(5100))
        #expect(clock.now(at: start + .milliseconds(5100)) == SessionInstant(milliseconds: 6100))
        // So is the last of twenty: it may have waited, and proves nothing.
        for _ in 0..<18 { clock.observed(5_100_000, asked: start, at: start + .milliseconds(5100)) }
        #expect(clock.now(at: start + .milliseconds(5100)) == SessionInstant(milliseconds: 6100))
        clock.observed(5_100_000, asked: start, at: start + .milliseconds(5100))
        #expect(clock.now(at: start + .milliseconds(5100)) == SessionInstant(milliseconds: 5100))
    }

    @Test func `follows a clock that was set back at once`() {
        let start = ContinuousClock.now
        var clock = ServerClock()
        clock.observed(120_000_000, asked: start, at: start + .milliseconds(2))
        // Asked after the clock had shown two minutes.
        clock.observed(7_000_000, asked: start + .milliseconds(1000), at: start + .milliseconds(1002))
        #expect(clock.now(at: start + .milliseconds(1002)) == SessionInstant(milliseconds: 7000))
    }
}
