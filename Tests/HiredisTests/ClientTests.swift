// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// Commands and replies with a healthy Redis.
@Suite(.limited) struct ClientTests {
    @Test func `values of any content are returned as they were sent`() async throws {
        try await withRedis { redis, _ in
            let value: [UInt8] = Array(0...255) + Array("\r\n$3\r\n*1\r\n".utf8)
            var set = RedisCommand("SET", "key")
            set.append(value)
            #expect(try await redis.send(set).string == "OK")
            #expect(try await redis.send(RedisCommand("GET", "key", readOnly: true)).bytes == value)
            #expect(try await redis.send(RedisCommand("GET", "missing")).isNull)
            var push = RedisCommand("RPUSH", "list")
            for number in [-1, 0, 7, 42, 1234, Int.max, Int.min] { push.append(number) }
            #expect(try await redis.send(push).integer == 7)
            let list = try await redis.send(RedisCommand("LRANGE", "list", "0", "-1"))
            #expect((0..<list.count).map { list[$0].integer } == [-1, 0, 7, 42, 1234, Int.max, Int.min])
            #expect(try await redis.send(RedisCommand("ECHO", "")).bytes == [])
        }
    }

    @Test func `a hash is read pair by pair, and nested arrays by index`() async throws {
        try await withRedis { redis, _ in
            _ = try await redis.send(RedisCommand("HSET", "h", "a", "1", "b", "two", "c", ""))
            var fields: [String: String] = [:]
            try await redis.send(RedisCommand("HGETALL", "h")).forEachPair { field, value in
                fields[String(decoding: field, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
            }
            #expect(fields == ["a": "1", "b": "two", "c": ""])
            let script = RedisScript("return {1, {'x', {2, false}}, 'last', redis.error_reply('MINE gone')}")
            let nested = try await redis.send(RedisCommand(script: script))
            #expect(nested.count == 4)
            #expect(nested[1][1][0].integer == 2)
            #expect(nested[1][1][1].isNull)
            #expect(nested[2].string == "last")
            #expect(nested[3].error?.prefix == "MINE")
        }
    }

    @Test func `an error of the server is thrown with its error word and without its text`() async throws {
        try await withRedis { redis, _ in
            _ = try await redis.send(RedisCommand("SET", "key", "v"))
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("LPUSH", "key", "secret-value"))
            }
            #expect(error?.code == .server)
            #expect(error?.outcome == .rejected)
            #expect(error?.prefix == "WRONGTYPE")
            let unknown = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("NOSUCH", "secret-value"))
            }
            #expect(unknown?.serverMessage?.contains("secret-value") == true)
            #expect(!"\(unknown!) \(String(reflecting: unknown!))".contains("secret-value"))
        }
    }

    @Test func `several commands are sent in one write`() async throws {
        try await withRedis { redis, server in
            _ = try await redis.send(RedisCommand("PING"))
            let before = redis.statistics
            let replies = try await redis.send([
                RedisCommand("MULTI"), RedisCommand("INCR", "n"), RedisCommand("INCR", "n"),
                RedisCommand("EXEC"),
                RedisCommand("LPUSH", "n", "x"),
            ])
            #expect(replies[3][1].integer == 2)
            #expect(replies[4].error?.prefix == "WRONGTYPE")
            #expect(redis.statistics.batches - before.batches == 1)
            #expect(redis.statistics.commands - before.commands == 5)
            #expect(try await redis.send([]).isEmpty)
        }
    }

    @Test func `a script is sent by digest, and by source when Redis has lost it`() async throws {
        try await withRedis { redis, server in
            let script = RedisScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")
            let sha1 = try await server.admin(
                "SCRIPT",
                "LOAD",
                "return redis.call('INCRBY', KEYS[1], ARGV[1])"
            )
            #expect(script.sha1 == sha1)
            try await server.admin("SCRIPT", "FLUSH")
            try await server.resetCounts()
            var command = RedisCommand(script: script, keys: ["n"])
            command.append(5)
            #expect(try await redis.send(command).integer == 5)
            #expect(try await redis.send(command).integer == 10)
            #expect(try await server.commandCounts()["evalsha"] == 2)
            #expect(try await server.commandCounts()["eval"] == 1)
            try await server.admin("SCRIPT", "FLUSH")
            let replies = try await redis.send([
                RedisCommand("PING"), command, RedisCommand("ECHO", "x"), command,
            ])
            #expect(replies.map { $0.integer ?? -1 } == [-1, 15, -1, 20])
            try await server.admin("SCRIPT", "FLUSH")
            redis.submit(command)
            #expect(await poll(seconds: 5) { (try? await server.admin("GET", "n")) == "25" })
            #expect(redis.statistics.submitErrors == 0)
        }
    }

    @Test func `submit ignores the reply and counts failures`() async throws {
        try await withRedis { redis, server in
            redis.submit(RedisCommand("SET", "a", "1"))
            redis.submit(RedisCommand("LPUSH", "a", "1"))
            let reply = try await redis.send(RedisCommand("GET", "a"))
            #expect(reply.string == "1")
            #expect(redis.statistics.submitErrors == 1)
        }
    }

    @Test func `concurrent callers are written in batches and each receives its own reply`() async throws {
        try await withRedis { redis, _ in
            _ = try await redis.send(RedisCommand("PING"))
            let before = redis.statistics
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        for round in 0..<50 {
                            let text = "\(caller)/\(round)"
                            let reply = try await redis.send(RedisCommand("ECHO", text))
                            #expect(reply.string == text)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let commands = redis.statistics.commands - before.commands
            let batches = redis.statistics.batches - before.batches
            #expect(commands == 3200)
            #expect(batches * 2 < commands, "\(commands) commands in \(batches) writes")
        }
    }

    @Test func `a unix socket, a database, a user and a name are used when asked for`() async throws {
        let users = ["--user", "default", "off", "--user", "app", "on", ">se cret", "~*", "+@all"]
        let server = try await RedisServer(
            users,
            adminAuth: ["--user", "app", "--pass", "se cret", "--no-auth-warning"]
        )
        var configuration = try RedisConfiguration(url: "unix://app:se%20cret@\(server.socketPath)?db=3")
        configuration.clientName = "shop-1"
        let redis = RedisClient(configuration)
        redis.preload([RedisScript("return 1")])
        _ = try await redis.send(RedisCommand("SET", "k", "v"))
        #expect(try await server.admin("-n", "3", "GET", "k") == "v")
        #expect(try await server.admin("CLIENT", "LIST").contains("name=shop-1"))
        #expect(try await server.admin("SCRIPT", "EXISTS", RedisScript("return 1").sha1) == "1")
        await redis.shutdown()
        let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
        #expect(error?.code == .closed)
        #expect(error?.outcome == .notSent)
    }
}
