// SPDX-License-Identifier: Apache-2.0

/// What a sealed cookie holds: the whole session, with its own ID and deadlines (R64).
///
/// Times are passed in. There is one encoding of each value, and decoding refuses every other.
package struct SealedPayload: Sendable, Equatable {
    /// Random; stays the same through sign-in and renewal.
    package var id: SessionID
    /// When the cookie was sealed.
    package var issued: SessionInstant
    package var times: SessionTimes
    package var version: Int
    package var principal: String?
    /// When the user signed in: by the clock of a revocation list where there is one.
    package var authenticated: SessionInstant? {
        get { times.authenticated }
        set { times.authenticated = newValue }
    }
    /// Whether that is by the clock of a revocation list, so that it can be compared with what the list says.
    package var isListed = false
    package var attributes: [String: [UInt8]]

    /// How far the clocks of two instances may differ: a cookie that was sealed later than that is not used.
    package static let skew = Duration.seconds(60)
    private static let format: UInt8 = 2

    /// Creates a session at `now`.
    package init(_ draft: SessionDraft, now: SessionInstant) {
        id = draft.id ?? SessionID()
        issued = now
        times = SessionTimes(
            startingAt: now,
            idleTimeout: draft.policy.idleTimeout,
            lifetime: draft.policy.lifetime
        )
        version = 1
        principal = draft.principal
        times.authenticated = draft.principal == nil ? nil : now
        times.persistence = draft.principal == nil ? nil : draft.persistence
        attributes = draft.attributes
    }

    /// Decodes a session; nil when the bytes are not an encoding of one.
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
        func instant(_ offset: Int64) -> SessionInstant { SessionInstant(milliseconds: issued &+ offset) }
        self.issued = instant(0)
        let created = instant(try reader.signed())
        let lastUsed = instant(try reader.signed())
        let rotated = instant(try reader.signed())
        let deadline = instant(try reader.signed())
        let idle = try reader.number()
        let version = try reader.number()
        guard (1...UInt64(Int64.max)).contains(idle), (1...UInt64(Int.max)).contains(version) else {
            throw ByteReader.Malformed()
        }
        times = SessionTimes(
            created: created,
            lastUsed: lastUsed,
            rotated: rotated,
            deadline: deadline,
            idleTimeout: .milliseconds(Int64(idle))
        )
        self.version = Int(version)
        let user = User(rawValue: try reader.byte())
        guard user.isValid else { throw ByteReader.Malformed() }
        if user.contains(.isSignedIn) { principal = try reader.text() }
        if user.contains(.hasTime) {
            times.authenticated = SessionInstant(milliseconds: try reader.signed())
        }
        isListed = user.contains(.isListed)
        if user.contains(.isBrowserSession) { times.persistence = .browserSession }
        if user.contains(.isPersistent) { times.persistence = .persistent }
        attributes = try reader.attributes()
        try reader.end()
    }

    /// The bytes that are sealed.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.byte(Self.format)
        writer.raw(id.bytes)
        writer.signed(issued.milliseconds)
        for instant in [times.created, times.lastUsed, times.rotated, times.deadline] {
            writer.signed(instant.milliseconds &- issued.milliseconds)
        }
        writer.number(UInt64(times.idleTimeout.wholeMilliseconds))
        writer.number(UInt64(version))
        let user = User(self)
        writer.byte(user.rawValue)
        if let principal { writer.string(principal.utf8) }
        if user.contains(.hasTime), let authenticated { writer.signed(authenticated.milliseconds) }
        writer.attributes(attributes)
        return writer.bytes
    }

    /// Returns the instant at which it is read: no earlier than what it says about itself, because clocks differ.
    package func reading(at now: SessionInstant) -> SessionInstant { max(now, issued, times.lastUsed) }

    /// Returns why it is not valid at this instant; nil when it is.
    package func absence(at now: SessionInstant) -> SessionAbsence? {
        guard issued <= now + Self.skew, times.lastUsed <= now + Self.skew else { return .unreadable }
        return reading(at: now) < times.expiry ? nil : .unknown
    }

    /// Restarts the idle timeout.
    package mutating func touch(at now: SessionInstant) {
        issued = reading(at: now)
        times.lastUsed = issued
    }

    /// Applies a change whole, or throws and changes nothing.
    ///
    /// - Parameters:
    ///   - change: the change.
    ///   - now: the store's time.
    /// - Throws: `.invalidValue` when an increment meets a value that is not an integer, or would overflow.
    package mutating func apply(_ change: SessionChange, at now: SessionInstant) throws(SessionError) {
        attributes = try change.applied(to: attributes)
        touch(at: now)
        version += 1
        if let idleTimeout = change.idleTimeout { times.idleTimeout = idleTimeout }
        guard change.rotation != .none else { return }
        // Later than before even within a millisecond, so that older cookies of this session can be told apart.
        times.rotated = max(issued, times.rotated + .milliseconds(1))
        guard case .signIn(let principal, _) = change.rotation else { return }
        self.principal = principal
        authenticated = issued
        isListed = false
        times.persistence = change.persistence
        times.deadline = issued + change.policy.lifetime
        times.idleTimeout = change.policy.idleTimeout
    }
}

/// What a sealed cookie says of its user, besides the name and the time: one byte.
private struct User: OptionSet {
    let rawValue: UInt8

    static let isSignedIn = User(rawValue: 1)
    static let hasTime = User(rawValue: 2)
    static let isListed = User(rawValue: 4)
    static let isBrowserSession = User(rawValue: 8)
    static let isPersistent = User(rawValue: 16)

    /// Whether there is a session that has it.
    var isValid: Bool {
        rawValue < 32 && (isEmpty || contains(.isSignedIn)) && (!contains(.isListed) || contains(.hasTime))
            && !contains([.isBrowserSession, .isPersistent])
    }

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ payload: SealedPayload) {
        self = []
        guard payload.principal != nil else { return }
        insert(.isSignedIn)
        if payload.authenticated != nil { insert(payload.isListed ? [.hasTime, .isListed] : .hasTime) }
        switch payload.times.persistence {
        case .browserSession: insert(.isBrowserSession)
        case .persistent: insert(.isPersistent)
        case nil: break
        }
    }
}
