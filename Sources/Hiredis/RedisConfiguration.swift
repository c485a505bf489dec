// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The settings of a `RedisClient`.
///
/// Descriptions and dumps do not show user name and password.
public struct RedisConfiguration: Sendable {
    /// The address of the server.
    public var address: RedisAddress
    /// The ACL user; the default user when nil.
    public var username: String?
    /// The password; no `AUTH` is sent when nil.
    public var password: String?
    /// The logical database, chosen by `SELECT` when it is not 0.
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

    /// Connections shared by all callers; more connections make smaller batches.
    var sharedConnections = System.coreCount < 4 ? 1 : 2
    var limits = RedisLimits()

    /// Creates a configuration with the default settings.
    ///
    /// - Parameter address: The address of the server.
    public init(address: RedisAddress) { self.address = address }
}

extension RedisConfiguration: CustomStringConvertible, CustomReflectable {
    /// The address, without user name and password.
    public var description: String { "\(address)\(tls == nil ? "" : " (TLS)"), database \(database)" }
    /// The same facts as `description`.
    public var customMirror: Mirror { Mirror(self, children: ["address": address, "database": database]) }
}
