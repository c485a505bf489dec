// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// One read of the log and, asked right after it, the bounds of the log.
struct LogPage: Sendable {
    /// The position after which the log was read.
    let after: LogPosition
    /// The entries; nil for those that cannot be decoded.
    let entries: [(position: LogPosition, entry: LogEntry?)]
    let bounds: LogBounds
    let asked: ContinuousClock.Instant
    let received: ContinuousClock.Instant

    /// Decodes the reply to `LogCommands.read`.
    static func entries(in reply: RedisReply, _ codec: LogEntryCodec) -> [(LogPosition, LogEntry?)] {
        guard reply.count > 0 else { return [] }
        let entries = reply[0][1]
        return (0..<entries.count).compactMap { index in
            let entry = entries[index]
            guard entry.count == 2, let position = entry[0].string.flatMap(LogPosition.init) else {
                return nil
            }
            let fields = entry[1]
            guard fields.count == 2, fields[0].string == "e", let bytes = fields[1].bytes else {
                return (position, nil)
            }
            return (position, codec.decode(bytes))
        }
    }
}

/// The end of the log, and the time at the server.
struct LogBounds: Sendable {
    /// The last entry; nil for a log that is missing or empty.
    var last: LogPosition?
    /// Microseconds since 1970.
    var time: Int64
    /// Whether the log contains the entry that was looked for.
    var isFound = false
}

extension LogBounds {
    /// Parses the reply to `LogCommands.bounds`; nil for any other.
    init?(_ reply: RedisReply) {
        guard reply.count == 3, let last = reply[0].string, let time = reply[1].string.flatMap(Int64.init)
        else { return nil }
        self.init(last: LogPosition(last), time: time, isFound: reply[2].integer == 1)
    }
}
