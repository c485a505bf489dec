// SPDX-License-Identifier: Apache-2.0

/// One entry of a "your devices" list.
public struct SessionSummary: Identifiable, Sendable {
    /// The session's ID, safe to show and to send back for a revocation.
    public let id: SessionID
    /// When the session was created.
    public let created: SessionInstant
    /// When it was last used, exact to the touch fraction of the policy.
    public let lastUsed: SessionInstant
    /// When the user signed in; nil where the store does not keep it.
    public let authenticatedAt: SessionInstant?
    private let attributes: [String: [UInt8]]

    /// What the application stored in that session, for example a device name; nil when there is none, or when it
    /// does not decode as `Value`.
    public subscript<Value>(key: SessionKey<Value>) -> Value? {
        attributes[key.name].flatMap { try? SessionCodec.decode(key, $0) }
    }

    /// Creates an entry; for stores.
    public init(
        id: SessionID,
        created: SessionInstant,
        lastUsed: SessionInstant,
        authenticatedAt: SessionInstant? = nil,
        attributes: [String: [UInt8]]
    ) {
        self.id = id
        self.created = created
        self.lastUsed = lastUsed
        self.authenticatedAt = authenticatedAt
        self.attributes = attributes
    }
}
