// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// A session hash as `HGETALL` and `PTTL` return it: decides what the bytes mean, without I/O.
///
/// The record says when it ends (`@used`, `@idle`, `@deadline`) and Redis says how long that is from now;
/// together they give the server's time without asking for it, so that no clock of an application server
/// matters.
struct RedisRecord {
    enum Reading {
        case live(RedisRecord)
        case absent(SessionAbsence)
    }

    let version: Int
    let times: SessionTimes
    let now: SessionInstant
    private let family: SecretFamily
    let attributes: [String: [UInt8]]
    private let fields: RecordFields

    /// Reads a record.
    ///
    /// Anything missing or malformed makes all of it unreadable, never half of it.
    ///
    /// - Parameters:
    ///   - hash: the reply to `HGETALL`.
    ///   - ttl: the reply to `PTTL`, milliseconds, or -1 and -2 as Redis has it.
    ///   - time: the server's time where it is known.
    /// - Returns: the record, or why there is none.
    static func read(_ hash: RedisReply, ttl: Int, time: SessionInstant? = nil) -> Reading {
        guard hash.kind == .array else { return .absent(.unreadable) }
        guard hash.count > 0, ttl != -2 else { return .absent(.unknown) }
        var attributes: [String: [UInt8]] = [:]
        attributes.reserveCapacity(max(0, hash.count / 2 - RecordFields.fewest))
        var fields = RecordFields()
        unsafe hash.forEachPair { field, value in
            if let name = unsafe RedisSchema.attribute(field) {
                attributes[name] = unsafe Array(value)
            } else if let field = unsafe RedisSchema.Field(field) {
                unsafe fields.set(field, value)
            }
        }
        if let reason = fields.gone {
            return .absent(.ended(reason == Array("signed-out".utf8) ? .signOut : .revocation))
        }
        guard fields.format == 1, ttl >= 0,
            let record = RedisRecord(attributes, fields, ttl: ttl, time: time)
        else { return .absent(.unreadable) }
        return record.now < record.times.expiry ? .live(record) : .absent(.unknown)
    }

    private init?(
        _ attributes: [String: [UInt8]],
        _ fields: RecordFields,
        ttl: Int,
        time: SessionInstant?
    ) {
        guard let version = fields.version, (0..<1_000_000_000_000_000).contains(version),
            let created = fields.created, let lastUsed = fields.lastUsed, let rotated = fields.rotated,
            let deadline = fields.deadline, let idle = fields.idleTimeout, idle > 0,
            fields.secretHash?.count == 32, let family = fields.family, family.count == 16,
            let generation = fields.generation, let trustedFrom = fields.trustedFrom,
            generation >= 0, trustedFrom >= 0
        else { return nil }
        self.family = SecretFamily(key: family, generation: generation, trustedFrom: trustedFrom)
        self.version = version
        var persistence: CookiePersistence?
        if let bytes = fields.persistence {
            guard let stored = CookiePersistence(stored: bytes) else { return nil }
            persistence = stored
        }
        times = SessionTimes(
            created: created,
            lastUsed: lastUsed,
            rotated: rotated,
            authenticated: fields.authenticated,
            deadline: deadline,
            idleTimeout: .milliseconds(idle),
            persistence: persistence
        )
        self.attributes = attributes
        self.fields = fields
        let now = time ?? times.expiry + .milliseconds(-ttl)
        contradictsClock = now < lastUsed
        self.now = max(now, lastUsed)
    }

    /// Whether the time to live is longer than the record allows.
    ///
    /// The server's clock was set back, another server took over, or somebody set the time to live by hand (R20). The
    /// server's time tells which: the record's own deadlines decide.
    let contradictsClock: Bool

    /// Returns the session for the holder of a token, if its secret is the record's.
    ///
    /// - Parameters:
    ///   - token: what was presented.
    ///   - crypto: hashes secrets and decrypts names.
    /// - Returns: the session, or why there is none for this token.
    func open(_ token: SessionToken, _ crypto: RecordCrypto) -> SessionLoadResult {
        for hash in crypto.hashes(token) {
            if RecordCrypto.areEqual(hash, fields.secretHash ?? []) {
                return found(
                    PresentedToken(token, hash: hash, family: family),
                    .current,
                    fields.principal,
                    crypto
                )
            }
            guard let previous = fields.previousSecretHash, RecordCrypto.areEqual(hash, previous) else {
                continue
            }
            guard fields.previousValidUntil.map({ now < $0 }) ?? false else {
                return .absent(.superseded(token.id, replaced(family.generation - 1)))
            }
            return found(
                PresentedToken(token, hash: hash, family: family),
                .previous,
                fields.previousPrincipal,
                crypto
            )
        }
        guard let generation = crypto.generation(of: token, in: family) else {
            return .absent(.wrongSecret(token.id))
        }
        return .absent(.superseded(token.id, replaced(generation)))
    }

    private func replaced(_ generation: Int) -> ReplacedSecret {
        let isReplay = fields.previousIsReplayFrom.map { now >= $0 } ?? true
        return family.replaced(generation, since: times.rotated, isReplay: isReplay, at: now)
    }

    private func found(
        _ presented: PresentedToken,
        _ status: SecretStatus,
        _ encrypted: [UInt8]?,
        _ crypto: RecordCrypto
    ) -> SessionLoadResult {
        var principal: String?
        if let encrypted {
            principal = crypto.decryptPrincipal(encrypted, with: presented.token)
            // Changed by someone with write access to Redis: nothing of the record can be trusted.
            guard let principal, let hash = fields.principalHash,
                crypto.hashes(principal: principal).contains(hash)
            else { return .absent(.unreadable) }
        }
        var presented = presented
        presented.userHash = fields.principalHash
        return .found(record(presented, status, principal))
    }

    private func record(_ presented: PresentedToken, _ status: SecretStatus, _ principal: String?)
        -> SessionRecord
    {
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

    /// Returns the session for a caller who holds no secret, if it is this user's.
    func open(_ id: SessionID, of principal: String, _ crypto: RecordCrypto) -> SessionLoadResult {
        guard let hash = fields.principalHash, crypto.hashes(principal: principal).contains(hash) else {
            return .absent(.unknown)
        }
        return .found(
            record(PresentedToken(principal, hash: hash, for: id, family: family), .previous, principal)
        )
    }

    /// Whether the record is a session of the user with this hash.
    func belongs(to principalHash: [UInt8]) -> Bool { fields.principalHash == principalHash }

    /// Whether nobody is signed in.
    var isAnonymous: Bool { fields.principalHash == nil }

    /// Returns the record's entry in a list.
    func summary(_ id: SessionID) -> SessionSummary {
        SessionSummary(
            id: id,
            created: times.created,
            lastUsed: times.lastUsed,
            authenticatedAt: times.authenticated,
            attributes: attributes
        )
    }
}

/// The record's own fields, as far as they are there and numbers are numbers.
private struct RecordFields {
    /// How many a record has at least.
    static let fewest = 9

    var format: Int?
    var version: Int?
    var created: SessionInstant?
    var lastUsed: SessionInstant?
    var rotated: SessionInstant?
    var authenticated: SessionInstant?
    var deadline: SessionInstant?
    var idleTimeout: Int?
    var persistence: [UInt8]?
    var family: [UInt8]?
    /// 0 where the field is missing, nil where it does not hold a number.
    var generation: Int? = 0
    var trustedFrom: Int? = 0
    var secretHash: [UInt8]?
    var principal: [UInt8]?
    var principalHash: [UInt8]?
    var previousSecretHash: [UInt8]?
    var previousValidUntil: SessionInstant?
    var previousIsReplayFrom: SessionInstant?
    var previousPrincipal: [UInt8]?
    var gone: [UInt8]?

    mutating func set(_ field: RedisSchema.Field, _ value: UnsafeRawBufferPointer) {
        var number: Int? { unsafe SessionCodec.integer(value) }
        var instant: SessionInstant? { number.map { SessionInstant(milliseconds: Int64($0)) } }
        var bytes: [UInt8] { unsafe Array(value) }
        switch field {
        case .format: format = number
        case .version: version = number
        case .created: created = instant
        case .lastUsed: lastUsed = instant
        case .rotated: rotated = instant
        case .authenticated: authenticated = instant
        case .deadline: deadline = instant
        case .idleTimeout: idleTimeout = number
        case .persistence: persistence = bytes
        case .family: family = bytes
        case .generation: generation = number
        case .trustedFrom: trustedFrom = number
        case .secretHash: secretHash = bytes
        case .principal: principal = bytes
        case .principalHash: principalHash = bytes
        case .previousSecretHash: previousSecretHash = bytes
        case .previousValidUntil: previousValidUntil = instant
        case .previousIsReplayFrom: previousIsReplayFrom = instant
        case .previousPrincipal: previousPrincipal = bytes
        case .gone: gone = bytes
        }
    }
}
