// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// A server that violates the protocol causes no hang, no crash and no reply to the wrong caller.
@Suite(.limited) struct HostileServerTests {
    private func withHostile(
        _ react: @escaping HostileServer.React,
        configure: (inout RedisConfiguration) -> Void = { _ in },
        _ body: (RedisClient, HostileServer) async throws -> Void
    ) async throws {
        let server = try await HostileServer(react)
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: server.port))
        configuration.sharedConnections = 1
        configuration.commandTimeout = .seconds(2)
        configure(&configuration)
        let redis = RedisClient(configuration)
        try await body(redis, server)
        await redis.shutdown()
        await server.close()
    }

    @Test(arguments: [
        "?\r\n", "$3\r\nabcXY", "*2147483647\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "%1\r\n+a\r\n+b\r\n",
        ">1\r\n+x\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ])
    func `an invalid reply fails its caller and replaces the connection`(_ bytes: String) async throws {
        try await withHostile { connection, _ in
            connection == 1 ? .bytes(bytes) : .bytes("+fine\r\n")
        } _: { redis, server in
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("GET", "secret-key"))
            }
            #expect(error?.code == .protocol && error?.outcome == .unknown)
            #expect(error?.description.contains("secret") == false)
            let reply = try await redis.send(RedisCommand("GET", "k"))
            #expect(reply.string == "fine")
            #expect(server.connections == 2)
        }
    }

    @Test func `an unrequested reply is never returned to the next caller`() async throws {
        try await withHostile { connection, _ in
            connection == 1 ? .bytes("+mine\r\n+stray\r\n") : .bytes("+fine\r\n")
        } _: { redis, _ in
            let first = try await redis.send(RedisCommand("GET", "a"))
            #expect(first.string == "mine")
            // The stray reply closes the connection; the next command is sent on a new one.
            #expect(await poll(seconds: 5) { redis.statistics.lostConnections == 1 })
            let second = try await redis.send(RedisCommand("GET", "b"))
            #expect(second.string == "fine")
        }
    }

    @Test func `a reply that arrives byte by byte is assembled`() async throws {
        let text = "*3\r\n$5\r\nhello\r\n:42\r\n*1\r\n$-1\r\n"
        try await withHostile { _, _ in
            .dripped(text)
        } _: { redis, _ in
            let reply = try await redis.send(RedisCommand("GET", "a"))
            #expect(reply[0].string == "hello" && reply[1].integer == 42 && reply[2][0].isNull)
        }
    }

    @Test func `a connection that ends within a reply fails its caller with an unknown outcome`() async throws
    {
        let text = "*2\r\n$5\r\nhello\r\n$5\r\nwo"
        try await withHostile { connection, input in
            connection > 1 ? .bytes("+fine\r\n") : input.contains("first") ? .bytes(text) : .hangUp
        } _: { redis, _ in
            let first = Task { try await redis.send(RedisCommand("SET", "first")) }
            #expect(await poll(seconds: 5) { redis.statistics.bytesReceived > 25 })
            let second = Task { try await redis.send(RedisCommand("GET", "second", readOnly: true)) }
            let error = await #expect(throws: RedisError.self) { try await first.value }
            #expect(error?.code == .connection && error?.outcome == .unknown)
            let reply = try await second.value
            #expect(reply.string == "fine")
        }
    }

    @Test func `an endless reply is refused at the limit`() async throws {
        try await withHostile { _, _ in
            .bytes("$999999999999\r\n" + String(repeating: "x", count: 300_000))
        } configure: {
            $0.replyBytes = 100_000
        } _: { redis, _ in
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("GET", "a"))
            }
            #expect(error?.code == .protocol)
        }
    }

    @Test(arguments: ["+", "$", "*2\r\n-"])
    func `a line that does not end is refused at 64 KiB`(_ start: String) async throws {
        try await withHostile { _, _ in
            .bytes(start + String(repeating: "1", count: 1 << 20))
        } _: { redis, _ in
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("GET", "a"))
            }
            #expect(error?.code == .protocol)
            // One read of at most 64 KiB may have gone further.
            #expect(redis.statistics.bytesReceived <= 7 + 2 * 65_536)
        }
    }

    @Test func `an invalid reply to one caller is a lost connection for the others`() async throws {
        try await withHostile { connection, input in
            connection > 1 ? .bytes("+fine\r\n") : input.contains("third") ? .bytes("?\r\n") : .silence
        } configure: {
            $0.commandTimeout = .seconds(30)
        } _: { redis, server in
            let first = Task { try await redis.send(RedisCommand("GET", "first", readOnly: true)) }
            #expect(await poll(seconds: 5) { redis.statistics.commands == 1 })
            let second = Task { try await redis.send(RedisCommand("SET", "second")) }
            #expect(await poll(seconds: 5) { redis.statistics.commands == 2 })
            let third = try await redis.send(RedisCommand("GET", "third", readOnly: true))
            #expect(third.string == "fine")
            let errors = await (first.result, second.result)
            let refused = #expect(throws: RedisError.self) { try errors.0.get() }
            #expect(refused?.code == .protocol && refused?.outcome == .unknown)
            let lost = #expect(throws: RedisError.self) { try errors.1.get() }
            #expect(lost?.code == .connection && lost?.outcome == .unknown)
        }
    }

    @Test func `a missing reply costs the caller its deadline and closes the connection`() async throws {
        try await withHostile { connection, input in
            connection == 1 && !input.contains("warm") ? .silence : .bytes("+fine\r\n")
        } _: { redis, server in
            _ = try await redis.send(RedisCommand("GET", "warm"))
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("GET", "a"))
            }
            #expect(error?.code == .timeout && error?.outcome == .unknown)
            #expect(
                await poll(seconds: 5) { (try? await redis.send(RedisCommand("GET", "b")))?.string == "fine" }
            )
            #expect(redis.statistics.timeouts >= 1)
        }
    }

    @Test func `a server that closes on every command is not reconnected to in a tight loop`() async throws {
        try await withHostile { _, _ in
            .hangUp
        } _: { redis, server in
            for _ in 0..<3 {
                await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("GET", "a", readOnly: true))
                }
            }
            // Each attempt waits longer than the one before.
            #expect(server.connections < 20)
        }
    }
}
