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
    /// The attributes as they are stored.
    package let attributes: [String: [UInt8]]

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

    /// Returns the entry with these attributes only.
    package func showing(_ names: Set<String>) -> SessionSummary {
        SessionSummary(
            id: id,
            created: created,
            lastUsed: lastUsed,
            authenticatedAt: authenticatedAt,
            attributes: attributes.filter { names.contains($0.key) }
        )
    }

    /// Whether `left` comes first in a list: it was used later.
    package static func isListedBefore(_ left: SessionSummary, _ right: SessionSummary) -> Bool {
        guard left.lastUsed == right.lastUsed else { return left.lastUsed > right.lastUsed }
        return left.id.description < right.id.description
    }
}

/// The part of a user's sessions that a list shows.
public struct SessionPage: Sendable {
    /// The names of the attributes that its entries show.
    public var names: Set<String>
    /// How many entries it has at most; at least one.
    public var limit: Int
    /// The last entry of the page before; nil for the first page.
    ///
    /// It need not exist any more. A session that is used while a reader turns pages moves to the front.
    public var after: SessionSummary?

    /// Creates a page.
    public init(names: Set<String> = [], limit: Int, after: SessionSummary? = nil) {
        self.names = names
        self.limit = max(1, limit)
        self.after = after
    }

    /// Returns the page's part of all sessions, most recently used first.
    public func cut(from all: [SessionSummary]) -> [SessionSummary] {
        let sorted = all.sorted(by: SessionSummary.isListedBefore)
        let rest = sorted.drop { entry in after.map { !SessionSummary.isListedBefore($0, entry) } ?? false }
        return rest.prefix(limit).map { $0.showing(names) }
    }
}
