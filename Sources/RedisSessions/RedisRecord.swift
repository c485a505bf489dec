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
    private let attributes: [String: [UInt8]]
    private let fields: [RedisSchema.Field: [UInt8]]

    /// Reads a record.
    ///
    /// Anything missing, malformed or contradictory makes all of it unreadable, never half of it.
    ///
    /// - Parameters:
    ///   - hash: the reply to `HGETALL`.
    ///   - ttl: the reply to `PTTL`, milliseconds, or -1 and -2 as Redis has it.
    /// - Returns: the record, or why there is none.
    static func read(_ hash: RedisReply, ttl: Int) -> Reading {
        guard hash.kind == .array else { return .absent(.unreadable) }
        guard hash.count > 0, ttl != -2 else { return .absent(.unknown) }
        var attributes: [String: [UInt8]] = [:]
        var fields: [RedisSchema.Field: [UInt8]] = [:]
        unsafe hash.forEachPair { field, value in
            if let name = unsafe RedisSchema.attribute(field) {
                attributes[name] = unsafe Array(value)
            } else if let field = unsafe RedisSchema.Field(rawValue: String(decoding: field, as: UTF8.self)) {
                fields[field] = unsafe Array(value)
            }
        }
        if let reason = fields[.gone] {
            return .absent(.ended(reason == Array("signed-out".utf8) ? .signOut : .revocation))
        }
        guard fields[.format] == [UInt8(ascii: "1")], ttl >= 0,
            let record = RedisRecord(attributes, fields, ttl: ttl)
        else { return .absent(.unreadable) }
        return .live(record)
    }

    private init?(_ attributes: [String: [UInt8]], _ fields: [RedisSchema.Field: [UInt8]], ttl: Int) {
        func instant(_ field: RedisSchema.Field) -> SessionInstant? { Self.instant(fields[field]) }
        guard let version = fields[.version].flatMap(SessionCodec.integer),
            let created = instant(.created), let lastUsed = instant(.lastUsed),
            let rotated = instant(.rotated), let deadline = instant(.deadline),
            let idle = fields[.idleTimeout].flatMap(SessionCodec.integer), idle > 0,
            fields[.secretHash]?.count == 32
        else { return nil }
        self.version = version
        times = SessionTimes(
            created: created,
            lastUsed: lastUsed,
            rotated: rotated,
            deadline: deadline,
            idleTimeout: .milliseconds(idle)
        )
        self.attributes = attributes
        self.fields = fields
        let now = times.expiry + .milliseconds(-ttl)
        // A time to live beyond what the record allows was set by hand: the record's own deadlines decide
        // (R20). Less than five seconds are a server clock that was set back, or another server after a
        // failover.
        guard now > lastUsed + .seconds(-5) else { return nil }
        self.now = max(now, lastUsed)
    }

    /// Whether the previous secret is still valid, and is to be invalidated because the current one was
    /// presented.
    var acceptsPreviousSecret: Bool {
        fields[.previousSecretHash] != nil
            && Self.instant(fields[.previousValidUntil]).map { now < $0 } ?? false
    }

    /// Returns the session for the holder of a token, if its secret is the record's.
    ///
    /// - Parameters:
    ///   - token: what was presented.
    ///   - crypto: hashes secrets and decrypts names.
    /// - Returns: the session, or why there is none for this token.
    func open(_ token: SessionToken, _ crypto: RecordCrypto) -> SessionLoadResult {
        for hash in crypto.hashes(token) {
            if RecordCrypto.areEqual(hash, fields[.secretHash] ?? []) {
                return found(PresentedToken(token, hash: hash), .current, fields[.principal], crypto)
            }
            guard let previous = fields[.previousSecretHash], RecordCrypto.areEqual(hash, previous) else {
                continue
            }
            guard acceptsPreviousSecret else {
                let isReplay = Self.instant(fields[.previousIsReplayFrom]).map { now >= $0 } ?? true
                return .absent(.superseded(token.id, replay: isReplay))
            }
            return found(PresentedToken(token, hash: hash), .previous, fields[.previousPrincipal], crypto)
        }
        return .absent(.superseded(token.id, replay: false))
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
        return .found(
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
        )
    }

    /// Whether the record is a session of the user with this hash.
    func belongs(to principalHash: [UInt8]) -> Bool { fields[.principalHash] == principalHash }

    /// Returns the record's entry in a list.
    func summary(_ id: SessionID) -> SessionSummary {
        SessionSummary(id: id, created: times.created, lastUsed: times.lastUsed, attributes: attributes)
    }

    private static func instant(_ bytes: [UInt8]?) -> SessionInstant? {
        bytes.flatMap(SessionCodec.integer).map { SessionInstant(milliseconds: Int64($0)) }
    }
}
