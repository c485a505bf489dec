// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// One read of the log and, asked right after it, the bounds of the log.
struct LogPage: Sendable {
    /// One entry as it stands in the log.
    struct Item: Sendable {
        let moment: LogMoment
        /// Nil for one that cannot be decoded.
        let entry: LogEntry?
        /// The first bytes, by which it is recognised.
        var tag: [UInt8] = []
        /// The size in bytes.
        var size = 0
    }

    /// The position after which the log was read.
    let after: LogPosition
    let entries: [Item]
    let bounds: LogBounds
    let asked: ContinuousClock.Instant
    let received: ContinuousClock.Instant

    /// Decodes the reply to `LogCommands.read`.
    static func entries(in reply: RedisReply, _ codec: LogEntryCodec) -> [Item] {
        guard reply.count > 0 else { return [] }
        let entries = reply[0][1]
        return (0..<entries.count).compactMap { index in
            let entry = entries[index]
            guard entry.count == 2, let position = entry[0].string.flatMap(LogPosition.init) else {
                return nil
            }
            let fields = entry[1]
            let bytes = fields.count > 1 ? fields[1].bytes ?? [] : []
            var decoded: LogEntry?
            var time: Int64?
            if fields.count == 4, fields[0].string == "e", fields[2].string == "t" {
                time = fields[3].string.flatMap(Int64.init)
                if time != nil { decoded = codec.decode(bytes) }
            }
            return Item(
                moment: LogMoment(position: position, time: SessionInstant(milliseconds: time ?? 0)),
                entry: decoded,
                tag: Array(bytes.prefix(LogEntryCodec.tagLength)),
                size: bytes.count
            )
        }
    }
}

/// The end of the log, and the time at the server.
struct LogBounds: Sendable {
    /// The last entry; nil for a log that is missing or empty.
    var last: LogPosition?
    /// Microseconds since 1970.
    var time: Int64
    /// Whether the log contains the entry that was looked for, and it is the same.
    var isFound = false
    /// The first entry, if the log does not contain the one that was looked for.
    var first: LogPosition?
}

extension LogBounds {
    /// Parses the reply to `LogCommands.bounds`; nil for any other.
    ///
    /// - Parameters:
    ///   - reply: the reply.
    ///   - tag: the first bytes of the entry that was looked for. Another log can have another entry at the
    ///     same position.
    init?(_ reply: RedisReply, lookingFor tag: [UInt8] = []) {
        guard reply.count == 4, let last = reply[0].string, let time = reply[1].string.flatMap(Int64.init),
            let first = reply[2].string, let found = reply[3].bytes
        else { return nil }
        self.init(
            last: LogPosition(last),
            time: time,
            isFound: !found.isEmpty && found == (tag.isEmpty ? [UInt8(ascii: "-")] : tag),
            first: LogPosition(first)
        )
    }
}
