// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Hummingbird
import HummingbirdSessions
import Logging
import RedisSessions
import ServiceLifecycle

/// Where an instance keeps its sessions, and what must run for that.
struct Backend {
    let store: any SessionStore
    var services: [any Service] = []
    /// The client, where the store keeps the sessions in Redis alone.
    var redis: RedisClient?
    /// Makes an instance with local copies hear of nothing for a while; nil for other stores.
    var hold: (@Sendable (Duration) async throws -> Void)?

    init(_ app: FixtureApp, cookie: SessionCookie, logger: Logger) throws {
        switch app.store {
        case .memory: store = try MemorySessionStore()
        case .sealed: store = try Self.sealed(app, cookie)
        case .redis:
            let redis = try Self.client(app, logger)
            services = [redis]
            self.redis = redis
            store = try Self.redisStore(app, redis)
        case .sealedRevocable:
            let redis = try Self.client(app, logger)
            services = [redis]
            store = try RevocableSessionStore(
                try Self.sealed(app, cookie),
                revocations: redis,
                application: app.application,
                prefix: app.prefix,
                durability: try Self.durability(app)
            )
        case .sealedTiered:
            let redis = try Self.client(app, logger)
            services = [redis]
            let backing = try Self.redisStore(app, redis)
            store = try TieredSessionStore(anonymous: try Self.sealed(app, cookie), signedIn: backing)
        case .replicated:
            let redis = try Self.client(app, logger)
            let replicated = try ReplicatedSessionStore(
                redis,
                application: app.application,
                prefix: app.prefix,
                newLogDelay: .seconds(app.newLogDelaySeconds)
            )
            services = [redis, replicated]
            store = replicated
            hold = { duration in
                let end = ContinuousClock.now + duration
                replicated.beforeApplying { try await Task.sleep(until: end) }
                try await Task.sleep(until: end)
            }
        case .redisCached:
            let redis = try Self.client(app, logger)
            let cached = try CachedSessionStore(try Self.redisStore(app, redis))
            services = [redis, cached]
            store = cached
            hold = { duration in
                let end = ContinuousClock.now + duration
                cached.beforeApplying { try await Task.sleep(until: end) }
                try await Task.sleep(until: end)
            }
        }
    }

    /// Returns the store of an instance that keeps its sessions in Redis.
    private static func redisStore(_ app: FixtureApp, _ redis: RedisClient) throws -> RedisSessionStore {
        try RedisSessionStore(
            redis,
            application: app.application,
            prefix: app.prefix,
            durability: try durability(app),
            reads: try reads(app)
        )
    }

    private static func reads(_ app: FixtureApp) throws -> SessionReads {
        switch app.reads ?? FixtureApp.variable("READS") ?? "primary" {
        case "primary": return .primary
        case "replicas": return .replicas()
        default: throw ValidationError("--reads is primary or replicas.")
        }
    }

    private static func durability(_ app: FixtureApp) throws -> SessionDurability {
        guard let text = app.durability ?? FixtureApp.variable("DURABILITY") else { return .primary }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "replicas", let count = Int(parts[1]), let limit = Int(parts[2])
        else {
            throw ValidationError("--durability is replicas:COUNT:MILLISECONDS, for example replicas:1:200.")
        }
        return .replicas(count, within: .milliseconds(limit))
    }

    /// What separates two fixtures in Redis separates them in cookies, too.
    private static func sealed(_ app: FixtureApp, _ cookie: SessionCookie) throws -> SealedSessionStore {
        try SealedSessionStore(
            try keys(app),
            application: "\(app.application):\(app.prefix)",
            cookie: cookie,
            maximumBytes: app.sealBytes
        )
    }

    private static func keys(_ app: FixtureApp) throws -> SealKeyRing {
        guard let text = app.sealKeys ?? FixtureApp.variable("SEAL_KEYS") else {
            throw ValidationError(
                "--store \(app.store.rawValue) needs --seal-keys ID:BASE64URL-OF-32-BYTES,… (the first seals)."
            )
        }
        return try SealKeyRing(parsing: text)
    }

    private static func client(_ app: FixtureApp, _ logger: Logger) throws -> RedisClient {
        var configuration = try RedisConfiguration(url: app.redis)
        if let redisCa = app.redisCa ?? FixtureApp.variable("REDIS_CA") {
            guard configuration.tls != nil else {
                throw ValidationError("--redis-ca needs a rediss:// address.")
            }
            configuration.tls?.caFile = redisCa
            if case .sentinel(var sentinels) = configuration.topology {
                sentinels.tls?.caFile = redisCa
                configuration.topology = .sentinel(sentinels)
            }
        }
        return RedisClient(configuration, logger: logger)
    }
}
