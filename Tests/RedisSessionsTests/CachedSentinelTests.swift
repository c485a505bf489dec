// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing

@testable import RedisSessions

/// The near cache over a primary that sentinels replace.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Cached store with sentinels` {
    /// What the session of a credential has under `a`; nil while Redis does not answer.
    private func value(_ store: CachedSessionStore, _ credential: SessionCredential) async -> String? {
        guard case .found(let record) = try? await store.load(credential) else { return nil }
        return record.attributes["a"].map { String(decoding: $0, as: UTF8.self) }
    }

    /// Returns when a server is a primary by its own account.
    private func promoted(_ server: RedisServer) async -> Bool {
        await poll(seconds: 30) { (try? await server.admin("ROLE"))?.hasPrefix("master") == true }
    }

    @Test func `no copy of the old primary is served once the client has left it`() async throws {
        let servers = try await SentinelServers()
        let (old, new) = (servers.servers[0], servers.servers[1])
        // The lease ends nothing in this test.
        let fleet = try await CachedFleet([servers.url], on: old)
        let (store, client) = (fleet.stores[0], fleet.clients[0])
        let running = Task { try? await client.run() }
        defer { running.cancel() }
        let record = try await store.make(["a": Array("old".utf8)])
        try await store.heard(1)
        try await store.warm(record.credential)
        try await old.replicated(to: new)
        let flushes = store.statistics.flushes
        try await servers.sentinels[0].admin("SENTINEL", "FAILOVER", "main")
        #expect(await promoted(new))
        try await new.admin("HSET", "\(fleet.prefix):s:{\(record.id)}", "a:a", "new")
        #expect(await poll(seconds: 20) { await self.value(store, record.credential) == "new" })
        #expect(store.statistics.flushes > flushes)
        // The hint came first: the old primary has not been told yet.
        #expect(try await old.admin("ROLE").hasPrefix("master"))
        try await store.ready()
        #expect(await poll(seconds: 20) { (try? await store.isHit(record.credential)) == true })
        try await new.admin("HSET", "\(fleet.prefix):s:{\(record.id)}", "a:a", "newer")
        #expect(await poll(seconds: 20) { await self.value(store, record.credential) == "newer" })
    }

    @Test func `without the hint of the sentinels the copies end with the lease`() async throws {
        let servers = try await SentinelServers()
        let (old, new) = (servers.servers[0], servers.servers[1])
        let fleet = try await CachedFleet(
            [servers.url],
            on: old,
            lease: .milliseconds(500),
            timeout: .seconds(1)
        )
        let store = fleet.stores[0]
        let record = try await store.make(["a": Array("old".utf8)])
        try await store.heard(1)
        try await store.warm(record.credential)
        try await old.replicated(to: new)
        old.freeze()
        #expect(await poll(seconds: 20) { store.leaseEnd().map { $0 <= store.cache.now() } ?? true })
        let hits = store.statistics.hits
        #expect(await promoted(new))
        try await new.admin("HSET", "\(fleet.prefix):s:{\(record.id)}", "a:a", "new")
        var seen: String?
        #expect(
            await poll(seconds: 60) {
                seen = await self.value(store, record.credential)
                return seen != nil
            }
        )
        #expect(seen == "new" && store.statistics.hits == hits)
        #expect(await poll(seconds: 20) { (try? await store.isHit(record.credential)) == true })
        // The old one is back, and believes itself to be the primary until it is told.
        old.thaw()
        for _ in 0..<200 { #expect(await value(store, record.credential) == "new") }
    }
}
