// SPDX-License-Identifier: Apache-2.0

import Sessions

/// Everything that this package keeps in Redis, and the commands that read and write it.
///
/// The keys are listed in `kinds`, the fields of a record in `Field`; `sessionctl schema` prints both.
///
/// The braces give each key a cluster slot of its own. `USER` is a keyed hash of the user's name. No key,
/// field or value holds a secret, a cookie or a user name in the clear. What the store sends, with what its
/// scripts (`Scripts/*.lua`) call:
///
/// | operation | commands, each line one round trip |
/// | --- | --- |
/// | load | `HGETALL s:{ID}`, `PTTL s:{ID}` |
/// | create | `create.lua`: `TIME`, `EXISTS`, `HSET`, `PEXPIRE`, `DEL` (only if the time to live is refused) |
/// | commit | `commit.lua`: `TIME`, `HMGET`, `PTTL`, `HGETALL` (only in a conflict), `HKEYS`, `HGET`, `HSET`, `PEXPIRE`, `HDEL`, `HINCRBY` |
/// | sign-in | `index.lua` on `u:{USER}`: `TIME`, `ZSCORE`, `ZADD`, `ZREMRANGEBYSCORE`, `ZRANGE`, `PEXPIREAT`, `ZREM` (only if that is refused) |
/// | | when it has answered, create or commit; with it `ZRANGE u:{USER}` |
/// | | for a user who has too many sessions `HMGET s:{ID} @format @user @authenticated` of each, then the end of those that are too many |
/// | touch | `touch.lua`: `HMGET`, `PTTL`, `TIME`, `PEXPIRE`, `HSET`; for a user with `index.lua`, also beside a commit |
/// | end | `end.lua`: `HMGET`, `PTTL`, `TIME`, `HDEL`, `PEXPIRE`, `HKEYS`, `HSET`, `DEL` (only if there is none); then `ZREM u:{USER}` without waiting |
/// | check | on `s:{check}` and `u:{check}` `check.lua`: `TIME`, `HSET`, `PEXPIRE`, `HINCRBY`, `EXISTS`, `HMGET`, `HGET`, `HGETALL`, `HKEYS`, `PTTL`, `HDEL`, `DEL`, `ZADD`, `PEXPIREAT`, `ZREMRANGEBYSCORE`, `ZRANGE`, `ZSCORE`, `ZREM` |
/// | load by ID and user | as load |
/// | list | `ZRANGE u:{USER}`, then `HMGET` and `PTTL` of up to 256 sessions at a time, then `ZREM u:{USER}` without waiting |
/// | revoke | `ZSCORE u:{USER}`, then as end |
/// | end all | `revoked.lua` on `u:{USER}`: `TIME`, `ZRANGE`, `ZREMRANGEBYSCORE`, `ZADD`, `PEXPIREAT`, `ZREM` (only if that is refused); with it `ZRANGE u:{USER}`, then as end |
/// | server's time | `TIME`, at first with `INFO memory` |
///
/// And what `RevocableSessionStore` sends for the sessions in cookies:
///
/// | operation | commands, each line one round trip |
/// | --- | --- |
/// | load, commit | `GET r:{ID}`, for a user `HMGET d:{USER} @before @except` |
/// | renewal, sign-in, end | `revocation.lua` on `r:{ID}`: `TIME`, `GET`, `PTTL`, `PEXPIRE`, `SET`; with the `HMGET` |
/// | sign-in | `device.lua` on `d:{USER}`: `TIME`, `HMGET`, `PTTL`, `HSET`, `HGETALL`, `HDEL`, `PEXPIREAT` |
/// | | if it was overtaken `device-undo.lua` on `d:{USER}`: `HGET`, `HSET`, `HDEL` |
/// | end all | `devices-end.lua` on `d:{USER}`: `TIME`, `PTTL`, `HGETALL`, `PEXPIRE`, `HGET`, `HSET` |
/// | list | `TIME`, `HGETALL d:{USER}` |
/// | server's time | `TIME`, at first with `INFO memory` |
/// | check | on `r:{check}` and `d:{check}` `check.lua`: `TIME`, `SET`, `PEXPIRE`, `PTTL`, `GET`, `HSET`, `PEXPIREAT`, `HMGET`, `HGET`, `HGETALL`, `HDEL` |
///
/// With `durability:`, sign-ins, ends, revocations and commits with a new secret are sent with a `WAIT`, or `WAITAOF`, behind them,
/// in the same round trip and on a connection of their own.
///
/// And what `CachedSessionStore` sends besides what `RedisSessionStore` does, on a connection of its own to each server:
///
/// | operation | commands, each line one round trip |
/// | --- | --- |
/// | connect | `CLIENT ID` |
/// | | `CLIENT TRACKING` of all keys `s:{…}`, redirected to the connection itself |
/// | | `SUBSCRIBE __redis__:invalidate` |
/// | four times in a lease | in a cluster `EXISTS` of the session that was read last from the node, or of `s:{NUMBER}`; then `PING` |
struct RedisSchema: Sendable {
    /// A kind of key: what it stands for.
    struct Kind: Sendable {
        /// The name of the key; `PREFIX`, `ID`, `USER` and `APPLICATION` stand for what is put in.
        let key: String
        let type: String
        let meaning: String
        let timeToLive: String
    }

    /// All kinds of keys.
    static let kinds = [
        Kind(
            key: "PREFIX:s:{ID}",
            type: "hash",
            meaning: "one session",
            timeToLive: "its idle timeout, at most until its absolute deadline"
        ),
        Kind(
            key: "PREFIX:s:{ID}",
            type: "hash",
            meaning: "a tombstone, with @gone only: the session was ended",
            timeToLive: "5 minutes"
        ),
        Kind(
            key: "PREFIX:u:{USER}",
            type: "sorted set",
            meaning: "a user's session IDs by absolute deadline, and marks of sign-ins under way",
            timeToLive: "that of its longest entry"
        ),
        Kind(
            key: "PREFIX:r:{ID}",
            type: "string",
            meaning: "RevocableSessionStore: what was revoked of a session in a cookie",
            timeToLive: "as the cookie"
        ),
        Kind(
            key: "PREFIX:d:{USER}",
            type: "hash",
            meaning: "RevocableSessionStore: a user's sessions in cookies",
            timeToLive: "that of its longest entry"
        ),
        Kind(
            key: "PREFIX:log:APPLICATION",
            type: "stream",
            meaning: "the log of ReplicatedSessionStore, see LogEntryCodec",
            timeToLive: "retention and a day"
        ),
    ]

    /// The fields of a session's hash besides its attributes, which are `a:NAME`.
    ///
    /// Times are milliseconds since 1970.
    enum Field: String, CaseIterable {
        case format = "@format"
        case version = "@version"
        case secretHash = "@digest"
        case created = "@created"
        case lastUsed = "@used"
        case rotated = "@rotated"
        case authenticated = "@authenticated"
        case deadline = "@deadline"
        case idleTimeout = "@idle"
        case persistence = "@persistence"
        case family = "@family"
        case generation = "@generation"
        case trustedFrom = "@trusted"
        case principal = "@principal"
        case principalHash = "@user"
        case previousSecretHash = "@old-digest"
        case previousValidUntil = "@old-until"
        case previousIsReplayFrom = "@old-replay"
        case previousPrincipal = "@old-principal"
        case gone = "@gone"

        /// What the field holds.
        var meaning: String {
            switch self {
            case .format: "1; a record of another format is left untouched"
            case .version: "grows by one with each commit"
            case .secretHash: "the hash of the current secret, 32 bytes"
            case .created: "when the session was created"
            case .lastUsed: "when it was last used, exact to the touch fraction of the policy"
            case .rotated: "when it was last given a new secret"
            case .authenticated: "when the user signed in; missing in an anonymous session"
            case .deadline: "the absolute deadline"
            case .idleTimeout: "the idle timeout in milliseconds"
            case .persistence:
                "persistent or session: what the sign-in chose for the cookie, with limits of its own; missing otherwise"
            case .family: "recognises the record's earlier secrets, see SecretFamily"
            case .generation: "how often the secret was replaced"
            case .trustedFrom: "the first generation of the secret with the user's rights"
            case .principal:
                "the user's name, encrypted for the holder of the current secret; missing in an anonymous session"
            case .principalHash: "the hash of the user's name"
            case .previousSecretHash: "the hash of the secret before the current one"
            case .previousValidUntil: "until when the previous secret is valid"
            case .previousIsReplayFrom: "from when on presenting an earlier secret is a replay"
            case .previousPrincipal: "the user's name, encrypted for the holder of the previous secret"
            case .gone: "in a tombstone, its only field: signed-out or revoked"
            }
        }
    }

    /// What a user's lists hold besides their entries, which are session IDs.
    enum ListField: String, CaseIterable {
        case revoked = "@revoked"
        // In the hash of sessions in cookies:
        case endedBefore = "@before"
        case spared = "@except"

        /// What the entry holds.
        var meaning: String {
            switch self {
            case .revoked: "in the sorted set: when all sessions were ended last, and 5 minutes"
            case .endedBefore: "sign-ins up to this time are ended"
            case .spared: "the session that is not ended by @before"
            }
        }
    }

    let application: String
    let prefix: String

    /// - Parameters:
    ///   - application: the name of the application.
    ///   - prefix: the first part of every key, usually the application's name.
    /// - Throws: `.invalidConfiguration` for a prefix that is empty, long, or has characters with a meaning
    ///   in patterns and ACLs.
    init(application: String, prefix: String) throws(SessionError) {
        try RecordCrypto.validate(application: application)
        self.application = application
        self.prefix = prefix
        guard (1...128).contains(prefix.utf8.count), prefix.utf8.allSatisfy(ASCII.isKeyByte) else {
            throw SessionError(
                .invalidConfiguration,
                "The key prefix must be 1 to 128 letters, digits or -_.:/ characters."
            )
        }
    }

    /// The log of a replicated store.
    var log: String { "\(prefix):log:\(application)" }

    /// The hash of a session.
    func session(_ id: SessionID) -> String { "\(sessions)\(id)}" }

    /// What the keys of all sessions start with.
    var sessions: String { "\(prefix):s:{" }

    /// What the keys of all lists of users' sessions start with.
    var indexes: String { "\(prefix):u:{" }

    /// Returns the session whose hash a key names; nil for any other key.
    func session(of key: String) -> SessionID? {
        guard key.hasPrefix(sessions), key.hasSuffix("}") else { return nil }
        return SessionID(key.dropFirst(sessions.count).dropLast())
    }

    /// The list of a user's sessions.
    func index(_ principalHash: [UInt8]) -> String { "\(prefix):u:{\(Self.text(principalHash))}" }

    /// Keys that hold nothing, to find out what the server allows.
    var checks: (session: String, index: String, revocation: String, devices: String) {
        ("\(prefix):s:{check}", "\(prefix):u:{check}", "\(prefix):r:{check}", "\(prefix):d:{check}")
    }

    /// What was revoked of a session in a cookie.
    func revocation(_ id: SessionID) -> String { "\(prefix):r:{\(id)}" }

    /// The list of a user's sessions in cookies.
    func devices(_ principalHash: [UInt8]) -> String { "\(prefix):d:{\(Self.text(principalHash))}" }

    /// The field of an attribute.
    static func field(_ name: String) -> String { "a:\(name)" }

    /// Returns the attribute of a field; nil for the record's own fields.
    static func attribute(_ field: UnsafeRawBufferPointer) -> String? {
        guard field.count > 2, unsafe field[0] == UInt8(ascii: "a"), unsafe field[1] == UInt8(ascii: ":")
        else {
            return nil
        }
        return unsafe String(decoding: field[2...], as: UTF8.self)
    }

    private static func text(_ bytes: [UInt8]) -> String {
        String(decoding: Base64URL.encode(bytes), as: UTF8.self)
    }
}

extension RedisSchema.Field {
    private static let names = allCases.map { (field: $0, bytes: Array($0.rawValue.utf8)) }

    /// Returns the field of this name without making a string of it; nil for any other name.
    init?(_ name: UnsafeRawBufferPointer) {
        for candidate in Self.names
        where unsafe candidate.bytes.count == name.count && candidate.bytes.elementsEqual(name) {
            self = candidate.field
            return
        }
        return nil
    }
}
