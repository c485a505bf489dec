// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import TestSupport
import Testing

@testable import RedisSessions
@testable import Sessions

/// A running site changes its strategy: from `old` to `new`, over a real Redis.
@Suite struct `Migrating store` {
    private static let keys = Result {
        try SealKeyRing([SealKey(id: "a", bytes: (0..<32).map { $0 &* 7 &+ 1 })])
    }

    /// Two stores, a manager for each state of the site, and the means to fail and count.
    private struct Move: Sendable {
        let redis: RedisFixture
        let before: SessionManager
        let during: SessionManager
        let after: SessionManager
        let old: FaultyStore?
        let new: FaultyStore?
    }

    private func sealed() throws -> SealedSessionStore {
        try SealedSessionStore(try Self.keys.get(), application: "shop")
    }

    private func redisToSealed() async throws -> Move {
        let redis = try await RedisFixture()
        let old = FaultyStore(redis.store)
        let new = try sealed()
        return Move(
            redis: redis,
            before: try SessionManager(store: old),
            during: try SessionManager(store: MigratingSessionStore(from: old, to: new)),
            after: try SessionManager(store: new),
            old: old,
            new: nil
        )
    }

    private func sealedToRedis() async throws -> Move {
        let redis = try await RedisFixture()
        let old = try sealed()
        let new = FaultyStore(redis.store)
        return Move(
            redis: redis,
            before: try SessionManager(store: old),
            during: try SessionManager(store: MigratingSessionStore(from: old, to: new)),
            after: try SessionManager(store: new),
            old: nil,
            new: new
        )
    }

    private func redisToRedis() async throws -> Move {
        let redis = try await RedisFixture()
        let old = FaultyStore(redis.store)
        let new = FaultyStore(try RedisSessionStore(redis.client, prefix: redis.prefix + ":new"))
        return Move(
            redis: redis,
            before: try SessionManager(store: old),
            during: try SessionManager(store: MigratingSessionStore(from: old, to: new)),
            after: try SessionManager(store: new),
            old: old,
            new: new
        )
    }

    private enum Direction: CaseIterable { case redisToSealed, sealedToRedis, redisToRedis }

    private func move(_ direction: Direction) async throws -> Move {
        switch direction {
        case .redisToSealed: try await redisToSealed()
        case .sealedToRedis: try await sealedToRedis()
        case .redisToRedis: try await redisToRedis()
        }
    }

    private func visitor(_ manager: SessionManager, as principal: String? = nil) async throws -> Visitor {
        let visitor = Visitor(manager)
        try await visitor.send { session in
            try session.set(.item, "tea")
            if let principal { try session.signIn(as: principal, keeping: ["item"]) }
        }
        return visitor
    }

    @Test(arguments: Direction.allCases) private func `nobody is signed out, and a change moves the session`(
        direction: Direction
    )
        async throws
    {
        let move = try await move(direction)
        let before = try await visitor(move.before, as: "ann")
        let during = Visitor(move.during, jar: before.cookies)
        let read = try await during.send { #expect($0.principal == "ann" && $0[.item] == "tea") }
        #expect(read.headerFields[values: .setCookie].isEmpty)
        // Not moved yet: the site could still go back.
        try await Visitor(move.before, jar: during.cookies).send { #expect($0.principal == "ann") }
        let write = try await during.send { try $0.increment(.count, by: 3) }
        #expect(write.headerFields[values: .setCookie].count == 1)
        try await during.send { #expect($0.principal == "ann" && $0[.item] == "tea" && $0[.count] == 3) }
        try await Visitor(move.after, jar: during.cookies).send { session in
            #expect(session.principal == "ann" && session[.item] == "tea" && session[.count] == 3)
            #expect(session.expiresIn.map { $0 > .seconds(1790) } == true)
        }
    }

    @Test(arguments: Direction.allCases) private func `the deadline does not move with the session`(
        direction: Direction
    ) async throws {
        let move = try await move(direction)
        let before = try await visitor(move.before)
        guard case .found(let old) = try await move.before.store.load(try #require(before.credential)) else {
            return #expect(Bool(false))
        }
        let during = Visitor(move.during, jar: before.cookies)
        try await during.send { try $0.set(.item, "cake") }
        guard case .found(let new) = try await move.after.store.load(try #require(during.credential)) else {
            return #expect(Bool(false))
        }
        #expect(new.deadline <= old.deadline + .seconds(5) && new.idleTimeout == old.idleTimeout)
    }

    @Test(arguments: Direction.allCases) private func `new sessions are made in the new store, sign-ins too`(
        direction: Direction
    )
        async throws
    {
        let move = try await move(direction)
        let fresh = try await visitor(move.during)
        try await Visitor(move.after, jar: fresh.cookies).send { #expect($0[.item] == "tea") }
        let before = try await visitor(move.before)
        let during = Visitor(move.during, jar: before.cookies)
        try await during.send { try $0.signIn(as: "ann", keeping: ["item"]) }
        try await Visitor(move.after, jar: during.cookies).send {
            #expect($0[.item] == "tea" && $0.principal == "ann")
        }
        let late = Visitor(move.during, jar: before.cookies)
        try await late.send { #expect($0.principal == nil) }
        // What it writes must not put another cookie over that of the sign-in; a sealed store does not know
        // that it is late.
        let write = try await late.send { try $0.set(.item, "late") }
        #expect(write.headerFields[values: .setCookie].isEmpty == (direction != .sealedToRedis))
    }

    @Test(arguments: Direction.allCases) private func `a sign-out ends it where it is`(direction: Direction)
        async throws
    {
        let move = try await move(direction)
        for hasMoved in [false, true] {
            let before = try await visitor(move.before, as: "ann")
            let during = Visitor(move.during, jar: before.cookies)
            if hasMoved { try await during.send { try $0.set(.item, "cake") } }
            let copy = Visitor(move.during, jar: during.cookies)
            try await during.send { try $0.signOut() }
            #expect(during.cookieField == nil)
            // A copy of a sealed cookie lives on, as ever.
            let isSealed = direction == .redisToSealed ? hasMoved : direction == .sealedToRedis && !hasMoved
            try await copy.send { #expect(($0.principal == nil) == !isSealed) }
        }
    }

    @Test(arguments: [Direction.redisToSealed, .redisToRedis])
    private func `parallel requests of one browser fork nothing and lose nothing`(
        direction: Direction
    ) async throws {
        let move = try await move(direction)
        let before = try await visitor(move.before, as: "ann")
        let browsers = (0..<8).map { _ in Visitor(move.during, jar: before.cookies) }
        try await withThrowingTaskGroup { group in
            for browser in browsers { group.addTask { try await browser.send { try $0.increment(.count) } } }
            try await group.waitForAll()
        }
        var counts: [Int] = []
        for browser in browsers { try await browser.send { counts.append($0[.count] ?? -1) } }
        if direction == .redisToRedis {
            #expect(counts == [Int](repeating: 8, count: 8))
            #expect(try await move.during.list(for: "ann").count == 1)
        } else {
            // In the cookie the last response wins, as in any sealed store; all of them stand on the one
            // session that moved.
            #expect(counts.allSatisfy { (1...8).contains($0) } && counts.contains { $0 > 1 })
        }
    }

    @Test(arguments: [Direction.redisToSealed, .redisToRedis])
    private func `a request that comes second finds the moved session`(
        direction: Direction
    ) async throws {
        let move = try await move(direction)
        let before = try await visitor(move.before, as: "ann")
        let first = Visitor(move.during, jar: before.cookies)
        let second = Visitor(move.during, jar: before.cookies)
        // The first moves the session after the second has read it, before the second writes.
        move.old?.before(.commit) {
            do { try await first.send { try $0.set(.other, "first") } } catch { Issue.record(error) }
        }
        try await second.send { try $0.update(.list, default: []) { $0.append("second") } }
        try await second.send {
            #expect($0[.list] == ["second"] && $0[.other] == "first" && $0[.item] == "tea")
        }
        // Who lost the response that carried the new cookie, and only reads, gets it.
        let lost = Visitor(move.during, jar: before.cookies)
        let answer = try await lost.send { #expect($0.principal == "ann") }
        #expect(answer.headerFields[values: .setCookie].count == 1)
        try await Visitor(move.after, jar: lost.cookies).send { #expect($0.principal == "ann") }
    }

    @Test(arguments: Direction.allCases)
    private func `where no cookie can be sent the session stays, or that is said`(direction: Direction)
        async throws
    {
        let move = try await move(direction)
        let before = try await visitor(move.before)
        let credential = try #require(before.credential)
        let change: @Sendable () async throws -> Void = {
            try await move.during.withSession(credential) { try $0.set(.item, "job") }
        }
        if direction == .sealedToRedis {
            await #expect(throws: SessionError(.unsupported, "")) { try await change() }
        } else {
            try await change()
            try await Visitor(move.before, jar: before.cookies).send { #expect($0[.item] == "job") }
        }
    }

    // MARK: Failures

    @Test(arguments: Direction.allCases) private func `if the new store fails the session stays where it is`(
        direction: Direction
    )
        async throws
    {
        let move = try await move(direction)
        guard let new = move.new else { return }
        let before = try await visitor(move.before, as: "ann")
        let during = Visitor(move.during, jar: before.cookies)
        new.fail([.create])
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await during.send { try $0.set(.item, "cake") }
        }
        new.fail([])
        try await during.send { #expect($0[.item] == "tea" && $0.principal == "ann") }
        try await during.send { try $0.set(.item, "cake") }
        try await during.send { #expect($0[.item] == "cake" && $0.principal == "ann") }
    }

    @Test(arguments: [Direction.redisToSealed, .redisToRedis])
    private func `if the old store fails the session is not half moved`(
        direction: Direction
    ) async throws {
        let move = try await move(direction)
        let before = try await visitor(move.before, as: "ann")
        let during = Visitor(move.during, jar: before.cookies)
        for operation in [FaultyStore.Operation.load, .commit] {
            move.old?.fail([operation])
            let cookies = during.cookieField
            await #expect(throws: SessionError(.storeUnavailable, "")) {
                try await during.send { try $0.set(.item, "cake") }
            }
            #expect(during.cookieField == cookies)
        }
        move.old?.fail([])
        try await during.send { #expect($0[.item] == "tea" && $0.principal == "ann") }
        try await during.send { try $0.set(.item, "cake") }
        // What has moved needs the old store no more, where the forms of the cookies differ.
        move.old?.fail(Set(FaultyStore.Operation.allCases))
        try await during.send { #expect($0[.item] == "cake" && $0.principal == "ann") }
    }

    @Test func `an answer that is lost after the old record was claimed leads to the new session`()
        async throws
    {
        let move = try await redisToRedis()
        let before = try await visitor(move.before, as: "ann")
        let during = Visitor(move.during, jar: before.cookies)
        let record = try await move.during.store.load(try #require(during.credential))
        guard case .found(let record) = record else { return #expect(Bool(false)) }
        // The move happens, and nobody hears of it.
        let change = SessionChange(
            operations: ["item": .set(Array("\"cake\"".utf8))],
            policy: SessionPolicy()
        )
        _ = try await move.during.store.commit(change, to: record)
        try await during.send { #expect($0[.item] == "cake" && $0.principal == "ann") }
        #expect(try await move.during.list(for: "ann").count == 1)
    }

    @Test func `what does not fit into the cookie stays in Redis`() async throws {
        let move = try await redisToSealed()
        let before = try await visitor(move.before, as: "ann")
        let during = Visitor(move.during, jar: before.cookies)
        try await during.send { try $0.set(.other, String(repeating: "x", count: 20_000)) }
        try await Visitor(move.before, jar: during.cookies).send {
            #expect($0[.other]?.count == 20_000 && $0.principal == "ann")
        }
        try await during.send { try $0.remove(.other) }
        try await Visitor(move.after, jar: during.cookies).send {
            #expect($0[.item] == "tea" && $0.principal == "ann")
        }
    }

    // MARK: The old record

    @Test func `the old record keeps neither the data nor anything that can be used`() async throws {
        let move = try await redisToRedis()
        let before = try await visitor(move.before, as: "ann")
        let id = try #require(try await move.before.list(for: "ann").first?.id)
        let during = Visitor(move.during, jar: before.cookies)
        try await during.send { try $0.set(.other, "secret-data") }
        let dump = try await move.redis.server.admin("HGETALL", "\(move.redis.prefix):s:{\(id)}")
        let secret = try #require(during.credential).value.split(separator: ".")[1]
        #expect(
            dump.contains("@moved") && !dump.contains("tea") && !dump.contains("secret-data")
                && !dump.contains(secret)
        )
    }

    @Test func `to the sealed store the note leads for a minute`() async throws {
        let move = try await redisToSealed()
        let before = try await visitor(move.before, as: "ann")
        try await Visitor(move.during, jar: before.cookies).send { try $0.set(.item, "cake") }
        try await move.redis.letTimePass(.seconds(59))
        try await Visitor(move.during, jar: before.cookies).send { #expect($0.principal == "ann") }
        try await move.redis.letTimePass(.seconds(1))
        try await Visitor(move.during, jar: before.cookies).send { #expect($0.principal == nil) }
    }

    @Test func `lists and revocations know both stores, and a id from before the move`() async throws {
        let move = try await redisToRedis()
        let first = try await visitor(move.before, as: "ann")
        let second = try await visitor(move.before, as: "ann")
        let ids = try await move.during.list(for: "ann").map(\.id)
        #expect(ids.count == 2)
        let moved = Visitor(move.during, jar: first.cookies)
        try await moved.send { try $0.set(.item, "cake") }
        let names = try await move.during.list(for: "ann").map { $0[.item] }
        #expect(Set(names) == ["tea", "cake"] && names.count == 2)
        for id in ids { #expect(try await move.during.revoke(id, of: "ann")) }
        for visitor in [
            moved, Visitor(move.during, jar: first.cookies), Visitor(move.during, jar: second.cookies),
        ] {
            try await visitor.send { #expect($0.principal == nil) }
        }
        let third = Visitor(move.during, jar: try await visitor(move.before, as: "ann").cookies)
        _ = try await visitor(move.before, as: "ann")
        try await third.send { try $0.set(.item, "cake") }
        #expect(try await move.during.revokeAll(of: "ann") == 2)
        #expect(try await move.during.list(for: "ann").isEmpty)
        await #expect(throws: SessionError(.unsupported, "")) {
            try await redisToSealed().during.list(for: "ann")
        }
    }

    @Test func `a sign-out that a move overtakes ends the moved session`() async throws {
        let move = try await redisToRedis()
        let before = try await visitor(move.before, as: "ann")
        let moving = Visitor(move.during, jar: before.cookies)
        let leaving = Visitor(move.during, jar: before.cookies)
        move.old?.before(.commit) {
            do { try await moving.send { try $0.set(.item, "cake") } } catch { Issue.record(error) }
        }
        try await leaving.send { try $0.signOut() }
        try await moving.send { #expect($0.principal == nil) }
        #expect(try await move.during.list(for: "ann").isEmpty)
    }

    @Test(arguments: [false, true]) func `a guarded site moves, too, in both directions`(toGuarded: Bool)
        async throws
    {
        let redis = try await RedisFixture()
        let records = FaultyStore(try RedisSessionStore(redis.client, prefix: redis.prefix + ":g"))
        let guarded = try GuardedSessionStore(try Self.keys.get(), application: "shop", backing: records)
        let (before, during, after): (SessionManager, SessionManager, SessionManager)
        if toGuarded {
            before = try SessionManager(store: sealed())
            during = try SessionManager(store: MigratingSessionStore(from: sealed(), to: guarded))
            after = try SessionManager(store: guarded)
        } else {
            before = try SessionManager(store: guarded)
            during = try SessionManager(store: MigratingSessionStore(from: guarded, to: redis.store))
            after = try SessionManager(store: redis.store)
        }
        let visitor = Visitor(during, jar: try await self.visitor(before, as: "ann").cookies)
        try await visitor.send { #expect($0.principal == "ann" && $0[.item] == "tea") }
        let second = Visitor(during, jar: visitor.cookies)
        if !toGuarded {
            // Of two that move it at once one is told to try again: what the other one took along is in a
            // cookie.
            records.before(.commit) {
                do { try await visitor.send { try $0.set(.other, "first") } } catch { Issue.record(error) }
            }
            await #expect(throws: SessionError(.conflict, "")) {
                try await second.send { try $0.set(.item, "second") }
            }
            #expect(try await redis.store.sessions(of: "ann").count == 1)
        }
        try await visitor.send { try $0.signIn(as: "bob", keeping: ["item"]) }
        try await Visitor(after, jar: visitor.cookies).send {
            #expect($0.principal == "bob" && $0[.item] == "tea")
        }
    }

    @Test(arguments: SessionStoreContract.rules) func `keeps the contract from Redis to Redis`(
        rule: SessionStoreContract.Rule
    ) async throws {
        let redis = try await RedisFixture()
        let other = try RedisSessionStore(redis.client, prefix: redis.prefix + ":new")
        try await rule.check(
            SessionStoreHarness(store: MigratingSessionStore(from: redis.store, to: other)) {
                try await redis.letTimePass($0)
            }
        )
    }
}

extension SessionKey where Value == String {
    static var item: Self { .init("item") }
    static var other: Self { .init("other") }
}

extension SessionKey where Value == [String] {
    static var list: Self { .init("list") }
}

extension SessionKey where Value == Int {
    static var count: Self { .init("count") }
}
