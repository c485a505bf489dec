// SPDX-License-Identifier: Apache-2.0

import Sessions

/// One entry of the log: what it says, and its bytes.
///
/// An entry never holds a secret, a ticket or a user name in the clear: secrets are digests, names are sealed
/// for the holder of the ticket.
struct LogEntry: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        case create(SessionID, HashedDraft)
        /// `version`: of the record that the change was made for.
        case commit(SessionID, digest: [UInt8], version: Int, HashedChange)
        case touch(SessionID, digest: [UInt8])
        case end(SessionID, digest: [UInt8], tombstone: Duration)
        /// `user`: whose session it must be; nil for anybody's.
        case revoke(SessionID, user: [UInt8]?, tombstone: Duration)
        case revokeAll(user: [UInt8], except: SessionID?, tombstone: Duration)
        /// A session that changed long ago, whole, for those who join later: what applying the log up to
        /// `asOf` made of it.
        case full(SessionID, asOf: LogPosition, Copy)
        /// Nothing; keeps the log's time going.
        case tick

        /// A new log begins.
        case origin
        /// Its sender could fill the new log, having applied the old one up to `rank`; the entry's nonce
        /// names the claim.
        case claim(rank: LogPosition)
        /// One session of a claim, alive or remembered as ended.
        case seed(claim: UInt64, SessionID, Copy)
        /// All sessions of the claim are there.
        case seeded(claim: UInt64, count: Int)
        /// From here on the sessions are those of the claim, or none.
        ///
        /// Void unless exactly `claims` claims stand between the origin and here.
        case open(claim: UInt64?, claims: Int)
    }

    /// A session and the position of its last change.
    struct Copy: Hashable, Sendable {
        var session: RecordState
        var changed: LogPosition
    }

    /// Which log it was written for; grows with each new one.
    var epoch: UInt64
    /// By which the sender knows it again.
    var nonce: UInt64
    var content: Content
}

/// Turns entries into bytes and back, and keeps out what others wrote.
///
/// Format, tag of 16 bytes, epoch, nonce, kind, content. The tag is keyed with the pepper and bound to the
/// prefix: entries of another application, of a wrong pepper, or changed on the way do not open.
struct LogCodec: Sendable {
    private let crypto: RecordCrypto
    private let use: String

    /// The first byte of each entry.
    private static let format: UInt8 = 1
    private static let tagLength = 16

    init(_ crypto: RecordCrypto, prefix: String) {
        self.crypto = crypto
        use = prefix
    }

    func encode(_ entry: LogEntry) -> [UInt8] {
        var writer = ByteWriter()
        writer.word(entry.epoch)
        writer.word(entry.nonce)
        entry.content.encode(to: &writer)
        return [Self.format] + crypto.tag(writer.bytes, for: use) + writer.bytes
    }

    /// The entry; nil for bytes that this codec did not write.
    func decode(_ bytes: [UInt8]) -> LogEntry? {
        guard bytes.count > 1 + Self.tagLength, bytes[0] == Self.format else { return nil }
        let body = Array(bytes[(1 + Self.tagLength)...])
        guard crypto.isAuthentic(Array(bytes[1...Self.tagLength]), body, for: use) else { return nil }
        var reader = ByteReader(body)
        do throws(ByteReader.Malformed) {
            let entry = LogEntry(
                epoch: try reader.word(),
                nonce: try reader.word(),
                content: try LogEntry.Content(from: &reader)
            )
            try reader.end()
            return entry
        } catch { return nil }
    }
}

extension LogEntry.Content {
    fileprivate func encode(to writer: inout ByteWriter) {
        switch self {
        case .create(let id, let draft):
            writer.kind(1, id)
            draft.encode(to: &writer)
        case .commit(let id, let digest, let version, let change):
            writer.kind(2, id)
            writer.string(digest)
            writer.number(UInt64(max(version, 0)))
            change.encode(to: &writer)
        case .touch(let id, let digest):
            writer.kind(3, id)
            writer.string(digest)
        case .end(let id, let digest, let tombstone):
            writer.kind(4, id)
            writer.string(digest)
            writer.duration(tombstone)
        case .revoke(let id, let user, let tombstone):
            writer.kind(5, id)
            writer.optional(user)
            writer.duration(tombstone)
        case .revokeAll(let user, let kept, let tombstone):
            writer.byte(6)
            writer.string(user)
            writer.optional(kept?.bytes)
            writer.duration(tombstone)
        case .full(let id, let asOf, let copy):
            writer.kind(7, id)
            writer.position(asOf)
            copy.encode(to: &writer)
        case .tick: writer.byte(8)
        case .origin: writer.byte(9)
        case .claim(let rank):
            writer.byte(10)
            writer.position(rank)
        case .seed(let claim, let id, let copy):
            writer.kind(11, id)
            writer.word(claim)
            copy.encode(to: &writer)
        case .seeded(let claim, let count):
            writer.byte(12)
            writer.word(claim)
            writer.number(UInt64(count))
        case .open(let claim, let claims):
            writer.byte(13)
            writer.number(UInt64(claims))
            writer.byte(claim == nil ? 0 : 1)
            if let claim { writer.word(claim) }
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        switch try reader.byte() {
        case 1: self = .create(try reader.id(), try HashedDraft(from: &reader))
        case 2:
            self = .commit(
                try reader.id(),
                digest: try reader.string(),
                version: try reader.count(),
                try HashedChange(from: &reader)
            )
        case 3: self = .touch(try reader.id(), digest: try reader.string())
        case 4:
            self = .end(try reader.id(), digest: try reader.string(), tombstone: try reader.duration())
        case 5:
            self = .revoke(try reader.id(), user: try reader.optional(), tombstone: try reader.duration())
        case 6:
            let user = try reader.string()
            let kept = try reader.flag() ? try reader.string() : nil
            let id = kept.flatMap { SessionID(bytes: $0) }
            guard kept == nil || id != nil else { throw ByteReader.Malformed() }
            self = .revokeAll(user: user, except: id, tombstone: try reader.duration())
        case 7:
            self = .full(try reader.id(), asOf: try reader.position(), try LogEntry.Copy(from: &reader))
        case 8: self = .tick
        case 9: self = .origin
        case 10: self = .claim(rank: try reader.position())
        case 11:
            let id = try reader.id()
            self = .seed(claim: try reader.word(), id, try LogEntry.Copy(from: &reader))
        case 12: self = .seeded(claim: try reader.word(), count: try reader.count())
        case 13:
            let claims = try reader.count()
            self = .open(claim: try reader.flag() ? try reader.word() : nil, claims: claims)
        default: throw ByteReader.Malformed()
        }
    }
}

extension LogEntry.Copy {
    fileprivate func encode(to writer: inout ByteWriter) {
        writer.position(changed)
        session.encode(to: &writer)
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        changed = try reader.position()
        session = try RecordState(from: &reader)
    }
}

extension ByteWriter {
    fileprivate mutating func kind(_ kind: UInt8, _ id: SessionID) {
        byte(kind)
        raw(id.bytes)
    }

    /// Appends 8 bytes.
    fileprivate mutating func word(_ word: UInt64) {
        raw((0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) })
    }

    fileprivate mutating func position(_ position: LogPosition) {
        number(position.milliseconds)
        number(position.sequence)
    }
}

extension ByteReader {
    fileprivate mutating func id() throws(Malformed) -> SessionID {
        guard let id = SessionID(bytes: try raw(16)) else { throw Malformed() }
        return id
    }

    fileprivate mutating func word() throws(Malformed) -> UInt64 {
        try raw(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    fileprivate mutating func position() throws(Malformed) -> LogPosition {
        LogPosition(milliseconds: try number(), sequence: try number())
    }
}
