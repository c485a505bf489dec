// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import SessionsTesting
import TestSupport

/// A pair of servers and stores on its primary.
struct DurableFixture {
    let pair: ReplicatedPair
    let client: RedisClient
    let prefix = "t\(UUID().uuidString.prefix(8))"

    init(_ pair: ReplicatedPair? = nil, arguments: [String] = []) async throws {
        if let pair { self.pair = pair } else { self.pair = try await ReplicatedPair(arguments) }
        client = try patientClient(self.pair.primary.url)
    }

    func store(_ durability: SessionDurability) throws -> RedisSessionStore {
        try RedisSessionStore(client, application: prefix, durability: durability)
    }

    /// Sealed cookies whose revocations are on the primary.
    func revocable(_ durability: SessionDurability) throws -> RevocableSessionStore {
        try RevocableSessionStore(
            try SealedSessionStore(RevocableFixture.keys(), application: prefix),
            revocations: client,
            application: prefix,
            durability: durability
        )
    }

    /// A store with a client of its own, whose command timeout is `timeout`.
    func store(_ durability: SessionDurability, timeout: Duration) throws -> (RedisSessionStore, RedisClient)
    {
        var configuration = try RedisConfiguration(url: pair.primary.url)
        configuration.commandTimeout = timeout
        let client = RedisClient(configuration)
        return (try RedisSessionStore(client, application: prefix, durability: durability), client)
    }

    /// Runs an operation and returns with its acknowledgement the commands that the primary got for it.
    func cost<Answer>(_ operation: () async throws -> Answer) async throws
        -> (Answer, SessionAcknowledgement?, [String: Int])
    {
        _ = try await client.send(RedisCommand("PING"))
        try await pair.primary.resetCounts()
        let (answer, acknowledgement) = try await SessionAcknowledgement.collect(operation)
        // What was sent without waiting.
        _ = try await client.send(RedisCommand("PING"))
        let counts = try await pair.primary.commandCounts()
        let sent: Set = ["evalsha", "eval", "wait", "waitaof", "hgetall", "zrem", "zscore"]
        return (answer, acknowledgement, counts.filter { sent.contains($0.key) })
    }

    func end() async {
        await client.shutdown()
        await pair.close()
    }
}

extension SessionAcknowledgement {
    /// One copy is wanted, and there is one.
    static let all = SessionAcknowledgement(wanted: 1, acknowledged: 1)
    /// One copy is wanted, and there is none.
    static let none = SessionAcknowledgement(wanted: 1, acknowledged: 0)
}
