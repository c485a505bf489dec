// SPDX-License-Identifier: Apache-2.0

/// A user name and a password of Redis.
///
/// Descriptions and dumps do not show them.
public struct RedisCredentials: Sendable {
    /// The ACL user; the default user when nil.
    public var username: String?
    /// The password, or a token that the server accepts as one.
    public var password: String

    /// Creates credentials.
    ///
    /// - Parameters:
    ///   - username: The ACL user; the default user when nil.
    ///   - password: The password, or a token that the server accepts as one.
    public init(username: String? = nil, password: String) {
        self.username = username
        self.password = password
    }
}

extension RedisCredentials: CustomStringConvertible, CustomReflectable {
    /// The type alone.
    public var description: String { "RedisCredentials" }
    /// Empty.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
