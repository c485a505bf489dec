// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// A site that keeps sessions in sealed cookies, and its visitors.
struct SealedSite: Sendable {
    let clock: ManualClock
    let keys: SealKeyRing
    let manager: SessionManager
    let recorder: Recorder

    init(
        policy: SessionPolicy = SessionPolicy(),
        cookie: SessionCookie = SessionCookie(),
        application: String = "shop",
        maximumBytes: Int = 8192,
        keys: [SealKey]? = nil,
        after other: SealedSite? = nil
    ) throws {
        clock = other?.clock ?? ManualClock()
        recorder = other?.recorder ?? Recorder()
        self.keys = try SealKeyRing(keys ?? [Self.key("a", 1)])
        let store = try SealedSessionStore(
            self.keys,
            application: application,
            cookie: cookie,
            maximumBytes: maximumBytes
        ) { [clock] in
            clock.now
        }
        manager = try SessionManager(
            store: store,
            policy: policy,
            cookie: cookie,
            logger: recorder.logger,
            onEvent: { [recorder] in recorder.note($0) }
        )
    }

    static func key(_ id: String, _ seed: UInt8) throws -> SealKey {
        try SealKey(id: id, bytes: (0..<32).map { $0 &* 7 &+ seed })
    }

    func events() -> [SessionEvent.Kind] { recorder.takeEvents().map(\.kind) }

    /// The same visitor after a restart of the site with other keys.
    func restarted(with keys: [SealKey], _ visitor: Visitor) throws -> Visitor {
        Visitor(try SealedSite(keys: keys, after: self).manager, jar: visitor.cookies)
    }
}

extension HTTPResponse {
    var setCookies: [String] { headerFields[values: .setCookie] }
}

@Suite struct `Sealed store` {
    private let site: SealedSite

    init() throws { site = try SealedSite() }

    private func visitor(_ handler: (Session) throws -> Void = { try $0.set(.item, "tea") }) async throws
        -> Visitor
    {
        let visitor = Visitor(site.manager)
        try await visitor.send { try handler($0) }
        return visitor
    }

    @Test func `a session comes back with the next request, on another instance too`() async throws {
        let visitor = try await visitor { session in
            try session.set(.item, "tea")
            try session.increment(.count, by: 41)
        }
        let other = try SealedSite()
        other.clock.advance(by: .seconds(-59))
        let elsewhere = Visitor(other.manager, jar: visitor.cookies)
        try await elsewhere.send { session in
            #expect(session[.item] == "tea" && session[.count] == 41 && session.version == 1)
            try session.increment(.count)
        }
        try await elsewhere.send { #expect($0[.count] == 42 && $0.version == 2) }
    }

    @Test func `the cookie is written when the session changes or its deadline is due, never by plain reads`()
        async throws
    {
        let visitor = try await visitor()
        for _ in 0..<3 { #expect(try await visitor.send { _ = $0[.item] }.setCookies.isEmpty) }
        #expect(try await visitor.send { try $0.set(.item, "cake") }.setCookies.count == 1)
        site.clock.advance(by: .seconds(134))
        #expect(try await visitor.send().setCookies.isEmpty)
        site.clock.advance(by: .seconds(46))
        #expect(try await visitor.send().setCookies.count == 1)
        #expect(try await visitor.send().setCookies.isEmpty)
        for _ in 0..<20 {
            site.clock.advance(by: .seconds(1700))
            try await visitor.send { #expect($0[.item] == "cake") }
        }
    }

    @Test func `a session ends at its idle timeout and at its deadline, whatever the browser keeps`()
        async throws
    {
        let visitor = try await visitor()
        site.clock.advance(by: .seconds(1800))
        try await visitor.send { #expect($0[.item] == nil && $0.id == nil) }
        #expect(site.events() == [.created, .unknown])
        try await visitor.send { try $0.set(.item, "new") }
        for _ in 0..<26 {
            site.clock.advance(by: .seconds(1650))
            try await visitor.send { #expect($0[.item] == "new") }
        }
        site.clock.advance(by: .seconds(300))
        try await visitor.send { #expect($0[.item] == nil) }
    }

    @Test func `a sign-in keeps what it is told to, and a sign-out deletes every part of the cookie`()
        async throws
    {
        let visitor = try await visitor { session in
            try session.set(.item, String(repeating: "tea ", count: 1200))
            try session.set(.other, "x")
        }
        #expect(visitor.cookieField?.contains("__Host-session.1=") == true)
        try await visitor.send { try $0.signIn(as: "ann", keeping: .item) }
        try await visitor.send { session in
            #expect(session.principal == "ann" && session[.item]?.count == 4800 && session[.other] == nil)
            try session.remove(.item)
        }
        #expect(visitor.cookieField?.contains("__Host-session.1=") == false)
        try await visitor.send { try $0.set(.item, String(repeating: "x", count: 5000)) }
        try await visitor.send { try $0.signOut() }
        #expect(visitor.cookieField == nil)
        #expect(site.events() == [.created, .signedIn, .signedOut])
    }

    @Test func `a copy of the cookie outlives the sign-out, as the documentation says`() async throws {
        let visitor = try await visitor { try $0.signIn(as: "ann") }
        let thief = Visitor(site.manager, jar: visitor.cookies)
        try await visitor.send { try $0.signOut() }
        try await thief.send { #expect($0.principal == "ann") }
        site.clock.advance(by: .seconds(1800))
        try await thief.send { #expect($0.principal == nil) }
    }

    @Test func `too much is refused and changes nothing`() async throws {
        let visitor = try await visitor()
        let before = visitor.cookieField
        await #expect(throws: SessionError(.tooLarge, "")) {
            try await visitor.send { session in
                try session.set(.other, "small")
                try session.set(.item, String(repeating: "x", count: 6100))
            }
        }
        #expect(visitor.cookieField == before && site.events() == [.created, .refused])
        try await visitor.send { #expect($0[.item] == "tea" && $0[.other] == nil) }
        // What fits to the last byte can be kept alive and sealed with another key.
        var low = 5000
        var high = 6200
        while high - low > 1 {
            let middle = (low + high) / 2
            do {
                try await visitor.send { try $0.set(.item, String(repeating: "x", count: middle)) }
                low = middle
            } catch { high = middle }
        }
        site.clock.advance(by: .seconds(1700))
        #expect(try await visitor.send().setCookies.count >= 2)
        let keys = [try SealedSite.key(String(repeating: "k", count: 32), 9), try SealedSite.key("a", 1)]
        let later = try site.restarted(with: keys, visitor)
        #expect(try await later.send().setCookies.count >= 2)
        let answer1 = try await later.send { #expect($0[.item]?.count == low) }
        #expect(answer1.setCookies.isEmpty)
    }

    // MARK: Keys

    @Test func `another key seals the cookie anew with the next response, and nothing else changes`()
        async throws
    {
        let keys = [try SealedSite.key("b", 2), try SealedSite.key("a", 1)]
        let visitor = try site.restarted(with: keys, try await visitor())
        site.clock.advance(by: .seconds(100))
        #expect(try await visitor.send(status: .notModified).setCookies.isEmpty)
        #expect(try await visitor.send().setCookies.count == 1)
        #expect(visitor.cookieField?.contains("s1.b.") == true)
        let answer2 = try await visitor.send { #expect($0[.item] == "tea" && $0.version == 1) }
        #expect(answer2.setCookies.isEmpty)
        // The idle timeout still counts from the last use.
        site.clock.advance(by: .seconds(1699))
        let last = try site.restarted(with: [try SealedSite.key("b", 2)], visitor)
        try await Visitor(
            try SealedSite(keys: [SealedSite.key("b", 2)], after: site).manager,
            jar: last.cookies
        )
        .send { #expect($0[.item] == "tea") }
        site.clock.advance(by: .seconds(1))
        try await last.send { #expect($0[.item] == nil) }
    }

    @Test func `a key that was taken away opens nothing, and what is written then is a new session`()
        async throws
    {
        let before = try await visitor { try $0.signIn(as: "ann") }
        let visitor = try site.restarted(with: [try SealedSite.key("b", 2)], before)
        try await visitor.send { session in
            #expect(session.principal == nil && session.id == nil)
            try session.set(.item, "new")
        }
        try await visitor.send { #expect($0[.item] == "new") }
        #expect(site.events() == [.signedIn, .unknownKey, .created])
    }

    // MARK: Bad input

    @Test func `forged, cut, swapped and unknown tokens look the same from outside and are counted apart`()
        async throws
    {
        let visitor = try await visitor()
        let token = try #require(visitor.credential).value
        let admin = Visitor(try SealedSite(application: "admin").manager)
        try await admin.send { try $0.set(.item, "tea") }
        let foreign = try #require(admin.credential).value
        _ = site.events()
        let flipped = token.dropLast(5) + (token.dropLast(4).last == "A" ? "B" : "A") + token.suffix(4)
        let tokens: [(String, SessionEvent.Kind)] = [
            (String(flipped), .forged), (foreign, .forged), ("s1.zz." + token.dropFirst(5), .unknownKey),
            (String(token.prefix((token.count - 5) / 4 * 4 + 1)), .forged),
            ("s1.a", .malformed), ("s2" + token.dropFirst(2), .malformed), (token + "=", .malformed),
            ("x", .malformed),
        ]
        for (token, kind) in tokens {
            let request: HTTPFields = [.cookie: "__Host-session=\(token)"]
            let response = try await Visitor(site.manager).send(request) {
                #expect($0.id == nil && $0[.item] == nil)
            }
            #expect(response.headerFields == [.vary: "Cookie", .cacheControl: "private, no-cache"])
            #expect(site.events() == [kind])
        }
        try await visitor.send { #expect($0[.item] == "tea") }
    }

    @Test func `an authentic seal that does not decode, or comes from the future, is no session`()
        async throws
    {
        let seal = try CookieSealer(
            site.keys,
            application: "shop",
            cookieName: "__Host-session"
        )
        var session = SealedPayload(
            SessionDraft(attributes: [:], policy: SessionPolicy()),
            now: site.clock.now + .seconds(61)
        )
        for text in [try seal.seal([1, 2, 3]), try seal.seal([]), try seal.seal(session.encoded)] {
            try await Visitor(site.manager).send([.cookie: "__Host-session=\(text)"]) {
                #expect($0.id == nil)
            }
            #expect(site.events() == [.unreadable])
        }
        session.touch(at: site.clock.now)
        session.issued = site.clock.now
        session.times.lastUsed = site.clock.now
        try await Visitor(site.manager).send([.cookie: "__Host-session=\(try seal.seal(session.encoded))"]) {
            #expect($0.id != nil)
        }
    }

    // MARK: What can not be done

    @Test func `without a response that carries the cookie nothing changes, and that is said`() async throws {
        let visitor = try await visitor { try $0.signIn(as: "ann") }
        let before = visitor.cookieField
        let credential = try #require(visitor.credential)
        _ = site.events()
        for change: @Sendable (Session) throws -> Void in [
            { try $0.set(.item, "x") }, { try $0.increment(.count) }, { try $0.signOut() },
        ] {
            await #expect(throws: SessionError(.unsupported, "")) {
                try await site.manager.withSession(credential) { try change($0) }
            }
        }
        // With a 304, as for a visitor without a session anywhere: the page goes out, an event tells the rest.
        try await visitor.send(status: .notModified) { try $0.set(.item, "x") }
        await #expect(throws: SessionError(.unsupported, "")) {
            try await visitor.send(status: .notModified) { try $0.signOut() }
        }
        #expect(site.events().filter { $0 == .dropped }.count == 1)
        #expect(visitor.cookieField == before)
        #expect(try await site.manager.withSession(credential) { $0.principal } == "ann")
        await #expect(throws: SessionError(.unsupported, "")) { try await site.manager.list(for: "ann") }
        await #expect(throws: SessionError(.unsupported, "")) { try await site.manager.revokeAll(of: "ann") }
    }

    @Test func `a manager whose cookie has another name is refused`() throws {
        let store = try SealedSessionStore(
            site.keys,
            application: "shop",
            cookie: SessionCookie(name: "__Host-other")
        )
        #expect(throws: SessionError(.invalidConfiguration, "")) { try SessionManager(store: store) }
        _ = try SessionManager(store: store, cookie: SessionCookie(name: "__Host-other"))
        for maximum in [0, 1023, 8193] {
            #expect(throws: SessionError(.invalidConfiguration, "")) {
                try SealedSessionStore(site.keys, application: "shop", maximumBytes: maximum)
            }
        }
    }

    @Test func `nothing that is logged or printed holds a cookie, a user name or a value`() async throws {
        let visitor = try await visitor { session in
            try session.set(.item, "pl4nted")
            try session.signIn(as: "pl4nted", keeping: .item)
        }
        let token = try #require(visitor.credential).value
        try await visitor.send([.cookie: "__Host-session=\(token.dropLast(4))AAAA"])
        let credential = SessionCredential(token)
        var text = site.recorder.lines.joined() + "\(credential) \(site.manager.store)"
        dump(credential, to: &text)
        dump(site.manager.store, to: &text)
        #expect(!text.contains(token.suffix(20)) && !text.contains("pl4nted"))
    }
}
