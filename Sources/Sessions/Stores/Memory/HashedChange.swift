// SPDX-License-Identifier: Apache-2.0

/// A session that is to be made, in the form in which it is kept: digests instead of secrets.
package struct HashedDraft: Hashable, Sendable {
    package var attributes: [String: [UInt8]]
    /// The user's name in the store's own form.
    package var name: [UInt8]?
    /// The digest of who is signed in.
    package var user: [UInt8]?
    package var digest: [UInt8]
    package var idleTimeout: Duration
    package var lifetime: Duration

    package init(
        attributes: [String: [UInt8]],
        name: [UInt8]?,
        user: [UInt8]?,
        digest: [UInt8],
        idleTimeout: Duration,
        lifetime: Duration
    ) {
        self.attributes = attributes
        self.name = name
        self.user = user
        self.digest = digest
        self.idleTimeout = idleTimeout
        self.lifetime = lifetime
    }

    /// - Parameter seal: brings the user's name into the form in which it is kept.
    package init(
        _ draft: SessionDraft,
        for ticket: SessionToken,
        _ digester: RecordCrypto,
        seal: (String) -> [UInt8]
    ) {
        self.init(
            attributes: draft.attributes,
            name: draft.principal.map(seal),
            user: draft.principal.map(digester.digest(ofPrincipal:)),
            digest: digester.digest(of: ticket),
            idleTimeout: draft.policy.idleTimeout,
            lifetime: draft.policy.lifetime
        )
    }
}

/// Everything one request changes, in the form in which it is applied: no secret and no user name in the
/// clear.
package struct HashedChange: Hashable, Sendable {
    /// What happens to the secret: see `SessionChange.Rotation`.
    package enum Rotation: Hashable, Sendable {
        case none
        case renew(digest: [UInt8], name: [UInt8]?)
        case signIn(
            digest: [UInt8],
            name: [UInt8],
            user: [UInt8],
            keeping: Set<String>,
            idleTimeout: Duration,
            lifetime: Duration
        )
    }

    package var operations: [String: SessionChange.Operation]
    package var needsVersion: Bool
    package var maximumBytes: Int
    package var rotation: Rotation
    package var grace: Duration

    package init(
        operations: [String: SessionChange.Operation],
        needsVersion: Bool,
        maximumBytes: Int,
        rotation: Rotation,
        grace: Duration
    ) {
        self.operations = operations
        self.needsVersion = needsVersion
        self.maximumBytes = maximumBytes
        self.rotation = rotation
        self.grace = grace
    }

    /// - Parameters:
    ///   - fresh: carries the secret that replaces the current one, if the change asks for it.
    ///   - principal: who is signed in now.
    ///   - seal: brings a user's name into the form in which it is kept for the holder of `fresh`.
    package init(
        _ change: SessionChange,
        fresh: SessionToken,
        principal: String?,
        _ digester: RecordCrypto,
        seal: (String) -> [UInt8]
    ) {
        let rotation: Rotation =
            switch change.rotation {
            case .none: .none
            case .renew: .renew(digest: digester.digest(of: fresh), name: principal.map(seal))
            case .signIn(let principal, let keeping):
                .signIn(
                    digest: digester.digest(of: fresh),
                    name: seal(principal),
                    user: digester.digest(ofPrincipal: principal),
                    keeping: keeping,
                    idleTimeout: change.policy.idleTimeout,
                    lifetime: change.policy.lifetime
                )
            }
        self.init(
            operations: change.operations,
            needsVersion: change.needsVersion,
            maximumBytes: change.maximumBytes,
            rotation: rotation,
            grace: change.policy.renewalGrace
        )
    }
}
