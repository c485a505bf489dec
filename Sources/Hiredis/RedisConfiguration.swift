// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The settings of a `RedisClient`.
///
/// Descriptions and dumps do not show user name and password.
public struct RedisConfiguration: Sendable {
    /// The address of the server; in a cluster and with sentinels, the first of those that are asked.
    public var address: RedisAddress
    /// How the server that owns a key is found.
    public var topology = RedisTopology.standalone
    /// The ACL user; the default user when nil.
    public var username: String?
    /// The password; no `AUTH` is sent when nil.
    public var password: String?
    /// Replaces `username` and `password`: called for each new connection, so that rotated passwords and tokens
    /// need no restart.
    ///
    /// May be called by several connections at a time. When it throws, or has not returned after ten seconds,
    /// the attempt to connect fails with `authentication` and is repeated later.
    public var credentials: (@Sendable () async throws -> RedisCredentials)?
    /// The logical database, chosen by `SELECT` when it is not 0; a cluster has only 0.
    public var database = 0
    /// The name of the connections in `CLIENT LIST`.
    public var clientName: String?
    /// TLS; plain text when nil.
    public var tls: RedisTLS?
    /// The maximum number of dedicated connections, at least 1.
    package var dedicatedConnections = 4 { didSet { dedicatedConnections = max(dedicatedConnections, 1) } }
    /// The limit for connecting, and again for TLS and login together.
    package var connectTimeout: Duration = .seconds(1)
    /// The limit for a command from the call to the reply, including the wait for a connection.
    public var commandTimeout: Duration = .seconds(1)
    /// The maximum size of one reply in bytes, from 1 KiB to 1 GiB; a longer one closes the connection.
    package var replyBytes = 8 << 20 { didSet { replyBytes = min(max(replyBytes, 1024), 1 << 30) } }

    /// Connections shared by all callers: one for what only reads, one for everything else.
    ///
    /// So reads do not wait for writes that the server delays, as by `CLIENT PAUSE WRITE`. Tests also use 1.
    var sharedConnections = 2
    /// A shared connection that has received nothing for this long is sent a `PING`.
    var heartbeat = Duration.seconds(15)
    /// After this much silence, what must not be repeated is sent only when the server has answered a `PING`.
    var silence = Duration.seconds(5)
    var limits = RedisLimits()

    /// Creates a configuration with the default settings.
    ///
    /// - Parameter address: The address of the server.
    public init(address: RedisAddress) { self.address = address }

    /// Creates a configuration of a Redis Cluster with the default settings.
    ///
    /// - Parameter seeds: The addresses of some of its nodes, at least one: they are asked for the others, and again
    ///   when none of the others answers.
    public init(cluster seeds: [RedisAddress]) {
        precondition(!seeds.isEmpty, "a cluster needs a seed")
        address = seeds[0]
        topology = .cluster(seeds: seeds)
    }

    /// Creates a configuration of a primary that sentinels watch, with the default settings.
    ///
    /// - Parameter sentinels: The sentinels, at least one.
    public init(sentinels: RedisSentinels) {
        precondition(!sentinels.addresses.isEmpty, "a primary needs a sentinel")
        address = sentinels.addresses[0]
        topology = .sentinel(sentinels)
    }
}

extension RedisConfiguration: CustomStringConvertible, CustomReflectable {
    /// The addresses, without user name and password.
    public var description: String {
        let servers =
            switch topology {
            case .standalone: "\(address)"
            case .cluster(let seeds): "cluster \(seeds.map(\.description).joined(separator: ", "))"
            case .sentinel(let sentinels): "\(sentinels)"
            }
        return "\(servers)\(tls == nil ? "" : " (TLS)"), database \(database)"
    }
    /// The same facts as `description`.
    public var customMirror: Mirror { Mirror(self, children: ["address": address, "database": database]) }
}
