// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import Synchronization
import TestSupport
import Testing

/// A conformance as applications write it: over a client that the package does not know.
private final class PlainSender: RedisCommandSender {
    let commandTimeout: Duration
    private let connection: RESPConnection
    private let log = Mutex<(round: Int, names: [String], warnings: [String])>((0, [], []))
    private let (submitted, submission) = AsyncStream.makeStream(of: RedisCommand.self)

    init(_ server: RedisServer, commandTimeout: Duration = .seconds(20)) async throws {
        self.commandTimeout = commandTimeout
        connection = try await RESPConnection(port: server.port)
    }

    /// How many times it was asked to send, and the names of the commands, since the last call.
    var taken: (round: Int, names: [String]) {
        log.withLock { log in
            defer { (log.round, log.names) = (0, []) }
            return (log.round, log.names)
        }
    }

    var warnings: [String] { log.withLock { $0.warnings } }

    func send(_ commands: [RedisCommand]) async throws -> [RedisReply] {
        let words = commands.map(\.words)
        log.withLock { log in
            log.round += 1
            log.names += words.map { String(decoding: $0[0], as: UTF8.self) }
        }
        return try await connection.send(words).map(Self.reply)
    }

    /// Carries out what was submitted until now.
    func settle() async throws {
        submission.yield(RedisCommand("PING"))
        for await command in submitted {
            let reply = try await connection.send([command.words])[0]
            if case .error(let message) = reply { throw SessionError(.storeUnavailable, message) }
            if reply == .status("PONG") { return }
        }
    }

    func submit(_ command: RedisCommand) { submission.yield(command) }

    func warn(_ message: String) { log.withLock { $0.warnings.append(message) } }

    func close() async { await connection.close() }

    private static func reply(_ value: RESPValue) -> RedisReply {
        switch value {
        case .text(let bytes): .string(bytes)
        case .status(let text): .status(text)
        case .error(let message): .error(message)
        case .number(let number): .integer(number)
        case .list(let values): .array(values.map(reply))
        case .null: .null
        }
    }
}

private let shared = Task { try await RedisServer() }

@Suite(.limited) struct `Another Redis client` {
    @Test(arguments: SessionStoreContract.rules) func `keeps the contract of stores`(
        rule: SessionStoreContract.Rule
    ) async throws {
        let server = try await shared.value
        let sender = try await PlainSender(server)
        let own = try patientClient(server.url)
        let prefix = "other-\(SessionID())"
        let store = try RedisSessionStore(sender, application: prefix)
        try await rule.check(
            SessionStoreHarness(store: store) {
                try await sender.settle()
                try await RedisFixture.letTimePass($0, server: server, client: own, prefix: prefix)
            }
        )
        await sender.close()
        await own.shutdown()
    }

    @Test func `costs the same round trips, and one more for a script that the server does not have`()
        async throws
    {
        let server = try await RedisServer()
        let sender = try await PlainSender(server)
        let store = try RedisSessionStore(sender, application: "shop")
        func step(_ operation: () async throws -> Void) async throws -> (round: Int, names: [String]) {
            _ = sender.taken
            try await operation()
            return sender.taken
        }
        let draft = SessionDraft(attributes: [:], principal: nil, policy: SessionPolicy())
        let first = try await step { _ = try await store.create(draft) }
        #expect(first.names == ["TIME", "INFO", "EVALSHA", "EVAL"] && first.round == 3)
        var credential: SessionCredential?
        let second = try await step {
            guard case .committed(_, _, let created, _) = try await store.create(draft) else { return }
            credential = created
        }
        #expect(second.names == ["EVALSHA"] && second.round == 1)
        var load: SessionLoadResult?
        let third = try await step { load = try await store.load(try #require(credential)) }
        #expect(third.names == ["HGETALL", "PTTL"] && third.round == 1)
        guard case .found(let record)? = load else { return #expect(Bool(false), "not found") }
        try await server.admin("SCRIPT", "FLUSH")
        // The list is read after the mark, however the mark's script gets there.
        let revoked = try await step { _ = try await store.revokeAll(of: "ann", except: nil) }
        #expect(revoked.names.prefix(4) == ["EVALSHA", "ZRANGE", "EVAL", "ZRANGE"])
        // A touch has no reply that could ask for its script.
        _ = try await store.touch(record, isDue: true)
        try await sender.settle()
        let key = "shop:s:{\(record.id)}"
        #expect(try await server.admin("EXISTS", key) == "1")
        await sender.close()
    }

    @Test func `a lost connection is an outage that shows nothing of the error`() async throws {
        let server = try await RedisServer()
        let sender = try await PlainSender(server)
        let store = try RedisSessionStore(sender, application: "shop")
        try await store.check()
        await sender.close()
        let error = await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.check() }
        #expect(error?.underlying != nil)
    }

    @Test func `an eviction policy is warned of`() async throws {
        let server = try await RedisServer(["--maxmemory-policy", "allkeys-lru"])
        let sender = try await PlainSender(server)
        try await RedisSessionStore(sender, application: "shop").check()
        #expect(sender.warnings.count == 1 && sender.warnings[0].contains("noeviction"))
        await sender.close()
    }

    @Test func `a client that loses a reply is refused`() async throws {
        struct Forgetful: RedisCommandSender {
            let commandTimeout = Duration.seconds(1)
            func send(_ commands: [RedisCommand]) async throws -> [RedisReply] { [] }
            func submit(_ command: RedisCommand) {}
            func warn(_ message: String) {}
        }
        let store = try RedisSessionStore(Forgetful(), application: "shop")
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await store.create(SessionDraft(attributes: [:], principal: nil, policy: SessionPolicy()))
        }
        #expect(throws: SessionError(.invalidConfiguration, "")) { try CachedSessionStore(store) }
    }
}
