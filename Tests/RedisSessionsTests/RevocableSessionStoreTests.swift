// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import TestSupport
import Testing

@testable import Sessions

/// What is revoked, superseded and listed, and what that costs.
@Suite(.limited) struct `Revocable store` {
    @Test func `asks Redis once for a cookie that opens, and not at all for any other`() async throws {
        let site = try await RevocableFixture(server: RedisServer())
        let user = try await site.store.signIn(try await site.store.start(), as: "ann")
        let visitor = try await site.store.start()
        var cost = try await site.cost { _ = try await site.store.load(user) }
        #expect(cost.commands == ["get": 1, "hmget": 1] && cost.roundTrips == 1)
        cost = try await site.cost { _ = try await site.store.load(visitor) }
        #expect(cost.commands == ["get": 1] && cost.roundTrips == 1)
        cost = try await site.cost {
            for text in ["", "x", "s1.a.AAAA", RevocableFixture.splice(user, visitor).value] {
                #expect(try await site.store.absence(SessionCredential(text)) != nil)
            }
            _ = try await site.store.start()
            _ = try await site.store.touch(try await site.store.found(visitor), isDue: true)
        }
        #expect(cost.commands == ["get": 1] && cost.roundTrips == 1)
        // Without a cookie there is nothing to load.
        let manager = try SessionManager(store: site.store)
        cost = try await site.cost {
            try await Visitor(manager).send { #expect($0.principal == nil) }
            try await Visitor(manager).send { try $0.set(.item, "tea") }
        }
        #expect(cost.commands == [:] && cost.roundTrips == 0)
    }

    @Test func `writes cost the round trips that it declares`() async throws {
        let site = try await RevocableFixture(server: RedisServer())
        let (store, change) = (site.store, SessionChange(operations: ["n": .increment(1)], policy: .init()))
        // Teaches Redis the scripts.
        let first = try await store.signIn(try await store.start(), as: "ann")
        _ = try await store.end(try await store.found(first))
        _ = try await store.revokeAll(of: "ann", except: nil)

        let visitor = try await store.start()
        let anonymous = try await store.found(visitor)
        var cost = try await site.cost { _ = try await store.commit(change, to: anonymous) }
        #expect(cost.commands == ["get": 1] && cost.roundTrips == 1)
        var user = visitor
        cost = try await site.cost {
            let signIn = SessionChange(
                operations: [:],
                rotation: .signIn(principal: "ann", keeping: []),
                policy: .init()
            )
            user = try await store.commit(signIn, to: anonymous).newCredential()
        }
        #expect(cost.commands["evalsha"] == 2 && cost.commands["eval"] == nil && cost.roundTrips == 2)
        let record = try await store.found(user)
        cost = try await site.cost { _ = try await store.commit(change, to: record) }
        // The script is the entry in the list; nothing waits for it.
        #expect(cost.commands["get"] == 1 && cost.commands["hmget"] == 2)
        #expect(cost.commands["evalsha"] == 1 && cost.roundTrips <= 2)
        cost = try await site.cost { _ = try await store.touch(record, isDue: true) }
        #expect(cost.commands["evalsha"] == 1 && cost.commands["get"] == nil)
        cost = try await site.cost { _ = try await store.touch(record, isDue: false) }
        #expect(cost.commands == [:])
        cost = try await site.cost { _ = try await store.sessions(of: "ann") }
        #expect(cost.commands == ["hgetall": 1, "time": 1] && cost.roundTrips == 1)
        cost = try await site.cost { _ = try await store.end(record) }
        // Nothing waits for the removal from the list.
        #expect(cost.commands["evalsha"] == 1 && cost.commands["hdel"] == 1 && cost.roundTrips <= 2)
    }

    @Test func `ended cookies and their copies stay ended on every instance`() async throws {
        let site = try await RevocableFixture()
        let instances = try [
            site.store, site.instance(ahead: .seconds(30)), site.instance(ahead: .seconds(-30)),
        ]
        for end in 0..<3 {
            let cookie = try await site.store.start(as: "ann")
            let record = try await site.store.found(cookie)
            let change = SessionChange(operations: ["n": .increment(1)], policy: .init())
            let copy = try await instances[1].commit(change, to: record).newCredential()
            let touched = try await instances[2].touch(try await instances[2].found(copy), isDue: true)
            switch end {
            case 0: #expect(try await instances[1].end(try await instances[1].found(copy)) == .ended)
            case 1: #expect(try await instances[2].revoke(record.id, of: "ann"))
            default: #expect(try await instances[1].revokeAll(of: "ann", except: nil) == 1)
            }
            for passed in [0, 1700] {
                try await site.letTimePass(.seconds(passed))
                for store in instances {
                    for cookie in [cookie, copy, try #require(touched)] {
                        guard let absence = try await store.absence(cookie) else {
                            Issue.record("end \(end) was undone after \(passed) s")
                            continue
                        }
                        let reason: SessionEndReason = end == 0 ? .signOut : .revocation
                        #expect(absence == .ended(reason) || passed > 0 && absence == .unknown)
                    }
                }
            }
            #expect(try await site.store.commit(change, to: record).absence != nil)
        }
    }

    @Test func `what another user asks to end stays as it is`() async throws {
        let site = try await RevocableFixture()
        let cookie = try await site.store.start(as: "ann")
        let id = try await site.store.found(cookie).id
        let before = try await site.contents()
        #expect(try await !site.store.revoke(id, of: "bob"))
        #expect(try await !site.store.revoke(SessionID(), of: "ann"))
        #expect(try await site.contents() == before)
        #expect(try await site.store.user(cookie) == "ann")
        // Another user signs in in the same browser: the session is theirs from then on.
        let other = try await site.store.signIn(cookie, as: "bob")
        #expect(try await site.store.sessions(of: "ann").isEmpty)
        #expect(try await !site.store.revoke(id, of: "ann"))
        #expect(try await site.store.revokeAll(of: "ann", except: nil) == 0)
        #expect(try await site.store.user(other) == "bob")
    }

    @Test func `the end of all sessions covers those that Redis has lost from its list`() async throws {
        let site = try await RevocableFixture()
        var cookies: [SessionCredential] = []
        for _ in 0..<3 { cookies.append(try await site.store.start(as: "ann")) }
        for key in try await site.redis.server.keys(site.redis.prefix) {
            try await site.redis.server.admin("DEL", key)
        }
        #expect(try await site.store.sessions(of: "ann").isEmpty)
        let kept = try await site.store.found(cookies[0]).id
        #expect(try await site.store.revokeAll(of: "ann", except: kept) == 0)
        #expect(try await site.store.user(cookies[0]) == "ann")
        for cookie in cookies.dropFirst() {
            #expect(try await site.store.absence(cookie) == .ended(.revocation))
        }
        // A sign-in afterwards is not concerned.
        #expect(try await site.store.user(try await site.store.start(as: "ann")) == "ann")
        #expect(try await site.store.revokeAll(of: "ann", except: nil) == 1)
        #expect(try await site.store.absence(cookies[0]) == .ended(.revocation))
    }

    @Test func `two devices that end each other's sessions do not revive one`() async throws {
        let site = try await RevocableFixture()
        let (first, second) = (try await site.store.start(as: "ann"), try await site.store.start(as: "ann"))
        let ids = (try await site.store.found(first).id, try await site.store.found(second).id)
        #expect(try await site.store.revokeAll(of: "ann", except: ids.1) == 1)
        #expect(try await site.store.revokeAll(of: "ann", except: ids.0) == 1)
        for cookie in [first, second] {
            #expect(try await site.store.absence(cookie) == .ended(.revocation))
        }
    }

    @Test func `the list shows who is there, since when, and when they were last used`() async throws {
        let site = try await RevocableFixture()
        var cookie = try await site.store.start(as: "ann")
        let id = try await site.store.found(cookie).id
        func entry() async throws -> SessionSummary? { try await site.store.sessions(of: "ann").first }
        let first = try #require(try await entry())
        #expect(first.id == id && abs((first.created - site.clock.now).components.seconds) < 10)
        // Each use moves the last one, although none comes late after the one before.
        let change = SessionChange(operations: ["n": .increment(1)], policy: .init())
        for _ in 0..<20 {
            try await site.letTimePass(.seconds(120))
            cookie = try await site.store.commit(change, to: try await site.store.found(cookie))
                .newCredential()
        }
        _ = try await site.redis.client.send(RedisCommand("PING"))
        let used = try #require(try await entry())
        #expect(SessionInstant.now - used.lastUsed < .seconds(20))
        try await site.letTimePass(.seconds(1000))
        cookie = try #require(
            try await site.store.touch(try await site.store.found(cookie), isDue: true)
        )
        _ = try await site.redis.client.send(RedisCommand("PING"))
        let touched = try #require(try await entry())
        #expect(SessionInstant.now - touched.lastUsed < .seconds(20))
        try await site.letTimePass(.seconds(1801))
        #expect(try await entry() == nil)
        #expect(try await site.store.absence(cookie) == .unknown)
        #expect(try await !site.store.revoke(id, of: "ann"))
    }

    @Test func `while Redis is away, a cookie that opens gets an honest answer and others a plain one`()
        async throws
    {
        let site = try await RevocableFixture(server: RedisServer())
        let user = try await site.store.start(as: "ann")
        let visitor = try await site.store.start(["item": "tea"])
        let record = try await site.store.found(visitor)
        await site.redis.server.crash()
        let away = SessionError(.storeUnavailable, "")
        await #expect(throws: away) { try await site.store.load(user) }
        await #expect(throws: away) { try await site.store.load(visitor) }
        await #expect(throws: away) { try await site.store.signIn(visitor, as: "ann") }
        await #expect(throws: away) { try await site.store.start(as: "ann") }
        await #expect(throws: away) { try await site.store.end(record) }
        await #expect(throws: away) { try await site.store.revokeAll(of: "ann", except: nil) }
        await #expect(throws: away) { try await site.store.check() }
        #expect(try await site.store.absence(SessionCredential("s1.a.AAAA")) == .malformed)
        _ = try await site.store.start()
        try await site.redis.server.restart()
        #expect(await poll(seconds: 20) { (try? await site.store.check()) != nil })
        #expect(try await site.store.text("item", visitor) == "tea")
    }

    @Test func `a full Redis takes no sign-in and lets everybody sign out`() async throws {
        let site = try await RevocableFixture(server: RedisServer())
        let users = (try await site.store.start(as: "ann"), try await site.store.start(as: "ann"))
        let visitor = try await site.store.start(["item": "tea"])
        let record = try await site.store.found(users.0)
        try await site.redis.server.admin("CONFIG", "SET", "maxmemory", "1")
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await site.store.signIn(visitor, as: "bob")
        }
        #expect(try await site.store.text("item", visitor) == "tea")
        #expect(try await site.store.end(record) == .ended)
        #expect(try await site.store.absence(users.0) == .ended(.signOut))
        #expect(try await site.store.revokeAll(of: "ann", except: nil) == 1)
        #expect(try await site.store.absence(users.1) == .ended(.revocation))
    }
}
