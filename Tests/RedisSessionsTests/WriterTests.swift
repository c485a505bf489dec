// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import RedisSessions
@testable import Sessions

/// What SECURITY.md and decision 2 say that somebody with write access to Redis can do.
@Suite(.limited) struct `A writer to Redis` {
    private static let peppers: [[SessionPepper]] = [[], [try! SessionPepper(Array(1...32))]]

    private func redis(_ index: Int) async throws -> RedisFixture {
        try await RedisFixture(peppers: Self.peppers[index])
    }

    private func write(_ key: String, _ fields: [(String, [UInt8])], _ client: RedisClient) async throws {
        var command = RedisCommand("HSET", key)
        for (field, value) in fields {
            command.append(field)
            command.append(value)
        }
        _ = try await client.send(command)
    }

    /// Makes a record for a secret of their own choice, and writes another user's name into the record of a
    /// cookie of their own, with that user's hash copied from Redis.
    @Test(arguments: [0, 1]) func `signs in as anybody without a pepper, and as nobody with one`(
        index: Int
    ) async throws {
        let redis = try await redis(index)
        let schema = try RedisSchema(application: redis.prefix, prefix: redis.prefix)
        let crypto = try RecordCrypto(application: redis.prefix, peppers: [])
        let admin = try await redis.session(principal: "admin")
        let hash = try await redis.client.send(RedisCommand("HGET", schema.session(admin.id), "@user")).bytes
        let user = try #require(hash)

        let own = try await redis.session(principal: "eve")
        let token = try #require(SessionToken(own.credential))
        let name = crypto.encrypt(principal: "admin", for: token)
        try await write(schema.session(own.id), [("@principal", name), ("@user", user)], redis.client)

        let made = SessionToken()
        let source = try await redis.client.send(RedisCommand("HGETALL", schema.session(admin.id)))
        var copied: [(String, [UInt8])] = []
        for index in stride(from: 0, to: source.count, by: 2) {
            let field = String(decoding: source[index].bytes ?? [], as: UTF8.self)
            copied.append((field, source[index + 1].bytes ?? []))
        }
        try await write(
            schema.session(made.id),
            copied + [
                ("@digest", crypto.hash(made)), ("@principal", crypto.encrypt(principal: "admin", for: made)),
            ],
            redis.client
        )
        _ = try await redis.client.send(RedisCommand("PEXPIRE", schema.session(made.id), "1800000"))

        for credential in [own.credential, made.credential] {
            var principal: String?
            if case .found(let record) = try await redis.store.load(credential) {
                principal = record.principal
            }
            #expect(principal == (index == 0 ? "admin" : nil))
        }
        #expect(try await redis.store.load(admin.credential).record?.principal == "admin")
    }

    /// Values are not sealed, with a pepper neither.
    @Test(arguments: [0, 1]) func `changes values, and puts back a record that was ended`(
        index: Int
    ) async throws {
        let redis = try await redis(index)
        let schema = try RedisSchema(application: redis.prefix, prefix: redis.prefix)
        let record = try await redis.session(["role": Array("\"guest\"".utf8)], principal: "ann")
        let key = schema.session(record.id)
        let saved = try #require(try await redis.client.send(RedisCommand("DUMP", key)).bytes)
        try await write(key, [("a:role", Array("\"admin\"".utf8))], redis.client)
        let changed = try await redis.store.load(record.credential).record
        #expect(changed?.attributes["role"] == Array("\"admin\"".utf8) && changed?.principal == "ann")

        #expect(try await redis.store.end(record) == .ended)
        #expect(try await redis.store.load(record.credential).record == nil)
        var restore = RedisCommand("RESTORE", key, "1800000")
        restore.append(saved)
        restore.append("REPLACE")
        _ = try await redis.client.send(restore)
        let back = try await redis.store.load(record.credential).record
        #expect(back?.attributes["role"] == Array("\"guest\"".utf8) && back?.principal == "ann")
    }
}

extension SessionLoadResult {
    fileprivate var record: SessionRecord? {
        if case .found(let record) = self { record } else { nil }
    }
}
