// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Hiredis

/// Writes that are waited for until replicas have them, on servers that change their roles and slots.
@Suite(.limited, .timeLimit(.minutes(10))) struct ReplicaWaitTests {
    private func wait(_ timeout: Duration = .seconds(10)) -> RedisReplicaWait {
        RedisReplicaWait(replicas: 1, isOnDisk: false, timeout: timeout)
    }

    private let script = RedisScript("return redis.call('INCR', KEYS[1])")
    private var increment: RedisCommand { RedisCommand(script: script, keys: ["n"]) }

    @Test func `answers of the server count no more copies than were wanted`() {
        let replicas = RedisReplicaWait(replicas: 2, isOnDisk: false, timeout: .milliseconds(1500))
        #expect(replicas.wanted == 2 && replicas.acknowledged == 0 && !replicas.isShort)
        #expect("\(replicas.question(.milliseconds(1500)))" == "WAIT with 2 arguments")
        #expect(
            replicas.question(.microseconds(1)).decoded.map { String(decoding: $0, as: UTF8.self) } == [
                "2", "1",
            ]
        )
        let files = RedisReplicaWait(replicas: 1, isOnDisk: true, timeout: .seconds(1))
        #expect(files.wanted == 2)
        #expect(
            files.question(.seconds(1)).decoded.map { String(decoding: $0, as: UTF8.self) } == [
                "1", "1", "1000",
            ]
        )
    }

    @Test func `of several writes the one with the fewest copies counts`() async throws {
        let pair = try await ReplicatedPair()
        var configuration = try RedisConfiguration(url: pair.primary.url)
        configuration.commandTimeout = .seconds(20)
        let redis = RedisClient(configuration)
        redis.preload([script])
        let wait = wait(.seconds(2))
        for expected in [1, 0, 0] {
            let replies = try await redis.send(
                [increment, RedisCommand("GET", "n")],
                cancellation: .ignore,
                copied: wait
            )
            #expect(replies.count == 2 && replies[0].integer == replies[1].string.flatMap { Int($0) })
            #expect(wait.acknowledged == expected)
            pair.replica.freeze()
        }
        #expect(wait.isShort)
        // The third was sent without the question.
        #expect(try await pair.primary.commandCounts()["wait"] == 2)
        pair.replica.thaw()
        await redis.shutdown()
        await pair.close()
    }

    @Test func `a write that a demoted server refuses is sent to the new one, once`() async throws {
        let (first, second) = (try await RedisServer(), try await ReplicatedPair())
        let proxy = try await TCPProxy(to: first.port)
        var configuration = RedisConfiguration(address: .tcp(host: "localhost", port: proxy.port))
        configuration.commandTimeout = .seconds(5)
        let redis = RedisClient(configuration)
        _ = try await redis.send(RedisCommand("PING"))
        // An idle connection of the pool leads to the server that is demoted.
        _ = try await redis.send([increment], cancellation: .ignore, copied: wait(.milliseconds(1)))
        try await first.admin("REPLICAOF", "127.0.0.1", "1")
        proxy.lead(to: second.primary.port)
        let wait = wait()
        let replies = try await redis.send([increment], cancellation: .ignore, copied: wait)
        #expect(replies[0].integer == 1 && wait.acknowledged == 1)
        #expect(try await second.primary.admin("GET", "n") == "1")
        // The shared connections were replaced with it.
        #expect(try await redis.text(RedisCommand("GET", "n", readOnly: true)) == "1")
        await redis.shutdown()
        await proxy.close()
        await second.close()
    }

    @Test func `a server that is gone is tried again until the deadline`() async throws {
        let (first, second) = (try await RedisServer(), try await ReplicatedPair())
        let proxy = try await TCPProxy(to: first.port)
        var configuration = RedisConfiguration(address: .tcp(host: "localhost", port: proxy.port))
        configuration.commandTimeout = .seconds(20)
        let redis = RedisClient(configuration)
        await first.crash()
        let wait = wait()
        async let replies = redis.send([increment], cancellation: .ignore, copied: wait)
        #expect(await poll(seconds: 10) { redis.statistics.failedConnects > 2 })
        proxy.lead(to: second.primary.port)
        #expect(try await replies[0].integer == 1 && wait.acknowledged == 1)
        await redis.shutdown()
        await proxy.close()
        await second.close()
    }

    @Test func `with sentinels a write follows the primary, and its copies are those of the new one`()
        async throws
    {
        let servers = try await SentinelServers()
        var configuration = try RedisConfiguration(url: servers.url)
        configuration.commandTimeout = .seconds(20)
        let redis = RedisClient(configuration)
        let first = wait()
        _ = try await redis.send([increment], cancellation: .ignore, copied: first)
        #expect(first.acknowledged == 1)
        // A command on a connection that is about to be lost would fail.
        let lost = redis.statistics.connects
        await servers.servers[0].crash()
        #expect(await poll(seconds: 20) { redis.statistics.lostConnections >= lost })
        // Sent when the sentinels have promoted the replica; that one has none.
        let second = wait(.milliseconds(20))
        let replies = try await redis.send([increment], cancellation: .ignore, copied: second)
        #expect(replies[0].integer == 2 && second.acknowledged == 0)
        #expect(try await servers.servers[1].admin("GET", "n") == "2")
        await redis.shutdown()
    }

    @Test func `in a cluster each primary that is written to waits for its own replica`() async throws {
        let cluster = try await RedisCluster(hasReplicas: true)
        var configuration = try RedisConfiguration(url: cluster.url)
        configuration.commandTimeout = .seconds(20)
        let redis = RedisClient(configuration)
        // Of each of the three nodes.
        let keys = ["a", "b", "c"]
        let slots = try await withThrowingTaskGroup(of: Int.self) { group in
            for key in keys { group.addTask { try await cluster.slot(of: key) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(slots.map { cluster.primary(of: $0).port }).count == 3)
        func write(_ keys: [String], _ timeout: Duration = .seconds(10)) async throws -> (Int, [RedisReply]) {
            let wait = wait(timeout)
            let commands = keys.map { RedisCommand(script: script, keys: [$0]) }
            let replies = try await redis.send(commands, cancellation: .ignore, copied: wait)
            return (wait.acknowledged, replies)
        }
        var (copies, replies) = try await write(keys)
        #expect(copies == 1 && replies.map(\.integer) == [1, 1, 1])
        for node in cluster.primaries { #expect(try await node.commandCounts()["wait"] ?? 0 >= 1) }

        // A slot that is on its way (ASK), then one that has moved (MOVED).
        let slot = try await cluster.slot(of: "{a}new")
        let source = cluster.primary(of: slot)
        let target = cluster.primaries.first { $0 !== source }!
        try await cluster.beginMove(slot, from: source, to: target)
        try await target.resetCounts()
        (copies, replies) = try await write(["{a}new"])
        #expect(copies == 1 && replies[0].integer == 1 && redis.statistics.redirects == 1)
        #expect(try await target.commandCounts()["wait"] == 1)
        try await cluster.moveKeys(of: slot, from: source, to: target)
        try await cluster.endMove(slot, from: source, to: target)
        (copies, replies) = try await write(["a"])
        #expect(copies == 1 && replies[0].integer == 2 && redis.statistics.redirects == 2)

        // One replica of three does not answer.
        let last = cluster.primary(of: try await cluster.slot(of: "c"))
        let position = cluster.primaries.firstIndex { $0 === last }!
        cluster.replicas[position].freeze()
        (copies, replies) = try await write(keys, .milliseconds(100))
        #expect(copies == 0 && replies.map(\.integer) == [3, 2, 2])
        cluster.replicas[position].thaw()
        await redis.shutdown()
    }
}
