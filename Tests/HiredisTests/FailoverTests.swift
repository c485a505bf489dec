// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Hiredis

/// An address that leads to another server than the connections do.
@Suite(.limited, .timeLimit(.minutes(10))) struct FailoverTests {
    /// Two servers, and a client whose address leads to the first one.
    private func withTwo(
        configure: (inout RedisConfiguration) -> Void = { _ in },
        _ body: (RedisClient, TCPProxy, RedisServer, RedisServer) async throws -> Void
    ) async throws {
        // Valkey names its primary to the default user instead; that is followed in `SentinelTests`.
        let user = ["--user", "app", "on", ">pw", "~*", "&*", "+@all"]
        let (first, second) = (try await RedisServer(user), try await RedisServer(user))
        let proxy = try await TCPProxy(to: first.port)
        var configuration = RedisConfiguration(address: .tcp(host: "localhost", port: proxy.port))
        (configuration.username, configuration.password) = ("app", "pw")
        configuration.commandTimeout = .seconds(5)
        configure(&configuration)
        let redis = RedisClient(configuration)
        do { try await body(redis, proxy, first, second) } catch {
            await redis.shutdown()
            throw error
        }
        await redis.shutdown()
        await proxy.close()
    }

    private func get(_ key: String) -> RedisCommand { RedisCommand("GET", key, readOnly: true) }

    @Test(arguments: [false, true]) func `a write that a demoted server refuses is sent to the new one, once`(
        isScript: Bool
    ) async throws {
        try await withTwo { redis, proxy, first, second in
            _ = try await redis.send(RedisCommand("SET", "k", "first"))
            _ = try await redis.send(get("k"))
            try await redis.withDedicatedConnection { _ = try await $0.send(RedisCommand("PING")) }
            try await second.admin("SET", "k", "second")
            try await first.admin("REPLICAOF", "127.0.0.1", "1")
            proxy.lead(to: second.port)
            // Nothing has told the client yet.
            #expect(try await redis.text(get("k")) == "first")
            let write =
                isScript
                ? RedisCommand(script: RedisScript("return redis.call('INCR', KEYS[1])"), keys: ["n"])
                : RedisCommand("INCR", "n")
            #expect(try await redis.number(write) == 1)
            #expect(try await second.admin("GET", "n") == "1")
            // The connection for reads was replaced with that for writes, and the idle dedicated one.
            #expect(try await redis.text(get("k")) == "second")
            try await redis.withDedicatedConnection {
                let reply = try await $0.send(RedisCommand("GET", "k"))
                #expect(reply.string == "second")
            }
            #expect(redis.statistics.lostConnections == 0)
        }
    }

    @Test func `an address that moves takes every acknowledged write along, and leaves no connection behind`()
        async throws
    {
        try await withTwo { redis, proxy, old, new in
            try await new.admin("REPLICAOF", "127.0.0.1", "\(old.port)")
            #expect(
                await poll(seconds: 20) {
                    (try? await new.admin("INFO", "replication"))?.contains("master_link_status:up") == true
                }
            )
            let (acknowledged, others) = (Tally(), Tally())
            let writers = (0..<16).map { _ in
                Task {
                    while !Task.isCancelled {
                        do throws(RedisError) {
                            _ = try await redis.send(RedisCommand("INCR", "n"), cancellation: .ignore)
                            acknowledged.add()
                        } catch { others.add() }
                        _ = try? await redis.send(get("n"))
                    }
                }
            }
            #expect(await poll(seconds: 10) { acknowledged.value > 300 })
            // As an operator moves a VIP or a name: no more writes, the rest to the replica, then the roles and the address.
            try await old.admin("CLIENT", "PAUSE", "60000", "WRITE")
            try await old.replicated(to: new)
            try await new.admin("REPLICAOF", "NO", "ONE")
            proxy.lead(to: new.port)
            try await old.admin("REPLICAOF", "127.0.0.1", "\(new.port)")
            try await old.admin("CLIENT", "UNPAUSE")
            let moved = acknowledged.value
            #expect(await poll(seconds: 20) { acknowledged.value > moved + 300 })
            for writer in writers { writer.cancel() }
            for writer in writers { await writer.value }
            #expect(try await new.admin("GET", "n") == "\(acknowledged.value)")
            #expect(others.value == 0)
            let isLeft = await poll(seconds: 10) {
                (try? await old.admin("CLIENT", "LIST", "TYPE", "normal"))?.contains("user=app") == false
            }
            #expect(isLeft)
        }
    }

    @Test func `every write of many callers is executed once`() async throws {
        try await withTwo { redis, proxy, first, second in
            _ = try await redis.send(RedisCommand("PING"))
            try await first.admin("REPLICAOF", "127.0.0.1", "1")
            proxy.lead(to: second.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<200 { group.addTask { _ = try await redis.send(RedisCommand("INCR", "n")) } }
                try await group.waitForAll()
            }
            #expect(try await second.admin("GET", "n") == "200")
            #expect(proxy.connections <= 4)
        }
    }

    @Test func `a write among several commands is repeated only when all were refused`() async throws {
        try await withTwo { redis, proxy, first, second in
            _ = try await redis.send(RedisCommand("PING"))
            try await first.admin("REPLICAOF", "127.0.0.1", "1")
            proxy.lead(to: second.port)
            // The first command is executed by a replica, too.
            let mixed = [RedisCommand("PUBLISH", "c", "m"), RedisCommand("INCR", "n")]
            let first = try await redis.send(mixed)
            #expect(first[1].error?.prefix == "READONLY")
            let replies = try await redis.send([get("n"), RedisCommand("INCR", "n")])
            #expect(replies[1].integer == 1)
        }
    }

    @Test func `reads of a replica without its primary are sent elsewhere`() async throws {
        try await withTwo { redis, proxy, first, second in
            _ = try await redis.send(get("k"))
            try await second.admin("SET", "k", "second")
            try await first.admin("CONFIG", "SET", "replica-serve-stale-data", "no")
            try await first.admin("REPLICAOF", "127.0.0.1", "1")
            proxy.lead(to: second.port)
            #expect(try await redis.text(get("k")) == "second")
        }
    }

    @Test func `a server that stays a replica is not connected to in a tight loop, and heals`() async throws {
        try await withTwo { redis, proxy, first, _ in
            _ = try await redis.send(get("k"))
            try await first.admin("REPLICAOF", "127.0.0.1", "1")
            for _ in 0..<2000 {
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("INCR", "n"))
                }
                #expect(error?.prefix == "READONLY" && error?.outcome == .rejected)
            }
            #expect(proxy.connections <= 24)
            try await first.admin("REPLICAOF", "NO", "ONE")
            #expect(try await redis.number(RedisCommand("INCR", "n")) == 1)
        }
    }

    @Test(arguments: [
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "LOADING Redis is loading the dataset in memory", "REDIRECT 127.0.0.1:1", "MOVED 1 127.0.0.1:1",
        "NOREPLICAS Not enough good replicas to write.", "CLUSTERDOWN The cluster is down",
        "NOAUTH Authentication required.",
        "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't write",
    ]) func `an answer that means another server replaces the connection`(_ text: String) async throws {
        let server = try await HostileServer { connection, _ in
            .bytes(connection == 1 ? "-\(text)\r\n" : "+fine\r\n")
        }
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: server.port))
        (configuration.sharedConnections, configuration.commandTimeout) = (1, .seconds(5))
        let redis = RedisClient(configuration)
        #expect(try await redis.text(RedisCommand("SET", "k", "v")) == "fine")
        #expect(server.connections == 2)
        await redis.shutdown()
        await server.close()
    }

    @Test(arguments: ["OOM command not allowed", "WRONGTYPE x", "ERR -READONLY ", "READONLYX y"])
    func `any other error leaves the connection alone`(_ text: String) async throws {
        let server = try await HostileServer { _, _ in .bytes("-\(text)\r\n") }
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: server.port))
        (configuration.sharedConnections, configuration.commandTimeout) = (1, .seconds(5))
        let redis = RedisClient(configuration)
        for _ in 0..<3 {
            await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("SET", "k", "v")) }
        }
        #expect(server.connections == 1)
        await redis.shutdown()
        await server.close()
    }

    @Test func `a dedicated connection that waits for a demoted server ends`() async throws {
        try await withTwo { redis, proxy, first, second in
            _ = try await redis.send(RedisCommand("PING"))
            let waiting = Task {
                try await redis.withDedicatedConnection {
                    try await $0.send(
                        RedisCommand("XREAD", "BLOCK", "0", "STREAMS", "s", "$"),
                        timeout: .seconds(60)
                    )
                }
            }
            #expect(
                await poll(seconds: 5) {
                    (try? await first.admin("INFO", "clients"))?.contains("blocked_clients:1") == true
                }
            )
            try await first.admin("REPLICAOF", "127.0.0.1", "1")
            proxy.lead(to: second.port)
            _ = try await redis.send(RedisCommand("INCR", "n"))
            await #expect(throws: RedisError.self) { try await waiting.value }
        }
    }

    @Test func `without a connection there is nothing to replace`() {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        var state = SharedConnectionState(limits: RedisLimits())
        #expect(state.refused(at: start) == nil)
    }
}
