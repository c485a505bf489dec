// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

extension Topologies {
    /// A primary that sentinels watch, and servers that name their primary themselves.
    @Suite(.timeLimit(.minutes(10))) struct SentinelTests {
        private func withSentinels(
            _ servers: SentinelServers,
            url: String? = nil,
            timeout: Duration = .seconds(20),
            configure: (inout RedisSentinels) -> Void = { _ in },
            _ body: (RedisClient) async throws -> Void
        ) async throws {
            var configuration = try RedisConfiguration(url: url ?? servers.url)
            configuration.commandTimeout = timeout
            if case .sentinel(var sentinels) = configuration.topology {
                configure(&sentinels)
                configuration.topology = .sentinel(sentinels)
            }
            let redis = RedisClient(configuration)
            do { try await body(redis) } catch {
                await redis.shutdown()
                throw error
            }
            await redis.shutdown()
        }

        /// Increments until `body` returns; returns how many were acknowledged, and of how many nothing is known.
        private func writing(_ redis: RedisClient, _ body: (Tally) async throws -> Void) async throws -> (
            acknowledged: Int, unknown: Int
        ) {
            let (acknowledged, unknown) = (Tally(), Tally())
            let writers = (0..<8).map { _ in
                Task {
                    while !Task.isCancelled {
                        do throws(RedisError) {
                            _ = try await redis.send(RedisCommand("INCR", "n"), cancellation: .ignore)
                            acknowledged.add()
                        } catch {
                            // Callers are told at once while there is no primary.
                            if error.outcome == .unknown {
                                unknown.add()
                            } else {
                                try? await Task.sleep(for: .milliseconds(5))
                            }
                        }
                    }
                }
            }
            try await body(acknowledged)
            for writer in writers { writer.cancel() }
            for writer in writers { await writer.value }
            return (acknowledged.value, unknown.value)
        }

        @Test(arguments: ["failover", "killed"])
        func `writes go on with the new primary`(_ how: String) async throws {
            let servers = try await SentinelServers(sentinelPassword: "secret")
            try await withSentinels(servers, configure: { $0.password = "secret" }) { redis in
                let running = Task { try await redis.run() }
                var replicated = 0
                let (acknowledged, unknown) = try await writing(redis) { acknowledged in
                    #expect(await poll(seconds: 10) { acknowledged.value > 500 })
                    replicated = acknowledged.value
                    try await servers.servers[0].replicated(to: servers.servers[1])
                    if how == "killed" {
                        await servers.servers[0].crash()
                    } else {
                        try await servers.sentinels[0].admin("SENTINEL", "FAILOVER", "main")
                    }
                    #expect(
                        await poll(seconds: 20) {
                            (try? await servers.servers[1].admin("ROLE"))?.hasPrefix("master") == true
                        }
                    )
                    try await servers.servers[1].resetCounts()
                    // The client need not wait until the old primary is told that it is none any more.
                    let isServed = await poll(seconds: 20) {
                        (try? await servers.servers[1].commandCounts()["incr"] ?? 0) ?? 0 > 500
                    }
                    #expect(isServed)
                    if how == "failover" {
                        #expect(try await servers.servers[0].admin("ROLE").hasPrefix("master"))
                    }
                }
                let stored = try await redis.number(RedisCommand("GET", "n")) ?? 0
                #expect(try await servers.servers[1].admin("GET", "n") == "\(stored)")
                #expect(stored <= acknowledged + unknown)
                // Replication is asynchronous: what was not replicated is missing. In a failover that was ordered, that is
                // all that the old primary has acknowledged until the sentinels agreed.
                #expect(stored >= replicated)
                running.cancel()
                try await running.value
            }
        }

        @Test func `one sentinel that answers is enough, and the next time it is asked first`() async throws {
            let servers = try await SentinelServers()
            let dead = try freePort()
            let url = "redis-sentinel://127.0.0.1:\(dead),127.0.0.1:\(servers.sentinels[1].port)/main/2"
            try await withSentinels(servers, url: url) { redis in
                _ = try await redis.send(RedisCommand("SET", "k", "v"))
                #expect(try await servers.servers[0].admin("-n", "2", "GET", "k") == "v")
            }
            let unknown = url.replacing("/main", with: "/nobody")
            try await withSentinels(servers, url: unknown) { redis in
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("GET", "k"))
                }
                #expect(error?.code == .configuration && error?.outcome == .notSent)
                #expect(error?.description.contains("name") == true)
            }
            try await withSentinels(
                servers,
                url: "redis-sentinel://127.0.0.1:\(dead)/main",
                timeout: .seconds(1)
            ) {
                redis in
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("GET", "k"))
                }
                #expect(error?.code == .connection && error?.outcome == .notSent)
            }
        }

        @Test func `a sentinel that names a replica is asked again`() async throws {
            let (primary, replica) = (try await RedisServer(), try await RedisServer())
            try await replica.admin("REPLICAOF", "127.0.0.1", "\(primary.port)")
            let asked = Tally()
            let sentinel = try await HostileServer { _, _ in
                let port = asked.add() <= 4 ? replica.port : primary.port
                return .bytes("*2\r\n$9\r\n127.0.0.1\r\n$\("\(port)".utf8.count)\r\n\(port)\r\n")
            }
            var configuration = RedisConfiguration(
                sentinels: RedisSentinels(
                    addresses: [.tcp(host: "127.0.0.1", port: sentinel.port)],
                    primaryName: "main"
                )
            )
            (configuration.commandTimeout, configuration.connectTimeout) = (.seconds(20), .seconds(5))
            let redis = RedisClient(configuration)
            #expect(try await redis.text(RedisCommand("SET", "k", "v")) == "OK")
            #expect(asked.value >= 5)
            #expect(redis.statistics.failedConnects == 0)
            #expect(try await primary.admin("GET", "k") == "v")
            await redis.shutdown()
            await sentinel.close()
        }

        @Test func `READONLY makes the client ask the sentinels`() async throws {
            let (old, new) = (try await RedisServer(), try await RedisServer())
            let isNew = Tally()
            let sentinel = try await HostileServer { _, _ in
                let port = isNew.value == 0 ? old.port : new.port
                return .bytes("*2\r\n$9\r\n127.0.0.1\r\n$\("\(port)".utf8.count)\r\n\(port)\r\n")
            }
            var configuration = RedisConfiguration(
                sentinels: RedisSentinels(
                    addresses: [.tcp(host: "127.0.0.1", port: sentinel.port)],
                    primaryName: "main"
                )
            )
            configuration.commandTimeout = .seconds(5)
            let redis = RedisClient(configuration)
            _ = try await redis.send(RedisCommand("SET", "k", "v"))
            try await old.admin("REPLICAOF", "127.0.0.1", "1")
            isNew.add()
            #expect(try await redis.number(RedisCommand("INCR", "n")) == 1)
            #expect(try await new.admin("GET", "n") == "1")
            await redis.shutdown()
            await sentinel.close()
        }

        @Test func `a server that names its primary is followed there, and asked again when that is gone`()
            async throws
        {
            let primary = try await HostileServer { _, _ in .bytes("+primary\r\n") }
            let port = primary.port
            let replica = try await HostileServer { connection, _ in
                .bytes(connection <= 2 ? "-REDIRECT 127.0.0.1:\(port)\r\n" : "+first\r\n")
            }
            var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: replica.port))
            configuration.commandTimeout = .seconds(5)
            let redis = RedisClient(configuration)
            #expect(try await redis.text(RedisCommand("GET", "k", readOnly: true)) == "primary")
            #expect(try await redis.text(RedisCommand("SET", "k", "v")) == "primary")
            #expect(replica.connections <= 2)
            await redis.shutdown()
            await primary.close()
            await replica.close()
        }

        @Test(
            .enabled("only Valkey, from 8 on, names the primary to clients") {
                try await ServerVersion.installed.namesPrimary
            }
        ) func `a demoted server is left for the primary that it names, by reads as well`() async throws {
            let servers = try await pair()
            let old = servers[0]
            let new = servers[1]
            var configuration = try RedisConfiguration(url: old.url)
            configuration.commandTimeout = .seconds(10)
            let redis = RedisClient(configuration)
            let get = RedisCommand("GET", "k", readOnly: true)
            _ = try await redis.send(RedisCommand("SET", "k", "old"))
            #expect(try await redis.text(get) == "old")
            try await new.admin("REPLICAOF", "NO", "ONE")
            try await new.admin("SET", "k", "new")
            try await old.admin("REPLICAOF", "127.0.0.1", "\(new.port)")
            #expect(try await redis.text(get) == "new")
            #expect(try await redis.number(RedisCommand("INCR", "n")) == 1)
            #expect(try await new.commandCounts()["incr"] == 1)
            #expect(redis.statistics.lostConnections == 0)
            await redis.shutdown()
        }

        @Test(
            .enabled("only Valkey, from 8 on, names the primary to clients") {
                try await ServerVersion.installed.namesPrimary
            }
        ) func `a failover that the primary is asked for loses nothing`() async throws {
            let servers = try await pair()
            let old = servers[0]
            let new = servers[1]
            var configuration = try RedisConfiguration(url: old.url)
            configuration.commandTimeout = .seconds(20)
            let redis = RedisClient(configuration)
            let (acknowledged, unknown) = try await writing(redis) { acknowledged in
                #expect(await poll(seconds: 10) { acknowledged.value > 500 })
                try await failOver(old)
                let served = acknowledged.value + 500
                #expect(await poll(seconds: 20) { acknowledged.value > served })
            }
            let stored = Int(try await new.admin("GET", "n")) ?? 0
            #expect(stored >= acknowledged && stored <= acknowledged + unknown)
            await redis.shutdown()
        }

        /// Asks a primary to change places with its replica; returns when it is one itself.
        private func failOver(_ primary: RedisServer) async throws {
            try await primary.admin("FAILOVER")
            let isDemoted = await poll(seconds: 20) {
                (try? await primary.admin("ROLE"))?.hasPrefix("slave") == true
            }
            #expect(isDemoted)
        }

        /// A primary and a replica that follows it.
        private func pair() async throws -> [RedisServer] {
            let primary = try await RedisServer(["--repl-diskless-sync-delay", "0"])
            let replica = try await RedisServer(["--replicaof", "127.0.0.1", "\(primary.port)"])
            let follows = await poll(seconds: 20) {
                (try? await replica.admin("INFO", "replication"))?.contains("master_link_status:up") == true
            }
            #expect(follows)
            return [primary, replica]
        }
    }
}
