// SPDX-License-Identifier: Apache-2.0

/// The address of a Redis server.
public enum RedisAddress: Sendable, Hashable {
    /// A host name or an IP address.
    case tcp(host: String, port: Int)
    /// A unix domain socket.
    case unix(path: String)
}

extension RedisAddress: CustomStringConvertible {
    /// `host:port` or the path.
    public var description: String {
        switch self {
        case .tcp(let host, let port): "\(host):\(port)"
        case .unix(let path): path
        }
    }
}
