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

    init(_ app: FixtureApp, cookie: SessionCookie, logger: Logger) throws {
        switch app.store {
        case .memory: store = try MemorySessionStore()
        case .sealed: store = try SealedSessionStore(try Self.keys(app), application: app.prefix, cookie: cookie)
        case .redis:
            let redis = try Self.client(app, logger)
            services = [redis]
            store = try RedisSessionStore(redis, prefix: app.prefix)
        case .redisCached, .sealedGuarded, .sealedTiered, .replicated:
            throw ValidationError("--store \(app.store.rawValue) is not there yet.")
        }
    }

    private static func keys(_ app: FixtureApp) throws -> SealKeyRing {
        guard let text = app.sealKeys ?? FixtureApp.variable("SEAL_KEYS") else {
            throw ValidationError("--store \(app.store.rawValue) needs --seal-keys ID:BASE64URL-OF-32-BYTES,… (the first seals).")
        }
        return try SealKeyRing(parsing: text)
    }

    private static func client(_ app: FixtureApp, _ logger: Logger) throws -> RedisClient {
        var configuration = try RedisConfiguration(url: app.redis)
        if let redisCa = app.redisCa ?? FixtureApp.variable("REDIS_CA") {
            guard configuration.tls != nil else { throw ValidationError("--redis-ca needs a rediss:// address.") }
            configuration.tls?.caFile = redisCa
        }
        return RedisClient(configuration, logger: logger)
    }
}
