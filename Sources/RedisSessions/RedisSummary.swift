// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// Reads of a session what a list shows, and no other attribute, however large.
struct RedisSummary {
    enum Reading {
        case live(SessionSummary)
        /// There is no session, or a tombstone.
        case over
        /// Another user's by now, or not in the form that this version writes.
        case unreadable
    }

    /// What tells whether the session is alive and whose it is.
    private static let fields: [RedisSchema.Field] = [
        .format, .principalHash, .created, .lastUsed, .authenticated,
    ]

    private let names: [String]
    private let principalHash: [UInt8]

    init(names: Set<String>, principalHash: [UInt8]) {
        self.names = names.sorted()
        self.principalHash = principalHash
    }

    func commands(for key: String) -> [RedisCommand] {
        var read = RedisCommand("HMGET", key, readOnly: true)
        for field in Self.fields { read.append(field.rawValue) }
        for name in names { read.append(RedisSchema.field(name)) }
        return [read, RedisCommand("PTTL", key, readOnly: true)]
    }

    /// Reads the replies to `HMGET` and `PTTL`.
    func read(_ reply: RedisReply, ttl: Int, _ id: SessionID) -> Reading {
        guard reply.count == Self.fields.count + names.count else { return .unreadable }
        func instant(_ index: Int) -> SessionInstant? {
            reply[index].bytes.flatMap(SessionCodec.integer).map { SessionInstant(milliseconds: Int64($0)) }
        }
        guard let format = reply[0].bytes else { return .over }
        guard format == [UInt8(ascii: "1")], ttl > 0, reply[1].bytes == principalHash,
            let created = instant(2), let lastUsed = instant(3)
        else { return .unreadable }
        var attributes: [String: [UInt8]] = [:]
        for (index, name) in names.enumerated() {
            attributes[name] = reply[Self.fields.count + index].bytes
        }
        return .live(
            SessionSummary(
                id: id,
                created: created,
                lastUsed: lastUsed,
                authenticatedAt: instant(4),
                attributes: attributes
            )
        )
    }
}
