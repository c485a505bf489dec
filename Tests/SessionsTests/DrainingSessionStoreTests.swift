// SPDX-License-Identifier: Apache-2.0

import SessionsTesting
import Synchronization
import Testing

@testable import Sessions

/// The move of one session: what it costs, what fails in the middle, and who comes in between.
@Suite struct `Draining store` {
    private let clock = ManualClock()
    private let old: FaultyStore
    private let new: FaultyStore
    /// An instance in phase 1 and one in phase 2.
    private let preparing: SessionManager
    private let draining: SessionManager

    init() throws {
        let clock = clock
        old = FaultyStore(try MemorySessionStore { clock.now })
        new = FaultyStore(try MemorySessionStore { clock.now })
        let policy = SessionPolicy(renewalInterval: .seconds(600), anonymousIdleTimeout: .seconds(1800))
        preparing = try SessionManager(
            store: DrainingSessionStore(from: old, to: new, phase: .prepare),
            policy: policy
        )
        draining = try SessionManager(
            store: DrainingSessionStore(from: old, to: new, phase: .drain),
            policy: policy
        )
    }

    /// A visitor whose session is in the old store, with something to lose.
    private func visitor(as principal: String? = nil) async throws -> Visitor {
        let visitor = Visitor(preparing)
        try await visitor.send { session in
            if let principal { try session.signIn(as: principal) }
            try session.set(.item, "tea")
        }
        return visitor
    }

    /// The same browser at an instance in phase 2.
    private func atDraining(_ visitor: Visitor) -> Visitor { Visitor(draining, jar: visitor.cookies) }

    private func operations(_ body: () async throws -> Void) async throws -> (
        old: [FaultyStore.Operation: Int], new: [FaultyStore.Operation: Int]
    ) {
        let (oldBefore, newBefore) = (old.counts, new.counts)
        try await body()
        func since(_ before: [FaultyStore.Operation: Int], _ after: [FaultyStore.Operation: Int])
            -> [FaultyStore.Operation: Int]
        {
            after.merging(before) { $0 - $1 }.filter { $0.value > 0 }
        }
        return (since(oldBefore, old.counts), since(newBefore, new.counts))
    }

    // MARK: Cost

    @Test func `a session costs one question more at the store that is asked second`() async throws {
        let stays = try await visitor()
        var cost = try await operations { try await stays.send { try $0.set(.item, "cake") } }
        #expect(cost.old == [.load: 1, .commit: 1] && cost.new == [:])
        let late = atDraining(stays)
        cost = try await operations { try await late.send { #expect($0[.item] == "cake") } }
        #expect(cost.new == [.load: 1] && cost.old == [.load: 1])
        let fresh = Visitor(draining)
        cost = try await operations { try await fresh.send { try $0.set(.item, "tea") } }
        #expect(cost.new == [.create: 1] && cost.old == [:])
        cost = try await operations { try await fresh.send { try $0.set(.item, "cake") } }
        #expect(cost.new == [.load: 1, .commit: 1] && cost.old == [:])
        let back = Visitor(preparing, jar: fresh.cookies)
        cost = try await operations { try await back.send { #expect($0[.item] == "cake") } }
        #expect(cost.new == [.load: 1] && cost.old == [.load: 1])
    }

    @Test func `a sign-in that moves a session costs three questions more`() async throws {
        let moving = atDraining(try await visitor())
        let cost = try await operations {
            try await moving.send { try $0.signIn(as: "ann", keeping: .item) }
        }
        #expect(cost.new == [.load: 1, .create: 1])
        #expect(cost.old == [.load: 2, .commit: 1, .end: 1])
        let after = try await operations {
            try await moving.send { #expect($0.principal == "ann" && $0[.item] == "tea") }
        }
        #expect(after.new == [.load: 1] && after.old == [:])
    }

    // MARK: Failures

    @Test(arguments: [FaultyStore.Operation.create, .commit, .end, .load])
    func `a failure while a session moves leaves the user in one place, able to sign in`(
        failing: FaultyStore.Operation
    ) async throws {
        let moving = atDraining(try await visitor(as: "ann"))
        let thief = Visitor(draining, jar: moving.cookies)
        // The old store fails; the new one at the creation.
        let faulty = failing == .create ? new : old
        if failing == .load {
            old.before(.commit) { [old] in old.fail([.load]) }
        } else {
            faulty.fail([failing])
        }
        do { try await moving.send { try $0.signIn(as: "ann", keeping: .item) } } catch let error
            as SessionError
        {
            #expect(error.code == .storeUnavailable && [.create, .commit].contains(failing))
        }
        faulty.fail([])
        try await moving.send { #expect($0.principal == "ann" && $0[.item] == "tea", "after \(failing)") }
        if ![.create, .commit].contains(failing) {
            // It has moved; what could not be ended can be used by no cookie.
            try await thief.send { #expect($0.principal == nil) }
        }
        #expect(try await new.sessions(of: "ann").count == ([.create, .commit].contains(failing) ? 0 : 1))
        try await moving.send { try $0.signIn(as: "ann", keeping: .item) }
        try await moving.send { #expect($0.principal == "ann" && $0[.item] == "tea") }
        #expect(try await new.sessions(of: "ann").count == 1)
    }

    @Test func `while one store is away, nothing is concluded about a session`() async throws {
        let stays = atDraining(try await visitor(as: "ann"))
        for store in [old, new] {
            store.fail([.load, .check])
            await #expect(throws: SessionError(.storeUnavailable, "")) { try await stays.send() }
            await #expect(throws: SessionError(.storeUnavailable, "")) { try await draining.store.check() }
            store.fail([])
        }
        try await stays.send { #expect($0.principal == "ann") }
    }

    // MARK: Others in between

    /// Where another request comes in between.
    enum Moment: CaseIterable { case beforeCreate, beforeClaim, beforeEnd }

    private func at(_ moment: Moment, _ body: @escaping @Sendable () async throws -> Void) {
        let hook: @Sendable () async -> Void = {
            do { try await body() } catch { Issue.record(error) }
        }
        switch moment {
        case .beforeCreate: new.before(.create, hook)
        case .beforeClaim: old.before(.commit, hook)
        case .beforeEnd: old.before(.end, hook)
        }
    }

    @Test(arguments: Moment.allCases, [true, false])
    func `a write that was answered during the move is not lost`(moment: Moment, inGrace: Bool) async throws {
        let visitor = try await visitor()
        var other = Visitor(preparing, jar: visitor.cookies)
        let moving = atDraining(visitor)
        if inGrace {
            // The browser that moves still has the secret before; the other one has renewed it.
            clock.advance(by: .seconds(601))
            try await other.send { try $0.set(.other, "renewed") }
        }
        let credential = try #require(other.credential)
        other = Visitor(preparing, jar: other.cookies)
        let answered = Mutex(0)
        let request = moving.request()
        at(moment) { [preparing] in
            // Refused once the session has moved.
            do {
                try await preparing.withSession(credential) { session in
                    try session.update(.list, default: []) { $0.append("late") }
                }
                answered.withLock { $0 += 1 }
            } catch let error as SessionError where error.code == .noSession {}
        }
        try await moving.send(request) { try $0.signIn(as: "ann", keeping: .list) }
        let isAnswered = answered.withLock { $0 } == 1
        #expect(isAnswered == (moment != .beforeEnd))
        try await moving.send { session in
            #expect(session.principal == "ann")
            #expect(session[.list] == (isAnswered ? ["late"] : nil))
        }
        try await other.send { #expect($0[.list] == nil) }
    }

    @Test(arguments: Moment.allCases)
    func `a session that is revoked while it moves does not sign in`(moment: Moment) async throws {
        let visitor = try await visitor(as: "ann")
        let moving = atDraining(visitor)
        let id = try #require(try await draining.list(for: "ann").first).id
        at(moment) { [draining] in
            let isRevoked = try await draining.revoke(id, of: "ann")
            #expect(isRevoked)
        }
        await #expect(throws: SessionError(.sessionChanged, "")) {
            try await moving.send { try $0.signIn(as: "ann", keeping: .item) }
        }
        try await moving.send { #expect($0.principal == nil) }
        #expect(try await draining.list(for: "ann").isEmpty)
    }

    @Test func `a session that moves while it is asked for is never missing in the list`() async throws {
        let visitor = try await visitor(as: "ann")
        let moving = atDraining(visitor)
        let asked = Mutex(0)
        for store in [old, new] {
            store.before(.list) {
                let number = asked.withLock { asked in
                    asked += 1
                    return asked
                }
                guard number == 2 else { return }
                do { try await moving.send { try $0.signIn(as: "ann") } } catch { Issue.record(error) }
            }
        }
        #expect(try await !draining.list(for: "ann").isEmpty)
        #expect(try await draining.list(for: "ann").count == 1)
    }

    @Test func `lists and revocations cover both stores`() async throws {
        let (first, second) = (try await visitor(as: "ann"), Visitor(draining))
        try await second.send { try $0.signIn(as: "ann") }
        let third = try await visitor(as: "ann")
        for manager in [preparing, draining] { #expect(try await manager.list(for: "ann").count == 3) }
        let ids = try await (
            old.sessions(of: "ann").map(\.id), new.sessions(of: "ann").map(\.id)
        )
        for id in [ids.0[0], ids.1[0]] { #expect(try await !draining.revoke(id, of: "bob")) }
        #expect(try await preparing.revoke(ids.1[0], of: "ann"))
        try await second.send { #expect($0.principal == nil) }
        #expect(try await draining.revokeAll(of: "ann", except: ids.0[0]) == 1)
        let alive = try await [first, third].asyncCount { visitor in
            var isAlive = false
            try await visitor.send { isAlive = $0.principal == "ann" }
            return isAlive
        }
        #expect(alive == 1)
        try await draining.store.end(ids.0[0])
        #expect(try await draining.list(for: "ann").isEmpty)
    }
}

extension SessionStore {
    /// Ends a session by its ID.
    fileprivate func end(_ id: SessionID) async throws {
        try await (self as? any SessionDirectory)?.revoke(id)
    }
}

extension Array {
    fileprivate func asyncCount(_ isIncluded: (Element) async throws -> Bool) async rethrows -> Int {
        var count = 0
        for element in self where try await isIncluded(element) { count += 1 }
        return count
    }
}
