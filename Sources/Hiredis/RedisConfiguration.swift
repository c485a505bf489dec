// SPDX-License-Identifier: Apache-2.0

/// Where Redis listens.
public enum RedisAddress: Sendable, Hashable {
    /// A host name or an IP address.
    case tcp(host: String, port: Int)
    /// A unix domain socket.
    case unix(path: String)
}

/// How the server proves itself, and the client in turn.
///
/// Certificate and host name are always verified.
public struct RedisTLS: Sendable, Hashable {
    /// A PEM file with the authorities to trust instead of the system's.
    public var caFile: String?
    /// A PEM file with the client's certificate chain.
    public var certificateFile: String?
    /// A PEM file with the client's private key.
    public var keyFile: String?
    /// The name the certificate has to carry; the host of the address when nil.
    ///
    /// swift-nio-ssl also accepts a certificate that lists the very IP address of the connection.
    public var serverName: String?

    /// TLS with the system's authorities, unless `caFile` names others.
    public init(
        caFile: String? = nil,
        certificateFile: String? = nil,
        keyFile: String? = nil,
        serverName: String? = nil
    ) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.serverName = serverName
    }
}

/// Everything a `RedisClient` has to know.
///
/// The password is never printed.
public struct RedisConfiguration: Sendable {
    /// Where Redis listens.
    public var address: RedisAddress
    /// The ACL user; the default user when nil.
    public var username: String?
    /// The password; no `AUTH` is sent when nil.
    public var password: String?
    /// The logical database, chosen by `SELECT` when it is not 0.
    public var database = 0
    /// What `CLIENT LIST` calls the connections.
    public var clientName: String?
    /// TLS; plain text when nil.
    public var tls: RedisTLS?
    /// Connections shared by all callers, 1 to 4.
    ///
    /// By default 1 below four cores, else 2: more split the batches.
    public var sharedConnections = Self.defaultSharedConnections {
        didSet { sharedConnections = min(max(sharedConnections, 1), 4) }
    }
    /// The bound of the pool of dedicated connections.
    public var dedicatedConnections = 4 { didSet { dedicatedConnections = max(dedicatedConnections, 1) } }
    /// The bound for connecting, and again for TLS and login.
    public var connectTimeout: Duration = .seconds(1)
    /// The bound for a command from the call to the reply, waiting for a connection included.
    public var commandTimeout: Duration = .seconds(1)
    /// The bounds on memory.
    public var limits = RedisLimits()

    /// A configuration for an address, with the defaults.
    public init(address: RedisAddress) { self.address = address }

    /// A configuration from a URL.
    ///
    /// `redis://[user[:password]@]host[:port][/db]`, `rediss://…` with TLS, or `unix:///path?db=N`. Reserved
    /// characters of user and password are percent-encoded. The error names the wrong part and quotes none.
    public init(url: String) throws(RedisError) {
        let parsed = try RedisURL(url)
        address = parsed.address
        username = parsed.username
        password = parsed.password
        database = parsed.database
        tls = parsed.isSecure ? RedisTLS() : nil
    }
}

extension RedisConfiguration: CustomStringConvertible, CustomReflectable {
    /// The address, without user and password.
    public var description: String { "\(address.text)\(tls == nil ? "" : " (TLS)"), database \(database)" }
    /// Shows no more than `description` does.
    public var customMirror: Mirror { Mirror(self, children: ["address": address, "database": database]) }
}

extension RedisAddress {
    /// `host:port` or the path.
    var text: String {
        switch self {
        case .tcp(let host, let port): "\(host):\(port)"
        case .unix(let path): path
        }
    }
}
