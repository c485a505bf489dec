// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A primary, its replica and three sentinels of one test, all on loopback.
public final class SentinelServers: Sendable {
    /// The servers: the first began as the primary, the others as its replicas.
    public let servers: [RedisServer]
    /// The sentinels.
    public let sentinels: [RedisServer]

    private let isTLSOnly: Bool

    /// `redis-sentinel://127.0.0.1:PORT,…/main`; `rediss-sentinel://…` with TLS.
    public var url: String {
        let hosts = sentinels.map { "127.0.0.1:\($0.mainPort)" }.joined(separator: ",")
        return "redis\(isTLSOnly ? "s" : "")-sentinel://\(hosts)/main"
    }

    /// Starts all of them and waits until the sentinels know each other and the replica.
    ///
    /// - Parameters:
    ///   - arguments: further arguments of the servers.
    ///   - sentinelPassword: what the sentinels require.
    ///   - tls: a folder with certificates as for `RedisServer`; none of them listens without TLS then.
    /// - Throws: `ChildProcess.Failure` when they do not get ready.
    public init(
        _ arguments: [String] = [],
        sentinelPassword: String? = nil,
        tls: URL? = nil
    ) async throws {
        isTLSOnly = tls != nil
        let primary = try await RedisServer(arguments, tls: tls, isTLSOnly: isTLSOnly)
        let port = "\(primary.mainPort)"
        let replicaOf = ["--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay", "0"]
        servers = [primary, try await RedisServer(arguments + replicaOf, tls: tls, isTLSOnly: isTLSOnly)]
        let replica = servers[1]
        guard
            await poll(
                seconds: 20,
                {
                    (try? await replica.admin("INFO", "replication"))?.contains("master_link_status:up")
                        == true
                }
            )
        else { throw ChildProcess.Failure(description: "the replica does not follow") }
        var sentinels: [RedisServer] = []
        let auth = sentinelPassword.map { ["-a", $0, "--no-auth-warning"] } ?? []
        for _ in 0..<3 {
            let password = sentinelPassword.map { ["--requirepass", $0] } ?? []
            let sentinel = try await RedisServer(
                password,
                adminAuth: auth,
                tls: tls,
                isTLSOnly: isTLSOnly,
                isSentinel: true
            )
            try await sentinel.admin("SENTINEL", "MONITOR", "main", "127.0.0.1", port, "2")
            for (option, value) in [("down-after-milliseconds", "1000"), ("failover-timeout", "5000")] {
                try await sentinel.admin("SENTINEL", "SET", "main", option, value)
            }
            if let sentinelPassword {
                try await sentinel.admin("SENTINEL", "CONFIG", "SET", "sentinel-pass", sentinelPassword)
            }
            sentinels.append(sentinel)
        }
        self.sentinels = sentinels
        for sentinel in sentinels {
            let knows = await poll(seconds: 20) {
                let state = (try? await sentinel.admin("SENTINEL", "MASTER", "main")) ?? ""
                return state.contains("num-other-sentinels\n2") && state.contains("num-slaves\n1")
            }
            guard knows else {
                throw ChildProcess.Failure(description: "the sentinels do not know each other")
            }
        }
    }

    /// The server that is the primary now by its own account; nil while there is none.
    public func primary() async -> RedisServer? {
        for server in servers where (try? await server.admin("ROLE"))?.hasPrefix("master") == true {
            return server
        }
        return nil
    }
}
