// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions
import SessionsTesting
import Testing

/// Who is signed in, with what rights, and for how long.
@Suite struct `Identity` {
    private static let changed = SessionError(.sessionChanged, "")
    private let site: Site
    private let fortnight = SessionTerms(idleTimeout: .seconds(14 * 86_400), lifetime: .seconds(30 * 86_400))

    init() throws { site = try Site() }

    // MARK: Terms of a sign-in

    @Test func `a remembered user is signed in after a fortnight, another one is not`() async throws {
        let plain = try await site.start(as: "ann")
        let answer = try await site.send { [fortnight] in try $0.signIn(as: "bob", terms: fortnight) }
        let remembered = try #require(answer.cookie)
        #expect(answer.setCookie?.contains("; Max-Age=2592000; Expires=") == true)
        site.clock.advance(by: .seconds(13 * 86_400))
        try await site.send(plain) { #expect($0.principal == nil) }
        try await site.send(remembered) { session in
            #expect(session.principal == "bob" && session.expiresIn == .seconds(14 * 86_400))
        }
        site.clock.advance(by: .seconds(13 * 86_400))
        try await site.send(remembered) { #expect($0.expiresIn == .seconds(4 * 86_400)) }
        site.clock.advance(by: .seconds(4 * 86_400))
        try await site.send(remembered) { #expect($0.principal == nil) }
    }

    @Test func `the times of a session are those that the request has read`() async throws {
        let cookie = try await site.start(as: "ann")
        site.clock.advance(by: .seconds(600))
        try await site.send(cookie) { session in
            let times = try #require(session.times)
            #expect(times.created == session.created && session.now - times.lastUsed == .seconds(600))
            #expect(times.idleTimeout == .seconds(1800) && times.deadline - session.now == .seconds(42_600))
        }
        try await site.send { #expect($0.times == nil) }
    }

    @Test func `later cookies are as the sign-in chose, until the next sign-in`() async throws {
        let day = SessionTerms(idleTimeout: .seconds(3600), lifetime: .seconds(86_400))
        var cookie = try await site.start()
        func next(
            _ age: String?,
            _ handler: (Session) throws -> Void
        ) async throws {
            let answer = try await site.send(cookie, handler)
            let line = try #require(answer.setCookie)
            #expect(age.map { line.contains("; Max-Age=\($0)") } ?? !line.contains("Max-Age"), "\(line)")
            cookie = try #require(answer.cookie)
        }
        try await next("86400") { try $0.signIn(as: "ann", terms: day) }
        site.clock.advance(by: .seconds(600))
        try await next("85800") { try $0.renew() }
        try await next("85800") { try $0.elevate() }
        try await next(nil) { try $0.signIn(as: "ann") }
        site.clock.advance(by: .seconds(1800))
        try await site.send(cookie) { #expect($0.principal == nil) }
    }

    @Test func `terms may be shorter than the policy, in a cookie that goes with the browser`() async throws {
        let site = try Site(cookie: SessionCookie(persistence: .persistent))
        let terms = SessionTerms(
            idleTimeout: .seconds(60),
            lifetime: .seconds(600),
            persistence: .browserSession
        )
        let answer = try await site.send { try $0.signIn(as: "root", terms: terms) }
        #expect(answer.setCookie?.contains("Max-Age") == false)
        site.clock.advance(by: .seconds(60))
        try await site.send(answer.cookie) { #expect($0.principal == nil) }
    }

    @Test func `a stricter policy does not shorten what a sign-in chose`() async throws {
        let cookie = try await site.send { [fortnight] in try $0.signIn(as: "ann", terms: fortnight) }.cookie
        let stricter = try Site(
            policy: SessionPolicy(idleTimeout: .seconds(60), lifetime: .seconds(600)),
            sharing: site
        )
        site.clock.advance(by: .seconds(86_400))
        try await stricter.send(cookie) { #expect($0.principal == "ann") }
    }

    @Test func `impossible terms are refused at once`() async throws {
        let impossible = SessionError(.invalidConfiguration, "")
        try await site.send { session in
            for terms in [
                SessionTerms(idleTimeout: .zero, lifetime: .seconds(60)),
                SessionTerms(idleTimeout: .seconds(60), lifetime: .seconds(-1)),
                SessionTerms(idleTimeout: .seconds(60), lifetime: .seconds(Int64.max)),
            ] {
                #expect(throws: impossible) { try session.signIn(as: "ann", terms: terms) }
            }
            #expect(session.principal == nil)
        }
    }

    // MARK: Elevation

    @Test func `an elevation ends the old cookie at once and nothing else`() async throws {
        let old = try await site.start(as: "ann") { try $0.set(.item, "tea") }
        let before = try await site.found(old)
        site.clock.advance(by: .seconds(60))
        let answer = try await site.send(old) { session in
            try session.elevate()
            #expect(session.isAuthenticated(within: .seconds(60)))
            #expect(!session.isAuthenticated(within: .seconds(59)))
        }
        #expect(site.events() == [.elevated])
        let after = try await site.found(answer.cookie)
        #expect(after.id == before.id && after.principal == "ann" && after.attributes == before.attributes)
        #expect(after.times.deadline == before.times.deadline)
        #expect(after.times.authenticated == before.times.authenticated)
        #expect(try await site.record(old) == nil)
    }

    @Test func `what would be lost with the new secret is an error for every method`() async throws {
        let cookie = try await site.start(as: "ann")
        for status in [HTTPResponse.Status.notModified, .earlyHints] {
            await #expect(throws: SessionError(.noSession, "")) {
                try await site.send(cookie, status: status) { try $0.elevate() }
            }
        }
        #expect(try await site.record(cookie) != nil)
        let changes: [@Sendable (Session) throws -> Void] = [
            { try $0.elevate() }, { try $0.signIn(as: "bob") },
        ]
        for change in changes {
            let cookie = try await site.start(as: "bob")
            site.before(.commit) { [site] in _ = try await site.manager.revokeAll(of: "bob") }
            await #expect(throws: Self.changed) { try await site.send(cookie) { try change($0) } }
        }
    }

    @Test func `of two elevations at once one fails`() async throws {
        let cookie = try await site.start(as: "ann")
        site.before(.commit) { [site] in try await site.send(cookie) { try $0.elevate() } }
        await #expect(throws: Self.changed) {
            try await site.send(cookie, method: .post) { try $0.elevate() }
        }
    }

    @Test func `an elevation without a session does nothing`() async throws {
        #expect(try await site.send { try $0.elevate() }.cookie == nil)
        let answer = try await site.send { session in
            try session.elevate()
            try session.set(.item, "tea")
        }
        #expect(try await site.found(answer.cookie).version == 1)
    }

    @Test func `who acts as another user is signed out with their own sessions`() async throws {
        let actingAs = SessionKey<String>("acting-as")
        let admin = try await site.start(as: "root")
        let acting = try #require(
            try await site.send(admin) { session in
                try session.set(actingAs, "ann")
                try session.elevate()
            }
            .cookie
        )
        try await site.send(acting) { #expect($0[actingAs] == "ann" && $0.principal == "root") }
        #expect(try await site.record(admin) == nil)
        #expect(try await site.manager.list(for: "ann").isEmpty)
        #expect(try await site.manager.revokeAll(of: "root") == 1)
        try await site.send(acting) { #expect($0[actingAs] == nil && $0.principal == nil) }
    }

    // MARK: Sign-ins that were checked before

    @Test func `a sign-in loses against the end of all sessions by another request`() async throws {
        for visitor in [nil, try await site.start()] {
            for method in [HTTPRequest.Method.get, .post] {
                await #expect(throws: Self.changed) {
                    try await site.send(visitor, method: method) { [site] session in
                        // The password is checked here. In another request, it is changed.
                        try await site.send { _ in try await site.manager.revokeAll(of: "ann") }
                        try session.signIn(as: "ann")
                    }
                }
            }
        }
        #expect(try await site.manager.list(for: "ann").isEmpty)
        _ = try await site.start(as: "ann")
        #expect(try await site.manager.list(for: "ann").count == 1)
    }

    @Test func `also if nobody says which request ended them, before the sign-in was called`() async throws {
        let visitor = site.open(nil, method: .post)
        let session = try await visitor.session()
        try session.signIn(as: "ann")
        _ = try await site.manager.revokeAll(of: "ann")
        await #expect(throws: Self.changed) { try await site.close(visitor, nil) }
        let own = site.open(nil, method: .post)
        let other = try await own.session()
        _ = try await site.manager.revokeAll(of: "ann")
        try other.signIn(as: "ann")
        #expect(try await site.close(own, nil).cookie != nil)
    }

    @Test func `a second factor names the request of the first`() async throws {
        let checked = SessionKey<SessionInstant>("checked")
        let cookie = try await site.start()
        try await site.send(cookie) { try $0.set(checked, $0.now) }
        try await site.send { [site] _ in try await site.manager.revokeAll(of: "bob") }
        await #expect(throws: Self.changed) {
            try await site.send(cookie, method: .post) { [site] session in
                // The clock of the store stands still here: what was checked was checked five seconds ago.
                site.clock.advance(by: .seconds(5))
                let since = SessionInstant(milliseconds: session.now.milliseconds - 5000)
                try session.signIn(as: "bob", ifNotRevokedSince: since)
            }
        }
        try await site.send(cookie) { session in
            let old = SessionInstant(milliseconds: session.now.milliseconds - 300_001)
            #expect(throws: SessionError(.invalidValue, "")) {
                try session.signIn(as: "bob", ifNotRevokedSince: old)
            }
            try session.signIn(as: "eve", ifNotRevokedSince: session[checked])
        }
    }

    // MARK: Names

    @Test func `names that Swift takes for equal are one user`() async throws {
        let (composed, decomposed) = ("Jos\u{E9}", "Jose\u{301}")
        for (left, right) in [(composed, decomposed), (decomposed, composed)] {
            let cookie = try await site.start(as: left)
            let id = try await site.found(cookie).id
            #expect(try await site.found(cookie).principal.map { Array($0.utf8) } == Array(composed.utf8))
            #expect(try await site.manager.list(for: right).map(\.id) == [id])
            try await site.manager.withSession(id, of: right) { try $0.set(.item, "cake") }
            #expect(try await site.manager.revoke(id, of: right))
            _ = try await site.start(as: left)
            #expect(try await site.manager.revokeAll(of: right) == 1)
        }
        // Case, and what only looks alike, is another user.
        _ = try await site.start(as: "ann")
        for other in ["Ann", "\u{FF41}nn", "\u{430}nn", "ann "] {
            #expect(try await site.manager.list(for: other).isEmpty)
        }
        try await site.send { session in
            // 1,023 bytes that have 1,364 when they are normalized.
            let name = String(repeating: "\u{958}", count: 341)
            #expect(throws: SessionError(.invalidValue, "")) { try session.signIn(as: name) }
        }
    }
}
