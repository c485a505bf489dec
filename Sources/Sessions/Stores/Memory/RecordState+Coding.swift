// SPDX-License-Identifier: Apache-2.0

/// The bytes of whole records, drafts and changes: what a log of sessions consists of.
extension RecordState {
    /// Appends the whole state.
    package func encode(to writer: inout ByteWriter) {
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

    /// Reads what `encode` appended.
    package init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        digest = try reader.string()
        previousDigest = try reader.optional()
        previousWorksUntil = try reader.instant()
        previousIsReplayAfter = try reader.instant()
        created = try reader.instant()
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
    /// Appends the draft.
    package func encode(to writer: inout ByteWriter) {
        writer.string(digest)
        writer.duration(idleTimeout)
        writer.duration(lifetime)
        writer.optional(name)
        writer.optional(user)
        writer.attributes(attributes)
    }

    /// Reads what `encode` appended.
    package init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        digest = try reader.string()
        idleTimeout = try reader.duration()
        lifetime = try reader.duration()
        name = try reader.optional()
        user = try reader.optional()
        attributes = try reader.attributes()
    }
}

extension HashedChange {
    /// Appends the change.
    package func encode(to writer: inout ByteWriter) {
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

    /// Reads what `encode` appended.
    package init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
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
        switch try reader.byte() {
        case 0: rotation = .none
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

extension ByteWriter {
    /// Appends a byte string that may be missing.
    package mutating func optional(_ bytes: [UInt8]?) {
        byte(bytes == nil ? 0 : 1)
        if let bytes { string(bytes) }
    }

    /// Appends an instant.
    package mutating func instant(_ instant: SessionInstant) { signed(instant.milliseconds) }

    /// Appends a duration in whole milliseconds.
    package mutating func duration(_ duration: Duration) { signed(duration.wholeMilliseconds) }
}

extension ByteReader {
    /// The next byte string, if it is there.
    package mutating func optional() throws(Malformed) -> [UInt8]? { try flag() ? try string() : nil }

    /// The next instant.
    package mutating func instant() throws(Malformed) -> SessionInstant {
        SessionInstant(milliseconds: try signed())
    }

    /// The next duration.
    package mutating func duration() throws(Malformed) -> Duration { .milliseconds(try signed()) }

    /// The next byte, which is 0 or 1.
    package mutating func flag() throws(Malformed) -> Bool {
        let byte = try byte()
        guard byte < 2 else { throw Malformed() }
        return byte == 1
    }

    /// The next number, which fits into an `Int`.
    package mutating func count() throws(Malformed) -> Int {
        guard let count = Int(exactly: try number()) else { throw Malformed() }
        return count
    }
}
