// SPDX-License-Identifier: Apache-2.0

import Hiredis
import RedisSessions
import Sessions
import TestSupport
import Testing

/// What a server that is frozen or lacks rights does to sessions in cookies.
@Suite(.limited, .serialized, .timeLimit(.minutes(10))) struct `Revocable store, faults` {
    /// One server, one signed-in session, and a client that gives up early.
    private struct Site {
        let server: RedisServer
        let store: RevocableSessionStore
        /// The store with all rights and with patience.
        let owner: RevocableSessionStore
        let cookie: SessionCredential
        let admin: RedisClient

        init(_ server: RedisServer, user: String = "") async throws {
            self.server = server
            admin = try patientClient(server.url)
            owner = try Self.store(admin)
            var configuration = try RedisConfiguration(url: "redis://\(user)127.0.0.1:\(server.port)")
            configuration.commandTimeout = .milliseconds(user.isEmpty ? 1500 : 5000)
            store = try Self.store(RedisClient(configuration))
            cookie = try await owner.start(["item": "tea"], as: "ann")
        }

        private static func store(_ client: RedisClient) throws -> RevocableSessionStore {
            try RevocableSessionStore(
                SealedSessionStore(RevocableFixture.keys(), application: "shop"),
                revocations: client,
                application: "shop"
            )
        }

        /// All that the server holds, by key.
        func contents() async throws -> [String: String] {
            var contents: [String: String] = [:]
            for key in try await server.keys() {
                let isHash = try await server.admin("TYPE", key) == "hash"
                contents[key] = try await server.admin(isHash ? "HGETALL" : "GET", key)
                #expect(try await server.admin("PTTL", key) != "-1", "\(key) has no time to live")
            }
            return contents
        }
    }

    private struct Write: Sendable {
        let name: String
        var isEnd = false
        let run: @Sendable (RevocableSessionStore, SessionRecord) async throws -> Void
    }

    private static func rotation(_ name: String, _ rotation: SessionChange.Rotation) -> Write {
        Write(name: name) { store, record in
            let change = SessionChange(operations: [:], rotation: rotation, policy: SessionPolicy())
            _ = try await store.commit(change, to: record)
        }
    }

    /// Every write of the store that waits for Redis.
    private static let writes = [
        rotation("renew", .renew),
        rotation("elevate", .elevate),
        rotation("sign-in", .signIn(principal: "bob", keeping: [])),
        Write(name: "create") { store, _ in _ = try await store.start(as: "eve") },
        Write(name: "end", isEnd: true) { store, record in _ = try await store.end(record) },
        Write(name: "revoke of a user", isEnd: true) { store, record in
            _ = try await store.revoke(record.id, of: "ann")
        },
        Write(name: "revoke all", isEnd: true) { store, _ in
            _ = try await store.revokeAll(of: "ann", except: nil)
        },
        Write(name: "revoke", isEnd: true) { store, record in try await store.revoke(record.id) },
    ]

    @Test(arguments: writes.indices) func `a write that was refused does not happen when the server thaws`(
        index: Int
    ) async throws {
        let site = try await Site(try await RedisServer())
        let record = try await site.store.found(site.cookie)
        // The server's clock is asked for with the first write.
        try await site.store.revoke(SessionID())
        let before = try await site.contents()
        site.server.freeze()
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await Self.writes[index].run(site.store, record)
        }
        site.server.thaw()
        // The commands that were on their way are executed before this one.
        _ = try await site.admin.send(RedisCommand("PING"))
        try await Task.sleep(for: .milliseconds(200))
        #expect(try await site.contents() == before, "\(Self.writes[index].name)")
        #expect(try await site.owner.user(site.cookie) == "ann")
    }

    /// The commands of the scripts, and those that the store sends itself.
    private static let commands = [
        "time", "get", "set", "pexpire", "pttl", "hset", "pexpireat", "hmget", "hget", "hgetall", "hdel",
    ]

    @Test(arguments: commands) func `a missing right is found by the check, and costs nobody a session`(
        missing: String
    ) async throws {
        let server = try await RedisServer()
        try await server.admin("ACL", "SETUSER", "app", "on", ">pw", "~shop:*", "+@all")
        let site = try await Site(server, user: "app:pw@")
        let record = try await site.store.found(site.cookie)
        try await site.store.check()
        try await server.admin("ACL", "SETUSER", "app", "-\(missing)")
        let error = await #expect(throws: SessionError.self) { try await site.store.check() }
        #expect(error?.code == .storeUnavailable && error?.message.contains(missing.uppercased()) == true)
        for write in Self.writes {
            do { try await write.run(site.store, record) } catch let error as SessionError {
                #expect(error.code == .storeUnavailable, "\(write.name): \(error)")
                // Without HMGET no session of a user can be read, so no request gets as far as a write.
                if !write.isEnd, missing != "hmget" {
                    #expect(try await site.owner.user(site.cookie) == "ann", "\(write.name)")
                }
            }
            _ = try await site.contents()
            // For the next write, whatever this one was able to do.
            try await server.admin("FLUSHALL")
        }
    }

    @Test func `a check leaves nothing behind`() async throws {
        let site = try await Site(try await RedisServer())
        let before = try await site.contents()
        try await site.store.check()
        try await Task.sleep(for: .milliseconds(10))
        #expect(try await site.contents() == before)
        // A full server is ready for what it holds.
        try await site.server.admin("CONFIG", "SET", "maxmemory", "1")
        try await site.store.check()
    }
}
