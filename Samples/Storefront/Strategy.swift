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

    /// The store, what has to run for it, and what it has asked of Redis so far.
    func store(with settings: Settings, cookie: SessionCookie) throws -> (
        store: any SessionStore, services: [any Service], work: @Sendable () -> RedisWork
    ) {
        let none: @Sendable () -> RedisWork = { RedisWork() }
        switch self {
        case .redis:
            let redis = RedisClient(try settings.redisConfiguration())
            return (try RedisSessionStore(redis, application: "storefront"), [redis], redis.work)
        case .redisCached:
            let redis = RedisClient(try settings.redisConfiguration())
            let cached = try CachedSessionStore(try RedisSessionStore(redis, application: "storefront"))
            return (cached, [redis, cached], redis.work)
        case .memory:
            return (try MemorySessionStore(), [], none)
        case .sealed:
            guard let keys = settings.sealKeys else {
                throw ValidationError("--store sealed needs --seal-keys.")
            }
            return (
                try SealedSessionStore(
                    try SealKeyRing(parsing: keys),
                    application: "storefront",
                    cookie: cookie
                ), [], none
            )
        case .replicated:
            let redis = RedisClient(try settings.redisConfiguration())
            // The default waits longer for instances that are cut off; the demonstration starts from nothing.
            let replicated = try ReplicatedSessionStore(
                redis,
                application: "storefront",
                newLogDelay: .seconds(1)
            )
            // The client counts the endless reading of the log, too: what a request costs is what it appends.
            let appended: @Sendable () -> RedisWork = {
                let count = replicated.statistics.appended
                return RedisWork(roundTrips: count, commands: count)
            }
            return (replicated, [redis, replicated], appended)
        }
    }

    /// The strategy's name in the demo, whose `hybrid` is this store behind a balancer that pins.
    var demoName: String { self == .redisCached ? "hybrid" : rawValue }

    /// Whether there is a Redis that can fail.
    var hasRedis: Bool { ![.memory, .sealed].contains(self) }

    /// What happens to the news of other instances' changes when an instance is frozen.
    var newsNote: String {
        switch self {
        case .redisCached: "To freeze an instance delays the news for its near cache."
        case .replicated: "To freeze an instance delays the log of changes that it follows."
        case .redis, .memory, .sealed:
            "There is no news to delay: no instance keeps copies of what others have."
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

extension RedisClient {
    /// What this client has asked so far.
    fileprivate var work: @Sendable () -> RedisWork {
        {
            let statistics = self.statistics
            return RedisWork(roundTrips: statistics.batches, commands: statistics.commands)
        }
    }
}
