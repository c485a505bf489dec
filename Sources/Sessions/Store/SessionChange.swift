// SPDX-License-Identifier: Apache-2.0

/// A session to be created.
public struct SessionDraft: Sendable {
    /// The ID of the new record, drawn at random by this package; nil when the store is to draw one.
    ///
    /// A store that finds a record or a tombstone under it answers `gone`.
    public var id: SessionID?
    /// The encoded attributes.
    public var attributes: [String: [UInt8]]
    /// The user who signs in; nil for an anonymous session.
    public var principal: String?
    /// The limits of the new record, and how many the user may have.
    public var policy: SessionPolicy
    /// Becomes `SessionTimes.persistence` of the record.
    public var persistence: CookiePersistence?
    /// The end of all the user's sessions after this instant refuses the sign-in: see `SessionDirectory.revokeAll`.
    public var notRevokedSince: ContinuousClock.Instant?
    /// The idle timeout of the new record where it is not that of `policy`: a visitor's.
    ///
    /// A store that keeps sessions in cookies does not need it: they take no room on the server.
    public var idleTimeout: Duration?

    /// Creates a draft.
    public init(
        id: SessionID? = nil,
        attributes: [String: [UInt8]],
        principal: String? = nil,
        policy: SessionPolicy,
        persistence: CookiePersistence? = nil,
        notRevokedSince: ContinuousClock.Instant? = nil,
        idleTimeout: Duration? = nil
    ) {
        self.id = id
        self.attributes = attributes
        self.principal = principal
        self.policy = policy
        self.persistence = persistence
        self.notRevokedSince = notRevokedSince
        self.idleTimeout = idleTimeout
    }
}

/// Everything one request changes, applied at once.
public struct SessionChange: Sendable {
    /// What happens to one attribute.
    public enum Operation: Hashable, Sendable {
        /// The value becomes these bytes, whatever it was.
        case set([UInt8])
        /// The attribute is removed, if it is there.
        case remove
        /// The store adds to the decimal number that is there, or to 0.
        ///
        /// Fails with `.invalidValue` if it is not a number or would overflow.
        case increment(Int)
    }

    /// What happens to the secret.
    public enum Rotation: Hashable, Sendable {
        /// Nothing.
        case none
        /// A new secret with equal rights; the old one works for the policy's grace.
        ///
        /// Ignored unless the presented secret is the current one (R13).
        case renew
        /// A new secret with other rights, the old one is invalid at once; nothing else changes.
        ///
        /// The limits, the user and the time of the sign-in stay.
        case elevate
        /// A new secret, the old one is invalid at once; the lifetime restarts.
        ///
        /// All attributes but `keeping` are dropped first.
        case signIn(principal: String, keeping: Set<String>)
    }

    /// At most one operation for each attribute; increments only on attributes that survive the rotation.
    public var operations: [String: Operation]
    /// Whether to apply the change only to the version that was read.
    public var needsVersion: Bool
    /// What happens to the secret.
    public var rotation: Rotation
    /// The limits for a sign-in, and the grace for a renewal.
    public var policy: SessionPolicy
    /// In a sign-in, becomes `SessionTimes.persistence` of the record.
    public var persistence: CookiePersistence?
    /// The end of all the user's sessions after this instant refuses a sign-in: see `SessionDirectory.revokeAll`.
    public var notRevokedSince: ContinuousClock.Instant?
    /// The most bytes that all attributes may have.
    ///
    /// Checked by the caller for the version that was read. A store whose record has changed since, and might exceed
    /// it, answers `conflict`, so that the caller checks again.
    public var maximumBytes: Int
    /// The idle timeout that the record has from now on; nil when it keeps its own, or takes that of `policy` in a sign-in.
    public var idleTimeout: Duration?

    /// Creates a change.
    public init(
        operations: [String: Operation],
        needsVersion: Bool = false,
        rotation: Rotation = .none,
        policy: SessionPolicy,
        persistence: CookiePersistence? = nil,
        notRevokedSince: ContinuousClock.Instant? = nil,
        maximumBytes: Int = SessionLimits().bytes,
        idleTimeout: Duration? = nil
    ) {
        self.operations = operations
        self.needsVersion = needsVersion
        self.rotation = rotation
        self.policy = policy
        self.persistence = persistence
        self.notRevokedSince = notRevokedSince
        self.maximumBytes = maximumBytes
        self.idleTimeout = idleTimeout
    }
}

extension PresentedToken {
    /// Throws `.unsupported` for a change that needs the secret, where none was presented.
    package func check(_ change: SessionChange) throws(SessionError) {
        guard user == nil || change.rotation == .none else {
            throw SessionError(.unsupported, "Without its cookie a session can be changed and ended only.")
        }
    }
}

/// The answer of `SessionStore.create` and `commit`.
public enum SessionCommitResult: Sendable {
    /// All of it is stored.
    ///
    /// - Parameters:
    ///   - id: the record's name.
    ///   - version: the record's version after the change.
    ///   - credential: what the cookie must carry from now on; nil when it stays as it is.
    ///   - remaining: the time to the absolute deadline; the longest that a cookie may live.
    case committed(id: SessionID, version: Int, credential: SessionCredential?, remaining: Duration)
    /// Another request committed first; nothing was stored. Carries the record as it is now.
    case conflict(SessionRecord)
    /// The session is over or the credential is no longer valid; nothing was stored.
    case gone(SessionAbsence)
}
