// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import TestSupport

/// A server or a cluster with sessions that the store has made.
struct Site: Sendable {
    let client: RedisClient
    let store: RedisSessionStore
    let url: String
    let application: String

    init(_ url: String, application: String = "shop", peppers: [SessionPepper] = []) throws {
        var configuration = try RedisConfiguration(url: url)
        configuration.commandTimeout = .seconds(20)
        client = RedisClient(configuration)
        store = try RedisSessionStore(client, application: application, peppers: peppers)
        (self.url, self.application) = (url, application)
    }

    /// Runs the program for this site.
    func run(_ arguments: String..., environment: [String: String] = [:]) async throws -> Sessionctl {
        var environment = environment
        environment["SESSIONS_REDIS_URL"] = environment["SESSIONS_REDIS_URL"] ?? url
        environment["SESSIONS_APPLICATION"] = application
        return try await Sessionctl(arguments, environment: environment)
    }

    /// Creates a session and returns its ID.
    @discardableResult
    func session(_ attributes: [String: String] = [:], user: String? = nil) async throws -> SessionID {
        try await record(attributes, user: user).id
    }

    /// Creates a session and returns its record.
    func record(_ attributes: [String: String] = [:], user: String? = nil) async throws -> SessionRecord {
        let draft = SessionDraft(
            attributes: attributes.mapValues { Array($0.utf8) },
            principal: user,
            policy: SessionPolicy()
        )
        guard case .committed(_, _, let credential?, _) = try await store.create(draft),
            case .found(let record) = try await store.load(credential)
        else { throw SessionError(.noSession, "not created") }
        return record
    }

    /// Whether a session is alive.
    func isAlive(_ id: SessionID, of user: String) async throws -> Bool {
        if case .found = try await store.load(id, of: user) { true } else { false }
    }
}
