// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import TestSupport
import Testing

@testable import Hiredis

/// The client as a service, and its shutdown.
@Suite(.limited) struct LifecycleTests {
    @Test func `as a service it connects in advance and closes on graceful shutdown`() async throws {
        let server = try await RedisServer()
        let redis = RedisClient(try RedisConfiguration(url: server.url))
        let group = ServiceGroup(services: [redis], logger: Logger(label: "test"))
        let running = Task { try await group.run() }
        #expect(await poll(seconds: 5) { redis.statistics.connects == redis.configuration.sharedConnections })
        #expect(redis.statistics.commands == 0)
        let reply = try await redis.send(RedisCommand("ECHO", "x"))
        #expect(reply.string == "x")
        await group.triggerGracefulShutdown()
        try await running.value
        let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
        #expect(error?.code == .closed)
    }

    @Test func `callers on an event loop have connections of that event loop`() async throws {
        let server = try await RedisServer()
        let redis = RedisClient(try RedisConfiguration(url: server.url))
        @Sendable func call() async throws {
            _ = try await redis.send(RedisCommand("INCR", "n"))
            _ = try await redis.send(RedisCommand("GET", "n", readOnly: true))
        }
        try await call()
        #expect(redis.statistics.connects == 2)
        let loops = Array(MultiThreadedEventLoopGroup.singleton.makeIterator())
        for _ in 0..<2 {
            for loop in loops {
                try await Task(executorPreference: LoopExecutor(loop)) { try await call() }.value
                #expect(MultiThreadedEventLoopGroup.currentEventLoop == nil)
            }
            #expect(redis.statistics.connects == 2 * loops.count)
        }
        await server.crash()
        #expect(await poll(seconds: 5) { redis.statistics.lostConnections == 2 * loops.count })
        try await server.restart()
        for loop in loops {
            #expect(
                await poll(seconds: 10) {
                    (try? await Task(executorPreference: LoopExecutor(loop)) { try await call() }.value)
                        != nil
                }
            )
        }
        await redis.shutdown()
        let clients = try await server.admin("CLIENT", "LIST").split(separator: "\n")
        #expect(clients.count == 1, "what asks")
    }

    @Test func `the service keeps running while Redis cannot be reached`() async throws {
        let redis = RedisClient(RedisConfiguration(address: .unix(path: "/nowhere/redis")))
        let running = Task { try await redis.run() }
        #expect(await poll(seconds: 5) { redis.statistics.failedConnects >= 2 })
        running.cancel()
        try await running.value
    }

    @Test func `shutdown waits for the replies to what was sent`() async throws {
        try await withRedis { redis, server in
            _ = try await redis.send(RedisCommand("PING"))
            server.freeze()
            let last = Task { try await redis.send(RedisCommand("INCR", "n")) }
            #expect(await poll(seconds: 5) { redis.statistics.commands == 2 })
            for _ in 0..<10 { redis.submit(RedisCommand("INCR", "n")) }
            let closing = Task { await redis.shutdown() }
            #expect(await poll(seconds: 5) { redis.statistics.commands == 12 })
            server.thaw()
            await closing.value
            let reply = try await last.value
            #expect(reply.integer == 1)
            let count = try await server.admin("GET", "n")
            #expect(count == "11")
        }
    }

    @Test func `a client without references closes its connections`() async throws {
        let server = try await RedisServer()
        var configuration = try RedisConfiguration(url: server.url)
        configuration.clientName = "forgotten"
        do {
            let redis = RedisClient(configuration)
            _ = try await redis.send(RedisCommand("PING"))
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
        }
        #expect(
            await poll(seconds: 5) {
                (try? await server.admin("CLIENT", "LIST"))?.contains("forgotten") == false
            }
        )
    }

    @Test func `the log of all failures contains no secret`() async throws {
        let log = Recorder()
        let server = try await RedisServer(
            ["--requirepass", "s3cret-right"],
            adminAuth: ["-a", "s3cret-right", "--no-auth-warning"]
        )
        for password in ["s3cret-wrong", "s3cret-right"] {
            let url = "redis://:\(password)@127.0.0.1:\(server.port)"
            let redis = RedisClient(try RedisConfiguration(url: url), logger: Logger(label: "t") { _ in log })
            for command in [
                RedisCommand("SET", "s3cret-key", "s3cret-value"),
                RedisCommand("LPUSH", "s3cret-key", "s3cret-value"),
                RedisCommand("NOSUCH", "s3cret-value"), RedisCommand("AUTH", "s3cret-value"),
                RedisCommand("EVAL", "error('s3cret-value')", "0"),
            ] {
                do throws(RedisError) { _ = try await redis.send(command) } catch {
                    log.note("\(error) \(String(reflecting: error))")
                    var text = ""
                    dump(error, to: &text)
                    log.note(text)
                }
            }
            if password == "s3cret-right" {
                await server.crash()
                #expect(await poll(seconds: 10) { redis.statistics.failedConnects >= 5 })
            }
            await redis.shutdown()
        }
        #expect(log.text.count > 500)
        #expect(!log.text.contains("s3cret"))
    }
}
