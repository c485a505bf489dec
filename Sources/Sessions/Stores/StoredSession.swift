// SPDX-License-Identifier: Apache-2.0

/// One record of a store that keeps sessions in memory, and the rules for changing it.
///
/// Pure: times and digests are passed in.
///
/// The same rules stand in the Lua scripts of `RedisSessionStore`; `SessionStoreContract` holds both to them.
package struct StoredSession: Sendable {
    /// What a digest of a secret is to this record.
    package enum Standing: Sendable {
        case current, predecessor
        case wrong(replay: Bool)
    }

    private var digest: [UInt8]
    private var previousDigest: [UInt8]?
    private var previousWorksUntil: SessionInstant
    private var previousIsReplayAfter: SessionInstant
    private var attributes: [String: [UInt8]]
    private var version = 1
    private let created: SessionInstant
    private var lastUsed: SessionInstant
    private var rotated: SessionInstant
    private var deadline: SessionInstant
    private var idleTimeout: Duration
    private var principal: String?
    /// The digest of who is signed in.
    package private(set) var user: [UInt8]?
    /// Until when an ended record is remembered; nil while it lives.
    private var buriedUntil: SessionInstant?
    /// How it was ended; nil while it lives.
    package private(set) var end: SessionEnd?

    /// A record that comes to life now.
    package init(_ draft: SessionDraft, digest: [UInt8], digester: SessionDigester, now: SessionInstant) {
        self.digest = digest
        attributes = draft.attributes
        principal = draft.principal
        user = draft.principal.map(digester.digest(ofPrincipal:))
        created = now
        lastUsed = now
        rotated = now
        previousWorksUntil = now
        previousIsReplayAfter = now
        deadline = now + draft.policy.lifetime
        idleTimeout = draft.policy.idleTimeout
    }

    /// The instant at which the record may be forgotten.
    package var expiry: SessionInstant {
        buriedUntil ?? SessionPolicy.end(lastUsed: lastUsed, idleTimeout: idleTimeout, deadline: deadline)
    }

    /// Bytes of names and values.
    package var size: Int { SessionLimits.size(of: attributes) }

    package func isAlive(at now: SessionInstant) -> Bool { buriedUntil == nil && now < expiry }

    package func isBuried(at now: SessionInstant) -> Bool { buriedUntil.map { now < $0 } ?? false }

    /// What a secret is to this record.
    ///
    /// The one that was replaced last is a replay once its grace has passed.
    package func standing(of presented: [UInt8], at now: SessionInstant) -> Standing {
        if SessionDigester.areEqual(presented, digest) { return .current }
        guard let previousDigest, SessionDigester.areEqual(presented, previousDigest) else { return .wrong(replay: false) }
        return now < previousWorksUntil ? .predecessor : .wrong(replay: now >= previousIsReplayAfter)
    }

    /// The state as a caller sees it.
    package func record(_ ticket: SessionTicket, standing: SessionRecord.Standing, at now: SessionInstant) -> SessionRecord {
        SessionRecord(
            handle: ticket.handle, credential: ticket.credential, standing: standing,
            hasPredecessor: previousDigest != nil && now < previousWorksUntil, version: version, principal: principal,
            attributes: attributes, created: created, lastUsed: lastUsed, rotated: rotated, deadline: deadline,
            idleTimeout: idleTimeout, now: now)
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

    /// Applies a change whole, or throws and changes nothing.
    ///
    /// - Parameter newDigest: of the secret that replaces the current one, if the change asks for it.
    /// - Returns: whether the secret was replaced.
    package mutating func apply(
        _ change: SessionChange, standing: SessionRecord.Standing, newDigest: [UInt8], digester: SessionDigester, at now: SessionInstant
    ) throws(SessionError) -> Bool {
        var next = self
        next.touch(standing, at: now)
        if case .signIn(_, let keeping) = change.rotation { next.attributes = attributes.filter { keeping.contains($0.key) } }
        for (name, operation) in change.operations {
            switch operation {
            case .set(let bytes): next.attributes[name] = bytes
            case .remove: next.attributes[name] = nil
            case .increment(let amount):
                guard let number = next.attributes[name].map(SessionCodec.integer) ?? 0 else {
                    throw SessionError(.invalidValue, "Only integers can be incremented.")
                }
                let (sum, overflow) = number.addingReportingOverflow(amount)
                guard !overflow else { throw SessionError(.invalidValue, "The increment would overflow.") }
                next.attributes[name] = Array(String(sum).utf8)
            }
        }
        next.version += 1
        let isRotated = next.rotate(change, standing: standing, newDigest: newDigest, at: now)
        if isRotated { next.user = next.principal.map(digester.digest(ofPrincipal:)) }
        self = next
        return isRotated
    }

    /// Ends the record.
    ///
    /// It is remembered as ended for `tombstone`.
    package mutating func bury(_ end: SessionEnd, until: SessionInstant) {
        self.end = end
        attributes = [:]
        principal = nil
        user = nil
        buriedUntil = until
    }

    private mutating func rotate(
        _ change: SessionChange, standing: SessionRecord.Standing, newDigest: [UInt8], at now: SessionInstant
    ) -> Bool {
        switch change.rotation {
        case .none: return false
        case .renew:
            guard case .current = standing else { return false }
            previousWorksUntil = now + change.policy.renewalGrace
        case .signIn(let principal, _):
            self.principal = principal
            deadline = now + change.policy.lifetime
            idleTimeout = change.policy.idleTimeout
            previousWorksUntil = now
        }
        previousIsReplayAfter = now + change.policy.renewalGrace
        previousDigest = digest
        digest = newDigest
        rotated = now
        return true
    }
}
