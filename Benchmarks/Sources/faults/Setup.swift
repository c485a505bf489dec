// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import Reporting
import TestSupport

/// Servers on loopback, whose applications have the published rights and no other.
enum Setup {
    static let application = "faults"

    /// Arguments of a server: the application's user, with what a topology needs in addition, and one for this program.
    static func users(_ additional: String...) throws -> [String] {
        let rules = try RedisSessionStore.accessRules(application: application).split(separator: " ").map(
            String.init
        )
        return ["--user", "app", "on", ">pw"] + rules + additional + [
            "--user", "root", "on", ">pw", "~*", "+@all",
        ]
    }

    static func configuration(_ url: String) throws -> RedisConfiguration {
        try RedisConfiguration(url: url.replacing("//", with: "//app:pw@"))
    }

    /// A primary, its replica and three sentinels, which wait for a second before they act.
    static func onSentinels(
        _ scenario: Scenario,
        _ visitors: Int,
        _ breaks: @escaping @Sendable (SentinelServers, Load) async throws -> Void
    ) async throws -> Row {
        let servers = try await SentinelServers(users("+role"))
        let load = try await Load(configuration(servers.url), visitors: visitors)
        try await servers.servers[0].replicated(to: servers.servers[1])
        return try await load.play(scenario.row) { try await breaks(servers, load) }
    }

    /// Three primaries with a replica each, whose nodes wait for a second before they act.
    static func onCluster(
        _ scenario: Scenario,
        _ visitors: Int,
        _ breaks: @escaping @Sendable (RedisCluster, Load) async throws -> Void
    ) async throws -> Row {
        let cluster = try await RedisCluster(hasReplicas: true, users("+cluster|slots", "+asking"))
        let load = try await Load(configuration(cluster.url), visitors: visitors)
        for (primary, replica) in zip(cluster.primaries, cluster.replicas) {
            try await primary.replicated(to: replica)
        }
        return try await load.play(scenario.row) { try await breaks(cluster, load) }
    }

    /// One server behind a line that can be broken, over TLS or not.
    static func onLine(
        _ scenario: Scenario,
        _ visitors: Int,
        isPlain: Bool = false,
        _ breaks: @escaping @Sendable (FaultyLine, RedisServer, Load) async throws -> Void
    ) async throws -> Row {
        let folder = try makeTemporaryFolder("faults")
        defer { removeTemporaryFolder(folder) }
        let certificates = try await isPlain ? nil : Certificates.make(in: folder)
        let server = try await RedisServer(
            users() + (isPlain ? [] : ["--tls-auth-clients", "no"]),
            tls: certificates
        )
        let line = try await FaultyLine(to: server.tlsPort ?? server.port)
        var configuration = try configuration("\(isPlain ? "redis" : "rediss")://127.0.0.1:\(line.port)")
        if let certificates {
            configuration.tls = RedisTLS(caFile: certificates.appending(path: "ca.crt").path)
        }
        let load = try await Load(configuration, visitors: visitors)
        let row = try await load.play(scenario.row) { try await breaks(line, server, load) }
        await line.close()
        return row
    }

    /// Waits until a server is a primary by its own account.
    static func promoted(_ server: RedisServer) async throws {
        let isPromoted = await poll(seconds: 20) {
            (try? await server.admin("ROLE"))?.hasPrefix("master") == true
        }
        guard isPromoted else {
            throw Scenario.Failure(description: "no other server became the primary")
        }
    }

    /// Does something again and again for three seconds.
    static func storm(every pause: Duration, _ body: () async throws -> Void) async throws {
        let end = ContinuousClock.now + .seconds(3)
        while ContinuousClock.now < end {
            try await body()
            try await Task.sleep(for: pause)
        }
    }
}
