// SPDX-License-Identifier: Apache-2.0

/// The rights that a store needs in Redis, made from what it sends.
enum AccessControl {
    /// Returns rules for `ACL SETUSER`: every command that the scripts or the store itself call, no other.
    ///
    /// - Parameters:
    ///   - schema: names the keys.
    ///   - scripts: the store's scripts; their commands are read from their text.
    ///   - commands: what the store sends besides scripts.
    ///   - channel: the channel that the store subscribes to, if there is one.
    /// - Returns: the rules, separated by spaces.
    static func rule(
        _ schema: RedisSchema,
        scripts: [RedisScript],
        commands: [String],
        channel: String? = nil
    ) -> String {
        var allowed: Set = ["ping", "evalsha", "eval", "script|load"]
        allowed.formUnion(commands.map { $0.lowercased() })
        for script in scripts {
            let text = String(decoding: script.source, as: UTF8.self)
            allowed.formUnion(text.matches(of: /call\('([A-Z]+)'/).map { $0.1.lowercased() })
        }
        let commands = allowed.sorted().map { " +\($0)" }.joined()
        let channel = channel.map { " &\($0)" } ?? ""
        return "resetkeys ~\(schema.prefix):* resetchannels\(channel) -@all\(commands)"
    }
}

extension RedisSessionStore {
    /// What the store sends besides scripts.
    static let commands = ["HGETALL", "HMGET", "INFO", "PTTL", "ZRANGE", "ZREM", "ZSCORE"]

    /// Returns the least rights that the store needs, for `ACL SETUSER NAME on >PASSWORD …`.
    ///
    /// Where an operator loads `scripts`, `+eval +script|load` can be left out. Redis before 6.2 does not know
    /// `resetchannels`; leave it out there. A cluster needs `+cluster|slots +asking` in addition, and `+readonly` for reads from replicas. With sentinels, `+role`
    /// lets the client recognise a server that is no primary before its first write.
    ///
    /// - Parameters:
    ///   - application: the name that is given to the store.
    ///   - durability: what is given to the store: `+wait`, or `+waitaof` for files.
    /// - Returns: the rules, separated by spaces: keys of this application and the commands the store uses.
    /// - Throws: `.invalidConfiguration` for an impossible name.
    public static func accessRules(
        application: String,
        durability: SessionDurability = .primary
    ) throws(SessionError) -> String {
        let schema = try RedisSchema(application: application, prefix: application)
        return AccessControl.rule(schema, scripts: scripts, commands: commands + durability.commands)
    }
}

extension RevocableSessionStore {
    /// What the store sends besides scripts.
    static let commands = ["GET", "HDEL", "HGET", "HGETALL", "HMGET", "INFO", "TIME"]

    /// Returns the least rights that the store needs; see `RedisSessionStore.accessRules(application:)`.
    public static func accessRules(
        application: String,
        durability: SessionDurability = .primary
    ) throws(SessionError) -> String {
        let schema = try RedisSchema(application: application, prefix: application)
        return AccessControl.rule(schema, scripts: scripts, commands: commands + durability.commands)
    }
}
