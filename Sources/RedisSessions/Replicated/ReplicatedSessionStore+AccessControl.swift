// SPDX-License-Identifier: Apache-2.0

public import Sessions

extension ReplicatedSessionStore {
    /// What the store sends besides scripts.
    static let commands = ["PEXPIRE", "XADD", "XREAD"]

    /// Returns the least rights that the store needs; see `RedisSessionStore.accessRules(application:)`.
    public static func accessRules(application: String) throws(SessionError) -> String {
        let schema = try RedisSchema(application: application, prefix: application)
        return AccessControl.rule(schema, scripts: scripts, commands: commands)
    }
}
