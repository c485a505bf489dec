// SPDX-License-Identifier: Apache-2.0

import Logging
import SessionsTesting
import Synchronization
import TestSupport
import Testing

@testable import RedisSessions

/// What an operator has to give, and is told.
@Suite(.limited, .timeLimit(.minutes(10))) struct `Durable writes, set-up` {
    @Test(arguments: [
        SessionDurability.replicas(0, within: .seconds(1)), .replicas(101, within: .seconds(1)),
        .replicas(1, within: .zero), .replicas(1, within: .microseconds(999)),
        .replicas(1, within: .seconds(20)), .appendOnlyFiles(replicas: -1, within: .seconds(1)),
        .appendOnlyFiles(replicas: 0, within: .seconds(-1)),
    ])
    func `numbers out of range are refused`(durability: SessionDurability) throws {
        let client = try patientClient("redis://127.0.0.1:1")
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try RedisSessionStore(client, application: "app", durability: durability)
        }
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try RevocableSessionStore(
                try SealedSessionStore(RevocableFixture.keys(), application: "app"),
                revocations: client,
                application: "app",
                durability: durability
            )
        }
    }

    @Test func `the rights for durability suffice, and without them nothing is claimed`() async throws {
        let pair = try await ReplicatedPair()
        let durability = SessionDurability.replicas(1, within: .seconds(5))
        let rules = try RedisSessionStore.accessRules(application: "app", durability: durability)
        #expect(
            try rules.contains(" +wait ")
                && !RedisSessionStore.accessRules(application: "app").contains("wait")
        )
        #expect(
            try CachedSessionStore.accessRules(application: "app", durability: durability).contains(" +wait ")
        )
        #expect(
            try RevocableSessionStore.accessRules(
                application: "app",
                durability: .appendOnlyFiles(replicas: 0, within: .seconds(1))
            )
            .contains(" +waitaof")
        )
        try await pair.primary.admin(
            ["ACL", "SETUSER", "app", "on", ">pw"] + rules.split(separator: " ").map(String.init)
        )
        let client = try patientClient("redis://app:pw@127.0.0.1:\(pair.primary.port)")
        let store = try RedisSessionStore(client, application: "app", durability: durability)
        try await store.check()
        let (credential, signIn) = try await SessionAcknowledgement.collect {
            try await store.start(as: "ann")
        }
        #expect(signIn == SessionAcknowledgement(wanted: 1, acknowledged: 1))
        #expect(try await pair.primary.admin("ACL", "LOG") == "")
        try await pair.primary.admin("ACL", "SETUSER", "app", "-wait")
        let error = await #expect(throws: SessionError.self) { try await store.check() }
        #expect(error?.code == .storeUnavailable && error?.message.contains("+wait") == true)
        let record = try await store.found(credential)
        let (result, signOut) = try await SessionAcknowledgement.collect { try await store.end(record) }
        #expect(result == .ended && signOut == SessionAcknowledgement(wanted: 1, acknowledged: 0))
        await client.shutdown()
        await pair.close()
    }

    @Test func `a server without enough replicas is warned of, once`() async throws {
        let server = try await RedisServer()
        let lines = Mutex<[String]>([])
        var configuration = try RedisConfiguration(url: server.url)
        configuration.commandTimeout = .seconds(20)
        let client = RedisClient(
            configuration,
            logger: Logger(label: "redis") { _ in LineLog { line in lines.withLock { $0.append(line) } } }
        )
        let store = try RedisSessionStore(
            client,
            application: "shop",
            durability: .replicas(2, within: .milliseconds(20))
        )
        try await store.check()
        try await store.check()
        let warnings = lines.withLock { $0.filter { $0.contains("0 of 2 copies in time") } }
        #expect(warnings.count == 1)
        await client.shutdown()
    }

    @Test func `files are waited for where the server can, and where it cannot it says so`() async throws {
        let server = try await RedisServer(["--appendfsync", "always"])
        try await server.admin("CONFIG", "SET", "appendonly", "yes")
        let client = try patientClient(server.url)
        let store = try RedisSessionStore(
            client,
            application: "shop",
            durability: .appendOnlyFiles(replicas: 0, within: .seconds(10))
        )
        let (credential, signIn) = try await SessionAcknowledgement.collect {
            try await store.start(as: "ann")
        }
        #expect(try await store.user(credential) == "ann")
        let isKnown = try await server.admin("COMMAND", "INFO", "waitaof").contains("waitaof")
        #expect(signIn == SessionAcknowledgement(wanted: 1, acknowledged: isKnown ? 1 : 0))
        if isKnown {
            try await store.check()
        } else {
            let error = await #expect(throws: SessionError.self) { try await store.check() }
            #expect(error?.message == "Redis cannot wait for the copies that `durability` asks for.")
        }
        await client.shutdown()
    }
}
