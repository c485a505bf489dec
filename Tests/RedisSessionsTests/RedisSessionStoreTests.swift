// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import SessionsTesting
import TestSupport
import Testing

/// One server for the suite; each test has a prefix of its own.
private let shared = Task { try await RedisServer() }

/// A client that gives a busy machine time; nothing here is about deadlines.
func patientClient(_ url: String) throws -> RedisClient {
    var configuration = try RedisConfiguration(url: url)
    configuration.commandTimeout = .seconds(20)
    return RedisClient(configuration)
}

/// A store below a fresh prefix, and the means to look behind it.
struct RedisFixture: Sendable {
    let server: RedisServer
    let client: RedisClient
    let store: RedisSessionStore
    let prefix = "t\(UUID().uuidString.prefix(8))"

    init(peppers: [SessionPepper] = [], server own: RedisServer? = nil) async throws {
        if let own { server = own } else { server = try await shared.value }
        client = try patientClient(server.url)
        store = try RedisSessionStore(client, application: prefix, peppers: peppers)
    }

    var harness: SessionStoreHarness { SessionStoreHarness(store: store) { try await letTimePass($0) } }

    /// Ages all records instead of waiting: every time of the server in them moves into the past, every time
    /// to live shrinks.
    func letTimePass(_ duration: Duration) async throws {
        try await Self.letTimePass(duration, server: server, client: client, prefix: prefix)
    }

    // `isAsking` is for a node of a cluster that may have keys of slots which are on their way to it.
    static func letTimePass(
        _ duration: Duration,
        server: RedisServer,
        client: RedisClient,
        prefix: String,
        isAsking: Bool = false
    ) async throws {
        guard duration >= .seconds(1) else { return }
        // What was sent without waiting for an answer must be there before it is aged.
        _ = try await client.send(RedisCommand("PING"))
        let script = """
            for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':*')) do
              local ms, type = tonumber(ARGV[2]), redis.call('TYPE', key).ok
              if type == 'hash' then
                for _, field in ipairs({'@created', '@used', '@rotated', '@deadline', '@old-until', '@old-replay',
                  '@authenticated'}) do
                  if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBY', key, field, -ms) end
                end
                if string.find(key, ARGV[1] .. ':d:', 1, true) then
                  for _, id in ipairs(redis.call('HKEYS', key)) do
                    local times = '^(%d+):(%d+):(%d+):(%d+):(%d+)$'
                    local created, used, deadline, idle, signin = string.match(redis.call('HGET', key, id), times)
                    if created then
                      local moved = {created - ms, used - ms, deadline - ms, idle, signin - ms}
                      redis.call('HSET', key, id, table.concat(moved, ':'))
                    end
                  end
                end
              elseif type == 'string' then
                local generations, valid = string.match(redis.call('GET', key), '^(.*:)(%d+)$')
                if generations then redis.call('SET', key, generations .. math.max(valid - ms, 0), 'KEEPTTL') end
              elseif type == 'zset' then
                for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ms, member) end
              end
              redis.call('PEXPIRE', key, redis.call('PTTL', key) - ms)
            end
            """
        let milliseconds = "\(duration.components.seconds * 1000)"
        guard isAsking else {
            let answer = try await server.admin("EVAL", script, "0", prefix, milliseconds)
            return #expect(answer.isEmpty, "not aged")
        }
        let own = try patientClient(server.url)
        let reply = try await own.withDedicatedConnection { connection in
            _ = try await connection.send(RedisCommand("ASKING"))
            return try await connection.send(RedisCommand("EVAL", script, "0", prefix, milliseconds))
        }
        #expect(reply.isNull, "not aged")
        await own.shutdown()
    }

    /// A stored session and its record.
    func session(
        _ attributes: [String: [UInt8]] = [:],
        principal: String? = nil,
        policy: SessionPolicy = SessionPolicy()
    ) async throws -> SessionRecord {
        let draft = SessionDraft(attributes: attributes, principal: principal, policy: policy)
        guard case .committed(_, _, let credential?, _) = try await store.create(draft),
            case .found(let record) = try await store.load(credential)
        else { throw SessionError(.noSession, "not created") }
        return record
    }
}

@Suite(.limited) struct `Redis store` {
    @Test(arguments: SessionStoreContract.rules) func `keeps the contract`(rule: SessionStoreContract.Rule)
        async throws
    {
        try await rule.check(try await RedisFixture().harness)
    }

    @Test(arguments: SessionStoreContract.rules) func `keeps the contract with a pepper`(
        rule: SessionStoreContract.Rule
    ) async throws {
        try await rule.check(
            try await RedisFixture(peppers: [SessionPepper(Array(7..<7 + 32))]).harness
        )
    }

    @Test func `works under the least privileges that its documentation names`() async throws {
        let rules = try RedisSessionStore.accessRules(application: "app").split(separator: " ").map(
            String.init
        )
        let server = try await RedisServer(["--user", "app", "on", ">pw"] + rules)
        let client = try patientClient("redis://app:pw@127.0.0.1:\(server.port)")
        for (number, rule) in SessionStoreContract.rules.enumerated() {
            let prefix = "app:\(number)"
            let store = try RedisSessionStore(client, application: prefix)
            try await rule.check(
                SessionStoreHarness(store: store) {
                    try await RedisFixture.letTimePass($0, server: server, client: client, prefix: prefix)
                }
            )
        }
        #expect(try await server.admin("ACL", "LOG") == "")
    }

    @Test func `every key has a time to live, whatever was done`() async throws {
        let redis = try await RedisFixture()
        for (number, rule) in SessionStoreContract.rules.enumerated() {
            let store = try RedisSessionStore(redis.client, application: "\(redis.prefix):\(number)")
            try await rule.check(SessionStoreHarness(store: store) { try await redis.letTimePass($0) })
        }
        let keys = try await redis.server.keys(redis.prefix)
        #expect(keys.count > 10)
        for key in keys { #expect(Int(try await redis.server.admin("PTTL", key)) ?? -1 > 0, "\(key)") }
    }

    @Test func `shows neither secrets nor user names`() async throws {
        let redis = try await RedisFixture()
        let record = try await redis.session(principal: "hedwig-lamarr")
        var secrets = [record.credential.value.split(separator: ".")[1]]
        let change = SessionChange(operations: [:], rotation: .renew, policy: SessionPolicy())
        guard case .committed(_, _, let renewed?, _) = try await redis.store.commit(change, to: record) else {
            return #expect(Bool(false), "not renewed")
        }
        secrets.append(renewed.value.split(separator: ".")[1])
        for key in try await redis.server.keys(redis.prefix) {
            let type = try await redis.server.admin("TYPE", key)
            let dump = try await redis.server.admin(type == "hash" ? "HGETALL" : "ZRANGE", key, "0", "-1")
                .description
            let text = key + (type == "hash" ? try await redis.server.admin("HGETALL", key) : dump)
            #expect(!text.contains("hedwig"))
            for secret in secrets { #expect(!text.contains(secret)) }
        }
    }

    @Test func `a stored hash is not a credential`() async throws {
        let redis = try await RedisFixture()
        let record = try await redis.session()
        let dump = try await run(
            "redis-cli",
            ["-s", redis.server.socketPath, "HGET", "\(redis.prefix):s:{\(record.id)}", "@digest"]
        )
        let digest = Array(dump.utf8.prefix(32))
        let forged = SessionCredential(
            "\(record.id)." + String(decoding: Base64URL.encode(digest + [0]).prefix(43), as: UTF8.self)
        )
        guard case .absent = try await redis.store.load(forged) else {
            return #expect(Bool(false), "a digest opened the session")
        }
    }

    /// Each writes by hand what no commit would leave.
    static let damages: [(name: String, command: [String])] = [
        ("no time to live", ["PERSIST", "KEY"]),
        ("a version at the end of its range", ["HSET", "KEY", "@version", "9223372036854775807"]),
        ("a missing family key", ["HDEL", "KEY", "@family"]),
        ("a missing field", ["HDEL", "KEY", "@used"]), ("a missing digest", ["HDEL", "KEY", "@digest"]),
        ("a missing format", ["HDEL", "KEY", "@format"]),
        ("a future format", ["HSET", "KEY", "@format", "2"]),
        ("letters for a number", ["HSET", "KEY", "@deadline", "soon"]),
        ("a number that overflows", ["HSET", "KEY", "@idle", "99999999999999999999"]),
        (
            "a principal that was encrypted elsewhere",
            ["HSET", "KEY", "@principal", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
        ),
        ("another user's digest", ["HSET", "KEY", "@user", "x"]),
    ]

    @Test(arguments: damages) func `a damaged record is absent, stays as it is, and takes no write`(
        damage: (name: String, command: [String])
    ) async throws {
        let redis = try await RedisFixture()
        let record = try await redis.session(["a": [1]], principal: "ann")
        let key = "\(redis.prefix):s:{\(record.id)}"
        _ = try await run(
            "redis-cli",
            ["-s", redis.server.socketPath] + damage.command.map { $0 == "KEY" ? key : $0 }
        )
        let before = try await redis.server.admin("HGETALL", key)
        guard case .absent(.unreadable) = try await redis.store.load(record.credential) else {
            return #expect(Bool(false), "read a record with \(damage.name)")
        }
        #expect(try await redis.server.admin("HGETALL", key) == before)
    }

    @Test func `a time to live that was set by hand does not lengthen a session`() async throws {
        let redis = try await RedisFixture()
        let credential = try await redis.session(["a": [1]], policy: SessionPolicy(idleTimeout: .seconds(4)))
            .credential
        let id = try #require(SessionToken(credential)?.id)
        try await redis.server.admin("PEXPIRE", "\(redis.prefix):s:{\(id)}", "9000000")
        guard case .found(let record) = try await redis.store.load(credential) else {
            return #expect(Bool(false), "a session that is in use was refused")
        }
        #expect(record.now - record.times.lastUsed < .seconds(4))
        let change = SessionChange(operations: [:], policy: SessionPolicy())
        while case .found = try await redis.store.load(credential) {
            try await Task.sleep(for: .milliseconds(50))
        }
        guard case .gone(.unknown) = try await redis.store.commit(change, to: record) else {
            return #expect(Bool(false), "a session that is over was changed")
        }
    }

    @Test func `a key of another type is unreadable for reading and writing`() async throws {
        let redis = try await RedisFixture()
        let record = try await redis.session()
        let key = "\(redis.prefix):s:{\(record.id)}"
        try await redis.server.admin("DEL", key)
        try await redis.server.admin("SET", key, "x", "EX", "100")
        guard case .absent(.unreadable) = try await redis.store.load(record.credential) else {
            return #expect(Bool(false))
        }
        let change = SessionChange(operations: ["a": .remove], policy: SessionPolicy())
        guard case .gone(.unreadable) = try await redis.store.commit(change, to: record) else {
            return #expect(Bool(false))
        }
    }

    @Test func `two applications on one Redis do not know each other's sessions`() async throws {
        let redis = try await RedisFixture()
        let other = try RedisSessionStore(redis.client, application: redis.prefix + "x")
        let record = try await redis.session()
        guard case .absent(.unknown) = try await other.load(record.credential) else {
            return #expect(Bool(false))
        }
        let peppered = try RedisSessionStore(
            redis.client,
            application: redis.prefix,
            peppers: [SessionPepper(Array(1..<1 + 32))]
        )
        guard case .absent(.wrongSecret) = try await peppered.load(record.credential) else {
            return #expect(Bool(false))
        }
    }

    @Test(arguments: ["", "a b", "a{b}", "a*", "a\n", String(repeating: "a", count: 129), "ä"])
    func `a prefix that could mean something else is refused at start`(prefix: String) async throws {
        let client = try await RedisFixture().client
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try RedisSessionStore(client, application: "shop", prefix: prefix)
        }
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try RedisSessionStore(client, application: prefix)
        }
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try SessionPepper([1, 2, 3])
        }
    }

    @Test func `a renewed session is read where nothing can be written`() async throws {
        let server = try await RedisServer(
            ["--user", "reader", "on", ">pw", "~*", "resetchannels", "-@all", "+hgetall", "+pttl", "+ping"]
        )
        let store = try RedisSessionStore(try patientClient(server.url), application: "shop")
        guard
            case .committed(_, _, let credential?, _) = try await store.create(
                SessionDraft(attributes: ["a": [1]], policy: SessionPolicy())
            ),
            case .found(let record) = try await store.load(credential),
            case .committed(_, _, let renewed?, _) = try await store.commit(
                SessionChange(operations: [:], rotation: .renew, policy: SessionPolicy()),
                to: record
            )
        else { return #expect(Bool(false), "not renewed") }
        let client = try patientClient("redis://reader:pw@127.0.0.1:\(server.port)")
        let reader = try RedisSessionStore(client, application: "shop")
        guard case .found(let seen) = try await reader.load(renewed) else {
            return #expect(Bool(false), "a read was refused because of the old secret")
        }
        #expect(seen.attributes["a"] == [1] && seen.secretStatus == .current)
        // The old secret is still valid, until its grace is over.
        guard case .found = try await store.load(credential) else { return #expect(Bool(false)) }
    }

    @Test func `a revocation of what is not in the list leaves no key behind`() async throws {
        let redis = try await RedisFixture()
        #expect(try await !redis.store.revoke(SessionToken().id, of: "ann"))
        #expect(try await redis.server.keys(redis.prefix).isEmpty)
    }

    @Test func `after SCRIPT FLUSH a sign-in is still listed before it is made`() async throws {
        let server = try await RedisServer()
        let store = try RedisSessionStore(try patientClient(server.url), application: "shop")
        let draft = SessionDraft(attributes: [:], policy: SessionPolicy())
        guard case .committed(_, _, let credential?, _) = try await store.create(draft),
            case .found(let record) = try await store.load(credential)
        else { return #expect(Bool(false)) }
        try await server.admin("SCRIPT", "FLUSH")
        // The first write to meet the empty cache teaches all scripts, not only its own.
        _ = try await store.commit(
            SessionChange(operations: ["a": .set([49])], policy: SessionPolicy()),
            to: record
        )
        let monitor = try await server.monitor()
        let signIn = SessionChange(
            operations: [:],
            rotation: .signIn(principal: "ann", keeping: []),
            policy: SessionPolicy()
        )
        guard case .committed = try await store.commit(signIn, to: record) else {
            return #expect(Bool(false))
        }
        let isSeen = await poll(seconds: 5) {
            monitor.text.contains("@old-digest\" ") && monitor.text.contains("\"ZADD\"")
        }
        await monitor.stop()
        #expect(isSeen)
        let add = try #require(monitor.text.range(of: "\"ZADD\"")).lowerBound
        let write = try #require(monitor.text.range(of: "\"HSET\"")).lowerBound
        #expect(add < write)
    }

    @Test func `a full Redis refuses a sign-in without touching the session`() async throws {
        let server = try await RedisServer()
        let store = try RedisSessionStore(try patientClient(server.url), application: "shop")
        let draft = SessionDraft(attributes: ["a": [1], "b": [2]], policy: SessionPolicy())
        guard case .committed(_, _, let credential?, _) = try await store.create(draft),
            case .found(let record) = try await store.load(credential)
        else { return #expect(Bool(false)) }
        try await server.admin("CONFIG", "SET", "maxmemory", "1")
        let signIn = SessionChange(
            operations: [:],
            rotation: .signIn(principal: "ann", keeping: []),
            policy: SessionPolicy()
        )
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await store.commit(signIn, to: record)
        }
        guard case .found(let after) = try await store.load(credential) else {
            return #expect(Bool(false), "the session is lost")
        }
        #expect(after.attributes == record.attributes && after.version == 1 && after.principal == nil)
        // Signing out must work all the same.
        #expect(try await store.end(after) == .ended)
    }
}
