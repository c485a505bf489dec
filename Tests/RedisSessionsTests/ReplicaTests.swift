// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@testable import RedisSessions

/// A log in memory, and a random writer of all kinds of changes.
private struct Script {
    var generator: SplitMix
    var entries: [(position: LogPosition, entry: LogEntry)] = []
    var epoch: UInt64 = 0
    private var time: UInt64 = 1_800_000_000_000
    private var sessions: [(id: SessionID, digests: [[UInt8]])] = []
    private let users: [[UInt8]] = [[1], [2], [3]]

    init(seed: UInt64) {
        generator = SplitMix(state: seed)
        begin()
    }

    mutating func append(_ content: LogEntry.Content) {
        // Time advances slowly, jumps now and then, and stands still.
        time += [0, 0, 1, 20, 400, 5000, 30_000][Int(generator.next() % 7)]
        let sequence =
            entries.last.map { $0.position.milliseconds == time ? $0.position.sequence + 1 : 0 } ?? 0
        entries.append(
            (
                LogPosition(milliseconds: time, sequence: sequence),
                LogEntry(epoch: epoch, nonce: generator.next(), content: content)
            )
        )
    }

    /// Begins a new log without sessions.
    mutating func begin() {
        epoch += 1
        append(.origin)
        append(.activate(candidacy: nil, candidates: 0))
    }

    mutating func step() {
        if sessions.isEmpty || generator.next() % 6 == 0 {
            let id = SessionID()
            let digest = bytes(32)
            sessions.append((id, [digest]))
            append(
                .create(
                    id,
                    HashedDraft(
                        attributes: ["n": Array("1".utf8)],
                        principal: [9],
                        principalHash: generator.next() % 2 == 0 ? user() : nil,
                        secretHash: digest,
                        idleTimeout: .seconds(600),
                        lifetime: .seconds(3600)
                    )
                )
            )
            return
        }
        let index = Int(generator.next() % UInt64(sessions.count))
        let (id, digests) = sessions[index]
        let digest = digests[Int(generator.next() % UInt64(digests.count))]
        let tombstone = Duration.seconds(300)
        switch generator.next() % 16 {
        case 0: append(.end(id, digest: digest, tombstone: tombstone))
        case 1: append(.revoke(id, user: generator.next() % 2 == 0 ? user() : nil, tombstone: tombstone))
        case 2:
            append(
                .revokeAll(
                    user: user(),
                    except: generator.next() % 2 == 0 ? id : nil,
                    tombstone: tombstone
                )
            )
        case 3, 4, 5: append(.touch(id, digest: digest))
        case 6: append(.heartbeat)
        default:
            let next = bytes(32)
            var rotation = HashedChange.Rotation.none
            switch generator.next() % 6 {
            case 0: rotation = .renew(secretHash: next, principal: [8])
            case 1:
                rotation = .signIn(
                    .init(
                        secretHash: next,
                        principal: [7],
                        principalHash: user(),
                        keeping: ["n"],
                        idleTimeout: .seconds(300),
                        lifetime: .seconds(1800)
                    )
                )
            default: break
            }
            if rotation != .none { sessions[index].digests.append(next) }
            let operation: SessionChange.Operation = [.set([1]), .remove, .increment(1)][
                Int(generator.next() % 3)
            ]
            append(
                .commit(
                    id,
                    digest: digest,
                    version: Int(generator.next() % 4),
                    HashedChange(
                        operations: [["n", "m"][Int(generator.next() % 2)]: operation],
                        needsVersion: generator.next() % 2 == 0,
                        maximumBytes: 100,
                        rotation: rotation,
                        grace: rotation == .none ? .zero : .seconds(30)
                    )
                )
            )
        }
    }

    private mutating func user() -> [UInt8] { users[Int(generator.next() % 3)] }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }
}

/// A generator whose numbers depend on its seed only.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

extension Replica {
    /// Applies the entries that have not been applied yet.
    fileprivate mutating func follow(_ entries: some Sequence<(position: LogPosition, entry: LogEntry)>) {
        for (position, entry) in entries where position > applied { _ = apply(entry, at: position) }
    }

    /// All sessions that can still be observed.
    fileprivate mutating func sessions() -> [SessionID: ReplicatedRecord] {
        table.sweep(at: now)
        return table.records
    }
}

@Suite struct `Replica of a log` {
    @Test(arguments: 1...40)
    func `a replica that starts from a trimmed log equals those that were always there`(seed: Int) throws {
        var script = Script(seed: UInt64(seed))
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
        #expect(expected.count > 3)
        #expect(helper.sessions() == expected)
        // Entries before the oldest that is needed can be trimmed.
        let oldest = established.table.oldestNeeded(at: established.now)
        let needed = try #require(oldest)
        let retained = script.entries.filter { $0.position >= needed }
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
        var script = Script(seed: 1)
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
        var script = Script(seed: 5)
        let id = SessionID()
        let draft = HashedDraft(
            attributes: [:],
            principal: [1],
            principalHash: [42],
            secretHash: [1],
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
        var script = Script(seed: 6)
        let id = SessionID()
        let draft = HashedDraft(
            attributes: [:],
            principal: [1],
            principalHash: [42],
            secretHash: [1],
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
        var script = Script(seed: 2)
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
        script.append(.candidacy(rank: behind.applied))
        let slow = script.entries.last!.entry.nonce
        script.append(.candidacy(rank: ahead.applied))
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
        var script = Script(seed: 3)
        for _ in 0..<50 { script.step() }
        var replica = Replica()
        replica.follow(script.entries)
        let before = replica.table.records
        script.epoch = 0
        let count = script.entries.count
        for _ in 0..<50 { script.step() }
        for (position, entry) in script.entries[count...] {
            guard case .refused = replica.apply(entry, at: position) else {
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

@Suite struct `Log entry` {
    private func codec(_ prefix: String = "a", pepper: UInt8 = 1) throws -> LogEntryCodec {
        LogEntryCodec(
            try RecordCrypto(application: "a", peppers: [SessionPepper(Array(repeating: pepper, count: 32))]),
            prefix: prefix
        )
    }

    private var entries: [LogEntry] {
        var script = Script(seed: 4)
        for _ in 0..<200 { script.step() }
        var replica = Replica()
        replica.follow(script.entries)
        for (id, record) in replica.table.records {
            script.append(.snapshot(id, asOf: replica.applied, record))
            script.append(.transfer(candidacy: 5, id, record))
        }
        script.append(.candidacy(rank: replica.applied))
        script.append(.transferComplete(candidacy: 5, count: 3))
        script.append(.activate(candidacy: 5, candidates: 1))
        return script.entries.map(\.entry)
    }

    @Test func `is decoded from its bytes`() throws {
        let codec = try codec()
        for entry in entries { #expect(codec.decode(codec.encode(entry)) == entry) }
    }

    @Test func `is refused when cut, changed, lengthened, or written with another prefix or pepper`() throws {
        let codec = try codec()
        let others = [try self.codec("b"), try self.codec(pepper: 2)]
        for entry in entries.suffix(40) {
            let bytes = codec.encode(entry)
            for length in 0..<bytes.count { #expect(codec.decode(Array(bytes.prefix(length))) == nil) }
            for index in bytes.indices {
                var changed = bytes
                changed[index] ^= 1 << UInt8(index % 8)
                #expect(codec.decode(changed) == nil)
            }
            #expect(codec.decode(bytes + [0]) == nil)
            for other in others { #expect(other.decode(bytes) == nil) }
        }
    }

    @Test func `has a position that grows, in at most 18 digits`() {
        let positions = [
            LogPosition.start, LogPosition(milliseconds: 1_800_000_000_000, sequence: 0),
            LogPosition(milliseconds: 1_800_000_000_000, sequence: 1),
            LogPosition(milliseconds: 1_800_000_000_001, sequence: 0),
            LogPosition(milliseconds: 3_900_000_000_000, sequence: 1 << 20),
            LogPosition(milliseconds: .max, sequence: .max),
        ]
        for (left, right) in zip(positions, positions.dropFirst()) {
            #expect(left < right && left.version <= right.version)
        }
        #expect(positions[1].version < positions[2].version && positions[2].version < positions[3].version)
        #expect(positions.allSatisfy { "\($0.version)".count <= 18 && LogPosition("\($0)") == $0 })
        for text in ["", "1", "-", "1-", "-1", "1-1-1", "a-1", "+", "1-18446744073709551616"] {
            #expect(LogPosition(text) == nil)
        }
    }
}
