// SPDX-License-Identifier: Apache-2.0

import RedisSessions

// The code of the guide "Choosing a strategy".

func inRedis(_ redis: RedisClient, pepper: SessionPepper) throws -> any SessionStore {
    try RedisSessionStore(redis, application: "shop", peppers: [pepper])
}

func cached(_ redis: RedisClient, pepper: SessionPepper) throws -> CachedSessionStore {
    let base = try RedisSessionStore(redis, application: "shop", peppers: [pepper])
    // A service, after the client.
    let store = try CachedSessionStore(base)
    return store
}

func replicated(_ redis: RedisClient, pepper: SessionPepper) throws -> ReplicatedSessionStore {
    // A service, after the client.
    let store = try ReplicatedSessionStore(redis, application: "shop", peppers: [pepper])
    return store
}

func inMemory() throws -> any SessionStore {
    try MemorySessionStore(maximumSessions: 50_000)
}

func inCookies(_ keys: String) throws -> SealedSessionStore {
    try SealedSessionStore(SealKeyRing(parsing: keys), application: "shop")
}

func inBoth(_ redis: RedisClient, keys: String, pepper: SessionPepper) throws -> any SessionStore {
    let visitors = try SealedSessionStore(SealKeyRing(parsing: keys), application: "shop")
    let users = try RedisSessionStore(redis, application: "shop", peppers: [pepper])
    return try TieredSessionStore(anonymous: visitors, signedIn: users)
}

func moving(from old: MemorySessionStore, to new: RedisSessionStore) throws -> SessionManager {
    try SessionManager(store: DrainingSessionStore(from: old, to: new, phase: .prepare))
}
