// SPDX-License-Identifier: Apache-2.0

/// What a store found for a credential: one consistent state of one session.
///
/// All times are the store's own.
public struct SessionRecord: Sendable {
    /// The record's name; stays the same through sign-in and renewal.
    public let id: SessionID
    /// What the client presented.
    public let credential: SessionCredential
    /// What its cookie should carry after this response even if nothing changes; nil when that is what it
    /// presented.
    ///
    /// Set by stores whose credential tells what the client has seen, or under which key it was sealed.
    public let reissue: SessionCredential?
    /// Which of the record's secrets that is.
    public let secretStatus: SecretStatus
    /// Whether the previous secret still works and is to be retired, because the current one has now been
    /// presented.
    public let hasPreviousSecret: Bool
    /// Grows by one with each commit.
    public let version: Int
    /// Who is signed in.
    public let principal: String?
    /// The encoded attributes by name.
    public let attributes: [String: [UInt8]]
    /// When the record was made.
    public let created: SessionInstant
    /// When the session was last used, exact to the touch fraction of the policy.
    public let lastUsed: SessionInstant
    /// When the current secret was issued.
    public let rotated: SessionInstant
    /// The absolute end, however much the session is used.
    public let deadline: SessionInstant
    /// The idle timeout that was in force when the record was made.
    public let idleTimeout: Duration
    /// The store's time at the moment of reading.
    public let now: SessionInstant
    /// Which of two stores gave it, where one stands in front of both; else nil.
    package private(set) var origin: Origin?

    /// The instant from which the session counts as absent, unless it is used again.
    public var end: SessionInstant {
        SessionPolicy.end(lastUsed: lastUsed, idleTimeout: idleTimeout, deadline: deadline)
    }

    /// Creates a record; for stores.
    public init(
        id: SessionID,
        credential: SessionCredential,
        secretStatus: SecretStatus,
        hasPreviousSecret: Bool,
        version: Int,
        principal: String?,
        attributes: [String: [UInt8]],
        created: SessionInstant,
        lastUsed: SessionInstant,
        rotated: SessionInstant,
        deadline: SessionInstant,
        idleTimeout: Duration,
        now: SessionInstant,
        reissue: SessionCredential? = nil
    ) {
        self.id = id
        self.credential = credential
        self.reissue = reissue
        self.secretStatus = secretStatus
        self.hasPreviousSecret = hasPreviousSecret
        self.version = version
        self.principal = principal
        self.attributes = attributes
        self.created = created
        self.lastUsed = lastUsed
        self.rotated = rotated
        self.deadline = deadline
        self.idleTimeout = idleTimeout
        self.now = now
    }
}

extension SessionRecord {
    /// The record as one of two stores gave it.
    package indirect enum Origin: Sendable {
        case old(SessionRecord)
        case new(SessionRecord)
    }

    /// The same record under another credential, and perhaps in another version.
    package func presented(
        as credential: SessionCredential,
        version: Int? = nil,
        reissue: SessionCredential? = nil
    ) -> SessionRecord {
        SessionRecord(
            id: id,
            credential: credential,
            secretStatus: secretStatus,
            hasPreviousSecret: hasPreviousSecret,
            version: version ?? self.version,
            principal: principal,
            attributes: attributes,
            created: created,
            lastUsed: lastUsed,
            rotated: rotated,
            deadline: deadline,
            idleTimeout: idleTimeout,
            now: now,
            reissue: reissue
        )
    }

    /// The same record, which remembers where it came from.
    package func from(_ origin: Origin) -> SessionRecord {
        var record = self
        record.origin = origin
        return record
    }
}

/// One entry of a "your devices" list.
public struct SessionSummary: Sendable {
    /// The session's name, safe to show and to send back for a revocation.
    public let id: SessionID
    /// When the session was made.
    public let created: SessionInstant
    /// When it was last used, exact to the touch fraction of the policy.
    public let lastUsed: SessionInstant
    private let attributes: [String: [UInt8]]

    /// What the application stored in that session, for example a device name.
    public subscript<Value>(key: SessionKey<Value>) -> Value? {
        attributes[key.name].flatMap { try? SessionCodec.decode(Value.self, from: $0) }
    }

    /// Creates an entry; for stores.
    public init(
        id: SessionID,
        created: SessionInstant,
        lastUsed: SessionInstant,
        attributes: [String: [UInt8]]
    ) {
        self.id = id
        self.created = created
        self.lastUsed = lastUsed
        self.attributes = attributes
    }
}

/// Which of the record's secrets was presented.
public enum SecretStatus: Sendable {
    /// The one that was issued last.
    case current
    /// The one before, inside the grace of a renewal. Equal rights, but it is never sent again.
    case previous
}
