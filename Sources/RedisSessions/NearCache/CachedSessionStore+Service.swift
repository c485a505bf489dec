// SPDX-License-Identifier: Apache-2.0

public import ServiceLifecycle
public import Sessions

/// Runs the invalidation connections of the store.
extension CachedSessionStore: Service {
    /// What the cache holds, and counts since the store was created.
    public var statistics: CachedSessionStatistics { cache.statistics }

    /// Follows what Redis reports as changed until graceful shutdown or cancellation.
    ///
    /// Connects again after errors, and throws none.
    public func run() async throws {
        await withTaskGroup { group in
            group.addTask { await InvalidationConnection.run(client, cache) }
            try? await gracefulShutdown()
            group.cancelAll()
        }
    }

    /// Runs `hook` before each message of an invalidation connection is applied, for tests that delay messages.
    package func beforeApplying(_ hook: (@Sendable () async throws -> Void)?) {
        cache.beforeApplying = hook
    }
}

extension CachedSessionStore {
    /// What the store sends besides scripts.
    static let commands =
        RedisSessionStore.commands + ["CLIENT|ID", "CLIENT|TRACKING", "EXISTS", "SUBSCRIBE"]

    /// All scripts of the store; see `RedisSessionStore.scripts`.
    public static let scripts = RedisSessionStore.scripts

    /// Returns the least rights that the store needs; see `RedisSessionStore.accessRules(application:)`.
    public static func accessRules(
        application: String,
        durability: SessionDurability = .primary
    ) throws(SessionError) -> String {
        let schema = try RedisSchema(application: application, prefix: application)
        return AccessControl.rule(
            schema,
            scripts: scripts,
            commands: commands + durability.commands,
            channel: NearCache.channel
        )
    }
}
