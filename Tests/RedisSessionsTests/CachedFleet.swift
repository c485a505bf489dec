// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport

@testable import RedisSessions

/// Several stores with near caches over one Redis, each as in a process of its own.
final class CachedFleet: Sendable {
    let server: RedisServer
    let prefix = "t\(UUID().uuidString.prefix(8))"
    private let members: [Member]

    private struct Member: Sendable {
        let client: RedisClient
        let store: CachedSessionStore
        let running: Task<Void, Never>
    }

    var stores: [CachedSessionStore] { members.map(\.store) }
    var clients: [RedisClient] { members.map(\.client) }

    /// Starts stores; returns when all of them may serve copies.
    ///
    /// - Parameters:
    ///   - urls: the addresses, one for each store.
    ///   - server: what they lead to.
    ///   - lease: short where a test has to wait for it to end, long where copies must be served.
    ///   - peppers: those of the stores.
    ///   - maximumBytes: the bound of each cache.
    ///   - timeout: how long a command may take.
    /// - Throws: `.storeUnavailable` when they are not ready in time.
    init(
        _ urls: [String],
        on server: RedisServer,
        lease: Duration = .seconds(60),
        peppers: [SessionPepper] = [],
        maximumBytes: Int = 1 << 20,
        timeout: Duration = .seconds(20)
    ) async throws {
        self.server = server
        members = try urls.map { [prefix] url in
            var configuration = try RedisConfiguration(url: url)
            configuration.commandTimeout = timeout
            let client = RedisClient(configuration)
            let base = try RedisSessionStore(client, application: prefix, peppers: peppers)
            let store = try CachedSessionStore(base, lease: lease, maximumBytes: maximumBytes)
            return Member(client: client, store: store, running: Task { try? await store.run() })
        }
        for store in stores { try await store.ready() }
    }

    deinit { for member in members { member.running.cancel() } }

    /// Waits until every store has heard of what has happened in Redis.
    func settle() async throws {
        for member in members {
            // Behind what was sent without waiting, on both connections.
            _ = try await member.client.send(RedisCommand("PING"))
            _ = try await member.client.send(RedisCommand("PING", readOnly: true))
        }
        for store in stores { try await store.settle() }
    }

    /// Advances the time of all sessions.
    func advance(_ duration: Duration) async throws {
        try await settle()
        try await RedisFixture.letTimePass(duration, server: server, client: clients[0], prefix: prefix)
        try await settle()
    }

    /// One client whose requests go to any of the stores.
    var router: Router { Router(stores: stores) { try await self.settle() } }

    var harness: SessionStoreHarness { SessionStoreHarness(store: router) { try await self.advance($0) } }
}

extension CachedSessionStore {
    /// Returns when copies may be served.
    func ready() async throws {
        let isReady = await poll(seconds: 20) { self.cache.leaseEnd.map { self.cache.now() < $0 } ?? false }
        if !isReady { throw SessionError(.storeUnavailable, "The invalidation connection was not opened.") }
    }

    /// Returns when the news up to now were heard; not for long leases.
    func settle() async throws {
        let time = cache.now()
        let isSettled = await poll(seconds: 20, every: .milliseconds(2)) {
            self.cache.leaseEnd.map { time + self.cache.lease < $0 } ?? false
        }
        if !isSettled { throw SessionError(.storeUnavailable, "The invalidation connection is silent.") }
    }

    /// Returns when so many changes of sessions were heard of.
    func heard(_ count: Int) async throws {
        let isHeard = await poll(seconds: 20) { self.statistics.invalidations >= count }
        if !isHeard { throw SessionError(.storeUnavailable, "The news do not come.") }
    }

    /// How a read was answered: whether from memory.
    func isHit(_ credential: SessionCredential) async throws -> Bool {
        let before = statistics.hits
        _ = try await load(credential)
        return statistics.hits > before
    }

    /// Reads until the copy is served.
    func warm(_ credential: SessionCredential) async throws {
        for _ in 0..<1000 where try await isHit(credential) { return }
        throw SessionError(.storeUnavailable, "No copy is served.")
    }
}
