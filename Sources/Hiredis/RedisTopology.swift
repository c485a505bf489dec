// SPDX-License-Identifier: Apache-2.0

/// How a client finds the server that owns a key.
public enum RedisTopology: Sendable, Hashable {
    /// One server, at the address of the configuration.
    case standalone
    /// A Redis Cluster: any of the seeds is asked for the nodes; the client then uses the addresses that the
    /// nodes announce.
    case cluster(seeds: [RedisAddress])
    /// The primary that sentinels name; they are asked before each new connection.
    case sentinel(RedisSentinels)

    package var isCluster: Bool { if case .cluster = self { true } else { false } }
}

/// The sentinels that watch a primary, and how to log in to them.
///
/// Descriptions and dumps do not show user name and password.
public struct RedisSentinels: Sendable, Hashable {
    /// The addresses of the sentinels; asked in this order, the one that answered last first.
    public var addresses: [RedisAddress]
    /// The name of the primary in the configuration of the sentinels.
    public var primaryName: String
    /// The ACL user of the sentinels; the default user when nil.
    public var username: String?
    /// The password of the sentinels, which is not that of the primary; no `AUTH` is sent when nil.
    public var password: String?
    /// TLS of the connections to the sentinels; plain text when nil.
    public var tls: RedisTLS?

    /// Creates settings without credentials and TLS.
    ///
    /// - Parameters:
    ///   - addresses: The addresses of the sentinels, at least one.
    ///   - primaryName: The name of the primary in the configuration of the sentinels.
    public init(addresses: [RedisAddress], primaryName: String) {
        self.addresses = addresses
        self.primaryName = primaryName
    }
}

extension RedisSentinels: CustomStringConvertible, CustomReflectable {
    /// The addresses and the name of the primary.
    public var description: String {
        "\(primaryName) by \(addresses.map(\.description).joined(separator: ", "))\(tls == nil ? "" : " (TLS)")"
    }
    /// The same facts as `description`.
    public var customMirror: Mirror {
        Mirror(self, children: ["addresses": addresses, "primaryName": primaryName])
    }
}
