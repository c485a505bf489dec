// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import TestSupport
import Testing

/// A failover to a replica whose clock differs from the primary's.
@Suite(
    .limited,
    .timeLimit(.minutes(10)),
    .enabled("this server is linked statically, so its clock is the machine's") {
        try await RedisServer.takesClockOffset()
    }
) struct ClockDifferenceTests {
    /// A primary, its replica, and a store that reaches whichever the address leads to.
    private final class World: Sendable {
        let primary: RedisServer
        let replica: RedisServer
        let proxy: TCPProxy
        let client: RedisClient
        let store: RedisSessionStore
        let prefix = "t\(UUID().uuidString.prefix(8))"

        init(clockOffset: Int) async throws {
            // A user of its own: Valkey would lead the default one elsewhere.
            let user = ["--user", "app", "on", ">pw", "~*", "&*", "+@all"]
            primary = try await RedisServer(user + ["--repl-diskless-sync-delay", "0"])
            let follow = ["--replicaof", "127.0.0.1", "\(primary.port)"]
            replica = try await RedisServer(user + follow, clockOffset: clockOffset)
            proxy = try await TCPProxy(to: primary.port)
            client = try patientClient("redis://app:pw@localhost:\(proxy.port)")
            store = try RedisSessionStore(client, application: prefix)
            let follower = replica
            let follows = await poll(seconds: 20) {
                (try? await follower.admin("INFO", "replication"))?.contains("master_link_status:up") == true
            }
            #expect(follows)
        }

        func failOver() async throws {
            try await primary.replicated(to: replica)
            try await replica.admin("REPLICAOF", "NO", "ONE")
            proxy.lead(to: replica.port)
            let connects = client.statistics.connects
            await primary.crash()
            // A command on a connection that is about to be lost would fail; that is not what these tests are about.
            let isLost = await poll(seconds: 20) { self.client.statistics.lostConnections >= connects }
            #expect(isLost)
        }

        func letTimePass(_ duration: Duration, on server: RedisServer) async throws {
            try await RedisFixture.letTimePass(duration, server: server, client: client, prefix: prefix)
        }

        /// Milliseconds on a server's clock.
        func time(of server: RedisServer) async throws -> Int {
            let lines = try await server.admin("TIME").split(separator: "\n").compactMap { Int($0) }
            return lines[0] * 1000 + lines[1] / 1000
        }

        func close() async {
            await client.shutdown()
            await proxy.close()
        }
    }

    @Test(arguments: [30, -30]) func `a failover to it ends and revives no session, and refuses no write`(
        seconds: Int
    ) async throws {
        let world = try await World(clockOffset: seconds)
        let store = world.store
        let ahead = try await world.time(of: world.replica) - world.time(of: world.primary)
        #expect(abs(ahead - seconds * 1000) < 10_000)
        let idle = try await store.start(["item": "1"])
        try await world.letTimePass(.seconds(1801), on: world.primary)
        let user = try await store.signIn(try await store.start(["item": "1"]), as: "ann")
        let ended = try await store.start(["item": "2"], as: "ann")
        _ = try await store.end(try await store.found(ended))
        let replaced = try await store.start(["item": "3"])
        let renewed = try await store.renew(replaced)
        try await world.failOver()

        // A server that is ahead refuses the first write by its clock; it is sent again with its own time.
        let before = world.client.statistics.commands
        _ = try await store.start(["item": "4"])
        let made = world.client.statistics.commands - before
        #expect(seconds > 0 ? (3...4).contains(made) : made == 1, "\(made)")
        let record = try await store.found(user)
        #expect(record.principal == "ann")
        #expect(record.times.expiry - record.now <= .seconds(1800))
        guard case .absent(let reason) = try await store.load(ended) else {
            return #expect(Bool(false), "a session that was ended is back")
        }
        #expect(reason != .unknown)
        guard case .absent(.unknown) = try await store.load(idle) else {
            return #expect(Bool(false), "a session that had expired is back")
        }
        _ = try await store.found(renewed)
        // While the server's clock is behind the last use, a read asks for its time. Not counted exactly: with Redis 6
        // it is another step that has to ask.
        let start = world.client.statistics.commands
        #expect(try await store.set("item", to: "new", in: user))
        #expect((3...4).contains(world.client.statistics.commands - start))
        let later = try await store.start(["item": "5"], as: "ann")
        #expect(try await store.sessions(of: "ann").count == 2)
        _ = try await store.end(try await store.found(later))
        #expect(try await store.sessions(of: "ann").count == 1)
        await world.close()
    }

    @Test(arguments: [30, -30]) func `sliding expiry goes on there, off by no more than the difference`(
        seconds: Int
    ) async throws {
        let world = try await World(clockOffset: seconds)
        let store = world.store
        let (used, unused) = (try await store.start(["item": "1"]), try await store.start(["item": "2"]))
        try await world.failOver()
        let (new, slack) = (world.replica, abs(seconds) + 10)
        for _ in 0..<3 {
            try await world.letTimePass(.seconds(1700 - slack), on: new)
            let record = try await store.found(used)
            _ = try await store.touch(record, isDue: true)
            let isTouched = await poll(seconds: 5) {
                let left = try? await new.admin("PTTL", "\(world.prefix):s:{\(record.id)}")
                return (1_790_000...1_800_000).contains(left.flatMap { Int($0) } ?? 0)
            }
            #expect(isTouched)
        }
        guard case .absent(.unknown) = try await store.load(unused) else {
            return #expect(Bool(false), "outlived its idle timeout")
        }
        try await world.letTimePass(.seconds(1800 + slack), on: new)
        guard case .absent(.unknown) = try await store.load(used) else {
            return #expect(Bool(false), "outlived its idle timeout")
        }
        await world.close()
    }
}

extension RedisSessionStore {
    /// Reads a session and sets an attribute; returns whether that was stored.
    fileprivate func set(_ key: String, to value: String, in credential: SessionCredential) async throws
        -> Bool
    {
        let change = SessionChange(
            operations: [key: .set(Array(value.utf8))],
            rotation: .none,
            policy: SessionPolicy()
        )
        if case .committed = try await commit(change, to: try await found(credential)) { return true }
        return false
    }
}
