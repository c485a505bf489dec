// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@testable import RedisSessions

@Suite(.limited) struct `Replication state: limits and clocks` {
    @Test func `at the limit the sessions are searched for expired ones at most once a second`() {
        var options = Bench.options
        options.maximumSessions = 1
        var bench = Bench()
        bench.state = ReplicationState(options)
        bench.append(.origin)
        bench.append(.activate(candidacy: nil, candidates: 0))
        bench.create()
        _ = bench.read()
        func hasRoom() -> Bool { bench.state.makeRoom(sessions: 1, bytes: 0, at: bench.now) }
        #expect(!hasRoom())
        bench.jump(.seconds(700))
        bench.append(.heartbeat)
        _ = bench.read()
        bench.now += .milliseconds(999)
        #expect(!hasRoom())
        bench.now += .milliseconds(1)
        #expect(hasRoom())
    }

    @Test func `a log that is too large is compacted: old sessions are logged again, and it is trimmed`() {
        var options = Bench.options
        options.minimumLogSize = 1 << 20
        options.retention = .seconds(4000)
        var bench = Bench()
        bench.state = ReplicationState(options)
        bench.append(.origin)
        bench.append(.activate(candidacy: nil, candidates: 0))
        let old = bench.create()
        let created = bench.entries.last!.position
        bench.entrySize = 50_000
        for _ in 0..<15 { bench.append(.heartbeat) }
        _ = bench.read()
        func due() -> [LogEntry.Content] {
            bench.state.maintenanceDue(RefreshRule(age: .seconds(2000)), limit: 10, at: bench.now)
        }
        func hasRoom() -> Bool { bench.state.makeRoom(sessions: 1, bytes: 0, at: bench.now) }
        #expect(due().isEmpty)
        let repeatable = bench.target()
        #expect(repeatable.trimBound < created, "what follows could be appended once more")
        bench.jump(.seconds(3))
        bench.append(.heartbeat)
        _ = bench.read()
        let kept = bench.target()
        #expect(kept.trimBound == created, "the session is needed")
        for _ in 0..<15 { bench.append(.heartbeat) }
        _ = bench.read()
        guard case .snapshot(let id, _, _)? = due().first else { return #expect(Bool(false), "not due") }
        #expect(id == old)
        #expect(hasRoom())
        for _ in 0..<20 { bench.append(.heartbeat) }
        _ = bench.read()
        #expect(!hasRoom(), "compaction does not keep up")
        bench.append(.snapshot(id, asOf: bench.state.applied, bench.state.serving!.table[id]!))
        _ = bench.read()
        let compacted = bench.target()
        #expect(compacted.trimBound > created)
        #expect(hasRoom())
    }

    @Test func `after a clock that was ahead is put right, all limits work at once`() {
        var bench = Bench.live
        let before = bench.create()
        bench.jump(.seconds(120))
        let meanwhile = bench.create()
        bench.append(.touch(before, digest: [1]))
        _ = bench.read()
        // Two minutes back, while the positions go on.
        bench.lag = 120_000
        bench.now += .milliseconds(300)
        _ = bench.read()
        #expect(bench.state.now(at: bench.now)!.milliseconds < 1_800_000_010_000)
        #expect(
            bench.state.maintenanceDue(RefreshRule(age: .seconds(400)), limit: 1, at: bench.now)
                == [.heartbeat]
        )
        bench.append(.heartbeat)
        _ = bench.read()
        let after = bench.create()
        _ = bench.read()
        for id in [before, meanwhile, after] {
            let session = bench.state.serving!.table[id]!.session
            #expect(session.times.expiry.milliseconds <= 1_800_000_000_100 + 600_000)
            #expect(session.times.deadline.milliseconds <= 1_800_000_000_100 + 3_600_000)
            #expect(session.times.deadline.milliseconds >= 1_800_000_000_000 + 3_600_000)
        }
    }

    @Test func `entries are late by the positions, whatever the clock was set to`() {
        var bench = Bench.live
        let applied = bench.state.applied.milliseconds
        let first = bench.target()
        #expect(first.notAfter == applied + 1000)
        bench.now += .seconds(20)
        let later = bench.target()
        #expect(later.notAfter == applied + 21_000)
        bench.lag = 50_000
        _ = bench.read()
        bench.now += .seconds(1)
        _ = bench.read()
        let setBack = bench.target()
        #expect(setBack.notAfter == applied + 1000, "not before the clock has caught up, or an entry came")
        let late = bench.entries.last!.entry
        var entry = LogEntry(epoch: late.epoch, nonce: 4711, content: .heartbeat)
        entry.notAfter = applied
        var replica = bench.state.serving!
        guard case .refused = replica.apply(entry, at: bench.beyond) else {
            return #expect(Bool(false), "not late")
        }
        entry.notAfter = applied + 10
        guard case .none = replica.apply(entry, at: LogPosition(milliseconds: applied + 5, sequence: 0))
        else {
            return #expect(Bool(false), "late")
        }
    }

    @Test func `an older log is not followed, but replaced for the sessions that are known`() {
        var bench = Bench.live
        bench.create()
        _ = bench.read()
        let old = bench.entries
        let session = bench.create()
        _ = bench.read()
        let rank = LogRank(epoch: 1, position: bench.state.applied)
        bench.entries = old
        #expect(bench.read() == .readOn)
        #expect(!bench.state.isMet(.writable))
        #expect(bench.read() == .beginLog(after: old.last!.position))
        #expect(bench.state.serving?.table[session] != nil && !bench.state.isMet(.writable))
        bench.epoch += 1
        bench.append(.origin)
        #expect(bench.read() == .awaitEntries)
        #expect(bench.state.recoveryStatus?.rank == rank)
        #expect(bench.state.serving?.table[session] != nil)
    }

    @Test func `an instance that waits for those with sessions says so`() {
        var bench = Bench()
        bench.append(.origin)
        _ = bench.read()
        #expect(bench.state.readRequested(bench.request()) == .wait(for: .writable, orFail: .noSessions))
    }

    @Test func `alone, an instance answers for the stated time`() {
        var bench = Bench.live
        let applied = bench.state.applied
        bench.now += .seconds(59)
        let read = bench.request()
        #expect(
            bench.state.boundsReceived(nil, for: read, applied: applied, at: bench.now) == .answer(.cutOff)
        )
        bench.now += .seconds(1)
        let late = bench.request()
        #expect(
            bench.state.boundsReceived(nil, for: late, applied: applied, at: bench.now)
                == .fail(.cutOffTooLong)
        )
        #expect(bench.state.readRequested(bench.request()) == .fail(.cutOffTooLong))
    }
}
