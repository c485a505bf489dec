// SPDX-License-Identifier: Apache-2.0

/// A session to be created, in the form in which it is kept: hashes instead of secrets.
package struct HashedDraft: Hashable, Sendable {
    package var attributes: [String: [UInt8]]
    /// The user's name in the store's own form.
    package var principal: [UInt8]?
    /// The hash of the user's name.
    package var principalHash: [UInt8]?
    package var secretHash: [UInt8]
    /// The key of the record's `SecretFamily`.
    package var family: [UInt8]
    package var idleTimeout: Duration
    package var lifetime: Duration
    package var persistence: CookiePersistence?
    /// How long ago the user's rights were checked: see `SessionDraft.notRevokedSince`.
    package var age: Duration?
    /// How many sessions the user may have: see `SessionPolicy.maximumSessionsPerUser`.
    package var maximumSessions: Int?

    package init(
        attributes: [String: [UInt8]],
        principal: [UInt8]?,
        principalHash: [UInt8]?,
        secretHash: [UInt8],
        family: [UInt8],
        idleTimeout: Duration,
        lifetime: Duration,
        persistence: CookiePersistence? = nil,
        age: Duration? = nil,
        maximumSessions: Int? = nil
    ) {
        self.attributes = attributes
        self.principal = principal
        self.principalHash = principalHash
        self.secretHash = secretHash
        self.family = family
        self.idleTimeout = idleTimeout
        self.lifetime = lifetime
        self.persistence = persistence
        self.age = age
        self.maximumSessions = maximumSessions
    }

    /// Hashes a draft.
    ///
    /// - Parameters:
    ///   - draft: the draft.
    ///   - token: the token of the new record.
    ///   - family: the family of its secret.
    ///   - crypto: hashes secrets and names.
    ///   - encode: brings the user's name into the form in which it is kept.
    package init(
        _ draft: SessionDraft,
        for token: SessionToken,
        in family: SecretFamily,
        _ crypto: RecordCrypto,
        encode: (String) -> [UInt8]
    ) {
        self.init(
            attributes: draft.attributes,
            principal: draft.principal.map(encode),
            principalHash: draft.principal.map { crypto.hash(principal: $0) },
            secretHash: crypto.hash(token),
            family: family.key,
            idleTimeout: draft.idleTimeout ?? draft.policy.idleTimeout,
            lifetime: draft.policy.lifetime,
            persistence: draft.persistence,
            age: draft.notRevokedSince.map { $0.duration(to: .now) },
            maximumSessions: draft.principal == nil ? nil : draft.policy.maximumSessionsPerUser
        )
    }
}

/// Everything one request changes, in the form in which it is applied: no secret and no user name in the
/// clear.
package struct HashedChange: Hashable, Sendable {
    /// What happens to the secret: see `SessionChange.Rotation`.
    package enum Rotation: Hashable, Sendable {
        case none
        case renew(secretHash: [UInt8], principal: [UInt8]?)
        case elevate(secretHash: [UInt8], principal: [UInt8]?)
        case signIn(SignIn)
    }

    /// What a sign-in puts into the record.
    package struct SignIn: Hashable, Sendable {
        package var secretHash: [UInt8]
        package var principal: [UInt8]
        package var principalHash: [UInt8]
        package var keeping: Set<String>
        package var idleTimeout: Duration
        package var lifetime: Duration
        package var persistence: CookiePersistence?
        /// How long ago the user's rights were checked: see `SessionChange.notRevokedSince`.
        package var age: Duration?
        /// How many sessions the user may have: see `SessionPolicy.maximumSessionsPerUser`.
        package var maximumSessions: Int?

        package init(
            secretHash: [UInt8],
            principal: [UInt8],
            principalHash: [UInt8],
            keeping: Set<String>,
            idleTimeout: Duration,
            lifetime: Duration,
            persistence: CookiePersistence? = nil,
            age: Duration? = nil,
            maximumSessions: Int? = nil
        ) {
            self.secretHash = secretHash
            self.principal = principal
            self.principalHash = principalHash
            self.keeping = keeping
            self.idleTimeout = idleTimeout
            self.lifetime = lifetime
            self.persistence = persistence
            self.age = age
            self.maximumSessions = maximumSessions
        }
    }

    package var operations: [String: SessionChange.Operation]
    package var needsVersion: Bool
    package var maximumBytes: Int
    package var rotation: Rotation
    package var grace: Duration
    /// The record's idle timeout from now on; nil when it keeps its own.
    package var idleTimeout: Duration?

    package init(
        operations: [String: SessionChange.Operation],
        needsVersion: Bool,
        maximumBytes: Int,
        rotation: Rotation,
        grace: Duration,
        idleTimeout: Duration? = nil
    ) {
        self.operations = operations
        self.needsVersion = needsVersion
        self.maximumBytes = maximumBytes
        self.rotation = rotation
        self.grace = grace
        self.idleTimeout = idleTimeout
    }

    /// Hashes a change.
    ///
    /// - Parameters:
    ///   - change: the change.
    ///   - fresh: carries the secret that replaces the current one, if the change asks for it.
    ///   - principal: the user who is signed in now.
    ///   - crypto: hashes secrets and names.
    ///   - encode: brings a user's name into the form in which it is kept for the holder of `fresh`.
    package init(
        _ change: SessionChange,
        fresh: SessionToken,
        principal: String?,
        _ crypto: RecordCrypto,
        encode: (String) -> [UInt8]
    ) {
        let rotation: Rotation =
            switch change.rotation {
            case .none: .none
            case .renew: .renew(secretHash: crypto.hash(fresh), principal: principal.map(encode))
            case .elevate: .elevate(secretHash: crypto.hash(fresh), principal: principal.map(encode))
            case .signIn(let principal, let keeping):
                .signIn(
                    SignIn(
                        secretHash: crypto.hash(fresh),
                        principal: encode(principal),
                        principalHash: crypto.hash(principal: principal),
                        keeping: keeping,
                        idleTimeout: change.policy.idleTimeout,
                        lifetime: change.policy.lifetime,
                        persistence: change.persistence,
                        age: change.notRevokedSince.map { $0.duration(to: .now) },
                        maximumSessions: change.policy.maximumSessionsPerUser
                    )
                )
            }
        self.init(
            operations: change.operations,
            needsVersion: change.needsVersion,
            maximumBytes: change.maximumBytes,
            rotation: rotation,
            grace: change.policy.renewalGrace,
            idleTimeout: change.idleTimeout
        )
    }
}
