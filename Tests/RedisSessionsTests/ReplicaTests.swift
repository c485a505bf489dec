// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@testable import RedisSessions

@Suite(.limited) struct `Replica of a log` {
    @Test(arguments: 1...40)
    func `a replica that starts from a trimmed log equals those that were always there`(seed: Int) throws {
        var script = LogScript(seed: UInt64(seed))
        var established = Replica()
        var helper = Replica()
        for round in 0..<600 {
            script.step()
            established.follow(script.entries.suffix(3))
            // The helper lags and appends snapshots of old sessions, as of its own position.
            if round % 5 == 0 { helper.follow(script.entries) }
            if round % 7 == 0 {
                let applied = helper.applied
                let bound = applied.earlier(by: .seconds(1800))
                for (id, record) in helper.table.takeDueForRefresh(before: bound, at: helper.now, limit: 50) {
                    script.append(.snapshot(id, asOf: applied, record))
                }
            }
        }
        established.follow(script.entries)
        helper.follow(script.entries)
        let expected = established.sessions()
        #expect(!expected.isEmpty)
        #expect(helper.sessions() == expected)
        // Entries before the oldest that is needed can be trimmed.
        let oldest = established.table.oldestNeeded(at: established.now)
        let needed = try #require(oldest)
        let retained = script.entries.filter { $0.moment.position >= needed }
        #expect(retained.count < script.entries.count)
        var late = Replica()
        late.follow(retained)
        late.reachedEnd()
        #expect(late.sessions() == expected)
        #expect(late.epoch == established.epoch)
        for user: [UInt8] in [[1], [2], [3]] {
            #expect(
                Set(late.table.liveSessions(of: user, at: late.now))
                    == Set(established.table.liveSessions(of: user, at: established.now))
            )
        }
    }

    @Test func `a snapshot as of a position that was trimmed is ignored`() {
        var script = LogScript(seed: 1)
        let id = SessionID()
        let digest = [UInt8](repeating: 1, count: 32)
        script.append(
            .create(
                id,
                HashedDraft(
                    attributes: [:],
                    principal: nil,
                    principalHash: nil,
                    secretHash: digest,
                    family: Array(repeating: 7, count: 16),
                    idleTimeout: .seconds(600),
                    lifetime: .seconds(3600)
                )
            )
        )
        var writer = Replica()
        writer.follow(script.entries)
        let copy = writer.table[id]!
        script.append(.end(id, digest: digest, tombstone: .seconds(300)))
        script.append(.snapshot(id, asOf: writer.applied, copy))
        var late = Replica()
        late.follow(script.entries.suffix(1))
        late.reachedEnd()
        #expect(late.table[id] == nil)
        // With the end still in the log it is applied on top.
        late = Replica()
        late.follow(script.entries.suffix(3))
        late.reachedEnd()
        #expect(late.table[id]?.session.endReason == .signOut)
    }

    @Test func `the revocation of all sessions of a user also ends one that a later snapshot shows`() {
        var script = LogScript(seed: 5)
        let id = SessionID()
        let draft = HashedDraft(
            attributes: [:],
            principal: [1],
            principalHash: [42],
            secretHash: [1],
            family: Array(repeating: 7, count: 16),
            idleTimeout: .seconds(600),
            lifetime: .seconds(3600)
        )
        script.append(.create(id, draft))
        var writer = Replica()
        writer.follow(script.entries)
        let start = script.entries.count
        script.append(.heartbeat)
        writer.follow(script.entries)
        let copy = writer.table[id]!
        script.append(.revokeAll(user: [42], except: nil, tombstone: .seconds(300)))
        script.append(.snapshot(id, asOf: writer.applied, copy))
        var late = Replica()
        late.follow(script.entries[start...])
        late.reachedEnd()
        #expect(late.table[id]?.session.endReason == .revocation)
    }

    @Test func `the revocation of all but one session of a user spares that one in a later snapshot`() {
        var script = LogScript(seed: 6)
        let id = SessionID()
        let draft = HashedDraft(
            attributes: [:],
            principal: [1],
            principalHash: [42],
            secretHash: [1],
            family: Array(repeating: 7, count: 16),
            idleTimeout: .seconds(600),
            lifetime: .seconds(3600)
        )
        script.append(.create(id, draft))
        let start = script.entries.count
        script.append(.heartbeat)
        var established = Replica()
        established.follow(script.entries)
        let (record, asOf) = (established.table[id]!, established.applied)
        script.append(.revokeAll(user: [42], except: id, tombstone: .seconds(300)))
        script.append(.snapshot(id, asOf: asOf, record))
        established.follow(script.entries)
        var late = Replica()
        late.follow(script.entries[start...])
        late.reachedEnd()
        #expect(late.table[id]?.session.endReason == nil)
        #expect(late.table[id] == established.table[id])
    }

    @Test func `a new log has the sessions of the best candidate, once they are complete`() {
        var script = LogScript(seed: 2)
        script.isSteady = true
        for _ in 0..<100 { script.step() }
        var ahead = Replica()
        ahead.follow(script.entries)
        var behind = Replica()
        behind.follow(script.entries.prefix(60))
        #expect(ahead.sessions() != behind.sessions())
        let origin = LogEntry(epoch: 9, nonce: 9, content: .origin)
        guard case .replaced = ahead.apply(origin, at: LogPosition(milliseconds: .max, sequence: 0)) else {
            return #expect(Bool(false), "a live replica followed another log")
        }
        script.epoch = 9
        let start = script.entries.count
        script.append(.origin)
        script.append(.candidacy(rank: behind.rank!))
        let slow = script.entries.last!.entry.nonce
        script.append(.candidacy(rank: ahead.rank!))
        let fast = script.entries.last!.entry.nonce
        script.append(.activate(candidacy: nil, candidates: 0))
        script.append(.activate(candidacy: slow, candidates: 2))
        script.append(.touch(SessionID(), digest: []))
        for (candidacy, replica) in [(slow, behind), (fast, ahead)] {
            for (id, record) in replica.table.records {
                script.append(.transfer(candidacy: candidacy, id, record))
            }
            script.append(.transferComplete(candidacy: candidacy, count: replica.table.count))
        }
        script.append(.activate(candidacy: fast, candidates: 1))
        var fresh = Replica()
        fresh.follow(script.entries[start...])
        #expect(!fresh.isLive && fresh.recovery?.candidates.first?.nonce == fast)
        script.append(.activate(candidacy: fast, candidates: 2))
        script.append(.activate(candidacy: slow, candidates: 2))
        script.append(.transfer(candidacy: slow, SessionID(), ahead.table.records.first!.value))
        fresh.follow(script.entries)
        #expect(fresh.isLive)
        #expect(fresh.table.records == ahead.table.records)
    }

    @Test func `an entry written for another log changes nothing`() {
        var script = LogScript(seed: 3)
        for _ in 0..<50 { script.step() }
        var replica = Replica()
        replica.follow(script.entries)
        let before = replica.table.records
        script.epoch = 0
        let count = script.entries.count
        for _ in 0..<50 { script.step() }
        for (moment, entry) in script.entries[count...] {
            guard case .refused = replica.apply(entry, at: moment) else {
                return #expect(Bool(false), "applied")
            }
        }
        #expect(replica.table.records == before)
        // An entry of a newer log shows that this log was replaced.
        guard
            case .replaced = replica.apply(
                LogEntry(epoch: 7, nonce: 1, content: .heartbeat),
                at: LogPosition(milliseconds: .max, sequence: 0)
            )
        else { return #expect(Bool(false), "not noticed") }
    }
}
