// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import Synchronization
import TestSupport
import Testing

@testable import RedisSessions

/// One server for the suite; each test has a log of its own.
private let shared = Task { try await RedisServer() }

extension SessionStore {
    /// A session of this store, and the credential for it.
    func make(_ attributes: [String: [UInt8]] = [:], principal: String? = nil) async throws -> SessionRecord {
        let commit = try await create(
            SessionDraft(attributes: attributes, principal: principal, policy: SessionPolicy())
        )
        guard case .committed(_, _, let credential?, _) = commit else {
            throw SessionError(.noSession, "not created")
        }
        return try await found(credential)
    }

    func found(_ credential: SessionCredential) async throws -> SessionRecord {
        guard case .found(let record) = try await load(credential) else {
            throw SessionError(.noSession, "not found")
        }
        return record
    }

    /// Sets an attribute; returns the credential with the new version.
    @discardableResult
    func set(_ name: String, _ value: UInt8, _ record: SessionRecord) async throws -> SessionCredential {
        let change = SessionChange(operations: [name: .set([value])], policy: SessionPolicy())
        guard case .committed(_, _, let credential, _) = try await commit(change, to: record) else {
            throw SessionError(.noSession, "not committed")
        }
        return credential ?? record.credential
    }
}

@Suite(.limited) struct `Replicated store` {
    @Test(arguments: SessionStoreContract.rules) func `keeps the contract`(rule: SessionStoreContract.Rule)
        async throws
    {
        try await rule.check(try await ReplicaFleet(1, on: try await shared.value).harness)
    }

    @Test(arguments: SessionStoreContract.rules)
    func `keeps the contract when requests land on any of three instances`(
        rule: SessionStoreContract.Rule
    ) async throws {
        try await rule.check(
            try await ReplicaFleet(
                3,
                on: try await shared.value,
                peppers: [SessionPepper(Array(7..<7 + 32))]
            )
            .harness
        )
    }

    @Test func `answers reads without a command, and appends once for each change`() async throws {
        let fleet = try await ReplicaFleet(1, on: try await RedisServer()) { options in
            options.blockTimeout = .seconds(30)
            options.freshness = .seconds(60)
        }
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]], principal: "ann")
        let before = (store.statistics.appended, try await fleet.server.commandCounts())
        for _ in 0..<100 { _ = try await store.found(record.credential) }
        #expect(store.statistics.appended == before.0)
        #expect(try await fleet.server.commandCounts()["evalsha"] == before.1["evalsha"])
        #expect(try await fleet.server.commandCounts()["xadd"] == before.1["xadd"])
        var latest = record
        for number in 0..<10 {
            latest = try await store.found(try await store.set("a", UInt8(number), latest))
        }
        _ = try await store.touch(latest, isDue: true)
        #expect(try await store.end(latest) == .ended)
        #expect(store.statistics.appended == before.0 + 12)
    }

    @Test func `sends a token with the newest version, and only to clients with an older one`()
        async throws
    {
        let fleet = try await ReplicaFleet(2, on: try await shared.value)
        let record = try await fleet.stores[0].make()
        #expect(try await fleet.stores[0].touch(record, isDue: false) == nil)
        let newer = try await fleet.stores[0].set("a", 1, record)
        #expect(
            try #require(SessionToken(newer)?.version)
                > (try #require(SessionToken(record.credential)?.version))
        )
        #expect(SessionToken(newer)?.secret == SessionToken(record.credential)?.secret)
        try await fleet.settle()
        #expect(try await fleet.stores[1].refreshed(newer) == nil)
        #expect(try await fleet.stores[1].refreshed(record.credential)?.value == newer.value)
        let renewal = SessionChange(operations: [:], rotation: .renew, policy: SessionPolicy())
        guard case .committed(_, _, let renewed?, _) = try await fleet.stores[0].commit(renewal, to: record)
        else {
            return #expect(Bool(false), "not renewed")
        }
        try await fleet.settle()
        // An old secret is never sent again.
        let predecessor = try await fleet.stores[1].found(newer)
        #expect(predecessor.secretStatus == .previous)
        #expect(try await fleet.stores[1].refreshed(newer) == nil)
        let change = SessionChange(operations: ["b": .set([1])], policy: SessionPolicy())
        guard case .committed(_, _, nil, _) = try await fleet.stores[1].commit(change, to: predecessor) else {
            return #expect(Bool(false), "an old secret was sent again")
        }
        #expect(try await fleet.stores[1].found(renewed).attributes["b"] == [1])
    }

    @Test func `never shows a client less than it has seen, however late the entries are`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await shared.value) { options in
            options.freshness = .seconds(600)
            options.timeout = .milliseconds(500)
        }
        let (quick, slow) = (fleet.stores[0], fleet.stores[1])
        let record = try await quick.make(["a": [1]])
        try await fleet.settle()
        let gate = Gate()
        slow.beforeApplying(gate.pass)
        gate.close()
        let newer = try await quick.set("a", 2, record)
        #expect(await poll(seconds: 10) { gate.hasWaiters })
        // A client that has not seen the change gets the old state.
        #expect(try await slow.found(record.credential).attributes["a"] == [1])
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await slow.load(newer) }
        async let late = slow.found(newer)
        gate.open()
        if let late = try? await late { #expect(late.attributes["a"] == [2]) }
        #expect(try await slow.found(newer).attributes["a"] == [2])
    }

    @Test func `asks where the log ends when its end was not reached lately`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await shared.value) { options in
            options.freshness = .zero
            options.timeout = .milliseconds(500)
        }
        let (quick, slow) = (fleet.stores[0], fleet.stores[1])
        let record = try await quick.make(principal: "ann")
        _ = try await slow.found(record.credential)
        let gate = Gate()
        slow.beforeApplying(gate.pass)
        gate.close()
        #expect(try await quick.revokeAll(of: "ann", except: nil) == 1)
        // An old token gets an error rather than a session that was revoked.
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await slow.load(record.credential) }
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await slow.sessions(of: "ann") }
        gate.open()
        try await slow.ready()
        guard case .absent(.ended(.revocation)) = try await slow.load(record.credential) else {
            return #expect(Bool(false), "alive")
        }
    }

    @Test func `serves a token with a forged version like any other`() async throws {
        let fleet = try await ReplicaFleet(1, on: try await shared.value)
        let record = try await fleet.stores[0].make(["a": [1]])
        let ticket = try #require(SessionToken(record.credential))
        for version in [0, 1, 999_999_999_999_999_999] {
            #expect(try await fleet.stores[0].found(ticket.seen(version).credential).attributes["a"] == [1])
        }
        let unknown = SessionToken().seen(999_999_999_999_999_999)
        guard case .absent(.unknown) = try await fleet.stores[0].load(unknown.credential) else {
            return #expect(Bool(false))
        }
    }

    @Test func `every key has a time to live, and none shows a secret or a user name`() async throws {
        let fleet = try await ReplicaFleet(2, on: try await RedisServer())
        let record = try await fleet.stores[0].make(["a": [1]], principal: "hedwig-lamarr")
        var secrets = [try #require(SessionToken(record.credential)).secret]
        for rotation in [SessionChange.Rotation.renew, .signIn(principal: "hedwig-lamarr", keeping: [])] {
            let change = SessionChange(operations: [:], rotation: rotation, policy: SessionPolicy())
            let latest = try await fleet.stores[0].make(principal: "hedwig-lamarr")
            guard case .committed(_, _, let next?, _) = try await fleet.stores[0].commit(change, to: latest)
            else {
                return #expect(Bool(false), "not rotated")
            }
            secrets += [
                try #require(SessionToken(latest.credential)).secret,
                try #require(SessionToken(next)).secret,
            ]
        }
        #expect(try await fleet.server.keys() == ["\(fleet.prefix):log:\(fleet.prefix)"])
        #expect(
            Int(try await fleet.server.admin("PTTL", "\(fleet.prefix):log:\(fleet.prefix)")) ?? -1 > 3_600_000
        )
        let dump = try await RedisClient(RedisConfiguration(url: fleet.server.url)).send(
            RedisCommand("XRANGE", "\(fleet.prefix):log:\(fleet.prefix)", "-", "+")
        )
        #expect(dump.count >= 7)
        for index in 0..<dump.count {
            let bytes = try #require(dump[index][1][1].bytes)
            for secret in secrets + [Array("hedwig".utf8)] { #expect(!bytes.contains(secret)) }
            for secret in secrets { #expect(!bytes.contains(Base64URL.encode(secret))) }
        }
    }

    @Test func `throws when the number of sessions or bytes reaches its limit`() async throws {
        let fleet = try await ReplicaFleet(1, on: try await shared.value) { options in
            options.maximumSessions = 3
            options.maximumBytes = 100
        }
        let store = fleet.stores[0]
        let record = try await store.make(["a": [UInt8](repeating: 1, count: 90)])
        await #expect(throws: SessionError(.storeFull, "")) {
            try await store.set("b", 1, try await store.make(["c": Array(repeating: 1, count: 20)]))
        }
        let change = SessionChange(
            operations: ["b": .set(Array(repeating: 1, count: 20))],
            policy: SessionPolicy()
        )
        await #expect(throws: SessionError(.storeFull, "")) { try await store.commit(change, to: record) }
        try await store.set("a", 1, record)
        for _ in 0..<2 { _ = try await store.make() }
        let appended = store.statistics.appended
        await #expect(throws: SessionError(.storeFull, "")) { try await store.make() }
        #expect(store.statistics.appended == appended && store.statistics.sessions == 3)
        // Expired sessions make room once the log's own time has advanced.
        try await fleet.advance(.seconds(2000))
        await #expect(throws: SessionError(.storeFull, "")) { try await store.make() }
        store.log.submit(.heartbeat)
        try await fleet.settle()
        // Looked for at most once a second.
        #expect(await poll(seconds: 10) { (try? await store.make()) != nil })
    }

    @Test func `a full replica takes sign-ins and ends visitors first, alike on all instances`() async throws
    {
        let fleet = try await ReplicaFleet(2, on: try await shared.value) { options in
            options.maximumSessions = 4
            options.maximumBytes = 100
        }
        let (store, other) = (fleet.stores[0], fleet.stores[1])
        func alive(_ records: [SessionRecord]) async throws -> [Int] {
            try await fleet.settle()
            var alive: [Int] = []
            for (number, record) in records.enumerated() {
                let credential = record.credential
                let loads = [try await store.load(credential), try await other.load(credential)]
                let found = loads.count { if case .found = $0 { true } else { false } }
                #expect(found != 1, "the instances differ")
                if found > 0 { alive.append(number) }
            }
            return alive
        }
        var visitors: [SessionRecord] = []
        for _ in 0..<4 {
            visitors.append(try await store.make(["a": [1]]))
            try await fleet.advance(.seconds(1))
            store.log.submit(.heartbeat)
            try await fleet.settle()
        }
        await #expect(throws: SessionError(.storeFull, "")) { try await store.make() }
        let ann = try await store.make(["a": [1]], principal: "ann")
        #expect(try await alive(visitors) == [1, 2, 3])
        _ = try await store.make(["a": Array(repeating: 1, count: 94)], principal: "ann")
        #expect(try await alive(visitors) == [3])
        #expect(try await alive([ann]) == [0])
        for _ in 0..<2 { _ = try await store.make(principal: "ann") }
        await #expect(throws: SessionError(.storeFull, "")) { try await store.make(principal: "ann") }
        await #expect(throws: SessionError(.storeFull, "")) { try await store.make() }
    }

    @Test func `a renewed session is read while Redis is away`() async throws {
        let fleet = try await ReplicaFleet(1, on: try await RedisServer()) { $0.timeout = .seconds(2) }
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]])
        let renewal = SessionChange(operations: [:], rotation: .renew, policy: SessionPolicy())
        guard case .committed(_, _, let renewed?, _) = try await store.commit(renewal, to: record) else {
            return #expect(Bool(false), "not renewed")
        }
        await fleet.server.crash()
        #expect(try await store.found(renewed).attributes["a"] == [1])
    }

    @Test func `answers nothing before the log was read`() async throws {
        let server = try await shared.value
        let store = try ReplicatedSessionStore(
            RedisClient(RedisConfiguration(url: server.url)),
            application: "idle"
        )
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.check() }
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await store.load(SessionToken().credential)
        }
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.make() }
        guard case .absent(.malformed) = try await store.load(SessionCredential("x")) else {
            return #expect(Bool(false))
        }
    }

    @Test func `refuses invalid options`() async throws {
        let client = RedisClient(try RedisConfiguration(url: "redis://127.0.0.1:1"))
        let wrong = SessionError(.invalidConfiguration, "")
        #expect(throws: wrong) {
            try ReplicatedSessionStore(client, application: "a", retention: .seconds(10))
        }
        #expect(throws: wrong) {
            try ReplicatedSessionStore(client, application: "a", retention: .seconds(8 * 86_400))
        }
        #expect(throws: wrong) { try ReplicatedSessionStore(client, application: "a", maximumSessions: 0) }
        #expect(throws: wrong) { try ReplicatedSessionStore(client, application: "a", maximumBytes: 0) }
        #expect(throws: wrong) { try ReplicatedSessionStore(client, application: "a*") }
    }

    @Test func `works under the least privileges that its documentation names`() async throws {
        let rules = try ReplicatedSessionStore.accessRules(application: "app").split(separator: " ")
        let server = try await RedisServer(["--user", "app", "on", ">pw"] + rules.map(String.init))
        let member = try ReplicaFleet.member("redis://app:pw@127.0.0.1:\(server.port)", "app:1")
        defer { member.running.cancel() }
        try await member.store.ready()
        let record = try await member.store.make(principal: "ann")
        try await member.store.set("a", 1, record)
        #expect(try await member.store.revokeAll(of: "ann", except: nil) == 1)
        #expect(try await server.admin("ACL", "LOG") == "")
    }

    @Test func `keeps the contract under the least privileges`() async throws {
        let rules = try ReplicatedSessionStore.accessRules(application: "app")
            .replacing("~app:*", with: "~t*").split(separator: " ").map(String.init)
        let server = try await RedisServer(["--user", "app", "on", ">pw"] + rules)
        let url = "redis://app:pw@127.0.0.1:\(server.port)"
        for rule in SessionStoreContract.rules {
            try await rule.check(try await ReplicaFleet(1, on: server, url: url).harness)
        }
        #expect(try await server.admin("ACL", "LOG") == "")
    }
}
