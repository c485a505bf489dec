// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import TestSupport
import Testing

@testable import Sessions

/// Earlier cookies of a session, parallel requests, and clocks that differ.
@Suite(.limited) struct `Revocable store, races and clocks` {
    private let offsets = [0, 30, -30].map { Duration.seconds($0) }
    private let change = SessionChange(operations: ["n": .increment(1)], policy: .init())

    @Test func `a sign-in ends earlier cookies at once, also those of an instance whose clock is ahead`()
        async throws
    {
        let site = try await RevocableFixture()
        for first in offsets {
            for second in offsets {
                let (one, two) = (try site.instance(ahead: first), try site.instance(ahead: second))
                let old = try await one.start(["item": "tea"])
                // A fork of the same cookie, in its grace.
                let renewed = try await one.renew(old)
                let user = try await two.signIn(old, as: "ann")
                let late = ReplacedSecret(isLate: true, isReplay: false, hadRights: false)
                for store in [one, two] {
                    for earlier in [old, renewed] {
                        let isSuperseded = try await store.absence(earlier)
                        #expect(
                            isSuperseded == .superseded(try await two.found(user).id, late),
                            "\(first) \(second)"
                        )
                    }
                    #expect(try await store.user(user) == "ann")
                    #expect(try await store.text("item", user) == "tea")
                }
                // A second sign-in with shorter limits does not make the end of the first one forgotten.
                let short = SessionPolicy(idleTimeout: .seconds(60), lifetime: .seconds(60))
                let admin = try await two.signIn(
                    try await one.signIn(user, as: "ann", policy: short),
                    as: "root",
                    policy: short
                )
                #expect(try await one.user(admin) == "root")
                try await site.letTimePass(.seconds(300))
                #expect(try await one.absence(user) != nil)
                #expect(try await one.absence(renewed) != nil)
            }
        }
    }

    @Test func `a renewal ends earlier cookies when its grace is over, by the clock of Redis`() async throws {
        let site = try await RevocableFixture()
        let instances = try offsets.map { try site.instance(ahead: $0) }
        for one in instances {
            let old = try await one.start(["item": "tea"], as: "ann")
            let new = try await one.renew(old)
            try await site.letTimePass(.seconds(20))
            for two in instances {
                #expect(try await two.found(old).secretStatus == .previous)
                #expect(try await two.found(new).secretStatus == .current)
            }
            try await site.letTimePass(.seconds(11))
            for two in instances {
                let late = ReplacedSecret(isLate: true, isReplay: false)
                #expect(try await two.absence(old) == .superseded(try await two.found(new).id, late))
                #expect(try await two.user(new) == "ann")
            }
        }
    }

    @Test func `a browser whose requests run in parallel during a renewal stays signed in`() async throws {
        let site = try await RevocableFixture()
        let store = site.store
        for last in 0..<4 {
            let old = try await store.start(as: "ann")
            let record = try await store.found(old)
            let renewal = SessionChange(operations: [:], rotation: .renew, policy: .init())
            // Four requests with one cookie; the browser keeps the cookie that comes last.
            let first = try await store.commit(renewal, to: record).newCredential()
            let second = try await store.commit(renewal, to: record).newCredential()
            let written = try await store.commit(change, to: record).newCredential()
            let touched = try await store.touch(try await store.found(old), isDue: false)
            let cookies = [first, second, written, try #require(touched)]
            try await site.letTimePass(.seconds(60))
            #expect(try await store.user(cookies[last]) == "ann", "signed out by cookie \(last)")
            #expect(try await store.user(old) == nil)
        }
    }

    @Test func `of parallel sign-ins with one cookie one succeeds, and another user's session is not listed`()
        async throws
    {
        let site = try await RevocableFixture()
        let record = try await site.store.found(try await site.store.start())
        let signedIn = try await withThrowingTaskGroup(of: String?.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let change = SessionChange(
                        operations: [:],
                        rotation: .signIn(principal: "u\(number)", keeping: []),
                        policy: .init()
                    )
                    let result = try await site.store.commit(change, to: record)
                    return result.absence == nil ? "u\(number)" : nil
                }
            }
            return try await group.reduce(into: [String]()) { users, user in
                if let user { users.append(user) }
            }
        }
        #expect(signedIn.count == 1)
        for number in 0..<20 {
            let count = try await site.store.sessions(of: "u\(number)").count
            #expect(count == (signedIn == ["u\(number)"] ? 1 : 0))
        }
    }

    /// The end comes between the load and the write of a request.
    @Test(arguments: ["sign-out", "revocation", "all"], ["renew", "sign-in", "write", "touch"])
    func `a request that was under way does not revive what was ended`(end: String, late: String)
        async throws
    {
        let site = try await RevocableFixture()
        let store = site.store
        for _ in 0..<20 {
            let old = try await store.start(as: "ann")
            let record = try await store.found(old)
            async let ended: Void = {
                switch end {
                case "sign-out":
                    let isEnded = try await store.end(record) == .ended
                    // A cookie that the sign-in has just replaced ends nothing.
                    #expect(isEnded || late == "sign-in")
                case "revocation": #expect(try await store.revoke(record.id, of: "ann"))
                default: _ = try await store.revokeAll(of: "ann", except: nil)
                }
            }()
            async let written: SessionCredential? = {
                let rotation: SessionChange.Rotation =
                    switch late {
                    case "renew": .renew
                    case "sign-in": .signIn(principal: "ann", keeping: [])
                    default: .none
                    }
                if late == "touch" { return try await store.touch(record, isDue: true) }
                let change = SessionChange(operations: ["a": .set([49])], rotation: rotation, policy: .init())
                return try? await store.commit(change, to: record).newCredential()
            }()
            let cookie = try? await written
            _ = try? await ended
            #expect(try await store.absence(old) != nil)
            guard let cookie, try await store.absence(cookie) == nil else { continue }
            // Then the sign-in came after the end as a whole, and the next call finds it.
            #expect(late == "sign-in" && end != "revocation")
            #expect(try await store.sessions(of: "ann").count == 1)
            #expect(try await store.revokeAll(of: "ann", except: nil) == 1)
            #expect(try await store.absence(cookie) == .ended(.revocation))
        }
    }

    @Test func `a clock of Redis that is set back weakens no revocation`() async throws {
        let site = try await RevocableFixture()
        let store = site.store
        let before = try await store.start(as: "ann")
        let key = try #require(try await site.redis.server.keys(site.redis.prefix + ":d:").first)
        // As if the sign-in and the end before it had happened an hour later by another server's clock.
        _ = try await store.revokeAll(of: "bob", except: nil)
        let later = site.clock.now.milliseconds + 3_600_000
        try await site.redis.server.admin("HSET", key, "@before", "\(later)")
        #expect(try await store.absence(before) == .ended(.revocation))
        let after = try await store.start(as: "ann")
        #expect(try await store.user(after) == "ann", "no user can sign in for an hour")
        _ = try await store.revokeAll(of: "ann", except: nil)
        #expect(try await store.absence(after) == .ended(.revocation))
        #expect(try await store.user(try await store.start(as: "ann")) == "ann")
    }

    @Test func `the end of all sessions is remembered as long as a session can live`() async throws {
        let site = try await RevocableFixture()
        let long = SessionPolicy(idleTimeout: .seconds(900 * 86_400), lifetime: .seconds(900 * 86_400))
        let cookie = try await site.store.start(as: "ann", policy: long)
        _ = try await site.store.revokeAll(of: "ann", except: nil)
        try await site.letTimePass(.seconds(500 * 86_400))
        #expect(try await site.store.absence(cookie) == .ended(.revocation))
    }
}
