// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing

@testable import RedisSessions

/// The memory that the log needs in Redis, and a Redis without any.
@Suite(.limited) struct `Replicated store: size of the log` {
    private func key(_ fleet: ReplicaFleet) -> String { "\(fleet.prefix):log:\(fleet.prefix)" }

    private func firstPosition(_ fleet: ReplicaFleet) async throws -> LogPosition? {
        let first = try await fleet.server.admin("XRANGE", key(fleet), "-", "+", "COUNT", "1")
        return LogPosition(String(first.prefix { $0 != "\n" }))
    }

    @Test func `a value that is overwritten again and again does not fill Redis`() async throws {
        let server = try await RedisServer(["--maxmemory", "16mb", "--maxmemory-policy", "noeviction"])
        let fleet = try await ReplicaFleet(2, on: server) { $0.minimumLogSize = 4 << 20 }
        let other = try await fleet.stores[1].make(["a": [1]], principal: "ann")
        let busy = try await fleet.stores[0].make()
        let change = SessionChange(
            operations: ["a": .set(Array(repeating: 1, count: 60_000))],
            policy: SessionPolicy()
        )
        for _ in 0..<800 {
            guard case .committed = try await fleet.stores[0].commit(change, to: busy) else {
                return #expect(Bool(false), "not committed")
            }
        }
        try await fleet.settle()
        // The old session has been logged again, so that a new instance has it.
        let late = try ReplicaFleet.member(server.url, fleet.prefix)
        defer { late.running.cancel() }
        try await late.store.ready()
        #expect(try await late.store.found(other.credential).principal == "ann")
        _ = try await fleet.stores[1].make(principal: "bob")
        #expect(try await fleet.stores[1].end(other) == .ended)
        #expect(fleet.stores.allSatisfy { $0.statistics.recoveries == 1 })
    }

    @Test func `a full Redis takes ends, touches and snapshots, and no new data`() async throws {
        let server = try await RedisServer(["--maxmemory-policy", "noeviction"])
        let fleet = try await ReplicaFleet(1, on: server)
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]], principal: "ann")
        _ = try await store.make(principal: "ann")
        let second = try await store.make(principal: "bob")
        try await server.admin("CONFIG", "SET", "maxmemory", "1")
        let full = SessionError(.storeFull, "")
        await #expect(throws: full) { try await store.make() }
        await #expect(throws: full) { try await store.set("a", 2, record) }
        let before = store.statistics.applied
        _ = try await store.touch(record, isDue: true)
        #expect(await poll(seconds: 10) { store.statistics.applied > before })
        #expect(try await store.end(second) == .ended)
        #expect(try await store.revokeAll(of: "ann", except: nil) == 2)
        // What is lost then comes back, too.
        try await server.admin("DEL", key(fleet))
        #expect(await poll(seconds: 10) { store.statistics.recoveries == 2 })
        guard case .absent(.ended(.revocation)) = try await store.load(record.credential) else {
            return #expect(Bool(false), "back")
        }
        try await server.admin("CONFIG", "SET", "maxmemory", "0")
        _ = try await store.make()
    }

    @Test func `hundreds of large sessions that are due at once are logged again`() async throws {
        let start = ContinuousClock.now
        let server = try await RedisServer(["--stream-node-max-entries", "10"])
        let retention = Duration.seconds(4)
        let fleet = try await ReplicaFleet(2, on: server) { options in
            options.retention = retention
            options.minimumLogSize = 256 << 20
        }
        let value = [UInt8](repeating: 1, count: 40_000)
        for _ in 0..<300 { _ = try await fleet.stores[0].make(["a": value]) }
        try await fleet.settle()
        // A restored log has them all at one position.
        try await server.restart()
        for store in fleet.stores { try await store.ready() }
        let bound = try #require(LogPosition(fleet.stores[0].statistics.position))
        #expect(
            await poll(seconds: 60) {
                (try? await firstPosition(fleet)).flatMap { $0 }.map { $0 > bound } ?? false
            }
        )
        let late = try ReplicaFleet.member(server.url, fleet.prefix)
        defer { late.running.cancel() }
        try await late.store.ready()
        #expect(late.store.statistics.sessions == 300)
        // Each is logged at most twice by either instance in a retention, not without end.
        let retentions = (ContinuousClock.now - start) / retention
        let appended = fleet.stores.map(\.statistics.appended).reduce(0, +)
        #expect(Double(appended) < 300 * 4 * (retentions + 1), "\(retentions) retentions")
    }
}
