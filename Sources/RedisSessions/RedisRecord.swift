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
    private let attributes: [String: [UInt8]]
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
        var fields = RecordFields()
        unsafe hash.forEachPair { field, value in
            if let name = unsafe RedisSchema.attribute(field) {
                attributes[name] = unsafe Array(value)
            } else if let field = unsafe RedisSchema.Field(field) {
                fields[field] = unsafe Array(value)
            }
        }
        if let reason = fields[.gone] {
            return .absent(.ended(reason == Array("signed-out".utf8) ? .signOut : .revocation))
        }
        guard fields[.format] == [UInt8(ascii: "1")], ttl >= 0,
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
        func instant(_ field: RedisSchema.Field) -> SessionInstant? { Self.instant(fields[field]) }
        guard let version = fields[.version].flatMap(SessionCodec.integer),
            (0..<1_000_000_000_000_000).contains(version),
            let created = instant(.created), let lastUsed = instant(.lastUsed),
            let rotated = instant(.rotated), let deadline = instant(.deadline),
            let idle = fields[.idleTimeout].flatMap(SessionCodec.integer), idle > 0,
            fields[.secretHash]?.count == 32, let family = fields[.family], family.count == 16,
            let generation = fields[.generation].map(SessionCodec.integer) ?? 0,
            let trustedFrom = fields[.trustedFrom].map(SessionCodec.integer) ?? 0,
            generation >= 0, trustedFrom >= 0
        else { return nil }
        self.family = SecretFamily(key: family, generation: generation, trustedFrom: trustedFrom)
        self.version = version
        var persistence: CookiePersistence?
        if let bytes = fields[.persistence] {
            guard let stored = CookiePersistence(stored: bytes) else { return nil }
            persistence = stored
        }
        times = SessionTimes(
            created: created,
            lastUsed: lastUsed,
            rotated: rotated,
            authenticated: instant(.authenticated),
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
            if RecordCrypto.areEqual(hash, fields[.secretHash] ?? []) {
                return found(
                    PresentedToken(token, hash: hash, family: family),
                    .current,
                    fields[.principal],
                    crypto
                )
            }
            guard let previous = fields[.previousSecretHash], RecordCrypto.areEqual(hash, previous) else {
                continue
            }
            guard Self.instant(fields[.previousValidUntil]).map({ now < $0 }) ?? false else {
                return .absent(.superseded(token.id, replaced(family.generation - 1)))
            }
            return found(
                PresentedToken(token, hash: hash, family: family),
                .previous,
                fields[.previousPrincipal],
                crypto
            )
        }
        guard let generation = crypto.generation(of: token, in: family) else {
            return .absent(.wrongSecret(token.id))
        }
        return .absent(.superseded(token.id, replaced(generation)))
    }

    private func replaced(_ generation: Int) -> ReplacedSecret {
        let isReplay = Self.instant(fields[.previousIsReplayFrom]).map { now >= $0 } ?? true
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
            guard let principal, let hash = fields[.principalHash],
                crypto.hashes(principal: principal).contains(hash)
            else { return .absent(.unreadable) }
        }
        var presented = presented
        presented.userHash = fields[.principalHash]
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
        guard let hash = fields[.principalHash], crypto.hashes(principal: principal).contains(hash) else {
            return .absent(.unknown)
        }
        return .found(
            record(PresentedToken(principal, hash: hash, for: id, family: family), .previous, principal)
        )
    }

    /// Whether the record is a session of the user with this hash.
    func belongs(to principalHash: [UInt8]) -> Bool { fields[.principalHash] == principalHash }

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

    private static func instant(_ bytes: [UInt8]?) -> SessionInstant? {
        bytes.flatMap(SessionCodec.integer).map { SessionInstant(milliseconds: Int64($0)) }
    }
}

/// The record's own fields: so few that looking through them is faster than hashing.
private struct RecordFields {
    private var entries: [(field: RedisSchema.Field, value: [UInt8])] = []

    init() { entries.reserveCapacity(RedisSchema.Field.allCases.count) }

    subscript(field: RedisSchema.Field) -> [UInt8]? {
        get { entries.first { $0.field == field }?.value }
        set { if let newValue { entries.append((field, newValue)) } }
    }
}
