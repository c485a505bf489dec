// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Hiredis
import RedisSessions
import ServiceLifecycle
import Sessions

/// Where the shop keeps its sessions.
enum Strategy: String, CaseIterable, ExpressibleByArgument {
    /// In one Redis that all instances ask.
    case redis
    /// The same, with a near cache in each instance.
    case redisCached = "redis-cached"
    /// In the memory of each instance; the balancer has to pin visitors.
    case memory
    /// In the visitor's cookie, sealed.
    case sealed
    /// In the memory of every instance, kept alike by a log in Redis.
    case replicated

    /// The store, and what has to run for it.
    func store(with settings: Settings, cookie: SessionCookie) throws -> (
        store: any SessionStore, services: [any Service]
    ) {
        switch self {
        case .redis:
            let redis = RedisClient(try RedisConfiguration(url: settings.redis))
            return (try RedisSessionStore(redis, application: "storefront"), [redis])
        case .redisCached:
            let redis = RedisClient(try RedisConfiguration(url: settings.redis))
            let cached = try CachedSessionStore(try RedisSessionStore(redis, application: "storefront"))
            return (cached, [redis, cached])
        case .memory:
            return (try MemorySessionStore(), [])
        case .sealed:
            guard let keys = settings.sealKeys else {
                throw ValidationError("--store sealed needs --seal-keys.")
            }
            return (
                try SealedSessionStore(
                    try SealKeyRing(parsing: keys),
                    application: "storefront",
                    cookie: cookie
                ), []
            )
        case .replicated:
            let redis = RedisClient(try RedisConfiguration(url: settings.redis))
            // The default waits longer for instances that are cut off; the demonstration starts from nothing.
            let replicated = try ReplicatedSessionStore(
                redis,
                application: "storefront",
                newLogDelay: .seconds(1)
            )
            return (replicated, [redis, replicated])
        }
    }

    /// What a user who looks at the list of devices should know.
    var deviceNote: String {
        switch self {
        case .memory:
            "Each entry is a browser that is signed in on this instance; others keep their own lists."
        case .redisCached:
            "Each entry is a browser that is signed in. Signing one out takes effect within a second, on every instance."
        default:
            "Each entry is a browser that is signed in. Signing one out takes effect at once, on every instance."
        }
    }
}
