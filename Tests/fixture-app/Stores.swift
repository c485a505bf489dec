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
    /// Makes an instance with local copies hear of nothing for a while; nil for other stores.
    var hold: (@Sendable (Duration) async throws -> Void)?

    init(_ app: FixtureApp, cookie: SessionCookie, logger: Logger) throws {
        switch app.store {
        case .memory: store = try MemorySessionStore()
        case .sealed:
            store = try SealedSessionStore(try Self.keys(app), application: app.prefix, cookie: cookie)
        case .redis:
            let redis = try Self.client(app, logger)
            services = [redis]
            store = try RedisSessionStore(redis, prefix: app.prefix)
        case .sealedGuarded, .sealedTiered:
            let redis = try Self.client(app, logger)
            services = [redis]
            let (keys, backing) = (try Self.keys(app), try RedisSessionStore(redis, prefix: app.prefix))
            store =
                app.store == .sealedGuarded
                ? try GuardedSessionStore(keys, application: app.prefix, cookie: cookie, backing: backing)
                : try TieredSessionStore(
                    anonymous: SealedSessionStore(keys, application: app.prefix, cookie: cookie),
                    signedIn: backing
                )
        case .replicated:
            let redis = try Self.client(app, logger)
            let replicated = try ReplicatedSessionStore(redis, prefix: app.prefix)
            services = [redis, replicated]
            store = replicated
            hold = { duration in
                let end = ContinuousClock.now + duration
                replicated.beforeApplying { try await Task.sleep(until: end) }
                try await Task.sleep(until: end)
            }
        case .redisCached: throw ValidationError("--store redis-cached is not there yet.")
        }
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
        }
        return RedisClient(configuration, logger: logger)
    }
}
