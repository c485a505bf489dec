// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Hiredis

/// Servers and proxies that refuse the client, or a part of what it sends first; and what the log says.
@Suite(.limited, .timeLimit(.minutes(10))) struct ProxyTests {
    private static let scripts = (0..<5).map { number in
        RedisScript("return \(number) --" + String(repeating: "x", count: 10_000))
    }

    @Test(arguments: [["SCRIPT"], ["CLIENT"], ["SCRIPT", "CLIENT"]])
    func `a proxy that closes the connection on SCRIPT or CLIENT is usable`(refused: [String]) async throws {
        let server = try await RedisServer()
        let proxy = try await TCPProxy(to: server.port, refusing: refused)
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: proxy.port))
        (configuration.clientName, configuration.commandTimeout) = ("name", .seconds(5))
        let redis = RedisClient(configuration)
        redis.preload(Self.scripts)
        for (number, script) in Self.scripts.enumerated() {
            #expect(try await redis.number(RedisCommand(script: script)) == number)
        }
        let replies = try await redis.send(Self.scripts.map { RedisCommand(script: $0) })
        #expect(replies.map(\.integer) == [0, 1, 2, 3, 4])
        #expect(redis.statistics.lostConnections == 0)
        try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
        await redis.shutdown()
        await proxy.close()
    }

    @Test func `scripts that are lost under load are sent once, not by every caller`() async throws {
        try await withRedis { redis, server in
            redis.preload(Self.scripts)
            for _ in 0..<3 {
                try await server.admin("SCRIPT", "FLUSH")
                let before = redis.statistics.bytesSent
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for caller in 0..<1000 {
                        group.addTask {
                            let reply = try await redis.send(RedisCommand(script: Self.scripts[caller % 5]))
                            #expect(reply.integer == caller % 5)
                        }
                    }
                    try await group.waitForAll()
                }
                // All sources together have 50 kB.
                #expect(redis.statistics.bytesSent - before < 2_000_000)
            }
        }
    }

    /// The error of a command to a server that answers each connection with `text` at once and closes it.
    private func refusal(_ text: String, after delay: TimeAmount) async throws -> RedisError? {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            // What the client sent stays unread, so that closing resets the connection.
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.scheduleTask(in: delay) {
                    channel.writeAndFlush(ByteBuffer(string: text)).whenComplete { _ in
                        channel.close(promise: nil)
                    }
                }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: port))
        configuration.clientName = "name"
        let redis = RedisClient(configuration)
        let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
        await redis.shutdown()
        try await listener.close()
        return error
    }

    /// Before and after what the client sends has arrived.
    @Test(arguments: [TimeAmount.zero, .milliseconds(20)])
    func `the refusal of protected mode is shown`(delay: TimeAmount) async throws {
        for _ in 0..<20 {
            let error = try await refusal(
                "-DENIED Redis is running in protected mode because protected mode is enabled.\r\n",
                after: delay
            )
            #expect(error?.description.contains("protected mode") == true, "\(String(describing: error))")
        }
    }

    @Test(arguments: [
        "ERR unknown command 'EVALSHA', with args beginning with: 's3cret'",
        "ERR unknown command `EVAL`, with args beginning with: `s3cret`",
        "ERR Could not find scripting engine 'lua'", "ERR Lua scripting disabled",
    ]) func `a server without Lua is told`(_ text: String) async throws {
        let server = try await HostileServer { _, _ in .bytes("-\(text)\r\n") }
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: server.port))
        configuration.commandTimeout = .seconds(5)
        let redis = RedisClient(configuration)
        let error = await #expect(throws: RedisError.self) {
            try await redis.send(RedisCommand(script: Self.scripts[0]))
        }
        #expect(error?.description.contains("Lua") == true && error?.outcome == .rejected)
        #expect(error?.description.contains("s3cret") == false)
        await redis.shutdown()
        await server.close()
    }

    @Test func `the log names the address and the cause in words, and says when Redis is back`() async throws
    {
        let log = Recorder()
        let server = try await RedisServer()
        let redis = RedisClient(
            try RedisConfiguration(url: "redis://u:s3cret@127.0.0.1:\(server.port)"),
            logger: Logger(label: "t") { _ in log }
        )
        try await server.admin("ACL", "SETUSER", "u", "on", ">s3cret", "~*", "+@all")
        _ = try await redis.send(RedisCommand("PING"))
        await server.crash()
        #expect(await poll(seconds: 20) { log.text.contains("Redis is unavailable") })
        let line = try #require(log.lines.first { $0.contains("Redis is unavailable") })
        #expect(line.contains("127.0.0.1:\(server.port)") && line.contains("refused"), "\(line)")
        #expect(!line.contains("errno") && !log.text.contains("s3cret"))
        try await server.restart()
        try await server.admin("ACL", "SETUSER", "u", "on", ">s3cret", "~*", "+@all")
        #expect(await poll(seconds: 20) { (try? await redis.send(RedisCommand("PING"))) != nil })
        let back = log.lines.filter { $0.contains("available again") }
        #expect(back.count == 1 && back[0].contains("127.0.0.1:\(server.port)"))
        await redis.shutdown()
    }

    @Test func `a host name that cannot be resolved is told as such`() async throws {
        let redis = RedisClient(RedisConfiguration(address: .tcp(host: "redis.invalid", port: 6379)))
        #expect(
            await poll(seconds: 20) {
                do throws(RedisError) { _ = try await redis.send(RedisCommand("PING")) } catch {
                    return error.description.contains("resolved")
                }
                return false
            }
        )
        await redis.shutdown()
    }

    @Test func `credentials are asked for at each connect`() async throws {
        let server = try await RedisServer(
            [
                "--user", "admin", "on", ">a", "~*", "&*", "+@all", "--user", "app", "on", ">one", "~*",
                "+@all",
            ],
            adminAuth: ["--user", "admin", "--pass", "a", "--no-auth-warning"]
        )
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: server.port))
        configuration.commandTimeout = .seconds(5)
        let provider = Provider()
        configuration.credentials = { try await provider.credentials() }
        let redis = RedisClient(configuration)
        #expect(try await redis.text(RedisCommand("ACL", "WHOAMI")) == "app")
        try await server.admin("ACL", "SETUSER", "app", "<one", ">two")
        provider.set("two")
        try await server.admin("CLIENT", "KILL", "USER", "app")
        #expect(
            await poll(seconds: 20) {
                (try? await redis.send(RedisCommand("ACL", "WHOAMI", readOnly: true)))?.string == "app"
            }
        )
        // A function that fails says so, and is asked again.
        provider.set(nil)
        #expect(
            await poll(seconds: 20) {
                // Again: a connection that was being made has its credentials already.
                _ = try? await server.admin("CLIENT", "KILL", "USER", "app")
                do throws(RedisError) { _ = try await redis.send(RedisCommand("PING")) } catch {
                    return error.code == .authentication && error.outcome == .notSent
                }
                return false
            }
        )
        provider.set("two")
        #expect(await poll(seconds: 20) { (try? await redis.send(RedisCommand("PING"))) != nil })
        await redis.shutdown()
    }
}

/// Returns the current password of a user.
private final class Provider: Sendable {
    private struct Unavailable: Error {}
    private let password = Mutex<String?>("one")

    func set(_ new: String?) { password.withLock { $0 = new } }

    func credentials() async throws -> RedisCredentials {
        guard let password = password.withLock({ $0 }) else { throw Unavailable() }
        return RedisCredentials(username: "app", password: password)
    }
}
