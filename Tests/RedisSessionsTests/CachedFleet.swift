// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport

@testable import RedisSessions

/// Several stores with near caches over one Redis or one cluster, each as in a process of its own.
final class CachedFleet: Sendable {
    /// What holds the records: one server, or the primaries of a cluster.
    let nodes: [RedisServer]
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
    ///   - nodes: what they lead to.
    ///   - lease: short where a test has to wait for it to end, long where copies must be served.
    ///   - peppers: those of the stores.
    ///   - maximumBytes: the bound of each cache.
    ///   - timeout: how long a command may take.
    /// - Throws: `.storeUnavailable` when they are not ready in time.
    init(
        _ urls: [String],
        on nodes: [RedisServer],
        lease: Duration = .seconds(60),
        peppers: [SessionPepper] = [],
        maximumBytes: Int = 1 << 20,
        timeout: Duration = .seconds(20)
    ) async throws {
        self.nodes = nodes
        members = try urls.map { [prefix] url in
            var configuration = try RedisConfiguration(url: url)
            configuration.commandTimeout = timeout
            let client = RedisClient(configuration)
            let base = try RedisSessionStore(client, application: prefix, peppers: peppers)
            let store = try CachedSessionStore(base, lease: lease, maximumBytes: maximumBytes)
            return Member(client: client, store: store, running: Task { try? await store.run() })
        }
        for store in stores { try await store.ready(nodes.count) }
    }

    /// Starts stores of one server.
    convenience init(
        _ urls: [String],
        on server: RedisServer,
        lease: Duration = .seconds(60),
        peppers: [SessionPepper] = [],
        maximumBytes: Int = 1 << 20,
        timeout: Duration = .seconds(20)
    ) async throws {
        try await self.init(
            urls,
            on: [server],
            lease: lease,
            peppers: peppers,
            maximumBytes: maximumBytes,
            timeout: timeout
        )
    }

    deinit { for member in members { member.running.cancel() } }

    /// Waits until every store has heard of what has happened in Redis.
    func settle() async throws {
        for member in members {
            // Behind what was sent without waiting, on both connections to each node.
            for key in ["{a}", "{b}", "{c}"].prefix(nodes.count) {
                for isRead in [true, false] {
                    _ = try await member.client.send(
                        RedisCommand("EXISTS", "\(prefix):s:\(key)", readOnly: isRead)
                    )
                }
            }
        }
        for store in stores { try await store.settle(nodes.count) }
    }

    /// Advances the time of all sessions.
    func advance(_ duration: Duration) async throws {
        try await settle()
        for node in nodes {
            try await RedisFixture.letTimePass(duration, server: node, client: clients[0], prefix: prefix)
        }
        try await settle()
    }

    /// One client whose requests go to any of the stores.
    var router: Router { Router(stores: stores) { try await self.settle() } }

    var harness: SessionStoreHarness { SessionStoreHarness(store: router) { try await self.advance($0) } }
}

extension CachedSessionStore {
    /// When copies of any node are not served any more; nil while there are fewer connections than nodes.
    func leaseEnd(_ nodes: Int = 1) -> SessionInstant? {
        let ends = cache.leaseEnds.values
        return ends.count >= nodes ? ends.min() : nil
    }

    /// Returns when copies of so many nodes may be served.
    func ready(_ nodes: Int = 1) async throws {
        let isReady = await poll(seconds: 20) { self.leaseEnd(nodes).map { self.cache.now() < $0 } ?? false }
        if !isReady { throw SessionError(.storeUnavailable, "The invalidation connection was not opened.") }
    }

    /// Returns when the news up to now were heard; not for long leases.
    func settle(_ nodes: Int = 1) async throws {
        let time = cache.now()
        let isSettled = await poll(seconds: 20, every: .milliseconds(2)) {
            self.leaseEnd(nodes).map { time + self.cache.lease < $0 } ?? false
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
