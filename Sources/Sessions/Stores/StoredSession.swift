// SPDX-License-Identifier: Apache-2.0

/// One record of a store that keeps sessions in memory, and the rules for changing it.
///
/// Pure: times, digests and the form of user names are passed in. A user name is kept as bytes that only the
/// store understands: plain text where nobody else sees it, sealed for the holder of the ticket where copies
/// travel.
///
/// The same rules stand in the Lua scripts of `RedisSessionStore`; `SessionStoreContract` holds both to them.
package struct StoredSession: Hashable, Sendable {
    /// What a digest of a secret is to a record.
    package enum Presence: Hashable, Sendable {
        case live(SessionRecord.Standing)
        case absent(SessionAbsence)
    }

    var digest: [UInt8]
    var previousDigest: [UInt8]?
    var previousWorksUntil: SessionInstant
    var previousIsReplayAfter: SessionInstant
    var attributes: [String: [UInt8]]
    /// Grows by one with each commit.
    package internal(set) var version = 1
    let created: SessionInstant
    var lastUsed: SessionInstant
    var rotated: SessionInstant
    var deadline: SessionInstant
    var idleTimeout: Duration
    var name: [UInt8]?
    var previousName: [UInt8]?
    /// The digest of who is signed in.
    package internal(set) var user: [UInt8]?
    /// Until when an ended record is remembered; nil while it lives.
    var buriedUntil: SessionInstant?
    /// How it was ended; nil while it lives.
    package internal(set) var end: SessionEnd?

    /// A record that comes to life now.
    package init(_ draft: StoredDraft, now: SessionInstant) {
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
        buriedUntil ?? SessionPolicy.end(lastUsed: lastUsed, idleTimeout: idleTimeout, deadline: deadline)
    }

    /// Bytes of names and values.
    package var size: Int { SessionLimits.size(of: attributes) }

    package func isAlive(at now: SessionInstant) -> Bool { buriedUntil == nil && now < expiry }

    /// Whether the record lives for the holder of a secret.
    ///
    /// The secret that was replaced last is a replay once its grace has passed.
    package func presence(of presented: [UInt8], _ handle: SessionHandle, at now: SessionInstant) -> Presence
    {
        guard isAlive(at: now) else {
            guard let end, let buriedUntil, now < buriedUntil else { return .absent(.unknown) }
            return .absent(.ended(end))
        }
        if SessionDigester.areEqual(presented, digest) { return .live(.current) }
        guard let previousDigest, SessionDigester.areEqual(presented, previousDigest) else {
            return .absent(.superseded(handle, replay: false))
        }
        return now < previousWorksUntil
            ? .live(.predecessor) : .absent(.superseded(handle, replay: now >= previousIsReplayAfter))
    }

    /// The bytes that stand for the user's name to this holder.
    package func name(for standing: SessionRecord.Standing) -> [UInt8]? {
        standing == .current ? name : previousName
    }

    /// The state as a caller sees it.
    package func record(
        _ ticket: SessionTicket,
        standing: SessionRecord.Standing,
        principal: String?,
        at now: SessionInstant,
        reissue: SessionCredential? = nil
    ) -> SessionRecord {
        SessionRecord(
            handle: ticket.handle,
            credential: ticket.credential,
            standing: standing,
            hasPredecessor: previousDigest != nil && now < previousWorksUntil,
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

    package func summary(_ handle: SessionHandle) -> SessionSummary {
        SessionSummary(handle: handle, created: created, lastUsed: lastUsed, attributes: attributes)
    }

    /// The time to the absolute deadline.
    package func remaining(at now: SessionInstant) -> Duration { deadline - now }

    /// Restarts the idle timeout; presenting the current secret retires the previous one.
    package mutating func touch(_ standing: SessionRecord.Standing, at now: SessionInstant) {
        lastUsed = now
        if case .current = standing { previousWorksUntil = min(previousWorksUntil, now) }
    }

    /// Applies a change whole, or changes nothing.
    ///
    /// - Parameter version: of the record that the change was made for.
    /// - Returns: whether the secret was replaced; nil when somebody else committed first.
    package mutating func apply(
        _ change: StoredChange,
        to version: Int,
        standing: SessionRecord.Standing,
        at now: SessionInstant
    ) throws(SessionError) -> Bool? {
        let isStale = version != self.version
        if change.needsVersion, isStale { return nil }
        var next = self
        next.touch(standing, at: now)
        if case .signIn(_, _, _, let keeping, _, _) = change.rotation {
            next.attributes = attributes.filter { keeping.contains($0.key) }
        }
        next.attributes = try change.operations.applied(to: next.attributes)
        if isStale, next.size > max(size, change.maximumBytes) { return nil }
        next.version += 1
        let isRotated = next.rotate(change, standing: standing, at: now)
        self = next
        return isRotated
    }

    /// Ends the record.
    ///
    /// It is remembered as ended until the given instant.
    package mutating func bury(_ end: SessionEnd, until: SessionInstant) {
        self.end = end
        attributes = [:]
        (name, previousName, user) = (nil, nil, nil)
        buriedUntil = until
    }

    private mutating func rotate(
        _ change: StoredChange,
        standing: SessionRecord.Standing,
        at now: SessionInstant
    ) -> Bool {
        let fresh: [UInt8]
        switch change.rotation {
        case .none: return false
        case .renew(let digest, let name):
            guard case .current = standing else { return false }
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
