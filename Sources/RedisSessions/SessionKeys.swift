// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The names of everything in Redis: the whole key schema.
///
/// | key | type | time to live |
/// | --- | --- | --- |
/// | `PREFIX:s:{HANDLE}` | hash, one session: `@…` fields are its own, `a:NAME` are attributes as JSON | idle timeout, cut at the absolute deadline |
/// | `PREFIX:s:{HANDLE}` | hash with `@gone` only: a tombstone | 5 minutes by default |
/// | `PREFIX:u:{DIGEST OF USER}` | sorted set, the user's session IDs by absolute deadline | the longest of its entries |
/// | `PREFIX:log` | stream of `ReplicatedSessionStore`, field `e` of each entry: see `LogEntryCodec` | retention and a day |
///
/// The braces keep each key in a cluster slot of its own. No key, field or value holds a secret, a ticket or
/// a user name.
struct SessionKeys: Sendable {
    let prefix: String

    /// - Throws: `.invalidConfiguration` for a prefix that is empty, long, or has characters with a meaning
    ///   in patterns and ACLs.
    init(prefix: String) throws(SessionError) {
        let isAllowed = prefix.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-_.:/".utf8.contains(byte)
        }
        guard (1...64).contains(prefix.utf8.count), isAllowed else {
            throw SessionError(
                .invalidConfiguration,
                "The key prefix must be 1 to 64 letters, digits or -_.:/ characters; give each application its own."
            )
        }
        self.prefix = prefix
    }

    /// The log of a replicated store.
    var log: String { "\(prefix):log" }

    func session(_ id: SessionID) -> String { "\(prefix):s:{\(id)}" }

    func index(_ principalDigest: [UInt8]) -> String {
        "\(prefix):u:{\(String(decoding: Base64URL.encode(principalDigest), as: UTF8.self))}"
    }

    /// The field of an attribute.
    static func field(_ name: String) -> String { "a:\(name)" }

    /// The attribute of a field; nil for the record's own fields.
    static func attribute(_ field: UnsafeRawBufferPointer) -> String? {
        guard field.count > 2, field[0] == UInt8(ascii: "a"), field[1] == UInt8(ascii: ":") else {
            return nil
        }
        return String(decoding: field[2...], as: UTF8.self)
    }
}
