// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Hiredis

/// How often commands are sent again, and which callers are refused instead.
@Suite(.limited, .timeLimit(.minutes(10))) struct RetryTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func client(
        _ server: HostileServer,
        configure: (inout RedisConfiguration) -> Void = { _ in }
    ) -> RedisClient {
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: server.port))
        (configuration.sharedConnections, configuration.commandTimeout) = (1, .seconds(20))
        configure(&configuration)
        return RedisClient(configuration)
    }

    // MARK: The budget

    @Test func `a fifth of the commands may be sent again, and some for each second`() {
        var limits = RedisLimits()
        (limits.retriesPerSecond, limits.retryWindow) = (1, 10)
        var budget = RetryBudget(limits)
        var granted = 0
        for _ in 0..<100 where budget.took(1, written: 0, at: start) { granted += 1 }
        #expect(granted == 10)
        // What is sent again is written, too, and earns nothing.
        for _ in 0..<100 where budget.took(1, written: granted + 100, at: start) { granted += 1 }
        #expect(granted == 30)
        for _ in 0..<100 where budget.took(1, written: granted + 100, at: start + .seconds(2)) {
            granted += 1
        }
        #expect(granted == 32)
    }

    @Test func `what is not used is forgotten, and a window has the mean of a longer time`() {
        var limits = RedisLimits()
        (limits.retriesPerSecond, limits.retryWindow) = (0, 10)
        var budget = RetryBudget(limits)
        var written = 0
        func granted(after seconds: Int64, _ more: Int) -> Int {
            written += more
            let granted = (0..<10_000).count { _ in
                budget.took(1, written: written, at: start + .seconds(seconds))
            }
            written += granted
            return granted
        }
        #expect(granted(after: 0, 100) == 20)
        // 10 000 in 1000 s are 100 in a window.
        #expect(granted(after: 1000, 10_000) == 20)
        #expect(granted(after: 1001, 0) == 0)
    }

    @Test func `a request of many commands takes a token for each`() {
        var limits = RedisLimits()
        (limits.retriesPerSecond, limits.retryWindow) = (1, 10)
        var budget = RetryBudget(limits)
        var isGranted = budget.took(15, written: 0, at: start)
        #expect(isGranted)
        isGranted = budget.took(1, written: 15, at: start)
        #expect(!isGranted)
        isGranted = budget.took(1, written: 15 + 30, at: start)
        #expect(isGranted)
    }

    @Test(arguments: [0.0, 100.0]) func `a refused command is sent again only from the budget`(
        _ perSecond: Double
    ) async throws {
        let server = try await HostileServer { connection, _ in
            .bytes(connection == 1 ? "-READONLY You can't write\r\n" : "+fine\r\n")
        }
        let redis = client(server) { ($0.limits.retriesPerSecond, $0.limits.retryShare) = (perSecond, 0) }
        if perSecond > 0 {
            #expect(try await redis.text(RedisCommand("SET", "k", "v")) == "fine")
        } else {
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("SET", "k", "v"))
            }
            #expect(error?.prefix == "READONLY" && error?.outcome == .rejected)
        }
        let statistics = redis.statistics
        #expect(statistics.commands == (perSecond > 0 ? 2 : 1))
        #expect(statistics.retries == (perSecond > 0 ? 1 : 0))
        #expect(statistics.refusedRetries == (perSecond > 0 ? 0 : 1))
        await redis.shutdown()
        await server.close()
    }

    @Test(arguments: [0.0, 100.0]) func `a read whose connection is lost is sent again only from the budget`(
        _ perSecond: Double
    ) async throws {
        let server = try await HostileServer { connection, _ in
            connection == 1 ? .hangUp : .bytes("+fine\r\n")
        }
        let redis = client(server) { ($0.limits.retriesPerSecond, $0.limits.retryShare) = (perSecond, 0) }
        let get = RedisCommand("GET", "k", readOnly: true)
        if perSecond > 0 {
            #expect(try await redis.text(get) == "fine")
        } else {
            let error = await #expect(throws: RedisError.self) { try await redis.send(get) }
            #expect(error?.code == .connection && error?.outcome == .unknown)
        }
        #expect(redis.statistics.commands == (perSecond > 0 ? 2 : 1))
        #expect(redis.statistics.refusedRetries == (perSecond > 0 ? 0 : 1))
        await redis.shutdown()
        await server.close()
    }

    @Test func `a cluster that is down gets no more than the callers' commands, a fifth and the floor`()
        async throws
    {
        let own = Mutex(0)
        let server = try await HostileServer { _, input in
            let slots =
                "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:\(own.withLock(\.self))\r\n$1\r\na\r\n"
            // A question for the slots may arrive with commands before and behind it.
            let commands = input.split(separator: "*", omittingEmptySubsequences: false).dropFirst()
            return .bytes(
                commands.map { $0.contains("SLOTS") ? slots : "-CLUSTERDOWN The cluster is down\r\n" }
                    .joined()
            )
        }
        own.withLock { $0 = server.port }
        let redis = client(server) {
            $0.topology = .cluster(seeds: [$0.address])
            ($0.limits.retriesPerSecond, $0.limits.retryWindow) = (0.5, 100)
        }
        let refused = await withTaskGroup { group in
            for index in 0..<300 {
                group.addTask {
                    do throws(RedisError) {
                        _ = try await redis.send(RedisCommand("INCR", "k\(index)"))
                    } catch {
                        return error.prefix == "CLUSTERDOWN" && error.outcome == .rejected
                    }
                    return false
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(refused == 300)
        let statistics = redis.statistics
        // 60 for the commands, 50 for the seconds before, and 10 for those of the test.
        #expect(statistics.retries >= 50 && statistics.retries <= 120, "\(statistics)")
        #expect(statistics.commands <= 300 + 120)
        #expect(statistics.refusedRetries == 300)
        await redis.shutdown()
        await server.close()
    }

    // MARK: Load shedding

    @Test func `callers beyond those who may wait for a connection fail at once, and send nothing`()
        async throws
    {
        try await withRedis(configure: {
            ($0.sharedConnections, $0.limits.waiters) = (1, 5)
            ($0.commandTimeout, $0.connectTimeout) = (.seconds(40), .seconds(40))
        }) { redis, server in
            server.freeze()
            let callers = (0..<20).map { _ in Task { try await redis.send(RedisCommand("INCR", "n")) } }
            // While the others wait.
            #expect(await poll(seconds: 20) { redis.statistics.overloaded == 15 })
            #expect(redis.statistics.commands == 0)
            server.thaw()
            var refused = 0
            for caller in callers {
                do { _ = try await caller.value } catch let error as RedisError {
                    #expect(error.code == .overloaded && error.outcome == .notSent)
                    refused += 1
                }
            }
            #expect(refused == 15 && redis.statistics.overloaded == 15)
            #expect(try await server.admin("GET", "n") == "5")
            // The retry of one that was refused.
            #expect(try await redis.number(RedisCommand("INCR", "n")) == 6)
            #expect(redis.statistics.retries == 0)
        }
    }

    @Test func `a server that is given up is counted until it can be reached`() async throws {
        try await withRedis { redis, server in
            _ = try await redis.send(RedisCommand("PING"))
            #expect(redis.statistics.unavailableServers == 0)
            await server.crash()
            #expect(await poll(seconds: 20) { redis.statistics.unavailableServers == 1 })
            try await server.restart()
            #expect(await poll(seconds: 20) { (try? await redis.send(RedisCommand("PING"))) != nil })
            #expect(redis.statistics.unavailableServers == 0)
        }
    }
}
