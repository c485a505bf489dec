// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Synchronization
import Testing

@testable import Sessions

/// Races, each forced at one point: what the other does happens right before the first one's write reaches
/// the store.
@Suite struct `Session manager, races` {
    private let site: Site

    init() throws { site = try Site() }

    private func append(_ text: String, to cookie: String) async throws {
        try await site.send(cookie) { try $0.update(.list, default: []) { $0.append(text) } }
    }

    @Test func `two updates of one list are both in it`() async throws {
        let cookie = try await site.start()
        site.before(.commit) { try await append("b", to: cookie) }
        let runs = Mutex(0)
        let answer = try await site.send(cookie) { session in
            try session.update(.list, default: []) { list in
                runs.withLock { $0 += 1 }
                list.append("a")
            }
            #expect(session[.list] == ["a"])
        }
        #expect(try await site.read(cookie, .list) == ["b", "a"])
        #expect(runs.withLock { $0 } == 2 && answer.setCookie == nil)
        #expect(site.store.counts[.commit] == 3 && site.events() == [])
    }

    @Test func `an update of what the request itself wrote asks nobody`() async throws {
        let cookie = try await site.start()
        site.before(.commit) { try await append("b", to: cookie) }
        try await site.send(cookie) { session in
            try session.set(.list, ["mine"])
            try session.update(.list, default: []) { $0.append("a") }
        }
        #expect(try await site.read(cookie, .list) == ["mine", "a"])
        #expect(site.store.counts[.commit] == 2)
    }

    @Test func `blind writes and increments never conflict`() async throws {
        let cookie = try await site.start { try $0.set(.count, 1) }
        site.before(.commit) { [site] in
            try await site.send(cookie) { session in
                try session.increment(.count, by: 10)
                try session.set(.item, "theirs")
                try session.set(.list, ["theirs"])
            }
        }
        try await site.send(cookie) { session in
            try session.increment(.count, by: 100)
            try session.set(.item, "mine")
        }
        #expect(try await site.read(cookie, .count) == 111)
        #expect(try await site.read(cookie, .item) == "mine")
        #expect(try await site.read(cookie, .list) == ["theirs"])
        #expect(site.store.counts[.commit] == 2)
    }

    @Test func `an update that refuses the fresh value stores nothing of its request`() async throws {
        struct SoldOut: Error {}
        let cookie = try await site.start { try $0.set(.count, 1) }
        site.before(.commit) { [site] in try await site.send(cookie) { try $0.set(.count, 0) } }
        await #expect(throws: SoldOut.self) {
            try await site.send(cookie) { session in
                try session.set(.item, "bought")
                try session.update(.count) { left in
                    guard let number = left, number > 0 else { throw SoldOut() }
                    left = number - 1
                }
            }
        }
        #expect(try await site.read(cookie, .count) == 0)
        #expect(try await site.read(cookie, .item) == nil)
    }

    @Test func `who always comes second is told so, and nothing of it is stored`() async throws {
        let cookie = try await site.start()
        let meddler = Meddler(site, cookie)
        meddler.arm()
        await #expect(throws: SessionError(.conflict, "")) { try await append("a", to: cookie) }
        meddler.stop()
        #expect(try await site.read(cookie, .list) == nil)
        #expect(site.store.counts[.commit] == 64 && site.events() == [.refused])
    }

    @Test func `fifty requests at once lose no update, in two processes too`() async throws {
        let other = try Site(sharing: site)
        let cookie = try await site.start()
        try await withThrowingTaskGroup { group in
            for number in 0..<50 {
                group.addTask { [site] in
                    try await (number % 2 == 0 ? site : other).send(cookie) { session in
                        try session.update(.list, default: []) { $0.append("\(number)") }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await site.read(cookie, .list).map(Set.init) == Set((0..<50).map(String.init)))
        #expect(try await site.read(cookie, .list)?.count == 50)
    }

    // MARK: Sign-in against everything

    @Test func `a sign-in that a sign-out overtakes starts a session of its own`() async throws {
        let cookie = try await site.start()
        let id = try await site.record(cookie)?.id
        site.before(.commit) { [site] in try await site.send(cookie) { try $0.signOut() } }
        let answer = try await site.send(cookie) { session in
            try session.set(.other, "kept")
            try session.signIn(as: "ann", keeping: .item, .other)
        }
        let record = try await site.found(answer.cookie)
        #expect(record.principal == "ann" && record.id != id)
        #expect(record.attributes == ["other": Array("\"kept\"".utf8)])
        #expect(try await site.record(cookie) == nil)
        #expect(site.events() == [.signedOut, .signedIn])
    }

    @Test func `a sign-in that the end of all the user's sessions overtakes is ended with them`() async throws
    {
        let cookie = try await site.start(as: "ann")
        site.before(.commit) { [site] in try await site.manager.revokeAll(of: "ann") }
        await #expect(throws: SessionError(.sessionChanged, "")) {
            try await site.send(cookie) { try $0.signIn(as: "ann") }
        }
        #expect(site.events() == [.revoked, .dropped])
        #expect(try await site.manager.list(for: "ann").isEmpty)
        #expect(site.store.counts[.create] == 1)
    }

    @Test func `a sign-in after the end of all sessions in the same request signs in`() async throws {
        let cookie = try await site.start(as: "ann")
        let other = try await site.start(as: "ann")
        let answer = try await site.send(cookie, method: .post) { [site] session in
            try await site.manager.revokeAll(of: "ann")
            try session.signIn(as: "ann")
        }
        #expect(try await site.found(answer.cookie).principal == "ann")
        #expect(try await site.record(cookie) == nil)
        #expect(try await site.record(other) == nil)
    }

    @Test func `of two sign-ins with one cookie the second has a session of its own`() async throws {
        let cookie = try await site.start()
        let first = Mutex<String?>(nil)
        site.before(.commit) { [site] in
            let answer = try await site.send(cookie) { try $0.signIn(as: "bob", keeping: .item) }
            first.withLock { $0 = answer.cookie }
        }
        let answer = try await site.send(cookie) { try $0.signIn(as: "ann", keeping: .item) }
        let bob = try await site.found(first.withLock { $0 })
        let ann = try await site.found(answer.cookie)
        #expect(bob.principal == "bob" && ann.principal == "ann" && bob.id != ann.id)
        // Both have read the attribute with a secret that was valid then.
        #expect(bob.attributes["item"] != nil && ann.attributes["item"] != nil)
    }

    @Test func `a write that a sign-in overtakes is dropped, without a cookie and without an error`()
        async throws
    {
        let cookie = try await site.start()
        site.before(.commit) { [site] in
            try await site.send(cookie) { try $0.signIn(as: "ann", keeping: .item) }
        }
        let answer = try await site.send(cookie) { try $0.set(.item, "late") }
        #expect(answer.setCookie == nil && answer.response.headerFields[.vary] == "Cookie")
        #expect(site.events() == [.signedIn, .dropped])
        #expect(try await site.manager.list(for: "ann", showing: .item).map { $0[.item] } == ["tea"])
        #expect(site.store.counts[.create] == 1)
    }

    @Test func `a write that a sign-out overtakes brings nothing back`() async throws {
        let cookie = try await site.start()
        site.before(.commit) { [site] in try await site.send(cookie) { try $0.signOut() } }
        let answer = try await site.send(cookie) { try $0.set(.item, "late") }
        #expect(answer.setCookie == nil && site.events() == [.signedOut, .dropped])
        #expect(try await site.record(cookie) == nil && site.store.counts[.create] == 1)
    }

    @Test func `a sign-out that a sign-in overtakes leaves the new cookie alone`() async throws {
        let cookie = try await site.start()
        let fresh = Mutex<String?>(nil)
        site.before(.end) { [site] in
            let answer = try await site.send(cookie) { try $0.signIn(as: "ann") }
            fresh.withLock { $0 = answer.cookie }
        }
        let answer = try await site.send(cookie) { try $0.signOut() }
        #expect(answer.setCookie == nil && site.events() == [.signedIn, .dropped])
        #expect(try await site.found(fresh.withLock { $0 }).principal == "ann")
    }

    @Test func `a session that is over is not extended by a late touch`() async throws {
        let cookie = try await site.start()
        site.clock.advance(by: .seconds(1000))
        site.before(.touch) { [site] in try await site.send(cookie) { try $0.signOut() } }
        try await site.send(cookie)
        #expect(try await site.record(cookie) == nil)
    }

    // MARK: Cookies that no longer hold

    @Test func `what a superseded cookie writes is dropped, and its sign-in starts afresh`() async throws {
        let old = try await site.start()
        let new = try #require(try await site.send(old) { try $0.signIn(as: "ann") }.cookie)
        _ = site.events()
        let write = try await site.send(old) { session in
            #expect(session.id == nil && session[.item] == nil)
            try session.set(.item, "planted")
        }
        #expect(write.setCookie == nil && site.events() == [.superseded, .dropped])
        let signIn = try await site.send(old) { try $0.signIn(as: "bob") }
        #expect(try await site.found(signIn.cookie).principal == "bob")
        #expect(try await site.record(new)?.attributes.isEmpty == true)
    }

    @Test func `what a signed-out cookie writes goes into a fresh session`() async throws {
        let old = try await site.start()
        let id = try await site.record(old)?.id
        let out = try await site.send(old) { try $0.signOut() }
        #expect(out.cookie == nil && out.setCookie?.contains("Max-Age=0") == true)
        let answer = try await site.send(old) { try $0.set(.item, "new") }
        let record = try await site.found(answer.cookie)
        #expect(record.id != id && answer.cookie != old)
    }

    @Test(arguments: [false, true]) func `a replay after the grace ends the session if the policy says so`(
        ends: Bool
    ) async throws {
        let site = try Site(policy: SessionPolicy(endsOnTheft: ends))
        let old = try await site.start(as: "ann")
        let new = try #require(try await site.send(old) { try $0.renew() }.cookie)
        _ = site.events()
        site.clock.advance(by: .seconds(29))
        try await site.send(old)
        #expect(site.events() == [])
        #expect(try await site.record(new) != nil)
        site.clock.advance(by: .seconds(1))
        let answer = try await site.send(old)
        #expect(site.events() == (ends ? [.replayed, .revoked] : [.replayed]))
        #expect(answer.setCookie == nil)
        #expect(try await (site.record(new) == nil) == ends)
    }
}

/// Somebody who commits to a session right before each commit of everybody else.
private final class Meddler: Sendable {
    private let site: Site
    private let cookie: String
    private let isActive = Mutex(true)

    init(_ site: Site, _ cookie: String) {
        self.site = site
        self.cookie = cookie
    }

    func arm() {
        guard isActive.withLock({ $0 }) else { return }
        site.before(.commit) { [self] in
            try await site.bypass(cookie, ["meddled": .set([0x31])])
            arm()
        }
    }

    func stop() { isActive.withLock { $0 = false } }
}
