// SPDX-License-Identifier: Apache-2.0

import Configuration
import RedisSessions
import TestSupport
import Testing

/// The program of the guide, against a real server.
@Suite struct `Sessions that the environment configures` {
    private static let pepper = "-_8BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4"

    @Test func `work with an ACL user, a password file that is rotated, and a pepper`() async throws {
        let server = try await RedisServer(["--user", "shop", "on", ">first", "~*", "&*", "+@all"])
        let file = try TemporaryFile("first\n")
        let variables = [
            "REDIS_URL": server.url, "REDIS_USERNAME": "shop", "REDIS_PASSWORD_FILE": file.path,
            "REDIS_CLIENT_NAME": "shop-1", "SESSIONS_APPLICATION": "shop",
            "SESSIONS_PEPPERS": "\(Self.pepper),none",
            "SESSIONS_COOKIE_NAME": "shop", "SESSIONS_COOKIE_IS_SECURE": "false",
        ]
        let (redis, sessions) = try makeSessions(config: environment(variables))
        #expect(sessions.cookie.name == "shop")
        let store = try #require(sessions.store as? RedisSessionStore)
        try await store.check()
        let clients = try await server.admin("CLIENT", "LIST")
        #expect(clients.contains("user=shop") && clients.contains("name=shop-1"))
        await redis.shutdown()

        // As an operator rotates it: the server first, then the file; no restart.
        _ = try await server.admin("ACL", "SETUSER", "shop", "resetpass", ">second")
        try file.write("second\n")
        let (again, others) = try makeSessions(config: environment(variables))
        try await (try #require(others.store as? RedisSessionStore)).check()
        await again.shutdown()
    }
}
