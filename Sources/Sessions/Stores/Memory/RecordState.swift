// SPDX-License-Identifier: Apache-2.0

/// One record of a store that keeps sessions in memory, and the rules for changing it.
///
/// Pure: times, digests and the form of user names are passed in. A user name is kept as bytes that only the
/// store understands: plain text where nobody else sees it, sealed for the holder of the ticket where copies
/// travel.
///
/// The same rules stand in the Lua scripts of `RedisSessionStore`; `SessionStoreContract` holds both to them.
package struct RecordState: Hashable, Sendable {
    /// What a digest of a secret is to a record.
    package enum Status: Hashable, Sendable {
        case live(SecretStatus)
        case absent(SessionAbsence)
    }

    package var digest: [UInt8]
    package var previousDigest: [UInt8]?
    package var previousWorksUntil: SessionInstant
    package var previousIsReplayAfter: SessionInstant
    package var attributes: [String: [UInt8]]
    /// Grows by one with each commit.
    package var version = 1
    package let created: SessionInstant
    package var lastUsed: SessionInstant
    package var rotated: SessionInstant
    package var deadline: SessionInstant
    package var idleTimeout: Duration
    package var name: [UInt8]?
    package var previousName: [UInt8]?
    /// The digest of who is signed in.
    package var user: [UInt8]?
    /// Until when an ended record is remembered; nil while it lives.
    package var tombstoneUntil: SessionInstant?
    /// How it was ended; nil while it lives.
    package var end: SessionEndReason?

    /// A record that comes to life now.
    package init(_ draft: HashedDraft, now: SessionInstant) {
        digest = draft.digest
        attributes = draft.attributes
        name = draft.name
        user = draft.user
        created = now
        lastUsed = now
        rotated = now
        previousWorksUntil = now
        previousIsReplayAfter = now
        deadline = now + draft.lifetime
        idleTimeout = draft.idleTimeout
    }

    /// The instant at which the record may be forgotten.
    package var expiry: SessionInstant {
        tombstoneUntil ?? SessionPolicy.end(lastUsed: lastUsed, idleTimeout: idleTimeout, deadline: deadline)
    }

    /// Bytes of names and values.
    package var size: Int { SessionLimits.size(of: attributes) }

    package func isAlive(at now: SessionInstant) -> Bool { tombstoneUntil == nil && now < expiry }

    /// Whether the record lives for the holder of a secret.
    ///
    /// The secret that was replaced last is a replay once its grace has passed.
    package func status(of presented: [UInt8], _ id: SessionID, at now: SessionInstant) -> Status {
        guard isAlive(at: now) else {
            guard let end, let tombstoneUntil, now < tombstoneUntil else { return .absent(.unknown) }
            return .absent(.ended(end))
        }
        if RecordCrypto.areEqual(presented, digest) { return .live(.current) }
        guard let previousDigest, RecordCrypto.areEqual(presented, previousDigest) else {
            return .absent(.superseded(id, replay: false))
        }
        return now < previousWorksUntil
            ? .live(.previous) : .absent(.superseded(id, replay: now >= previousIsReplayAfter))
    }

    /// The bytes that stand for the user's name to this holder.
    package func name(for secretStatus: SecretStatus) -> [UInt8]? {
        secretStatus == .current ? name : previousName
    }

    /// The state as a caller sees it.
    package func record(
        _ ticket: SessionToken,
        secretStatus: SecretStatus,
        principal: String?,
        at now: SessionInstant,
        reissue: SessionCredential? = nil
    ) -> SessionRecord {
        SessionRecord(
            id: ticket.id,
            credential: ticket.credential,
            secretStatus: secretStatus,
            hasPreviousSecret: previousDigest != nil && now < previousWorksUntil,
            version: version,
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

    package func summary(_ id: SessionID) -> SessionSummary {
        SessionSummary(id: id, created: created, lastUsed: lastUsed, attributes: attributes)
    }

    /// The time to the absolute deadline.
    package func remaining(at now: SessionInstant) -> Duration { deadline - now }

    /// Restarts the idle timeout; presenting the current secret retires the previous one.
    package mutating func touch(_ secretStatus: SecretStatus, at now: SessionInstant) {
        lastUsed = now
        if case .current = secretStatus { previousWorksUntil = min(previousWorksUntil, now) }
    }

    /// Applies a change whole, or changes nothing.
    ///
    /// - Parameter version: of the record that the change was made for.
    /// - Returns: whether the secret was replaced; nil when somebody else committed first.
    package mutating func apply(
        _ change: HashedChange,
        to version: Int,
        secretStatus: SecretStatus,
        at now: SessionInstant
    ) throws(SessionError) -> Bool? {
        let isStale = version != self.version
        if change.needsVersion, isStale { return nil }
        var next = self
        next.touch(secretStatus, at: now)
        if case .signIn(_, _, _, let keeping, _, _) = change.rotation {
            next.attributes = attributes.filter { keeping.contains($0.key) }
        }
        next.attributes = try change.operations.applied(to: next.attributes)
        if isStale, next.size > max(size, change.maximumBytes) { return nil }
        next.version += 1
        let isRotated = next.rotate(change, secretStatus: secretStatus, at: now)
        self = next
        return isRotated
    }

    /// Ends the record.
    ///
    /// It is remembered as ended until the given instant.
    package mutating func markEnded(_ end: SessionEndReason, until: SessionInstant) {
        self.end = end
        attributes = [:]
        (name, previousName, user) = (nil, nil, nil)
        tombstoneUntil = until
    }

    private mutating func rotate(
        _ change: HashedChange,
        secretStatus: SecretStatus,
        at now: SessionInstant
    ) -> Bool {
        let fresh: [UInt8]
        switch change.rotation {
        case .none: return false
        case .renew(let digest, let name):
            guard case .current = secretStatus else { return false }
            fresh = digest
            (previousName, self.name) = (self.name, name)
            previousWorksUntil = now + change.grace
        case .signIn(let digest, let name, let user, _, let idleTimeout, let lifetime):
            fresh = digest
            (previousName, self.name) = (nil, name)
            self.user = user
            deadline = now + lifetime
            self.idleTimeout = idleTimeout
            previousWorksUntil = now
        }
        previousIsReplayAfter = now + change.grace
        previousDigest = digest
        digest = fresh
        rotated = now
        return true
    }
}
