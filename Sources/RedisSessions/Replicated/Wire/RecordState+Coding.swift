// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The encoding of whole records, drafts and changes in log entries.
///
/// Each initializer reads the fields in the order in which `encode` writes them; a field that is added to one
/// of these types must be added here.
extension ReplicatedRecord {
    func encode(to writer: inout ByteWriter) {
        writer.position(changed)
        session.encode(to: &writer)
    }

    init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        changed = try reader.position()
        session = try RecordState(from: &reader)
    }
}

extension RecordState {
    fileprivate func encode(to writer: inout ByteWriter) {
        writer.string(digest)
        writer.optional(previousDigest)
        for instant in [previousWorksUntil, previousIsReplayAfter, created, lastUsed, rotated, deadline] {
            writer.instant(instant)
        }
        writer.duration(idleTimeout)
        writer.number(UInt64(version))
        writer.attributes(attributes)
        for bytes in [name, previousName, user] { writer.optional(bytes) }
        switch end {
        case nil: writer.byte(0)
        case .signOut: writer.byte(1)
        case .revocation: writer.byte(2)
        }
        if let tombstoneUntil { writer.instant(tombstoneUntil) }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        let digest = try reader.string()
        let previousDigest = try reader.optional()
        let (previousWorksUntil, previousIsReplayAfter) = (try reader.instant(), try reader.instant())
        // The initializers of another module's types must start from one of that module's.
        let draft = HashedDraft(
            attributes: [:],
            name: nil,
            user: nil,
            digest: digest,
            idleTimeout: .zero,
            lifetime: .zero
        )
        self.init(draft, now: try reader.instant())
        self.previousDigest = previousDigest
        self.previousWorksUntil = previousWorksUntil
        self.previousIsReplayAfter = previousIsReplayAfter
        lastUsed = try reader.instant()
        rotated = try reader.instant()
        deadline = try reader.instant()
        idleTimeout = try reader.duration()
        version = try reader.count()
        attributes = try reader.attributes()
        name = try reader.optional()
        previousName = try reader.optional()
        user = try reader.optional()
        switch try reader.byte() {
        case 0: end = nil
        case 1: end = .signOut
        case 2: end = .revocation
        default: throw ByteReader.Malformed()
        }
        tombstoneUntil = end == nil ? nil : try reader.instant()
    }
}

extension HashedDraft {
    func encode(to writer: inout ByteWriter) {
        writer.string(digest)
        writer.duration(idleTimeout)
        writer.duration(lifetime)
        writer.optional(name)
        writer.optional(user)
        writer.attributes(attributes)
    }

    init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        let digest = try reader.string()
        let (idleTimeout, lifetime) = (try reader.duration(), try reader.duration())
        let (name, user) = (try reader.optional(), try reader.optional())
        self.init(
            attributes: try reader.attributes(),
            name: name,
            user: user,
            digest: digest,
            idleTimeout: idleTimeout,
            lifetime: lifetime
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
        switch rotation {
        case .none: writer.byte(0)
        case .renew(let digest, let name):
            writer.byte(1)
            writer.duration(grace)
            writer.string(digest)
            writer.optional(name)
        case .signIn(let digest, let name, let user, let keeping, let idleTimeout, let lifetime):
            writer.byte(2)
            writer.duration(grace)
            writer.string(digest)
            writer.string(name)
            writer.string(user)
            writer.number(UInt64(keeping.count))
            for name in keeping.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
                writer.string(name.utf8)
            }
            writer.duration(idleTimeout)
            writer.duration(lifetime)
        }
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
        var rotation = Rotation.none
        var grace = Duration.zero
        switch try reader.byte() {
        case 0: break
        case 1:
            grace = try reader.duration()
            rotation = .renew(digest: try reader.string(), name: try reader.optional())
        case 2:
            grace = try reader.duration()
            let (digest, name, user) = (try reader.string(), try reader.string(), try reader.string())
            var keeping: Set<String> = []
            for _ in 0..<(try reader.number()) { keeping.insert(try reader.text()) }
            rotation = .signIn(
                digest: digest,
                name: name,
                user: user,
                keeping: keeping,
                idleTimeout: try reader.duration(),
                lifetime: try reader.duration()
            )
        default: throw ByteReader.Malformed()
        }
        self.init(
            operations: operations,
            needsVersion: needsVersion,
            maximumBytes: maximumBytes,
            rotation: rotation,
            grace: grace
        )
    }
}
