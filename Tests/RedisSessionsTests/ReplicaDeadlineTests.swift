// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing

@testable import RedisSessions

/// Changes that are late, repeated, or made while the clock of Redis does not agree with the log.
@Suite(.limited) struct `Replicated store: late and repeated entries` {
    private static let unavailable = SessionError(.storeUnavailable, "")

    private func key(_ fleet: ReplicaFleet) -> String { "\(fleet.prefix):log:\(fleet.prefix)" }

    /// Everything that can be asked for at once: one counter, one sign-in, one new session, two ends.
    private struct Sessions {
        let counted, signedIn, ended, revoked: SessionRecord

        init(_ store: ReplicatedSessionStore) async throws {
            counted = try await store.make(["n": Array("0".utf8)])
            signedIn = try await store.make()
            ended = try await store.make(principal: "eve")
            revoked = try await store.make(principal: "ann")
        }

        static let increment = SessionChange(operations: ["n": .increment(1)], policy: SessionPolicy())
        static let signIn = SessionChange(
            operations: [:],
            rotation: .signIn(principal: "bob", keeping: []),
            policy: SessionPolicy()
        )

        /// Asks for all of it, and expects that nothing is acknowledged.
        func expectFailures(_ store: ReplicatedSessionStore) async {
            await withTaskGroup { group in
                group.addTask {
                    await #expect(throws: unavailable) {
                        try await store.commit(Self.increment, to: counted)
                    }
                }
                group.addTask {
                    await #expect(throws: unavailable) { try await store.commit(Self.signIn, to: signedIn) }
                }
                group.addTask { await #expect(throws: unavailable) { try await store.make() } }
                group.addTask { await #expect(throws: unavailable) { try await store.end(ended) } }
                group.addTask {
                    await #expect(throws: unavailable) { try await store.revokeAll(of: "ann", except: nil) }
                }
            }
        }

        /// Expects that nothing has happened.
        func expectUnchanged(_ store: ReplicatedSessionStore, count: Int) async throws {
            try await store.check()
            #expect(try await store.found(counted.credential).attributes["n"] == Array("0".utf8))
            #expect(try await store.found(signedIn.credential).principal == nil)
            #expect(try await store.found(ended.credential).principal == "eve")
            #expect(try await store.found(revoked.credential).principal == "ann")
            #expect(store.statistics.sessions == count)
        }
    }

    @Test(arguments: ["frozen", "pausing"])
    func `what failed while Redis was away does not happen when it is back`(how: String) async throws {
        let fleet = try await ReplicaFleet(1, on: try await RedisServer()) { $0.timeout = .seconds(1) }
        let store = fleet.stores[0]
        let sessions = try await Sessions(store)
        // A pause holds commands back in the server, a freeze in the connection.
        if how == "frozen" {
            fleet.server.freeze()
        } else {
            try await fleet.server.admin("CLIENT", "PAUSE", "600000", "WRITE")
        }
        await sessions.expectFailures(store)
        if how == "frozen" { fleet.server.thaw() } else { try await fleet.server.admin("CLIENT", "UNPAUSE") }
        try await store.ready()
        try await sessions.expectUnchanged(store, count: 4)
        // A repetition counts once.
        let latest = try await store.found(sessions.counted.credential)
        guard
            case .committed(_, _, let credential?, _) = try await store.commit(Sessions.increment, to: latest)
        else { return #expect(Bool(false), "not committed") }
        #expect(try await store.found(credential).attributes["n"] == Array("1".utf8))
    }

    @Test func `an entry that is appended again has no effect, whenever it is`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await RedisServer()) { $0.timeout = .seconds(5) }
        let (first, second) = (fleet.stores[0], fleet.stores[1])
        let client = RedisClient(try RedisConfiguration(url: fleet.server.url))
        let record = try await first.make(principal: "ann")
        let counted = try await first.make(["n": Array("0".utf8)])
        _ = try await first.commit(Sessions.increment, to: counted)
        let log = try await client.send(RedisCommand("XRANGE", key(fleet), "-", "+"))
        let copies = try (0..<log.count).map { try #require(log[$0][1][1].bytes) }
        #expect(try await first.end(record) == .ended)

        func repeatAll(_ position: LogPosition?) async throws {
            for (index, copy) in copies.enumerated() {
                let id = position.map { "\($0.milliseconds)-\(index + 1)" } ?? "*"
                var command = RedisCommand("XADD", key(fleet), id, "e")
                command.append(copy)
                let time = first.log.now.milliseconds
                command.append("t")
                command.append("\(time)")
                _ = try await client.send(command)
            }
            try await fleet.settle()
        }
        // At once.
        try await repeatAll(nil)
        // And when the end has been forgotten.
        try await fleet.advance(.seconds(400))
        first.log.submit(.heartbeat)
        try await fleet.settle()
        for store in fleet.stores { store.log.sweep() }
        let last = try #require(LogPosition(first.statistics.position))
        try await repeatAll(LogPosition(milliseconds: last.milliseconds + 60_000, sequence: 0))
        for store in [first, second] {
            switch try await store.load(record.credential) {
            case .absent(.unknown): break
            default: Issue.record("back")
            }
            #expect(try await store.found(counted.credential).attributes["n"] == Array("1".utf8))
            #expect(store.statistics.recoveries == 1)
        }
        #expect(first.log.records == second.log.records)
        _ = try await second.make()
    }

    @Test func `positions go on at the speed of the clock after it was set back`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await RedisServer())
        let store = fleet.stores[0]
        var record = try await store.make(["a": [1]])
        let last = try #require(LogPosition(store.statistics.position))
        // The last entry of a clock that was a day ahead, and so busy that its millisecond is used up.
        let ahead = LogPosition(milliseconds: last.milliseconds + 86_400_000, sequence: 262_142)
        let time = "\(last.milliseconds + 86_400_000)"
        try await fleet.server.admin("XADD", key(fleet), ahead.description, "e", "x", "t", time)
        var versions: [Int] = []
        for number in 2..<6 {
            let credential = try await store.set("a", UInt8(number), record)
            versions.append(try #require(SessionToken(credential)?.version))
            // Another instance never shows an older state.
            record = try await fleet.stores[1].found(credential)
            #expect(record.attributes["a"] == [UInt8(number)])
        }
        #expect(versions == Array(Set(versions)).sorted())
        let end = try #require(LogPosition(store.statistics.position))
        #expect(end > ahead && end.milliseconds < ahead.milliseconds + 60_000)
        // Their time is that of the clock.
        #expect(store.log.now.milliseconds < Int64(last.milliseconds) + 60_000)
    }
}
