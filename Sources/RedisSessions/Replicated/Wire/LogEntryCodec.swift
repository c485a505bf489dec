// SPDX-License-Identifier: Apache-2.0

import Sessions

/// Encodes log entries, and decodes those that an instance with the same prefix and pepper encoded.
///
/// Format byte, 16 bytes of a MAC, epoch, nonce, the last position, kind, content. The MAC is keyed with the
/// pepper and covers the prefix.
struct LogEntryCodec: Sendable {
    private let crypto: RecordCrypto
    private let use: String

    /// The first byte of each entry.
    private static let format: UInt8 = 2
    private static let macLength = 16
    /// The first bytes of an entry, which tell it from any other.
    static let tagLength = 1 + macLength

    init(_ crypto: RecordCrypto, prefix: String) {
        self.crypto = crypto
        use = prefix
    }

    func encode(_ entry: LogEntry) -> [UInt8] {
        var writer = ByteWriter()
        writer.word(entry.epoch)
        writer.word(entry.nonce)
        writer.word(entry.notAfter)
        entry.content.encode(to: &writer)
        return [Self.format] + crypto.tag(writer.bytes, for: use) + writer.bytes
    }

    /// Returns the entry, or nil for bytes that are malformed or were encoded with another prefix or pepper.
    func decode(_ bytes: [UInt8]) -> LogEntry? {
        guard bytes.count > 1 + Self.macLength, bytes[0] == Self.format else { return nil }
        let body = Array(bytes[(1 + Self.macLength)...])
        guard crypto.isAuthentic(Array(bytes[1...Self.macLength]), body, for: use) else { return nil }
        var reader = ByteReader(body)
        do throws(ByteReader.Malformed) {
            let entry = LogEntry(
                epoch: try reader.word(),
                nonce: try reader.word(),
                notAfter: try reader.word(),
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
        case .snapshot(let id, let asOf, let record):
            writer.kind(7, id)
            writer.position(asOf)
            record.encode(to: &writer)
        case .heartbeat: writer.byte(8)
        case .origin: writer.byte(9)
        case .candidacy(let rank):
            writer.byte(10)
            writer.word(rank.epoch)
            writer.position(rank.position)
        case .transfer(let candidacy, let id, let record):
            writer.kind(11, id)
            writer.word(candidacy)
            record.encode(to: &writer)
        case .transferComplete(let candidacy, let count):
            writer.byte(12)
            writer.word(candidacy)
            writer.number(UInt64(count))
        case .activate(let candidacy, let candidates):
            writer.byte(13)
            writer.number(UInt64(candidates))
            writer.byte(candidacy == nil ? 0 : 1)
            if let candidacy { writer.word(candidacy) }
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
            let kept = try reader.optional()
            let id = kept.flatMap { SessionID(bytes: $0) }
            guard kept == nil || id != nil else { throw ByteReader.Malformed() }
            self = .revokeAll(user: user, except: id, tombstone: try reader.duration())
        case 7:
            self = .snapshot(
                try reader.id(),
                asOf: try reader.position(),
                try ReplicatedRecord(from: &reader)
            )
        case 8: self = .heartbeat
        case 9: self = .origin
        case 10:
            self = .candidacy(rank: LogRank(epoch: try reader.word(), position: try reader.position()))
        case 11:
            let id = try reader.id()
            self = .transfer(candidacy: try reader.word(), id, try ReplicatedRecord(from: &reader))
        case 12: self = .transferComplete(candidacy: try reader.word(), count: try reader.count())
        case 13:
            let candidates = try reader.count()
            self = .activate(candidacy: try reader.flag() ? try reader.word() : nil, candidates: candidates)
        default: throw ByteReader.Malformed()
        }
    }
}

extension ByteWriter {
    fileprivate mutating func kind(_ kind: UInt8, _ id: SessionID) {
        byte(kind)
        raw(id.bytes)
    }
}
