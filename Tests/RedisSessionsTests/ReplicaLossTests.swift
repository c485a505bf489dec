// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import Synchronization
import TestSupport
import Testing

@testable import RedisSessions

/// Behaviour without Redis, without the log, and without parts of it.
///
/// Each test has a server of its own.
@Suite(.limited) struct `Replicated store without its log` {
    private static let unavailable = SessionError(.storeUnavailable, "")

    /// Starts stores with short timeouts, because most requests here get no answer.
    private func fleet(
        _ count: Int,
        on server: RedisServer,
        _ adjust: (inout LogOptions) -> Void = { _ in }
    ) async throws
        -> ReplicaFleet
    {
        try await ReplicaFleet(count, on: server) { options in
            options.timeout = .seconds(1)
            options.freshness = .zero
            adjust(&options)
        }
    }

    @Test func `while Redis is away reads go on, writes fail, and no session counts as absent`() async throws
    {
        let fleet = try await fleet(2, on: try await RedisServer())
        let (first, second) = (fleet.stores[0], fleet.stores[1])
        let record = try await first.make(["a": [1]], principal: "ann")
        let ended = try await first.make()
        _ = try await first.end(ended)
        try await fleet.settle()
        await fleet.server.crash()
        for store in fleet.stores {
            #expect(try await store.found(record.credential).attributes["a"] == [1])
            guard case .absent(.ended(.signOut)) = try await store.load(ended.credential) else {
                return #expect(Bool(false), "alive")
            }
            // Another instance may have created the session, and served a newer state of it.
            await #expect(throws: Self.unavailable) { try await store.load(SessionToken().credential) }
            let ahead = try #require(SessionToken(record.credential)).seen(999_999_999_999_999_999)
            await #expect(throws: Self.unavailable) { try await store.load(ahead.credential) }
            await #expect(throws: Self.unavailable) { try await store.set("a", 2, record) }
            await #expect(throws: Self.unavailable) { try await store.make() }
            await #expect(throws: Self.unavailable) { try await store.end(record) }
            await #expect(throws: Self.unavailable) { try await store.sessions(of: "ann") }
            await #expect(throws: Self.unavailable) { try await store.revokeAll(of: "ann", except: nil) }
            await #expect(throws: Self.unavailable) { try await store.check() }
            #expect(try await store.found(record.credential).attributes["a"] == [1])
        }
        try await fleet.server.restart()
        for store in fleet.stores { try await store.ready() }
        try await second.set("a", 3, record)
        try await fleet.settle()
        #expect(try await first.found(record.credential).attributes["a"] == [3])
        #expect(try await first.sessions(of: "ann").map(\.id) == [record.id])
    }

    @Test func `a frozen Redis is treated as unavailable until it thaws`() async throws {
        let fleet = try await fleet(1, on: try await RedisServer())
        let record = try await fleet.stores[0].make(["a": [1]])
        fleet.server.freeze()
        #expect(try await fleet.stores[0].found(record.credential).attributes["a"] == [1])
        await #expect(throws: Self.unavailable) { try await fleet.stores[0].set("a", 2, record) }
        fleet.server.thaw()
        try await fleet.stores[0].ready()
        try await fleet.stores[0].set("a", 3, record)
    }

    @Test func `after Redis came back empty all sessions are restored, and ended ones stay ended`()
        async throws
    {
        let fleet = try await fleet(3, on: try await RedisServer())
        var alive: [SessionRecord] = []
        var ended: [SessionRecord] = []
        for number in 0..<600 {
            alive.append(
                try await fleet.stores[number % 3].make(["n": [UInt8(number % 250)]], principal: "u\(number)")
            )
        }
        for record in alive.suffix(100) {
            #expect(try await fleet.stores[0].end(record) == .ended)
            ended.append(record)
        }
        alive.removeLast(100)
        try await fleet.settle()
        let before = fleet.stores.map { $0.log.records }
        try await fleet.server.restart()
        for store in fleet.stores { try await store.ready() }
        try await fleet.settle()
        for (store, before) in zip(fleet.stores, before) {
            #expect(store.log.records == before)
            #expect(store.statistics.recoveries == 2)
        }
        // A new instance finds all sessions in the log.
        let late = try ReplicaFleet.member(fleet.server.url, fleet.prefix)
        defer { late.running.cancel() }
        try await late.store.ready()
        for record in alive {
            #expect(try await late.store.found(record.credential).principal == record.principal)
        }
        for record in ended {
            guard case .absent(.ended(.signOut)) = try await late.store.load(record.credential) else {
                return #expect(Bool(false), "back")
            }
            guard
                case .gone = try await fleet.stores[1].commit(
                    SessionChange(operations: [:], policy: SessionPolicy()),
                    to: record
                )
            else {
                return #expect(Bool(false), "changed")
            }
        }
    }

    @Test func `an end that one instance saw survives the loss of the log`() async throws {
        let fleet = try await fleet(3, on: try await RedisServer()) { $0.freshness = .seconds(600) }
        let record = try await fleet.stores[0].make(["a": [1]])
        let changed = try await fleet.stores[0].make(["a": [1]])
        try await fleet.settle()
        let gate = Gate()
        for store in fleet.stores[1...] { store.beforeApplying(gate.pass) }
        gate.close()
        #expect(try await fleet.stores[0].end(record) == .ended)
        let newer = try await fleet.stores[0].set("a", 2, changed)
        await fleet.server.crash()
        // The two others lose the entries together with their connections.
        gate.open(losing: true)
        guard case .found = try await fleet.stores[1].load(record.credential) else {
            return #expect(Bool(false), "the entries were not delayed")
        }
        try await fleet.server.restart()
        for store in fleet.stores { try await store.ready() }
        try await fleet.settle()
        for store in fleet.stores {
            guard case .absent(.ended(.signOut)) = try await store.load(record.credential) else {
                return #expect(Bool(false), "back")
            }
            #expect(try await store.found(newer).attributes["a"] == [2])
        }
    }

    @Test func `an instance that reconnects after a new log was activated drops what only it had`()
        async throws
    {
        let server = try await RedisServer()
        let fleet = try await fleet(2, on: server)
        let gate = Gate()
        let (here, away) = (fleet.stores[0], fleet.stores[1])
        let record = try await here.make(["a": [1]])
        try await fleet.settle()
        away.beforeApplying(gate.pass)
        gate.close()
        #expect(await poll(seconds: 10) { gate.hasWaiters })
        try await server.admin("DEL", "\(fleet.prefix):log:\(fleet.prefix)")
        try await here.ready()
        let second = try await here.make(["b": [2]])
        #expect(try await here.end(record) == .ended)
        gate.open()
        try await away.ready()
        try await fleet.settle()
        guard case .absent(.ended(.signOut)) = try await away.load(record.credential) else {
            return #expect(Bool(false), "back")
        }
        #expect(try await away.found(second.credential).attributes["b"] == [2])
        #expect(
            here.log.records == away.log.records
        )
    }

    @Test func `old sessions are logged again before they are trimmed, and a late instance has them all`()
        async throws
    {
        let server = try await RedisServer(["--stream-node-max-entries", "10"])
        let fleet = try await fleet(2, on: server) { $0.retention = .seconds(2) }
        var records: [SessionRecord] = []
        for number in 0..<50 {
            records.append(try await fleet.stores[0].make(["n": [UInt8(number)]], principal: "ann"))
        }
        #expect(try await fleet.stores[0].end(records[0]) == .ended)
        let key = "\(fleet.prefix):log:\(fleet.prefix)"
        let last = try #require(LogPosition(fleet.stores[0].statistics.position))
        // Waits until the entries that created them are trimmed, and those that replaced these as well.
        var bound = last
        for _ in 0..<2 {
            let isGone = await poll(seconds: 30) {
                let first = try? await server.admin("XRANGE", key, "-", "+", "COUNT", "1")
                return first.flatMap { LogPosition(String($0.prefix { $0 != "\n" })) }.map { $0 > bound }
                    ?? false
            }
            #expect(isGone)
            bound = try #require(LogPosition(fleet.stores[1].statistics.position))
        }
        #expect(Int(try await server.admin("XLEN", key)) ?? .max < 1000)
        let late = try ReplicaFleet.member(server.url, fleet.prefix)
        defer { late.running.cancel() }
        try await late.store.ready()
        for (number, record) in records.enumerated().dropFirst() {
            #expect(try await late.store.found(record.credential).attributes["n"] == [UInt8(number)])
        }
        guard case .absent(.ended(.signOut)) = try await late.store.load(records[0].credential) else {
            return #expect(Bool(false))
        }
        #expect(try await late.store.sessions(of: "ann").count == 49)
        #expect(fleet.stores.allSatisfy { $0.statistics.replays == 0 && $0.statistics.recoveries == 1 })
    }

    @Test func `an instance that was cut off for longer than the retention reads everything again`()
        async throws
    {
        let server = try await RedisServer(["--stream-node-max-entries", "2"])
        let fleet = try await fleet(2, on: server) { $0.retention = .seconds(1) }
        let (here, away) = (fleet.stores[0], fleet.stores[1])
        let record = try await here.make(["a": [1]])
        try await fleet.settle()
        let replays = away.statistics.replays
        let gate = Gate()
        away.beforeApplying(gate.pass)
        gate.close()
        #expect(await poll(seconds: 10) { gate.hasWaiters })
        let bound = try #require(LogPosition(away.statistics.position))
        let newer = try await here.set("a", 2, record)
        let isGone = await poll(seconds: 30) {
            let first = try? await server.admin(
                "XRANGE",
                "\(fleet.prefix):log:\(fleet.prefix)",
                "-",
                "+",
                "COUNT",
                "1"
            )
            return first.flatMap { LogPosition(String($0.prefix { $0 != "\n" })) }.map { $0 > bound } ?? false
        }
        #expect(isGone)
        gate.open(losing: true)
        try await away.ready()
        #expect(try await away.found(newer).attributes["a"] == [2])
        #expect(away.statistics.replays > replays)
    }

    @Test func `all instances agree again after Redis came back with less than it had`() async throws {
        let server = try await RedisServer()
        let fleet = try await fleet(2, on: server)
        let key = "\(fleet.prefix):log:\(fleet.prefix)"
        let record = try await fleet.stores[0].make(["a": [1]])
        try await fleet.settle()
        let gate = Gate()
        fleet.stores[1].beforeApplying(gate.pass)
        gate.close()
        let replays = fleet.stores[0].statistics.replays
        let newer = try await fleet.stores[0].set("a", 2, record)
        let position = fleet.stores[0].statistics.position
        // As after a failover to a replica that had not got the last entry, before the first instance asks
        // again.
        let script = "redis.call('XDEL', KEYS[1], ARGV[1]); return redis.call('XADD', KEYS[1], '*', 'e', 'x')"
        try await server.admin("EVAL", script, "1", key, position)
        gate.open(losing: true)
        #expect(await poll(seconds: 10) { fleet.stores[0].statistics.replays > replays })
        for store in fleet.stores { try await store.ready() }
        // What was acknowledged stays.
        #expect(try await fleet.stores[0].found(newer).attributes["a"] == [2])
        #expect(try await fleet.stores[1].found(newer).attributes["a"] == [2])
    }

    @Test func `unreadable entries are counted and change nothing`() async throws {
        let server = try await RedisServer()
        let fleet = try await fleet(2, on: server)
        let key = "\(fleet.prefix):log:\(fleet.prefix)"
        let record = try await fleet.stores[0].make(["a": [1]])
        let refused = fleet.stores[1].statistics.refused
        for fields in [
            ["e", "x"], ["e", ""], ["f", "x"], ["e", "x", "f", "y"],
            ["e", String(repeating: "\u{1}", count: 200)],
        ] {
            _ = try await run("redis-cli", ["-s", server.socketPath, "XADD", key, "*"] + fields)
        }
        try await fleet.stores[0].set("a", 2, record)
        try await fleet.settle()
        #expect(fleet.stores[1].statistics.refused == refused + 5)
        #expect(try await fleet.stores[1].found(record.credential).attributes["a"] == [2])
        let late = try ReplicaFleet.member(server.url, fleet.prefix)
        defer { late.running.cancel() }
        try await late.store.ready()
        #expect(try await late.store.found(record.credential).attributes["a"] == [2])
    }

    @Test
    func `two applications with one key and different peppers refuse each other's entries, and lose nothing`()
        async throws
    {
        let server = try await RedisServer()
        let fleet = try await fleet(2, on: server)
        let record = try await fleet.stores[0].make(["a": [1]])
        let other = try ReplicaFleet.member(
            server.url,
            fleet.prefix,
            peppers: [SessionPepper(Array(9..<9 + 32))]
        )
        defer { other.running.cancel() }
        try await other.store.ready()
        #expect(other.store.statistics.refused > 0)
        guard case .absent(.unknown) = try await other.store.load(record.credential) else {
            return #expect(Bool(false), "shared")
        }
        let foreign = try await other.store.make(["b": [2]])
        try await fleet.stores[1].set("a", 2, record)
        try await fleet.settle()
        #expect(fleet.stores.allSatisfy { $0.statistics.refused > 0 })
        #expect(try await fleet.stores[0].found(record.credential).attributes["a"] == [2])
        guard case .absent(.unknown) = try await fleet.stores[0].load(foreign.credential) else {
            return #expect(Bool(false), "shared")
        }
        #expect(try await other.store.found(foreign.credential).attributes["b"] == [2])
    }

    @Test func `a key of another type is refused, and the log is recovered when it is gone`() async throws {
        let server = try await RedisServer()
        let fleet = try await fleet(1, on: server)
        let store = fleet.stores[0]
        let key = "\(fleet.prefix):log:\(fleet.prefix)"
        let record = try await store.make(["a": [1]])
        try await server.admin("DEL", key)
        try await store.ready()
        try await server.admin("SET", key, "x")
        #expect(await poll(seconds: 10) { store.statistics.refused > 0 })
        #expect(try await store.found(record.credential).attributes["a"] == [1])
        await #expect(throws: Self.unavailable) { try await store.set("a", 2, record) }
        await #expect(throws: Self.unavailable) { try await store.check() }
        #expect(try await server.admin("GET", key) == "x")
        try await server.admin("DEL", key)
        try await store.ready()
        try await store.set("a", 3, record)
        #expect(try await store.found(record.credential).attributes["a"] == [3])
    }
}
