// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import Hiredis

extension Topologies {
    /// Clusters and sentinels that listen on TLS ports only, with users of their own.
    @Suite(.timeLimit(.minutes(10))) struct TopologyTLSTests {
        /// The least that the tests send, and what a cluster and sentinels need besides.
        private static let user = [
            "--user", "app", "on", ">pw", "~*", "-@all", "+get", "+set", "+incr", "+ping", "+cluster|slots",
            "+asking", "+role",
        ]

        private func withClient(
            _ url: String,
            trusting folder: URL,
            sentinelPassword: String? = nil,
            _ body: (RedisClient) async throws -> Void
        ) async throws {
            var configuration = try RedisConfiguration(url: url.replacing("://", with: "://app:pw@"))
            #expect(configuration.tls != nil)
            configuration.tls = RedisTLS(caFile: folder.appending(path: "ca.crt").path)
            if case .sentinel(var sentinels) = configuration.topology {
                #expect(sentinels.tls != nil)
                (sentinels.tls, sentinels.password) = (configuration.tls, sentinelPassword)
                configuration.topology = .sentinel(sentinels)
            }
            configuration.commandTimeout = .seconds(20)
            let redis = RedisClient(configuration)
            do { try await body(redis) } catch {
                await redis.shutdown()
                throw error
            }
            await redis.shutdown()
        }

        @Test func `a cluster is used, resharded and fails over on its TLS ports`() async throws {
            let folder = try await certificates(for: "IP:127.0.0.1")
            defer { removeTemporaryFolder(folder) }
            let cluster = try await RedisCluster(hasReplicas: true, Self.user, tls: folder)
            #expect(cluster.nodes.allSatisfy { $0.port == 0 } && cluster.url.hasPrefix("rediss-cluster:"))
            try await withClient(cluster.url, trusting: folder) { redis in
                let keys = (0..<60).map { "k\($0)" }
                let sets = try await redis.send(keys.map { RedisCommand("SET", $0, $0) })
                #expect(sets.allSatisfy { $0.string == "OK" })
                #expect(redis.statistics.batches == 3)
                // ASK, then MOVED, each to a TLS port.
                let (old, new) = (cluster.primaries[2], cluster.primaries[0])
                let slot = Int(HashSlot.of(Array("foo".utf8)[...]))
                try await cluster.beginMove(slot, from: old, to: new)
                #expect(try await redis.number(RedisCommand("INCR", "foo")) == 1)
                #expect(redis.statistics.redirects == 1)
                try await cluster.endMove(slot, from: old, to: new)
                #expect(try await redis.number(RedisCommand("INCR", "foo")) == 2)
                #expect(redis.statistics.redirects == 2)
                #expect(try await new.admin("GET", "foo") == "2")
                for (primary, replica) in zip(cluster.primaries, cluster.replicas) {
                    try await primary.replicated(to: replica)
                }
                await cluster.primaries[1].crash()
                for key in keys {
                    #expect(try await redis.text(RedisCommand("GET", key, readOnly: true)) == key)
                    _ = try await redis.send(RedisCommand("SET", key, "new"))
                }
                #expect(try await cluster.replicas[1].admin("ROLE").hasPrefix("master"))
                #expect(redis.statistics.unavailableServers == 0)
            }
        }

        @Test func `a node with a certificate of somebody else is refused, and the others are used`()
            async throws
        {
            let (folder, other) = (
                try await certificates(for: "IP:127.0.0.1"), try await certificates(for: "IP:127.0.0.1")
            )
            defer { for folder in [folder, other] { removeTemporaryFolder(folder) } }
            let cluster = try await RedisCluster(Self.user, tls: folder)
            let files = ["crt", "key"].map { other.appending(path: "server.\($0)").path }
            let change = ["CONFIG", "SET", "tls-cert-file", files[0], "tls-key-file", files[1]]
            try await cluster.primaries[0].admin(change)
            // The first seed is that node.
            let url = cluster.url + ",127.0.0.1:\(cluster.primaries[1].mainPort)"
            try await withClient(url, trusting: folder) { redis in
                _ = try await redis.send(RedisCommand("SET", "foo", "v"))
                for _ in 0..<3 {
                    let error = await #expect(throws: RedisError.self) {
                        try await redis.send(RedisCommand("SET", "bar", "v"))
                    }
                    #expect(error?.code == .tls && error?.outcome == .notSent)
                    #expect(
                        error?.description.contains("certificate") == true,
                        "\(String(describing: error))"
                    )
                }
                let batch = await #expect(throws: RedisError.self) {
                    try await redis.send([RedisCommand("GET", "bar"), RedisCommand("GET", "bar")])
                }
                #expect(batch?.code == .tls)
                #expect(try await redis.text(RedisCommand("GET", "foo")) == "v")
                #expect(redis.statistics.unavailableServers == 1)
                #expect(try await cluster.primaries[0].admin("EXISTS", "bar") == "0")
            }
        }

        @Test(arguments: ["killed", "failover"])
        func `sentinels with TLS and a password lead to the next primary`(_ how: String) async throws {
            let folder = try await certificates(for: "IP:127.0.0.1")
            defer { removeTemporaryFolder(folder) }
            let servers = try await SentinelServers(Self.user, sentinelPassword: "secret", tls: folder)
            #expect((servers.servers + servers.sentinels).allSatisfy { $0.port == 0 })
            try await withClient(servers.url, trusting: folder, sentinelPassword: "secret") { redis in
                let running = Task { try await redis.run() }
                #expect(try await redis.number(RedisCommand("INCR", "n")) == 1)
                try await servers.servers[0].replicated(to: servers.servers[1])
                if how == "killed" {
                    await servers.servers[0].crash()
                } else {
                    try await servers.sentinels[0].admin("SENTINEL", "FAILOVER", "main")
                }
                let new = servers.servers[1]
                #expect(
                    await poll(seconds: 20) { (try? await new.admin("ROLE"))?.hasPrefix("master") == true }
                )
                try await new.resetCounts()
                #expect(
                    await poll(seconds: 20) {
                        _ = try? await redis.send(RedisCommand("INCR", "n"))
                        return (try? await new.commandCounts()["incr"]) ?? 0 > 0
                    }
                )
                #expect(try await redis.number(RedisCommand("INCR", "n")) ?? 0 >= 3)
                running.cancel()
                try await running.value
            }
        }

        @Test func `sentinels and servers are trusted apart`() async throws {
            let (folder, other) = (
                try await certificates(for: "IP:127.0.0.1"), try await certificates(for: "IP:127.0.0.1")
            )
            defer { for folder in [folder, other] { removeTemporaryFolder(folder) } }
            let servers = try await SentinelServers(Self.user, tls: folder)
            try await withClient(servers.url, trusting: other) { redis in
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("INCR", "n"))
                }
                #expect(error?.code == .tls && error?.outcome == .notSent, "\(String(describing: error))")
            }
            var configuration = try RedisConfiguration(url: servers.url)
            configuration.commandTimeout = .seconds(20)
            configuration.tls = RedisTLS(caFile: other.appending(path: "ca.crt").path)
            guard case .sentinel(var sentinels) = configuration.topology else { return }
            sentinels.tls = RedisTLS(caFile: folder.appending(path: "ca.crt").path)
            configuration.topology = .sentinel(sentinels)
            let redis = RedisClient(configuration)
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("INCR", "n"))
            }
            #expect(error?.code == .tls && error?.outcome == .notSent, "\(String(describing: error))")
            await redis.shutdown()
        }
    }
}
