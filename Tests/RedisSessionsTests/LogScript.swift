// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// A log in memory, and a random writer of all kinds of changes.
struct LogScript {
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
                        family: Array(repeating: 7, count: 16),
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
struct SplitMix: RandomNumberGenerator {
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
    mutating func follow(_ entries: some Sequence<(position: LogPosition, entry: LogEntry)>) {
        for (position, entry) in entries where position > applied { _ = apply(entry, at: position) }
    }

    /// All sessions that can still be observed.
    mutating func sessions() -> [SessionID: ReplicatedRecord] {
        table.sweep(at: now)
        return table.records
    }
}
