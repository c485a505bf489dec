// SPDX-License-Identifier: Apache-2.0

/// What the seal of a whole session holds: the record, with its own name and deadlines (R64).
///
/// Pure: times are passed in.
///
/// There is one encoding of each value, and decoding refuses every other.
package struct SealedPayload: Sendable, Equatable {
    /// Random; stays the same through sign-in and renewal.
    package var id: SessionID
    /// When the seal was made.
    package var issued: SessionInstant
    package var created: SessionInstant
    package var lastUsed: SessionInstant
    package var rotated: SessionInstant
    package var deadline: SessionInstant
    package var idleTimeout: Duration
    package var version: Int
    package var principal: String?
    package var attributes: [String: [UInt8]]

    /// How far the clocks of two instances may differ: a seal from later than that is not used.
    package static let skew = Duration.seconds(60)
    private static let format: UInt8 = 1

    /// A session that comes to life now.
    package init(_ draft: SessionDraft, now: SessionInstant) {
        id = SessionID()
        issued = now
        created = now
        lastUsed = now
        rotated = now
        deadline = now + draft.policy.lifetime
        idleTimeout = draft.policy.idleTimeout
        version = 1
        principal = draft.principal
        attributes = draft.attributes
    }

    /// The session in other bytes; nil when they are no encoding of one.
    package init?(decoding bytes: [UInt8]) {
        do { try self.init(reading: bytes) } catch { return nil }
    }

    private init(reading bytes: [UInt8]) throws(ByteReader.Malformed) {
        var reader = ByteReader(bytes)
        guard try reader.byte() == Self.format, let id = SessionID(bytes: try reader.raw(16)) else {
            throw ByteReader.Malformed()
        }
        self.id = id
        let issued = try reader.signed()
        self.issued = SessionInstant(milliseconds: issued)
        created = SessionInstant(milliseconds: issued &+ (try reader.signed()))
        lastUsed = SessionInstant(milliseconds: issued &+ (try reader.signed()))
        rotated = SessionInstant(milliseconds: issued &+ (try reader.signed()))
        deadline = SessionInstant(milliseconds: issued &+ (try reader.signed()))
        let idle = try reader.number()
        let version = try reader.number()
        guard (1...UInt64(Int64.max)).contains(idle), (1...UInt64(Int.max)).contains(version) else {
            throw ByteReader.Malformed()
        }
        idleTimeout = .milliseconds(Int64(idle))
        self.version = Int(version)
        switch try reader.byte() {
        case 0: principal = nil
        case 1: principal = try reader.text()
        default: throw ByteReader.Malformed()
        }
        attributes = try reader.attributes()
        try reader.end()
    }

    /// The bytes that are sealed.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.byte(Self.format)
        writer.raw(id.bytes)
        writer.signed(issued.milliseconds)
        for instant in [created, lastUsed, rotated, deadline] {
            writer.signed(instant.milliseconds &- issued.milliseconds)
        }
        writer.number(UInt64(idleTimeout.wholeMilliseconds))
        writer.number(UInt64(version))
        writer.byte(principal == nil ? 0 : 1)
        if let principal { writer.string(principal.utf8) }
        writer.attributes(attributes)
        return writer.bytes
    }

    /// The instant at which it is read: no earlier than what it says about itself, because clocks differ.
    package func reading(at now: SessionInstant) -> SessionInstant { max(now, issued, lastUsed) }

    /// Why it does not count at this instant; nil when it does.
    package func absence(at now: SessionInstant) -> SessionAbsence? {
        guard issued <= now + Self.skew, lastUsed <= now + Self.skew else { return .unreadable }
        let end = SessionPolicy.end(lastUsed: lastUsed, idleTimeout: idleTimeout, deadline: deadline)
        return reading(at: now) < end ? nil : .unknown
    }

    /// The state as a caller sees it.
    package func record(
        _ credential: SessionCredential,
        reissue: SessionCredential? = nil,
        at now: SessionInstant
    ) -> SessionRecord {
        SessionRecord(
            id: id,
            credential: credential,
            secretStatus: .current,
            hasPreviousSecret: false,
            version: version,
            principal: principal,
            attributes: attributes,
            created: created,
            lastUsed: lastUsed,
            rotated: rotated,
            deadline: deadline,
            idleTimeout: idleTimeout,
            now: reading(at: now),
            reissue: reissue
        )
    }

    /// Restarts the idle timeout.
    package mutating func touch(at now: SessionInstant) {
        issued = reading(at: now)
        lastUsed = issued
    }

    /// Applies a change whole, or throws and changes nothing.
    package mutating func apply(_ change: SessionChange, at now: SessionInstant) throws(SessionError) {
        attributes = try change.applied(to: attributes)
        touch(at: now)
        version += 1
        switch change.rotation {
        case .none: break
        case .renew: rotated = issued
        case .signIn(let principal, _):
            self.principal = principal
            rotated = issued
            deadline = issued + change.policy.lifetime
            idleTimeout = change.policy.idleTimeout
        }
    }
}
