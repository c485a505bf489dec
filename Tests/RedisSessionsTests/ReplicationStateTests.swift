// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@testable import RedisSessions

@Suite(.limited) struct `Replication state: reads` {
    @Test func `before the log was read, a read waits for it`() {
        let bench = Bench()
        #expect(bench.state.readRequested(bench.request()) == .wait(for: .writable, orFail: .notRead))
        #expect(!bench.state.isMet(.writable) && bench.state.serving == nil)
        #expect(bench.state.now(at: bench.now) == nil)
    }

    @Test func `after the end of the log was reached, a read is answered until that is too long ago`() {
        var bench = Bench.live
        #expect(bench.state.readRequested(bench.request()) == .answer(.fresh))
        #expect(bench.state.readRequested(bench.request(bench.state.applied)) == .answer(.fresh))
        bench.now += .milliseconds(999)
        #expect(bench.state.readRequested(bench.request()) == .answer(.fresh))
        bench.now += .milliseconds(1)
        let applied = bench.state.applied
        #expect(bench.state.readRequested(bench.request()) == .askBounds(applied: applied))
    }

    @Test func `a strict read, and one of a client that is ahead, ask where the log ends`() {
        let bench = Bench.live
        let ask = ReadAction.askBounds(applied: bench.state.applied)
        #expect(bench.state.readRequested(bench.request(strict: true)) == ask)
        #expect(bench.state.readRequested(bench.request(bench.beyond)) == ask)
    }

    @Test func `a read that waited for a log asks where it ends, because that may not have been read`() {
        var bench = Bench()
        bench.append(.origin)
        bench.append(.activate(candidacy: nil, candidates: 0))
        for _ in 0..<3 { bench.create() }
        let end = bench.entries.last!.position
        let read = bench.request(end)
        #expect(bench.state.readRequested(read) == .wait(for: .writable, orFail: .notRead))
        #expect(bench.read(limit: 3) == .readOn && bench.state.isMet(.writable))
        let applied = bench.state.applied
        #expect(bench.state.readWaited(read, for: .writable) == .askBounds(applied: applied))
        let bounds = LogBounds(last: end, time: 0)
        let action = bench.state.boundsReceived(bounds, for: read, applied: applied, at: bench.now)
        #expect(action == .wait(for: .applied(end), orFail: .lagging))
        #expect(bench.read() == .awaitEntries)
        #expect(bench.state.readWaited(read, for: .applied(end)) == .answer(.fresh))
    }

    @Test func `a read that finds a log older than the replica makes a client that is ahead wait`() {
        var bench = Bench.live
        let read = bench.request(bench.beyond)
        let bounds = LogBounds(last: bench.state.applied.earlier(by: .seconds(1)), time: 0)
        let action = bench.state.boundsReceived(
            bounds,
            for: read,
            applied: bench.state.applied,
            at: bench.now
        )
        #expect(action == .wait(for: .writable, orFail: .notWritable))
        #expect(!bench.state.isMet(.writable), "until the log has been read again")
    }

    @Test func `a read waits for what the answer shows, and confirms it`() {
        var bench = Bench.live
        bench.now += .seconds(5)
        let read = bench.request()
        let applied = bench.state.applied
        let last = bench.append(.heartbeat)
        let bounds = LogBounds(last: last, time: 0)
        let action = bench.state.boundsReceived(bounds, for: read, applied: applied, at: bench.now)
        #expect(action == .wait(for: .applied(last), orFail: .lagging))
        #expect(!bench.state.isMet(.applied(last)))
        #expect(bench.read() == .awaitEntries)
        #expect(bench.state.isMet(.applied(last)))
        bench.now += .seconds(5)
        let later = bench.request()
        #expect(bench.state.readRequested(later) == .askBounds(applied: last))
        bench.state.readCaughtUp(later)
        #expect(bench.state.readRequested(bench.request()) == .answer(.fresh))
    }

    @Test func `an answer older than what the log reader has applied since does not mean a lost log`() {
        var bench = Bench.live
        let (read, applied) = (bench.request(strict: true), bench.state.applied)
        bench.append(.heartbeat)
        _ = bench.read()
        let bounds = LogBounds(last: applied, time: 0)
        let action = bench.state.boundsReceived(bounds, for: read, applied: applied, at: bench.now)
        #expect(action == .wait(for: .applied(applied), orFail: .lagging))
        #expect(bench.state.isMet(.applied(applied)))
    }

    @Test func `without an answer the replica serves clients that it is not behind`() {
        var bench = Bench.live
        let applied = bench.state.applied
        let strict = bench.request(strict: true)
        let ahead = bench.request(bench.beyond)
        func answer(_ read: ReadRequest) -> ReadAction {
            bench.state.boundsReceived(nil, for: read, applied: applied, at: bench.now)
        }
        #expect(answer(strict) == .answer(.cutOff))
        #expect(answer(ahead) == .fail(.behindClient))
        // For a moment Redis is not asked again; a fresh replica need not ask anyway.
        #expect(bench.state.readRequested(bench.request()) == .answer(.fresh))
        #expect(bench.state.readRequested(bench.request(strict: true)) == .answer(.cutOff))
        #expect(bench.state.readRequested(bench.request(bench.beyond)) == .fail(.behindClient))
        bench.now += .milliseconds(500)
        #expect(bench.state.readRequested(bench.request(strict: true)) == .askBounds(applied: applied))
        // An answer ends the failure at once.
        _ = answer(strict)
        let bounds = LogBounds(last: applied, time: 0)
        _ = bench.state.boundsReceived(bounds, for: strict, applied: applied, at: bench.now)
        #expect(bench.state.readRequested(bench.request(strict: true)) == .askBounds(applied: applied))
    }

    @Test(arguments: ["missing", "shorter", "missed by an append", "being recovered"])
    func `without its log the replica serves clients that it is not behind, and the others wait`(
        loss: String
    ) {
        var bench = Bench.live
        bench.create()
        _ = bench.read()
        let applied = bench.state.applied
        var last: LogPosition? = applied
        switch loss {
        case "missing": last = nil
        case "shorter": last = applied.earlier(by: .seconds(1))
        case "missed by an append": bench.state.logMissed()
        default:
            bench.replace()
            #expect(bench.read() == .readOn && bench.read() == .awaitEntries)
            #expect(bench.state.recoveryStatus?.rank == LogRank(epoch: 1, position: applied))
            last = bench.entries.last?.position
        }
        let bounds = LogBounds(last: last, time: 0)
        for (read, expected) in [
            (bench.request(strict: true), ReadAction.answer(.cutOff)),
            (bench.request(bench.beyond), .wait(for: .writable, orFail: .notWritable)),
        ] {
            let action = bench.state.boundsReceived(bounds, for: read, applied: applied, at: bench.now)
            #expect(action == expected)
        }
        #expect(bench.state.serving?.table.count == 1)
    }
}

@Suite(.limited) struct `Replication state: the log` {
    @Test func `reading goes on until the end of the log`() {
        var bench = Bench()
        bench.append(.origin)
        bench.append(.activate(candidacy: nil, candidates: 0))
        for _ in 0..<3 { bench.create() }
        #expect(bench.read(limit: 4) == .readOn)
        #expect(bench.state.isMet(.writable), "the activation makes the log writable")
        #expect(bench.read(limit: 4) == .awaitEntries)
        #expect(bench.state.statistics.sessions == 3 && bench.state.statistics.applied == 5)
        #expect(bench.state.statistics.recoveries == 1 && bench.state.statistics.replays == 0)
    }

    @Test func `a log is begun where there is none, or none that can be read`() {
        var bench = Bench()
        #expect(bench.read() == .beginLog(after: nil))
        let foreign = LogPosition(milliseconds: 1, sequence: 0)
        let page = LogPage(
            after: .start,
            entries: [
                LogPage.Item(
                    moment: LogMoment(position: foreign, time: SessionInstant(milliseconds: 0)),
                    entry: nil
                )
            ],
            bounds: LogBounds(last: foreign, time: 0),
            asked: bench.now,
            received: bench.now
        )
        #expect(bench.state.pageRead(page) == .beginLog(after: foreign))
        #expect(bench.state.statistics.refused == 1)
    }

    @Test func `an entry of a log that did not begin here is passed over, and a new log begun`() {
        var bench = Bench.live
        let session = bench.create()
        _ = bench.read()
        for epoch: UInt64 in [2, 1, 2] {
            bench.epoch = epoch
            bench.append(.heartbeat)
        }
        let last = bench.entries.last!.position
        #expect(bench.read() == .readOn && bench.read() == .readOn, "it may be a log that was trimmed")
        #expect(bench.read() == .beginLog(after: last))
        #expect(bench.state.serving?.table[session] != nil)
    }

    @Test func `a new log is newer than all before, and begins after what was applied`() {
        var bench = Bench.live
        #expect(bench.state.newLog(after: nil, serverTime: 0, random: 0).epoch == 2)
        let log = bench.state.newLog(after: nil, serverTime: 5000, random: .max)
        #expect(log.epoch == 5000 << 20 | 0xF_FFFF)
        #expect(log.notBefore == bench.state.applied.milliseconds)
        bench.replace()
        _ = (bench.read(), bench.read())
        #expect(bench.state.recoveryStatus?.isCreator == false)
        bench.state.logBegun(bench.epoch)
        #expect(bench.state.recoveryStatus?.isCreator == true)
    }

    @Test func `a trimmed log is read again while requests see the old replica`() {
        var bench = Bench.live
        bench.create()
        _ = bench.read()
        let applied = bench.state.applied
        let session = bench.create()
        bench.entries.removeFirst(3)
        #expect(bench.read() == .readOn)
        #expect(bench.state.applied == .start && bench.state.serving?.applied == applied)
        #expect(!bench.state.isMet(.writable) && !bench.state.isMet(.applied(.start)))
        let target = bench.target()
        #expect(target.trimBound == .start && target.epoch == 1)
        #expect(bench.read() == .awaitEntries)
        #expect(bench.state.isMet(.writable) && bench.state.serving?.table[session] != nil)
        #expect(bench.state.statistics.replays == 1 && bench.state.statistics.recoveries == 1)
    }

    @Test func `a result is kept for the entries that were announced`() {
        var bench = Bench.live
        bench.state.writes.announced(77)
        #expect(!bench.state.isMet(.outcome(of: 77)) && bench.state.writes.result(of: 77) == nil)
        let position = bench.append(.touch(SessionID(), digest: []), nonce: 77)
        bench.append(.touch(SessionID(), digest: []), nonce: 78)
        _ = bench.read()
        #expect(bench.state.isMet(.outcome(of: 77)) && !bench.state.isMet(.outcome(of: 78)))
        #expect(bench.state.writes.result(of: 77)?.position == position)
        guard case .gone(.unknown) = bench.state.writes.result(of: 77)?.outcome else {
            return #expect(Bool(false), "another outcome")
        }
        bench.state.writes.finished(77)
        #expect(!bench.state.isMet(.outcome(of: 77)))
    }

    @Test func `an append that found no log makes it unwritable until its end is reached again`() {
        var bench = Bench.live
        bench.state.logMissed()
        #expect(!bench.state.isMet(.writable))
        #expect(bench.state.readRequested(bench.request()) == .askBounds(applied: bench.state.applied))
        bench.append(.heartbeat)
        _ = bench.read()
        #expect(bench.state.isMet(.writable))
    }

    @Test func `the log is trimmed to the retention, and no further than live sessions need`() {
        var bench = Bench.live
        bench.create()
        _ = bench.read()
        let created = bench.state.applied
        // The margin for what sessions need is a tenth of the retention.
        for (seconds, bound) in [(0, nil), (300, nil), (500, created.earlier(by: .seconds(40))), (700, nil)] {
            bench.jump(created.instant + .seconds(seconds) - bench.state.applied.instant)
            bench.append(.heartbeat)
            _ = bench.read()
            let retained = bench.state.applied.earlier(by: .seconds(400))
            let target = bench.target()
            #expect(target.trimBound == bound ?? retained)
        }
    }

    @Test func `a snapshot counts from before the entries that came while it was on its way`() throws {
        var bench = Bench.live
        let id = bench.create()
        bench.append(.heartbeat)
        _ = bench.read()
        let seen = bench.state.applied
        let record = try #require(bench.state.serving?.table[id])
        bench.jump(.seconds(1))
        bench.create()
        bench.append(.snapshot(id, asOf: seen, record))
        bench.jump(.seconds(480))
        bench.append(.heartbeat)
        _ = bench.read()
        #expect(bench.target().trimBound == seen.earlier(by: .seconds(40)))
    }

    @Test func `room is made by removing what has expired, and only then`() {
        var options = Bench.options
        options.maximumSessions = 2
        options.maximumBytes = 100
        var bench = Bench()
        bench.state = ReplicationState(options)
        func hasRoom(_ sessions: Int, _ bytes: Int) -> Bool {
            bench.now += .seconds(1)
            return bench.state.makeRoom(sessions: sessions, bytes: bytes, at: bench.now)
        }
        #expect(hasRoom(5, 500), "nothing is known yet")
        bench.append(.origin)
        bench.append(.activate(candidacy: nil, candidates: 0))
        bench.create()
        _ = bench.read()
        #expect(hasRoom(1, 96))
        #expect(!hasRoom(1, 97))
        #expect(!hasRoom(2, 0))
        bench.jump(.seconds(700))
        bench.append(.heartbeat)
        _ = bench.read()
        #expect(hasRoom(2, 100))
        #expect(bench.state.statistics.sessions == 0 && bench.state.statistics.bytes == 0)
    }

    @Test func `maintenance is a heartbeat for an idle log, and snapshots of old sessions for a busy one`() {
        var bench = Bench.live
        let session = bench.create()
        _ = bench.read()
        func due(_ age: Duration) -> [LogEntry.Content] {
            bench.state.maintenanceDue(RefreshRule(age: age), limit: 10, at: bench.now)
        }
        #expect(due(.seconds(1)).isEmpty)
        bench.now += .seconds(30)
        #expect(due(.seconds(1)) == [.heartbeat])
        bench.jump(.seconds(30))
        bench.append(.heartbeat)
        _ = bench.read()
        let snapshot = LogEntry.Content.snapshot(
            session,
            asOf: bench.state.applied,
            bench.state.serving!.table[session]!
        )
        #expect(due(.seconds(40)).isEmpty)
        #expect(due(.seconds(20)) == [snapshot])
        #expect(due(.seconds(20)).isEmpty, "taken already")
        bench.state.refreshFailed()
        #expect(due(.seconds(20)) == [snapshot])
        bench.append(snapshot)
        _ = bench.read()
        bench.state.refreshFailed()
        #expect(due(.seconds(20)).isEmpty, "logged since")
        bench.state.logMissed()
        bench.now += .seconds(60)
        #expect(due(.zero).isEmpty)
    }
}
