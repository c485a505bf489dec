// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// A session hash as `HGETALL` and `PTTL` give it.
///
/// Pure: decides what the bytes mean, talks to nobody.
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
    let created, used, rotated, deadline, now: SessionInstant
    let idle: Duration
    private let attributes: [String: [UInt8]]
    private let own: [String: [UInt8]]

    /// Reads a record.
    ///
    /// Anything missing, malformed or contradictory makes all of it unreadable, never half of it.
    static func read(_ hash: RedisReply, ttl: Int) -> Reading {
        guard hash.kind == .array else { return .absent(.unreadable) }
        guard hash.count > 0, ttl != -2 else { return .absent(.unknown) }
        var attributes: [String: [UInt8]] = [:]
        var own: [String: [UInt8]] = [:]
        hash.forEachPair { field, value in
            if let name = SessionKeys.attribute(field) {
                attributes[name] = Array(value)
            } else {
                own[String(decoding: field, as: UTF8.self)] = Array(value)
            }
        }
        if let reason = own["@gone"] {
            return .absent(.ended(reason == Array("signed-out".utf8) ? .signOut : .revocation))
        }
        guard own["@format"] == [UInt8(ascii: "1")], ttl >= 0,
            let record = RedisRecord(attributes, own, ttl: ttl)
        else {
            return .absent(.unreadable)
        }
        return .live(record)
    }

    private init?(_ attributes: [String: [UInt8]], _ own: [String: [UInt8]], ttl: Int) {
        func integer(_ field: String) -> Int? { own[field].flatMap(SessionCodec.integer) }
        guard let version = integer("@version"), let created = integer("@created"),
            let used = integer("@used"),
            let rotated = integer("@rotated"), let deadline = integer("@deadline"),
            let idle = integer("@idle"),
            idle > 0, own["@digest"]?.count == 32
        else { return nil }
        self.version = version
        self.created = SessionInstant(milliseconds: Int64(created))
        self.used = SessionInstant(milliseconds: Int64(used))
        self.rotated = SessionInstant(milliseconds: Int64(rotated))
        self.deadline = SessionInstant(milliseconds: Int64(deadline))
        self.idle = .milliseconds(idle)
        self.attributes = attributes
        self.own = own
        let end = SessionPolicy.end(lastUsed: self.used, idleTimeout: self.idle, deadline: self.deadline)
        let now = end + .milliseconds(-ttl)
        // A time to live beyond what the record allows was set by hand: the record's own deadlines decide
        // (R20). Less than five seconds are a server clock that was set back, or another server after a
        // failover.
        guard now > self.used + .seconds(-5) else { return nil }
        self.now = max(now, self.used)
    }

    /// The record for the holder of a ticket, if its secret is the record's.
    func open(_ ticket: SessionToken, _ digester: RecordCrypto) -> SessionLoadResult {
        let presented = digester.digest(of: ticket)
        let previousWorks = milliseconds("@old-until").map { now < $0 } ?? false
        let secretStatus: SecretStatus
        var sealed = own["@principal"]
        if RecordCrypto.areEqual(presented, own["@digest"] ?? []) {
            secretStatus = .current
        } else if let old = own["@old-digest"], RecordCrypto.areEqual(presented, old) {
            guard previousWorks else {
                return .absent(
                    .superseded(ticket.id, replay: milliseconds("@old-replay").map { now >= $0 } ?? true)
                )
            }
            secretStatus = .previous
            sealed = own["@old-principal"]
        } else {
            return .absent(.superseded(ticket.id, replay: false))
        }
        var principal: String?
        if let sealed {
            principal = digester.openPrincipal(sealed, with: ticket)
            // Somebody with write access to Redis changed it: nothing of the record can be trusted.
            guard let principal, own["@user"] == digester.digest(ofPrincipal: principal) else {
                return .absent(.unreadable)
            }
        }
        return .found(
            SessionRecord(
                id: ticket.id,
                credential: ticket.credential,
                secretStatus: secretStatus,
                hasPreviousSecret: previousWorks,
                version: version,
                principal: principal,
                attributes: attributes,
                created: created,
                lastUsed: used,
                rotated: rotated,
                deadline: deadline,
                idleTimeout: idle,
                now: now
            )
        )
    }

    func belongs(to principalDigest: [UInt8]) -> Bool { own["@user"] == principalDigest }

    func summary(_ id: SessionID) -> SessionSummary {
        SessionSummary(id: id, created: created, lastUsed: used, attributes: attributes)
    }

    private func milliseconds(_ field: String) -> SessionInstant? {
        own[field].flatMap(SessionCodec.integer).map { SessionInstant(milliseconds: Int64($0)) }
    }
}
