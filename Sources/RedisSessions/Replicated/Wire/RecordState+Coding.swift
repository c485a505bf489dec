// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The encoding of whole records, drafts and changes in log entries.
///
/// Each initializer reads the fields in the order in which `encode` writes them; a field that is added to one
/// of these types must be added here.
extension ReplicatedRecord {
    func encode(to writer: inout ByteWriter) {
        writer.position(changed)
        writer.instant(started)
        session.encode(to: &writer)
    }

    init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        let changed = try reader.position()
        let started = try reader.instant()
        self.init(session: try RecordState(from: &reader), changed: changed, started: started)
    }
}

extension RecordState {
    func encode(to writer: inout ByteWriter) {
        writer.string(secretHash)
        writer.optional(previousSecretHash)
        writer.instant(previousValidUntil)
        writer.instant(previousIsReplayFrom)
        writer.string(family.key)
        writer.number(UInt64(family.generation))
        writer.number(UInt64(family.trustedFrom))
        for instant in [times.created, times.lastUsed, times.rotated, times.deadline] {
            writer.instant(instant)
        }
        writer.instant(times.authenticated ?? SessionInstant(milliseconds: 0))
        writer.duration(times.idleTimeout)
        writer.persistence(times.persistence)
        writer.number(UInt64(version))
        writer.attributes(attributes)
        for bytes in [principal, previousPrincipal, principalHash] { writer.optional(bytes) }
        switch endReason {
        case nil: writer.byte(0)
        case .signOut: writer.byte(1)
        case .revocation: writer.byte(2)
        }
        if let tombstoneUntil { writer.instant(tombstoneUntil) }
    }

    init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        let secretHash = try reader.string()
        let previousSecretHash = try reader.optional()
        let previousValidUntil = try reader.instant()
        let previousIsReplayFrom = try reader.instant()
        let family = SecretFamily(
            key: try reader.string(),
            generation: try reader.count(),
            trustedFrom: try reader.count()
        )
        let (created, lastUsed) = (try reader.instant(), try reader.instant())
        let (rotated, deadline) = (try reader.instant(), try reader.instant())
        let authenticated = try reader.instant()
        let times = SessionTimes(
            created: created,
            lastUsed: lastUsed,
            rotated: rotated,
            authenticated: authenticated.milliseconds == 0 ? nil : authenticated,
            deadline: deadline,
            idleTimeout: try reader.duration(),
            persistence: try reader.persistence()
        )
        let version = try reader.count()
        self.init(
            secretHash: secretHash,
            previousSecretHash: previousSecretHash,
            previousValidUntil: previousValidUntil,
            previousIsReplayFrom: previousIsReplayFrom,
            family: family,
            attributes: try reader.attributes(),
            version: version,
            times: times
        )
        principal = try reader.optional()
        previousPrincipal = try reader.optional()
        principalHash = try reader.optional()
        switch try reader.byte() {
        case 0: endReason = nil
        case 1: endReason = .signOut
        case 2: endReason = .revocation
        default: throw ByteReader.Malformed()
        }
        tombstoneUntil = endReason == nil ? nil : try reader.instant()
    }
}

extension HashedDraft {
    func encode(to writer: inout ByteWriter) {
        writer.string(secretHash)
        writer.string(family)
        writer.duration(idleTimeout)
        writer.duration(lifetime)
        writer.persistence(persistence)
        writer.age(age)
        writer.number(UInt64(maximumSessions ?? 0))
        writer.optional(principal)
        writer.optional(principalHash)
        writer.attributes(attributes)
    }

    init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        let (secretHash, family) = (try reader.string(), try reader.string())
        let (idleTimeout, lifetime) = (try reader.duration(), try reader.duration())
        let (persistence, age) = (try reader.persistence(), try reader.age())
        let maximumSessions = try reader.maximum()
        let (principal, principalHash) = (try reader.optional(), try reader.optional())
        self.init(
            attributes: try reader.attributes(),
            principal: principal,
            principalHash: principalHash,
            secretHash: secretHash,
            family: family,
            idleTimeout: idleTimeout,
            lifetime: lifetime,
            persistence: persistence,
            age: age,
            maximumSessions: maximumSessions
        )
    }
}

extension HashedChange {
    func encode(to writer: inout ByteWriter) {
        writer.byte(needsVersion ? 1 : 0)
        writer.number(UInt64(max(maximumBytes, 0)))
        writer.number(UInt64(operations.count))
        for (name, operation) in operations.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) })
        {
            writer.string(name.utf8)
            switch operation {
            case .set(let bytes):
                writer.byte(0)
                writer.string(bytes)
            case .remove: writer.byte(1)
            case .increment(let amount):
                writer.byte(2)
                writer.signed(Int64(amount))
            }
        }
        // The highest bit tells that an idle timeout follows.
        let mark: UInt8 = idleTimeout == nil ? 0 : 0x80
        switch rotation {
        case .none: writer.byte(mark | 0)
        case .renew(let secretHash, let principal):
            writer.byte(mark | 1)
            writer.duration(grace)
            writer.string(secretHash)
            writer.optional(principal)
        case .elevate(let secretHash, let principal):
            writer.byte(mark | 3)
            writer.duration(grace)
            writer.string(secretHash)
            writer.optional(principal)
        case .signIn(let signIn):
            writer.byte(mark | 2)
            writer.duration(grace)
            writer.string(signIn.secretHash)
            writer.string(signIn.principal)
            writer.string(signIn.principalHash)
            writer.number(UInt64(signIn.keeping.count))
            let names = signIn.keeping.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            for name in names { writer.string(name.utf8) }
            writer.duration(signIn.idleTimeout)
            writer.duration(signIn.lifetime)
            writer.persistence(signIn.persistence)
            writer.age(signIn.age)
            writer.number(UInt64(signIn.maximumSessions ?? 0))
        }
        if let idleTimeout { writer.duration(idleTimeout) }
    }

    init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        let needsVersion = try reader.flag()
        let maximumBytes = try reader.count()
        var operations: [String: SessionChange.Operation] = [:]
        for _ in 0..<(try reader.number()) {
            let name = try reader.text()
            switch try reader.byte() {
            case 0: operations[name] = .set(try reader.string())
            case 1: operations[name] = .remove
            case 2: operations[name] = .increment(Int(try reader.signed()))
            default: throw ByteReader.Malformed()
            }
        }
        let rotation: Rotation
        var grace = Duration.zero
        let tag = try reader.byte()
        switch tag & 0x7F {
        case 0: rotation = .none
        case 1:
            grace = try reader.duration()
            rotation = .renew(secretHash: try reader.string(), principal: try reader.optional())
        case 2:
            grace = try reader.duration()
            let secretHash = try reader.string()
            let principal = try reader.string()
            let principalHash = try reader.string()
            var keeping: Set<String> = []
            for _ in 0..<(try reader.number()) { keeping.insert(try reader.text()) }
            rotation = .signIn(
                SignIn(
                    secretHash: secretHash,
                    principal: principal,
                    principalHash: principalHash,
                    keeping: keeping,
                    idleTimeout: try reader.duration(),
                    lifetime: try reader.duration(),
                    persistence: try reader.persistence(),
                    age: try reader.age(),
                    maximumSessions: try reader.maximum()
                )
            )
        case 3:
            grace = try reader.duration()
            rotation = .elevate(secretHash: try reader.string(), principal: try reader.optional())
        default: throw ByteReader.Malformed()
        }
        self.init(
            operations: operations,
            needsVersion: needsVersion,
            maximumBytes: maximumBytes,
            rotation: rotation,
            grace: grace,
            idleTimeout: tag & 0x80 == 0 ? nil : try reader.duration()
        )
    }
}

extension ByteWriter {
    fileprivate mutating func persistence(_ persistence: CookiePersistence?) {
        byte(persistence == nil ? 0 : persistence == .browserSession ? 1 : 2)
    }

    fileprivate mutating func age(_ age: Duration?) {
        byte(age == nil ? 0 : 1)
        if let age { duration(age) }
    }
}

extension ByteReader {
    fileprivate mutating func persistence() throws(Malformed) -> CookiePersistence? {
        switch try byte() {
        case 0: nil
        case 1: .browserSession
        case 2: .persistent
        default: throw Malformed()
        }
    }

    fileprivate mutating func maximum() throws(Malformed) -> Int? {
        let maximum = try count()
        return maximum == 0 ? nil : maximum
    }

    fileprivate mutating func age() throws(Malformed) -> Duration? { try flag() ? try duration() : nil }
}
