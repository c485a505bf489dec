// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Logging
import RedisSessions
import Sessions
import Synchronization
import TestSupport
import Testing

/// The list of a user's sessions stays small, whole and cheap.
@Suite(.limited) struct `A user's list in Redis` {
    private func signIn(_ redis: RedisFixture, policy: SessionPolicy = SessionPolicy()) async throws
        -> SessionRecord
    {
        try await redis.session(["name": Array("\"phone\"".utf8)], principal: "ann", policy: policy)
    }

    private func list(_ redis: RedisFixture) async throws -> String {
        try #require(try await redis.server.keys(redis.prefix).first { $0.contains(":u:") })
    }

    private func entries(_ redis: RedisFixture) async throws -> [String] {
        let text = try await redis.server.admin("ZRANGE", try await list(redis), "0", "-1")
        return text.split(separator: "\n").map(String.init).filter { SessionID($0) != nil }
    }

    private func tombstones(_ redis: RedisFixture) async throws -> Int {
        var count = 0
        for key in try await redis.server.keys(redis.prefix) where key.contains(":s:") {
            if try await redis.server.admin("HEXISTS", key, "@gone") == "1" { count += 1 }
        }
        return count
    }

    @Test func `a list that was evicted heals with the next touch and the next write`() async throws {
        let redis = try await RedisFixture()
        let first = try await signIn(redis)
        let second = try await signIn(redis)
        try await redis.server.admin("DEL", try await list(redis))
        try await redis.letTimePass(.seconds(300))
        guard case .found(let read) = try await redis.store.load(first.credential),
            case .found(let written) = try await redis.store.load(second.credential)
        else { return #expect(Bool(false)) }
        _ = try await redis.store.touch(read, isDue: true)
        let change = SessionChange(operations: ["a": .set([49])], policy: SessionPolicy())
        _ = try await redis.store.commit(change, to: written)
        #expect(
            Set(try await redis.store.sessions(of: "ann").map(\.id)) == [first.id, second.id],
            "the list lost sessions for good"
        )
        #expect(Int(try await redis.server.admin("PTTL", try await list(redis))) ?? -1 > 0)
        #expect(try await redis.store.revokeAll(of: "ann", except: nil) == 2)
    }

    @Test func `what expired leaves the list when it is used, and no tombstone`() async throws {
        let redis = try await RedisFixture()
        let short = SessionPolicy(idleTimeout: .seconds(400), lifetime: .seconds(9000))
        for _ in 0..<30 { _ = try await signIn(redis, policy: short) }
        try await redis.letTimePass(.seconds(401))
        let live = try await signIn(redis)
        #expect(try await redis.store.sessions(of: "ann").map(\.id) == [live.id])
        #expect(try await redis.store.revokeAll(of: "ann", except: live.id) == 0)
        #expect(try await entries(redis) == ["\(live.id)"])
        #expect(try await tombstones(redis) == 0)
    }

    @Test func `a user has at most a hundred sessions`() async throws {
        let redis = try await RedisFixture()
        var records: [SessionRecord] = []
        for _ in 0..<101 { records.append(try await signIn(redis)) }
        #expect(try await redis.store.sessions(of: "ann").count == 100)
        guard case .absent(.ended(.revocation)) = try await redis.store.load(records[0].credential),
            case .found = try await redis.store.load(records[1].credential)
        else { return #expect(Bool(false), "the oldest has not ended") }
        #expect(try await entries(redis).count == 100)
    }

    @Test func `a sign-in above the limit sends one script more, in a round trip of its own`() async throws {
        let redis = try await RedisFixture(server: try await RedisServer())
        let policy = SessionPolicy(maximumSessionsPerUser: 2)
        for scripts in [2, 2, 3, 3] {
            let before = try await redis.server.commandCounts()["evalsha"] ?? 0
            _ = try await signIn(redis, policy: policy)
            #expect(try await redis.server.commandCounts()["evalsha"] ?? 0 == before + scripts)
        }
        #expect(try await entries(redis).count == 2)
    }

    @Test func `a list fetches no attribute that it does not show`() async throws {
        let redis = try await RedisFixture(server: try await RedisServer())
        for _ in 0..<20 {
            _ = try await redis.session(
                ["name": Array("\"phone\"".utf8), "large": Array(repeating: 49, count: 50_000)],
                principal: "ann"
            )
        }
        let before = try await sent(redis)
        let page = SessionPage(names: ["name"], limit: 100)
        let entries = try await redis.store.sessions(of: "ann", page)
        #expect(entries.count == 20 && entries.allSatisfy { $0[SessionKey<String>("name")] == "phone" })
        #expect(try await sent(redis) - before < 100_000)
    }

    /// Bytes that the server has sent to anybody.
    private func sent(_ redis: RedisFixture) async throws -> Int {
        let info = try await redis.server.admin("INFO", "stats")
        let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("total_net_output_bytes:") }
        return try #require(line.flatMap { Int($0.drop { $0 != ":" }.dropFirst()) })
    }

    @Test(arguments: ["volatile-lru", "noeviction"])
    func `a server that evicts keys is told in the log, once`(policy: String) async throws {
        let server = try await RedisServer()
        try await server.admin("CONFIG", "SET", "maxmemory-policy", policy)
        let lines = Mutex<[String]>([])
        var logger = Logger(label: "redis") { _ in LineLog { line in lines.withLock { $0.append(line) } } }
        logger.logLevel = .notice
        let client = RedisClient(try RedisConfiguration(url: server.url), logger: logger)
        for _ in 0..<2 {
            let store = try RedisSessionStore(client, application: "shop")
            try await store.check()
            try await store.check()
            _ = try await store.create(SessionDraft(attributes: [:], policy: SessionPolicy()))
        }
        let warnings = lines.withLock { $0.filter { $0.contains("maxmemory-policy \(policy)") } }
        // Once for each store.
        #expect(warnings.count == (policy == "noeviction" ? 0 : 2))
    }
}

/// A log handler that passes each line on.
struct LineLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    let write: @Sendable (String) -> Void

    init(_ write: @escaping @Sendable (String) -> Void) { self.write = write }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { write("\(event.message)") }
}
