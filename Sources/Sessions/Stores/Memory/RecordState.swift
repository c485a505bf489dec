// SPDX-License-Identifier: Apache-2.0

/// One record of a store that keeps sessions in memory, and the rules for changing it.
///
/// Times, hashes and the form of user names are passed in. A user name is kept as bytes that only the store
/// understands: plain text where it stays in the process, encrypted for the holder of the token where copies
/// travel.
///
/// The same rules stand in the Lua scripts of `RedisSessionStore`; `SessionStoreContract` checks both.
package struct RecordState: Hashable, Sendable {
    /// What a presented secret is to a record.
    package enum Status: Hashable, Sendable {
        case live(SecretStatus)
        case absent(SessionAbsence)
    }

    /// The hash of the current secret.
    package var secretHash: [UInt8]
    /// The hash of the secret before; nil while there was none.
    package var previousSecretHash: [UInt8]?
    /// Until when the previous secret is valid.
    package var previousValidUntil: SessionInstant
    /// From when on presenting an earlier secret is a replay; until then it may be a late request.
    package var previousIsReplayFrom: SessionInstant
    package var family: SecretFamily
    /// The encoded attributes by name.
    package var attributes: [String: [UInt8]]
    /// Grows by one with each commit.
    package var version = 1
    package var times: SessionTimes
    /// The user's name in the store's own form, for the holder of the current secret.
    package var principal: [UInt8]?
    /// The same for the holder of the previous secret.
    package var previousPrincipal: [UInt8]?
    /// The hash of the user's name.
    package var principalHash: [UInt8]?
    /// Until when an ended record is remembered; nil while it lives.
    package var tombstoneUntil: SessionInstant?
    /// How it was ended; nil while it lives.
    package var endReason: SessionEndReason?

    /// Creates a record at `now`.
    package init(_ draft: HashedDraft, now: SessionInstant) {
        secretHash = draft.secretHash
        family = SecretFamily(key: draft.family, generation: 0, trustedFrom: 0)
        attributes = draft.attributes
        principal = draft.principal
        principalHash = draft.principalHash
        previousValidUntil = now
        previousIsReplayFrom = now
        times = SessionTimes(startingAt: now, idleTimeout: draft.idleTimeout, lifetime: draft.lifetime)
        times.authenticated = draft.principal == nil ? nil : now
        times.persistence = draft.persistence
    }

    /// Creates a record from stored values.
    package init(
        secretHash: [UInt8],
        previousSecretHash: [UInt8]?,
        previousValidUntil: SessionInstant,
        previousIsReplayFrom: SessionInstant,
        family: SecretFamily,
        attributes: [String: [UInt8]],
        version: Int,
        times: SessionTimes
    ) {
        self.secretHash = secretHash
        self.family = family
        self.previousSecretHash = previousSecretHash
        self.previousValidUntil = previousValidUntil
        self.previousIsReplayFrom = previousIsReplayFrom
        self.attributes = attributes
        self.version = version
        self.times = times
    }

    /// The instant at which the record may be forgotten.
    package var expiry: SessionInstant { tombstoneUntil ?? times.expiry }

    /// Bytes of names and values.
    package var size: Int { SessionLimits.size(of: attributes) }

    /// Whether the record is neither ended nor expired.
    package func isAlive(at now: SessionInstant) -> Bool { tombstoneUntil == nil && now < expiry }

    /// Returns whether the record is alive for the holder of a secret.
    ///
    /// - Parameters:
    ///   - presented: the hash of the secret.
    ///   - id: the record's ID.
    ///   - now: the store's time.
    /// - Returns: `.live`, or why there is no session for this secret.
    package func status(of presented: [UInt8], _ id: SessionID, at now: SessionInstant) -> Status {
        guard isAlive(at: now) else {
            guard let endReason, let tombstoneUntil, now < tombstoneUntil else { return .absent(.unknown) }
            return .absent(.ended(endReason))
        }
        if RecordCrypto.areEqual(presented, secretHash) { return .live(.current) }
        if isUser(presented) { return .live(.previous) }
        guard let previousSecretHash, RecordCrypto.areEqual(presented, previousSecretHash) else {
            return .absent(.wrongSecret(id))
        }
        if now < previousValidUntil { return .live(.previous) }
        return .absent(.superseded(id, replaced(family.generation - 1, at: now)))
    }

    /// Returns why there is no session for a token: looks among all earlier secrets of the record.
    package func absence(
        _ absence: SessionAbsence,
        of token: SessionToken,
        _ crypto: RecordCrypto,
        at now: SessionInstant
    ) -> SessionAbsence {
        guard case .wrongSecret(let id) = absence, let generation = crypto.generation(of: token, in: family)
        else { return absence }
        return .superseded(id, replaced(generation, at: now))
    }

    /// Whether a hash stands for the record's user, without a secret: see `PresentedToken`.
    ///
    /// The status is that of the secret before: it may write, does not renew, and is never sent.
    private func isUser(_ presented: [UInt8]) -> Bool {
        principalHash.map { RecordCrypto.areEqual(presented, $0) } ?? false
    }

    private func replaced(_ generation: Int, at now: SessionInstant) -> ReplacedSecret {
        family.replaced(generation, since: times.rotated, isReplay: now >= previousIsReplayFrom, at: now)
    }

    /// Whether a commit with this hash restarts the idle timeout: not one of a job, without a secret.
    package func isUse(_ presented: [UInt8]) -> Bool { !isUser(presented) }

    /// Returns the hash of the record's user among several of one name, one for each pepper; nil for another user.
    package func user(_ hashes: [[UInt8]]) -> [UInt8]? { hashes.first(where: isUser) }

    /// Returns which of several hashes of one secret, one for each pepper, the record knows; the first if
    /// none.
    package func known(_ hashes: [[UInt8]]) -> [UInt8] {
        hashes.first { RecordCrypto.areEqual($0, secretHash) || $0 == previousSecretHash } ?? hashes[0]
    }

    /// The bytes that stand for the user's name to the holder of a secret.
    package func principal(for status: SecretStatus) -> [UInt8]? {
        status == .current ? principal : previousPrincipal
    }

    /// Returns the state as a caller sees it.
    ///
    /// - Parameters:
    ///   - presented: the token; becomes the record's store context.
    ///   - status: which secret it holds.
    ///   - principal: the user's name in the clear.
    ///   - now: the store's time.
    /// - Returns: the record.
    package func record(
        _ presented: PresentedToken,
        status: SecretStatus,
        principal: String?,
        at now: SessionInstant
    ) -> SessionRecord {
        SessionRecord(
            id: presented.token.id,
            version: version,
            principal: principal,
            attributes: attributes,
            times: times,
            now: now,
            secretStatus: status,
            storeContext: presented
        )
    }

    /// Returns the record's entry in a list.
    package func summary(_ id: SessionID) -> SessionSummary {
        SessionSummary(
            id: id,
            created: times.created,
            lastUsed: times.lastUsed,
            authenticatedAt: times.authenticated,
            attributes: attributes
        )
    }

    /// Returns the time to the absolute deadline.
    package func remaining(at now: SessionInstant) -> Duration { times.deadline - now }

    /// Restarts the idle timeout.
    package mutating func touch(at now: SessionInstant) { times.lastUsed = max(times.lastUsed, now) }

    /// Applies a change whole, or changes nothing.
    ///
    /// - Parameters:
    ///   - change: the change.
    ///   - version: the version of the record that the change was made for.
    ///   - status: which secret was presented.
    ///   - isUse: whether it restarts the idle timeout.
    ///   - now: the store's time.
    /// - Returns: whether the secret was replaced; nil when another request committed first.
    /// - Throws: `.invalidValue` when an increment meets a value that is not an integer, or would overflow.
    package mutating func apply(
        _ change: HashedChange,
        to version: Int,
        status: SecretStatus,
        isUse: Bool = true,
        at now: SessionInstant
    ) throws(SessionError) -> Bool? {
        let isStale = version != self.version
        if change.needsVersion, isStale { return nil }
        var next = self
        if isUse { next.touch(at: now) }
        if case .signIn(let signIn) = change.rotation {
            next.attributes = attributes.filter { signIn.keeping.contains($0.key) }
        }
        next.attributes = try change.operations.applied(to: next.attributes)
        if isStale, next.size > max(size, change.maximumBytes) { return nil }
        next.version += 1
        if let idleTimeout = change.idleTimeout { next.times.idleTimeout = idleTimeout }
        let isRotated = next.rotate(change, status: status, at: now)
        self = next
        return isRotated
    }

    /// Ends the record.
    ///
    /// It is remembered as ended until the given instant.
    package mutating func markEnded(_ reason: SessionEndReason, until: SessionInstant) {
        endReason = reason
        tombstoneUntil = until
        attributes = [:]
        (principal, previousPrincipal, principalHash) = (nil, nil, nil)
    }

    private mutating func rotate(_ change: HashedChange, status: SecretStatus, at now: SessionInstant) -> Bool
    {
        let fresh: [UInt8]
        switch change.rotation {
        case .none: return false
        case .renew(let secretHash, let principal):
            guard status == .current else { return false }
            fresh = secretHash
            (previousPrincipal, self.principal) = (self.principal, principal)
            previousValidUntil = now + change.grace
        case .elevate(let secretHash, let principal):
            fresh = secretHash
            (previousPrincipal, self.principal) = (nil, principal)
            previousValidUntil = now
        case .signIn(let signIn):
            fresh = signIn.secretHash
            if principal == nil { family.trustedFrom = family.generation + 1 }
            (previousPrincipal, principal, principalHash) = (nil, signIn.principal, signIn.principalHash)
            times.deadline = now + signIn.lifetime
            times.authenticated = now
            times.idleTimeout = signIn.idleTimeout
            times.persistence = signIn.persistence
            previousValidUntil = now
        }
        previousIsReplayFrom = now + change.grace
        family.generation += 1
        (previousSecretHash, secretHash) = (secretHash, fresh)
        times.rotated = now
        return true
    }
}
