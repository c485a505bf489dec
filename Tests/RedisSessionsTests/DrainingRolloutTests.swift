// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import TestSupport
import Testing

/// A site moves from one store to another while it runs, instance by instance, and back.
@Suite(.limited) struct `A rolling move between stores` {
    /// From what to what.
    enum Move: CaseIterable {
        case redisToRedis, memoryToRedis, sealedToRedis, redisToSealed, sealedToRevocable, revocableToTiered
    }

    /// The two stores of a move.
    private struct Site: Sendable {
        let site: RevocableFixture
        let old: any SessionStore
        let new: any SessionStore

        func manager(_ store: any SessionStore) throws -> SessionManager {
            try SessionManager(store: store, policy: SessionPolicy(idleTimeout: .seconds(7200)))
        }

        /// What one instance runs.
        func manager(_ stage: Stage) throws -> SessionManager {
            func draining(_ old: some SessionStore, _ new: some SessionStore, _ drain: Bool)
                -> any SessionStore
            {
                DrainingSessionStore(from: old, to: new, phase: drain ? .drain : .prepare)
            }
            switch stage {
            case .old: return try manager(old)
            case .prepare: return try manager(draining(old, new, false))
            case .drain: return try manager(draining(old, new, true))
            case .new: return try manager(new)
            }
        }
    }

    private enum Stage { case old, prepare, drain, new }

    /// Two instances at a time: forward, back from `drain` to `prepare`, and forward again.
    private static let rollout: [(Stage, Stage)] = [
        (.old, .old), (.prepare, .old), (.prepare, .prepare), (.drain, .prepare), (.drain, .drain),
        (.prepare, .drain), (.prepare, .prepare), (.prepare, .drain), (.drain, .drain),
    ]

    private func site(_ move: Move) async throws -> Site {
        let site = try await RevocableFixture()
        let (redis, clock) = (site.redis, site.clock)
        func sealed() throws -> SealedSessionStore {
            try SealedSessionStore(RevocableFixture.keys(), application: redis.prefix) { clock.now }
        }
        let before = try RedisSessionStore(redis.client, application: redis.prefix + ":before")
        switch move {
        case .redisToRedis: return Site(site: site, old: before, new: redis.store)
        case .memoryToRedis:
            return Site(site: site, old: try MemorySessionStore { clock.now }, new: redis.store)
        case .sealedToRedis: return Site(site: site, old: try sealed(), new: redis.store)
        case .redisToSealed: return Site(site: site, old: redis.store, new: try sealed())
        case .sealedToRevocable:
            // Equal seals would open in both: another application's name tells them apart.
            let other = try SealedSessionStore(RevocableFixture.keys(), application: "before") { clock.now }
            return Site(site: site, old: other, new: site.store)
        case .revocableToTiered:
            let other = try SealedSessionStore(RevocableFixture.keys(), application: "after") { clock.now }
            let tiered = try TieredSessionStore(anonymous: other, signedIn: redis.store)
            return Site(site: site, old: site.store, new: tiered)
        }
    }

    /// A browser, and what its session must show.
    private final class Guest {
        var jar = CookieJar()
        var user: String?
        var count = 0

        /// One request that reads, checks and writes.
        func visit(_ manager: SessionManager, _ place: String, signingIn name: String? = nil) async throws {
            let visitor = Visitor(manager, jar: jar)
            try await visitor.send { session in
                #expect(session.principal == user, "\(place)")
                #expect((session[.count] ?? 0) == count, "\(place)")
                try session.increment(.count)
                if let name { try session.signIn(as: name, keeping: .count) }
            }
            count += 1
            user = name ?? user
            jar = visitor.cookies
        }
    }

    @Test(arguments: Move.allCases) func `signs no user out and loses no write, forward and back`(move: Move)
        async throws
    {
        let site = try await site(move)
        var guests: [Guest] = []
        for (step, stages) in Self.rollout.enumerated() {
            let instances = [try site.manager(stages.0), try site.manager(stages.1)]
            let place = "\(move), step \(step), \(stages)"
            for (number, manager) in instances.enumerated() {
                for isUser in [true, false] {
                    let guest = Guest()
                    try await guest.visit(manager, place)
                    if isUser { try await guest.visit(manager, place, signingIn: "u\(step)\(number)") }
                    guests.append(guest)
                }
            }
            for (number, guest) in guests.enumerated() {
                try await guest.visit(instances[0], place)
                try await guest.visit(instances[1], place)
                // Some sign in again, here or there: where both stores are in use, this moves them.
                if (number + step).isMultiple(of: 4), let user = guest.user {
                    try await guest.visit(instances[number % 2], place, signingIn: user)
                    try await guest.visit(instances[1 - number % 2], place)
                }
            }
            try await site.site.letTimePass(.seconds(60))
        }
        // The old sessions reach their deadlines; the users are asked to sign in before.
        let draining = try site.manager(.drain)
        for guest in guests {
            try await guest.visit(draining, "\(move), drained", signingIn: guest.user ?? "late")
        }
        for stages in [(Stage.new, Stage.drain), (.new, .new)] {
            let instances = [try site.manager(stages.0), try site.manager(stages.1)]
            for guest in guests {
                for manager in instances { try await guest.visit(manager, "\(move), \(stages)") }
            }
        }
    }

    @Test(arguments: [Move.redisToRedis, .memoryToRedis])
    func `parallel appends during sign-ins that move the session are stored once or refused`(move: Move)
        async throws
    {
        let site = try await site(move)
        let (preparing, draining) = (try site.manager(.prepare), try site.manager(.drain))
        for round in 0..<30 {
            let visitor = Visitor(preparing)
            try await visitor.send { try $0.set(.item, "tea") }
            let credential = try #require(visitor.credential)
            let moving = Visitor(draining, jar: visitor.cookies)
            let stored = try await withThrowingTaskGroup(of: String?.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        do {
                            let manager = number.isMultiple(of: 2) ? preparing : draining
                            try await manager.withSession(credential) { session in
                                try session.update(.list, default: []) { $0.append("\(number)") }
                            }
                            return "\(number)"
                        } catch let error as SessionError where error.code == .noSession { return nil }
                    }
                }
                group.addTask {
                    try await moving.send { try $0.signIn(as: "u\(round)", keeping: .item, .list) }
                    return nil
                }
                return try await group.reduce(into: [String]()) { all, one in if let one { all.append(one) } }
            }
            try await moving.send { session in
                #expect(session.principal == "u\(round)" && session[.item] == "tea")
                #expect((session[.list] ?? []).sorted() == stored.sorted())
            }
            #expect(try await draining.list(for: "u\(round)").count == 1)
        }
    }

    @Test(arguments: [SessionStoreContract.Guarantees.all], [true, false])
    func `the contract holds in both phases`(guarantees: SessionStoreContract.Guarantees, drain: Bool)
        async throws
    {
        for rule in SessionStoreContract.rules(for: guarantees) {
            let site = try await site(.redisToRedis)
            let store = try site.manager(drain ? .drain : .prepare).store
            try await rule.check(SessionStoreHarness(store: store) { try await site.site.letTimePass($0) })
        }
    }

    /// Except that a sign-in gives them a new ID, and ends the old one instead of superseding its cookies.
    @Test func `the contract holds for sessions that wait in the old store`() async throws {
        let guarantees = SessionStoreContract.Guarantees.all
            .subtracting([.replacedCredentials, .reportedReplays])
        let signIns = SessionStoreContract.rules.filter { $0.description.hasPrefix("of 20 sign-ins") }
        for rule in SessionStoreContract.rules(for: guarantees) + signIns {
            let site = try await site(.memoryToRedis)
            let store = CreatesElsewhere(
                draining: try site.manager(.drain).store,
                preparing: try site.manager(.prepare).store
            )
            try await rule.check(SessionStoreHarness(store: store) { try await site.site.letTimePass($0) })
        }
    }
}

/// Creates at an instance in phase 1, and does everything else at one in phase 2.
private struct CreatesElsewhere: SessionStore {
    let draining: any SessionStore
    let preparing: any SessionStore

    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        try await draining.load(credential)
    }
    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try await preparing.create(draft)
    }
    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        try await draining.commit(change, to: record)
    }
    func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        try await draining.touch(record, isDue: isDue)
    }
    func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        try await draining.end(record)
    }
    func check() async throws(SessionError) { try await draining.check() }
}

extension SessionKey where Value == [String] {
    static var list: Self { .init("list") }
}
