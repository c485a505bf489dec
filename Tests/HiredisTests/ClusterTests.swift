// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// One test at a time: each has servers of its own, which need processor time for what they agree on.
@Suite(.serialized) enum Topologies {}

/// One cluster for the suite; each test has keys of its own.
private let shared = Task { try await RedisCluster() }

extension Topologies {
    /// A cluster whose slots stay where they are.
    @Suite(.timeLimit(.minutes(10))) struct ClusterTests {
        @Test func `a command in steady state costs one round trip, wherever its key is`() async throws {
            try await withCluster(try await shared.value) { redis, cluster in
                _ = try await redis.send(RedisCommand("SET", "one:0", "v"))
                try await cluster.resetCounts()
                let before = redis.statistics
                for index in 0..<300 {
                    _ = try await redis.send(RedisCommand("SET", "one:\(index)", "\(index)"))
                }
                for index in 0..<300 {
                    let reply = try await redis.send(RedisCommand("GET", "one:\(index)", readOnly: true))
                    #expect(reply.string == "\(index)")
                }
                #expect(redis.statistics.commands - before.commands == 600)
                #expect(redis.statistics.redirects == 0)
                #expect(redis.statistics.slotRefreshes == 1)
                #expect(try await cluster.commandCounts() == ["set": 300, "get": 300])
                for node in cluster.primaries {
                    let counts = try await node.commandCounts()
                    #expect((counts["set"] ?? 0) > 50)
                }
            }
        }

        @Test func `every kind of command reaches the node of its key`() async throws {
            try await withCluster(try await shared.value) { redis, cluster in
                let script = RedisScript("return redis.call('INCR', KEYS[1])")
                for index in 0..<20 {
                    let key = "kind:\(index)"
                    #expect(try await redis.number(RedisCommand(script: script, keys: [key])) == 1)
                    #expect(try await redis.text(RedisCommand("OBJECT", "ENCODING", key)) == "int")
                    let eval = RedisCommand("EVAL", "return redis.call('GET', KEYS[1])", "1", key)
                    #expect(try await redis.text(eval) == "1")
                    _ = try await redis.send(RedisCommand("XADD", "\(key):x", "1-1", "f", "v"))
                    let read = RedisCommand("XREAD", "COUNT", "1", "STREAMS", "\(key):x", "0")
                    #expect(try await redis.send(read).count == 1)
                    redis.submit(RedisCommand("INCR", key))
                    #expect(
                        await poll(seconds: 5) { (try? await redis.text(RedisCommand("GET", key))) == "2" }
                    )
                    #expect(try await redis.text(RedisCommand("PING")) == "PONG")
                }
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("MGET", "foo", "bar"))
                }
                #expect(error?.prefix == "CROSSSLOT")
                #expect(redis.statistics.redirects == 0)
                #expect(redis.statistics.submitErrors == 0)
            }
        }

        @Test func `a batch is split by node and its replies are joined in order`() async throws {
            try await withCluster(try await shared.value) { redis, cluster in
                _ = try await redis.send(RedisCommand("PING"))
                let keys = (0..<200).map { "batch:\($0)" }
                let writes = try await redis.send(keys.map { RedisCommand("SET", $0, "v\($0)") })
                #expect(writes.allSatisfy { $0.string == "OK" })
                let before = redis.statistics
                let replies = try await redis.send(
                    keys.flatMap {
                        [RedisCommand("GET", $0), RedisCommand("LPUSH", $0, "x"), RedisCommand("TTL", $0)]
                    }
                )
                for (index, key) in keys.enumerated() {
                    #expect(replies[3 * index].string == "v\(key)")
                    #expect(replies[3 * index + 1].error?.prefix == "WRONGTYPE")
                    #expect(replies[3 * index + 2].integer == -1)
                }
                #expect(redis.statistics.batches - before.batches == 3)
            }
        }

        @Test func `scripts that nodes have lost are loaded on each of them`() async throws {
            try await withCluster(try await shared.value) { redis, cluster in
                let script = RedisScript("return {KEYS[1], redis.call('INCR', KEYS[1])}")
                redis.preload([script])
                let calls = (0..<30).map { RedisCommand(script: script, keys: ["lost:\($0)"]) }
                _ = try await redis.send(RedisCommand("SET", "lost", "v"))
                for round in 1...3 {
                    let replies = try await redis.send([RedisCommand("GET", "lost")] + calls)
                    #expect(replies[0].string == "v")
                    for (index, reply) in replies.dropFirst().enumerated() {
                        #expect(
                            reply.count == 2 && reply[0].string == "lost:\(index)"
                                && reply[1].integer == round
                        )
                    }
                    for node in cluster.primaries { try await node.admin("SCRIPT", "FLUSH") }
                }
            }
        }

        @Test func `a transaction is executed by the node of its keys`() async throws {
            try await withCluster(try await shared.value) { redis, _ in
                for index in 0..<10 {
                    let replies = try await redis.send([
                        RedisCommand("SET", "t:\(index)", "a"), RedisCommand("MULTI"),
                        RedisCommand("INCR", "{n:\(index)}a"), RedisCommand("INCR", "{n:\(index)}b"),
                        RedisCommand("EXEC"), RedisCommand("GET", "t:\(index)"),
                    ])
                    #expect(replies[4].count == 2 && replies[4][1].integer == 1)
                    #expect(replies[5].string == "a")
                }
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send([
                        RedisCommand("MULTI"), RedisCommand("INCR", "foo"), RedisCommand("INCR", "bar"),
                        RedisCommand("EXEC"),
                    ])
                }
                #expect(error?.code == .configuration && error?.outcome == .notSent)
            }
        }

        @Test func `commands without a key go with the others of their batch`() async throws {
            try await withCluster(try await shared.value) { redis, cluster in
                _ = try await redis.send(RedisCommand("SET", "time", "v"))
                try await cluster.resetCounts()
                for _ in 0..<10 {
                    _ = try await redis.send([RedisCommand("TIME"), RedisCommand("GET", "time")])
                }
                let owner = cluster.primary(of: try await cluster.slot(of: "time"))
                #expect(try await owner.commandCounts()["time"] == 10)
            }
        }

        @Test func `a dedicated connection leads to the node of its key, and needs one`() async throws {
            try await withCluster(try await shared.value) { redis, _ in
                for index in 0..<10 {
                    let value = try await redis.withDedicatedConnection(for: "own:\(index)") { connection in
                        _ = try await connection.send([RedisCommand("WATCH", "own:\(index)")])
                        return try await connection.send(RedisCommand("INCR", "own:\(index)")).integer
                    }
                    #expect(value == 1)
                }
                let error = await #expect(throws: RedisError.self) {
                    try await redis.withDedicatedConnection { _ in }
                }
                #expect(error?.code == .configuration && error?.description.contains("key") == true)
            }
        }

        @Test func `any seed that answers will do`() async throws {
            let cluster = try await shared.value
            let dead = try freePort()
            let url = "redis-cluster://127.0.0.1:\(dead),127.0.0.1:\(cluster.primaries[2].port)"
            try await withCluster(cluster, url: url) { redis, _ in
                let reply = try await redis.text(RedisCommand("SET", "seed", "v"))
                #expect(reply == "OK")
            }
        }

        @Test func `a server without a cluster is told as such`() async throws {
            let server = try await RedisServer()
            let redis = RedisClient(try RedisConfiguration(url: "redis-cluster://127.0.0.1:\(server.port)"))
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("GET", "k"))
            }
            #expect(error?.code == .configuration && error?.outcome == .notSent)
            #expect(error?.description.contains("not a node of a cluster") == true)
            await redis.shutdown()
        }

        @Test func `without any node, callers are told at their deadline`() async throws {
            let dead = try freePort()
            var configuration = try RedisConfiguration(url: "redis-cluster://127.0.0.1:\(dead)")
            configuration.commandTimeout = .milliseconds(600)
            let redis = RedisClient(configuration)
            for commands in [
                [RedisCommand("GET", "k")], [RedisCommand("GET", "k"), RedisCommand("GET", "l")],
            ] {
                let error = await #expect(throws: RedisError.self) { try await redis.send(commands) }
                #expect(error?.code == .connection && error?.outcome == .notSent)
            }
            redis.submit(RedisCommand("GET", "k"))
            #expect(redis.statistics.submitErrors == 1)
            await redis.shutdown()
        }

        @Test func `a shut down client refuses, also who waits for the slots`() async throws {
            let server = try await HostileServer { _, _ in .silence }
            var configuration = RedisConfiguration(cluster: [.tcp(host: "127.0.0.1", port: server.port)])
            configuration.commandTimeout = .seconds(20)
            let redis = RedisClient(configuration)
            let waiting = Task { try await redis.send(RedisCommand("GET", "k")) }
            #expect(await poll(seconds: 5) { server.connections > 0 })
            await redis.shutdown()
            let error = await #expect(throws: RedisError.self) { try await waiting.value }
            #expect(error?.code == .closed && error?.outcome == .notSent)
            let late = await #expect(throws: RedisError.self) {
                try await redis.send([RedisCommand("GET", "k")])
            }
            #expect(late?.code == .closed)
            await server.close()
        }

        @Test func `a caller that waits for the slots can be cancelled`() async throws {
            let server = try await HostileServer { _, _ in .silence }
            var configuration = RedisConfiguration(cluster: [.tcp(host: "127.0.0.1", port: server.port)])
            configuration.commandTimeout = .seconds(20)
            let redis = RedisClient(configuration)
            let waiting = Task { try await redis.send(RedisCommand("GET", "k")) }
            #expect(await poll(seconds: 5) { server.connections > 0 })
            waiting.cancel()
            let error = await #expect(throws: RedisError.self) { try await waiting.value }
            #expect(error?.code == .cancelled && error?.outcome == .notSent)
            await redis.shutdown()
            await server.close()
        }

        @Test func `a released client closes its connections`() async throws {
            let cluster = try await shared.value
            var configuration = try RedisConfiguration(url: cluster.url)
            configuration.clientName = "released"
            var redis: RedisClient? = RedisClient(configuration)
            _ = try await redis?.send(["a", "b", "c"].map { RedisCommand("GET", $0) })
            // Two to each node; the second one follows the first.
            let areOpen = await poll(seconds: 5) { [redis] in redis?.statistics.connects == 6 }
            #expect(areOpen)
            redis = nil
            let isGone = await poll(seconds: 5) {
                for node in cluster.primaries {
                    guard let list = try? await node.admin("CLIENT", "LIST"), !list.contains("name=released")
                    else { return false }
                }
                return true
            }
            #expect(isGone)
        }

        @Test func `run connects to all primaries in advance`() async throws {
            try await withCluster(try await shared.value) { redis, _ in
                let running = Task { try await redis.run() }
                #expect(await poll(seconds: 5) { redis.statistics.connects == 6 })
                running.cancel()
                try await running.value
                await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("GET", "k")) }
            }
        }
    }
}

/// Runs `body` with a client of a cluster and shuts the client down.
func withCluster(
    _ cluster: RedisCluster,
    url: String? = nil,
    timeout: Duration = .seconds(10),
    _ body: (RedisClient, RedisCluster) async throws -> Void
) async throws {
    var configuration = try RedisConfiguration(url: url ?? cluster.url)
    configuration.commandTimeout = timeout
    let redis = RedisClient(configuration)
    do { try await body(redis, cluster) } catch {
        await redis.shutdown()
        throw error
    }
    await redis.shutdown()
}
