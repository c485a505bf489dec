// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// A log in memory, and a random writer of all kinds of changes.
struct LogScript {
    var generator: SplitMix
    var entries: [(moment: LogMoment, entry: LogEntry)] = []
    var epoch: UInt64 = 0
    private var time: UInt64 = 1_800_000_000_000
    /// Whether the clock of Redis is never set back.
    var isSteady = false
    /// By how much the clock of Redis is behind the positions, in milliseconds.
    private var lag: Int64 = 0
    private var sessions: [(id: SessionID, digests: [[UInt8]])] = []
    private let users: [[UInt8]] = [[1], [2], [3]]

    init(seed: UInt64) {
        generator = SplitMix(state: seed)
        begin()
    }

    mutating func append(_ content: LogEntry.Content) {
        // Time advances slowly, jumps now and then, and stands still.
        time += [0, 0, 1, 20, 400, 5000, 30_000][Int(generator.next() % 7)]
        // Now and then the clock is set back, and put right later.
        if !isSteady, generator.next() % 60 == 0 {
            lag = [0, 500, 40_000, 200_000][Int(generator.next() % 4)]
        }
        let last = entries.last?.moment.position
        let sequence = last.map { $0.milliseconds == time ? $0.sequence + 1 : 0 } ?? 0
        entries.append(
            (
                LogMoment(
                    position: LogPosition(milliseconds: time, sequence: sequence),
                    time: SessionInstant(milliseconds: Int64(time) - lag)
                ),
                LogEntry(epoch: epoch, nonce: generator.next(), notAfter: time + 1000, content: content)
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
                        lifetime: .seconds(3600),
                        persistence: generator.next() % 2 == 0 ? .persistent : nil,
                        age: generator.next() % 2 == 0 ? .seconds(10) : nil
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
                        lifetime: .seconds(1800),
                        persistence: [nil, .browserSession, .persistent][Int(generator.next() % 3)],
                        age: [nil, .zero, .seconds(20)][Int(generator.next() % 3)]
                    )
                )
            case 2: rotation = .elevate(secretHash: next, principal: [6])
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
    mutating func follow(_ entries: some Sequence<(moment: LogMoment, entry: LogEntry)>) {
        for (moment, entry) in entries where moment.position > applied { _ = apply(entry, at: moment) }
    }

    /// Applies an entry that was appended at the time that its position shows.
    mutating func apply(_ entry: LogEntry, at position: LogPosition) -> Outcome {
        apply(entry, at: LogMoment(position: position, time: position.instant))
    }

    /// All sessions that can still be observed.
    mutating func sessions() -> [SessionID: ReplicatedRecord] {
        table.sweep(at: now)
        return table.records
    }
}

extension LogPosition {
    /// The time that it shows if the clock of Redis was never set back.
    var instant: SessionInstant { SessionInstant(milliseconds: Int64(clamping: milliseconds)) }
}
