// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import TestSupport
import Testing

/// Two applications on one Redis, with equal user names and, where a store has any, equal keys.
@Suite(.limited) struct `Two applications on one Redis` {
    /// A kind of store.
    enum Kind: CaseIterable {
        case redis, replicated, revocable, sealed, tiered
    }

    /// One application's store and, for the replicated one, what runs it.
    private struct Instance {
        let store: any SessionStore
        var running: Task<Void, Never>?
    }

    private func instance(
        _ kind: Kind,
        _ redis: RedisFixture,
        application: String,
        prefix: String?,
        peppers: [SessionPepper]
    ) async throws -> Instance {
        func sealed() throws -> SealedSessionStore {
            try SealedSessionStore(RevocableFixture.keys(), application: application)
        }
        func server() throws -> RedisSessionStore {
            try RedisSessionStore(
                redis.client,
                application: application,
                prefix: prefix ?? application,
                peppers: peppers
            )
        }
        switch kind {
        case .redis: return Instance(store: try server())
        case .sealed: return Instance(store: try sealed())
        case .tiered: return Instance(store: try TieredSessionStore(anonymous: sealed(), signedIn: server()))
        case .revocable:
            let store = try RevocableSessionStore(
                sealed(),
                revocations: redis.client,
                application: application,
                prefix: prefix ?? application,
                peppers: peppers
            )
            return Instance(store: store)
        case .replicated:
            let store = try ReplicatedSessionStore(
                redis.client,
                application: application,
                prefix: prefix ?? application,
                peppers: peppers,
                newLogDelay: .zero
            )
            let running = Task<Void, Never> { try? await store.run() }
            let isReady = await poll(seconds: 20) { (try? await store.check()) != nil }
            #expect(isReady)
            return Instance(store: store, running: running)
        }
    }

    @Test(arguments: Kind.allCases, [true, false])
    func `accept neither each other's cookies, nor list or revoke each other's sessions`(
        kind: Kind,
        sharePrefix: Bool
    ) async throws {
        let redis = try await RedisFixture()
        let peppers = sharePrefix ? [try SessionPepper(Array(7..<7 + 32))] : []
        let prefix = sharePrefix ? redis.prefix : nil
        var instances: [Instance] = []
        for name in ["shop", "blog"] {
            instances.append(
                try await instance(
                    kind,
                    redis,
                    application: "\(redis.prefix).\(name)",
                    prefix: prefix,
                    peppers: peppers
                )
            )
        }
        defer { for instance in instances { instance.running?.cancel() } }
        let stores = instances.map(\.store)
        for (mine, other) in [(stores[0], stores[1]), (stores[1], stores[0])] {
            let visitor = try await mine.start(["item": "tea"])
            let user = try await mine.signIn(try await mine.start(), as: "ann")
            let record = try await mine.found(user)
            for cookie in [visitor, user] { #expect(try await other.absence(cookie) != nil) }
            if let other = other as? any SessionDirectory {
                #expect(try await other.sessions(of: "ann").isEmpty)
                #expect(try await !other.revoke(record.id, of: "ann"))
                #expect(try await other.revokeAll(of: "ann", except: nil) == 0)
                _ = try await other.signIn(try await other.start(), as: "ann")
                #expect(try await other.revokeAll(of: "ann", except: nil) == 1)
            }
            #expect(try await mine.user(user) == "ann")
            #expect(try await mine.text("item", visitor) == "tea")
            if let mine = mine as? any SessionDirectory {
                #expect(try await mine.sessions(of: "ann").map(\.id) == [record.id])
                #expect(try await mine.revokeAll(of: "ann", except: nil) == 1)
            }
        }
    }
}
