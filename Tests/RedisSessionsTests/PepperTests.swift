// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import Synchronization
import TestSupport
import Testing

/// A pepper is introduced and replaced while the site runs, one instance after the other.
@Suite(.limited) struct `Peppers` {
    /// A way of making an instance of one site with a ring of peppers.
    private struct Site: Sendable {
        let make: @Sendable ([SessionPepper]) async throws -> any SessionDirectory
    }

    /// Keeps the two newest replicated stores running.
    private final class Members: Sendable {
        private let tasks = Mutex<[Task<Void, Never>]>([])
        func keep(_ task: Task<Void, Never>) {
            tasks.withLock { tasks in
                tasks.append(task)
                if tasks.count > 2 { tasks.removeFirst().cancel() }
            }
        }
        deinit { tasks.withLock { $0.forEach { $0.cancel() } } }
    }

    enum Kind: CaseIterable {
        case redis, revocable, replicated
    }

    private func site(_ kind: Kind) async throws -> Site {
        switch kind {
        case .redis:
            let redis = try await RedisFixture()
            return Site { peppers in
                try RedisSessionStore(redis.client, application: redis.prefix, peppers: peppers)
            }
        case .revocable:
            let site = try await RevocableFixture()
            return Site { peppers in try site.instance(peppers: peppers) }
        case .replicated:
            let redis = try await RedisFixture()
            let members = Members()
            return Site { peppers in
                let member = try ReplicaFleet.member(redis.server.url, redis.prefix, peppers: peppers)
                members.keep(member.running)
                try await member.store.ready()
                return member.store
            }
        }
    }

    private static func pepper(_ seed: UInt8) throws -> SessionPepper {
        try SessionPepper(Array(seed..<seed + 32))
    }

    /// The rings of a site, each one deployed to one of two instances at a time.
    private static func rollout() throws -> [[SessionPepper]] {
        let (old, new) = (try pepper(1), try pepper(2))
        return [[], [.none, old], [old, .none], [old, .none, new], [new, old, .none]]
    }

    @Test(arguments: Kind.allCases)
    func `no user is signed out, and every session is listed once and can be revoked`(kind: Kind) async throws
    {
        let site = try await site(kind)
        var rings: [(one: [SessionPepper], two: [SessionPepper])] = []
        var before: [SessionPepper] = []
        for ring in try Self.rollout() {
            rings += [(ring, before), (ring, ring)]
            before = ring
        }
        var users: [SessionCredential] = []
        for (step, ring) in rings.enumerated() {
            let instances = [try await site.make(ring.one), try await site.make(ring.two)]
            for store in instances {
                users.append(try await store.signIn(try await store.start(), as: "ann"))
            }
            for store in instances {
                // A replicated store has read what others did when its check returns.
                try await store.check()
                for (number, user) in users.enumerated() {
                    #expect(try await store.user(user) == "ann", "step \(step), user \(number)")
                }
                #expect(try await store.sessions(of: "ann").count == users.count, "step \(step)")
            }
            // Every session renews its secret, every second one signs in again, here or there.
            for number in users.indices where (number + step).isMultiple(of: 3) {
                users[number] = try await instances[number % 2].renew(users[number])
            }
            for number in users.indices where (number + step).isMultiple(of: 2) {
                users[number] = try await instances[step % 2].signIn(users[number], as: "ann")
            }
            let ids = try await instances[1].sessions(of: "ann").map(\.id)
            #expect(ids.count == users.count && Set(ids).count == users.count, "step \(step)")
            // The oldest is revoked one by one.
            let victim = users.removeFirst()
            #expect(try await instances[1].revoke(try await instances[1].found(victim).id, of: "ann"))
            #expect(try await instances[1].absence(victim) == .ended(.revocation))
        }
        let last = try await site.make(try #require(rings.last).one)
        let kept = try await last.found(users[0]).id
        #expect(try await last.revokeAll(of: "ann", except: kept) == users.count - 1)
        for user in users.dropFirst() { #expect(try await last.absence(user) == .ended(.revocation)) }
        #expect(try await last.user(users[0]) == "ann")
    }

    @Test func `a wrong pepper opens nothing`() async throws {
        let site = try await site(.redis)
        let mine = try await site.make([Self.pepper(1), Self.pepper(2)])
        let user = try await mine.signIn(try await mine.start(), as: "ann")
        for ring in [[], [try Self.pepper(3)], [try Self.pepper(2)], [try Self.pepper(3), .none]] {
            let other = try await site.make(ring)
            #expect(try await other.user(user) == nil)
            #expect(try await other.sessions(of: "ann").isEmpty)
            #expect(try await other.revokeAll(of: "ann", except: nil) == 0)
        }
        #expect(try await mine.user(user) == "ann")
    }

    @Test(arguments: [Kind.redis, .revocable])
    func `a pepper that is no longer needed can be dropped`(kind: Kind) async throws {
        let site = try await site(kind)
        let (old, new) = (try Self.pepper(1), try Self.pepper(2))
        let before = try await site.make([old, new])
        let waiting = try await before.signIn(try await before.start(), as: "ann")
        let between = try await site.make([new, old])
        let user = try await between.signIn(waiting, as: "ann")
        let after = try await site.make([new])
        #expect(try await after.user(user) == "ann")
        #expect(try await after.sessions(of: "ann").count == 1)
        #expect(try await after.revokeAll(of: "ann", except: nil) == 1)
        #expect(try await after.absence(user) == .ended(.revocation))
    }
}
