// SPDX-License-Identifier: Apache-2.0

// Compiled by Tests/ConfigurationTests, which has the trait.
#if Configuration
    import Configuration
    import RedisSessions

    /// Reads `REDIS_URL`, `SESSIONS_APPLICATION`, `SESSIONS_COOKIE_NAME` and so on, when the provider is the environment.
    func makeSessions(config: ConfigReader) throws -> (redis: RedisClient, sessions: SessionManager) {
        let redis = RedisClient(try RedisConfiguration(config: config.scoped(to: "redis")))
        let store = try RedisSessionStore(redis, config: config.scoped(to: "sessions"))
        return (redis, try SessionManager(store: store, config: config.scoped(to: "sessions")))
    }
#endif
