// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hiredis
import RedisSessions
import Sessions
import Synchronization
import TestSupport
import Testing

/// What a server that is frozen, lacks rights or has its clock set does to sessions: nothing behind anybody's back.
@Suite(.limited, .serialized, .timeLimit(.minutes(10))) struct `Redis store, faults` {
    /// One server, one signed-in session, and a client that gives up early.
    private struct Site {
        let server: RedisServer
        let store: RedisSessionStore
        let record: SessionRecord
        let admin: RedisClient

        init(_ server: RedisServer, user: String = "") async throws {
            self.server = server
            var configuration = try RedisConfiguration(url: "redis://\(user)127.0.0.1:\(server.port)")
            configuration.commandTimeout = .milliseconds(user.isEmpty ? 1500 : 5000)
            admin = try patientClient(server.url)
            let maker = try RedisSessionStore(admin, application: "shop")
            let draft = SessionDraft(
                attributes: ["list": Array("a".utf8), "n": Array("1".utf8), "text": Array("x".utf8)],
                principal: "ann",
                policy: SessionPolicy()
            )
            guard case .committed(_, _, let credential?, _) = try await maker.create(draft) else {
                throw SessionError(.noSession, "not created")
            }
            store = try RedisSessionStore(RedisClient(configuration), application: "shop")
            guard case .found(let record) = try await store.load(credential) else {
                throw SessionError(.noSession, "not loaded")
            }
            self.record = record
        }

        /// All that the server holds, by key, but for times of use and the entries of lists.
        ///
        /// A list may name a session that does not exist; it is skipped there.
        func contents() async throws -> [String: String] {
            let script = """
                local contents = {}
                for _, key in ipairs(redis.call('KEYS', '*')) do
                  local texts = {}
                  if redis.call('TYPE', key).ok == 'hash' then
                    local fields = redis.call('HGETALL', key)
                    for i = 1, #fields, 2 do
                      if fields[i] ~= '@used' then texts[#texts + 1] = fields[i] .. '=' .. fields[i + 1] end
                    end
                    table.sort(texts)
                  end
                  contents[#contents + 1] = key
                  contents[#contents + 1] = redis.sha1hex(table.concat(texts, ' '))
                    .. (redis.call('PTTL', key) == -1 and ' without end' or '')
                end
                return contents
                """
            let reply = try await admin.send(RedisCommand("EVAL", script, "0"))
            var contents: [String: String] = [:]
            for index in stride(from: 0, to: reply.count, by: 2) {
                let key = reply[index].string ?? ""
                let content = reply[index + 1].string
                #expect(content?.hasSuffix("without end") == false, "\(key) has no time to live")
                if !key.hasPrefix("shop:u:") { contents[key] = content }
            }
            return contents
        }
    }

    /// Every write of a store.
    private static let writes:
        [(name: String, run: @Sendable (RedisSessionStore, SessionRecord) async throws -> Void)] = [
            ("commit", { store, record in try await store.change(record, ["list": .set([97, 98])]) }),
            ("increment", { store, record in try await store.change(record, ["n": .increment(1)]) }),
            ("remove", { store, record in try await store.change(record, ["text": .remove]) }),
            ("renew", { store, record in try await store.change(record, [:], .renew) }),
            (
                "sign-in",
                { store, record in
                    try await store.change(record, [:], .signIn(principal: "bob", keeping: ["n"]))
                }
            ),
            (
                "create",
                { store, _ in
                    let draft = SessionDraft(
                        attributes: ["a": [1]],
                        principal: "eve",
                        policy: SessionPolicy()
                    )
                    _ = try await store.create(draft)
                }
            ),
            ("end", { store, record in _ = try await store.end(record) }),
            ("revoke of a user", { store, record in _ = try await store.revoke(record.id, of: "ann") }),
            ("revoke all", { store, _ in _ = try await store.revokeAll(of: "ann", except: nil) }),
            ("revoke", { store, record in try await store.revoke(record.id) }),
        ]

    @Test(arguments: writes.indices) func `a write that was refused does not happen when the server thaws`(
        index: Int
    ) async throws {
        let site = try await Site(try await RedisServer())
        // The clock is asked for with the first write.
        try await site.store.change(site.record, ["other": .set([1])])
        let before = try await site.contents()
        site.server.freeze()
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await Self.writes[index].run(site.store, site.record)
        }
        site.server.thaw()
        // The commands that were on their way are executed before this one.
        _ = try await site.admin.send(RedisCommand("PING"))
        try await Task.sleep(for: .milliseconds(200))
        #expect(try await site.contents() == before, "\(Self.writes[index].name)")
    }

    /// The commands of the scripts that change something, and those that they only read with.
    private static let commands = [
        "hset", "hget", "hmget", "hgetall", "hkeys", "hdel", "hincrby", "pexpire", "pexpireat", "del",
        "exists", "time", "pttl", "zadd", "zrange", "zremrangebyscore", "zrem",
    ]

    @Test(arguments: commands)
    func `a missing right is found by the check, and stops writes before they begin`(
        missing: String
    ) async throws {
        let server = try await RedisServer()
        try await server.admin("ACL", "SETUSER", "app", "on", ">pw", "~shop:*", "+@all")
        let site = try await Site(server, user: "app:pw@")
        try await site.store.check()
        try await server.admin("ACL", "SETUSER", "app", "-\(missing)")
        let error = await #expect(throws: SessionError.self) { try await site.store.check() }
        #expect(error?.code == .storeUnavailable && error?.message.contains(missing.uppercased()) == true)
        for write in Self.writes {
            let before = try await site.contents()
            do { try await write.run(site.store, site.record) } catch let error as SessionError {
                #expect(error.code == .storeUnavailable, "\(write.name): \(error)")
                let after = try await site.contents()
                // An end that cannot leave its mark has ended the session all the same.
                let isEnd = write.name == "end" || write.name.hasPrefix("revoke")
                #expect(after == before || isEnd, "\(write.name) without \(missing)")
            }
            _ = try await site.contents()
        }
    }

    @Test func `a check leaves nothing behind, also when it fails`() async throws {
        let site = try await Site(try await RedisServer())
        let before = try await site.contents()
        try await site.store.check()
        #expect(try await site.contents() == before)
        // A full server is ready for what it holds.
        try await site.server.admin("CONFIG", "SET", "maxmemory", "1")
        try await site.store.check()
        #expect(try await site.contents() == before)
    }

    @Test func `a server that cannot do what the stores need is told in one sentence`() async throws {
        let renamed = try await RedisServer([
            "--rename-command", "EVAL", "", "--rename-command", "EVALSHA", "",
        ])
        let store = try RedisSessionStore(patientClient(renamed.url), application: "shop")
        let unknown = await #expect(throws: SessionError.self) { try await store.check() }
        #expect(unknown?.message.contains("does not know one") == true)

        let server = try await RedisServer()
        try await server.admin("ACL", "SETUSER", "app", "on", ">pw", "~shop:*", "+@all", "-xadd")
        let client = try patientClient("redis://app:pw@127.0.0.1:\(server.port)")
        let replicated = try ReplicatedSessionStore(client, application: "shop")
        let denied = await #expect(throws: SessionError.self) { try await replicated.check() }
        #expect(denied?.message.contains("XADD") == true)
    }

    @Test(arguments: [3, 10, 86_400]) func `a server clock that is set back ends no session in use`(
        seconds: Int
    ) async throws {
        let redis = try await RedisFixture()
        let credential = try await redis.session(["a": [1]], principal: "ann").credential
        _ = try await redis.store.load(credential)
        try await redis.letTimePass(.seconds(-seconds))
        guard case .found(let record) = try await redis.store.load(credential) else {
            return #expect(Bool(false), "signed out by \(seconds) s")
        }
        #expect(record.principal == "ann" && record.times.expiry - record.now <= .seconds(1800))
        try await redis.store.change(record, ["b": .set([2])])
        #expect(try await redis.store.sessions(of: "ann").count == 1)
        // And the limits go on from there.
        try await redis.letTimePass(.seconds(seconds + 1801))
        guard case .absent(.unknown) = try await redis.store.load(credential) else {
            return #expect(Bool(false), "outlived its idle timeout")
        }
    }
}

extension RedisSessionStore {
    @discardableResult
    fileprivate func change(
        _ record: SessionRecord,
        _ operations: [String: SessionChange.Operation],
        _ rotation: SessionChange.Rotation = .none
    ) async throws -> SessionCommitResult {
        try await commit(
            SessionChange(operations: operations, rotation: rotation, policy: SessionPolicy()),
            to: record
        )
    }
}
