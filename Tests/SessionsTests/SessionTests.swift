// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// What a handler sees.
@Suite struct `Session in a handler` {
    private let site: Site

    init() throws { site = try Site() }

    private func fresh() async throws -> Session { try await site.open(nil).session() }

    // MARK: Reading and writing

    @Test func `a handler sees its own writes before anything is stored`() async throws {
        let session = try await fresh()
        #expect(session[.item] == nil && !session.has(.item) && session.names == [])
        try session.set(.item, "tea")
        try session.increment(.count, by: 3)
        try session.increment(.count)
        try session.update(.list, default: ["a"]) { $0.append("b") }
        #expect(session[.item] == "tea" && session[.count] == 4 && session[.list] == ["a", "b"])
        #expect(session.names == ["count", "item", "list"])
        try session.remove(.item)
        try session.update(.list) { $0 = nil }
        #expect(session[.item] == nil && !session.has(.list) && session.names == ["count"])
        #expect(site.store.counts.isEmpty)
    }

    @Test func `all that a handler did is one commit`() async throws {
        let cookie = try await site.start { session in
            try session.set(.item, "tea")
            try session.set(.other, "gone")
        }
        try await site.send(cookie) { session in
            try session.set(.item, "cake")
            try session.remove(.other)
            try session.increment(.count)
            try session.update(.list, default: []) { $0.append("x") }
        }
        #expect(site.store.counts == [.create: 1, .load: 1, .commit: 1])
        #expect(try await site.record(cookie)?.attributes.keys.sorted() == ["count", "item", "list"])
        #expect(try await site.record(cookie)?.version == 2)
    }

    @Test func `nothing is stored and no cookie set until there is something`() async throws {
        for _ in 0..<10 {
            let answer = try await site.send { session in
                try session.remove(.item)
                try session.update(.list) { $0 = nil }
                try session.renew()
                try session.signOut()
                try session.set(.item, "tea")
                try session.remove(.item)
            }
            #expect(answer.setCookie == nil)
        }
        #expect(site.store.counts.isEmpty)
    }

    @Test func `a value of another type reads as nothing and stays`() async throws {
        let cookie = try await site.start { try $0.set(.item, "tea") }
        try await site.send(cookie) { session in
            #expect(session[SessionKey<Int>("item")] == nil)
            #expect(session.has(SessionKey<Int>("item")) && session.names == ["item"])
        }
        #expect(try await site.read(cookie, .item) == "tea")
    }

    @Test func `what does not fit or encode is refused and changes nothing`() async throws {
        let site = try Site(limits: SessionLimits(bytes: 20, attributes: 2))
        let session = try await site.open(nil).session()
        try session.set(.item, "tea")
        #expect(throws: SessionError(.tooLarge, "")) {
            try session.set(.item, String(repeating: "x", count: 21))
        }
        #expect(throws: SessionError(.tooLarge, "")) {
            try session.update(.item) { $0 = String(repeating: "x", count: 21) }
        }
        #expect(throws: SessionError(.invalidValue, "")) {
            try session.set(SessionKey<Double>("item"), .infinity)
        }
        #expect(throws: SessionError(.invalidValue, "")) { try session.increment(SessionKey<Int>("item")) }
        #expect(session[.item] == "tea")
    }

    @Test func `the size and number limits count to the byte`() async throws {
        let site = try Site(limits: SessionLimits(bytes: 30, attributes: 3))
        // A name of 4 bytes and two quotes: 24 letters are 30 bytes.
        let cookie = try await site.start { try $0.set(.item, String(repeating: "x", count: 24)) }
        await #expect(throws: SessionError(.tooLarge, "")) {
            try await site.send(cookie) { try $0.set(SessionKey<Int>("a"), 1) }
        }
        #expect(try await site.record(cookie)?.version == 1)
        try await site.send(cookie) { session in
            try session.set(.item, "")
            for name in ["a", "b"] { try session.set(try SessionKey<Int>(validating: name), 1) }
        }
        await #expect(throws: SessionError(.tooLarge, "")) {
            try await site.send(cookie) { try $0.set(SessionKey<Int>("c"), 1) }
        }
        let smaller = try Site(limits: SessionLimits(bytes: 5, attributes: 1), sharing: site)
        try await smaller.send(cookie) { try $0.remove(SessionKey<Int>("a")) }
        #expect(try await site.record(cookie)?.attributes.count == 2)
    }

    @Test(arguments: [
        "", "@flash", "@", "a\u{0}", "\u{E9}", "a\n", "\u{212A}", String(repeating: "a", count: 129),
    ])
    func `a key is printable ASCII and not one of ours`(name: String) {
        #expect(throws: SessionError(.invalidValue, "")) { try SessionKey<String>(validating: name) }
    }

    @Test func `a key may have 1 to 128 characters`() throws {
        for name in ["a", " ", "a@", String(repeating: "~", count: 128)] {
            #expect(try SessionKey<String>(validating: name).name == name)
        }
    }

    // MARK: Several tasks in one handler

    @Test func `tasks of one handler lose none of each other's writes`() async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { session in
            await withTaskGroup { group in
                for number in 0..<40 {
                    group.addTask {
                        do {
                            try session.increment(.count)
                            try session.update(.list, default: []) { $0.append("\(number)") }
                        } catch { Issue.record(error) }
                    }
                }
            }
        }
        #expect(try await site.read(cookie, .count) == 40)
        #expect(try await site.read(cookie, .list)?.count == 40)
    }

    @Test func `the closure of an update may read the session, but not write it`() async throws {
        let session = try await fresh()
        try session.set(.item, "tea")
        try session.update(.list, default: []) { $0.append(session[.item] ?? "nothing") }
        #expect(session[.list] == ["tea"])
        #expect(throws: SessionError(.conflict, "")) {
            try session.update(.list, default: []) { list in
                try session.increment(.count)
                list.append("never")
            }
        }
        #expect(session[.list] == ["tea"])
    }

    // MARK: Identity

    @Test func `signing in keeps what it is told to and flash messages, nothing else`() async throws {
        let cookie = try await site.start { session in
            try session.set(.item, "tea")
            try session.set(.other, "csrf")
            try session.flash("welcome")
        }
        let id = try await site.found(cookie).id
        let answer = try await site.send(cookie) { session in
            #expect(session.principal == nil && session.id == id)
            try session.signIn(as: "ann", keeping: .item)
            #expect(session.principal == "ann" && session[.item] == "tea" && session[.other] == nil)
            try session.set(.list, ["after"])
        }
        let fresh = try #require(answer.cookie)
        #expect(fresh != cookie && answer.response.headerFields[.cacheControl] == "no-store")
        let record = try await site.found(fresh)
        #expect(record.id == id && record.principal == "ann")
        #expect(record.attributes.keys.sorted() == ["@flash", "item", "list"])
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `a principal is 1 to 1024 bytes`() async throws {
        let session = try await fresh()
        for name in ["", String(repeating: "x", count: 1025), String(repeating: "\u{E9}", count: 513)] {
            #expect(throws: SessionError(.invalidValue, "")) { try session.signIn(as: name) }
        }
        #expect(session.principal == nil)
        try session.signIn(as: String(repeating: "\u{E9}", count: 512))
    }

    @Test func `signing out ends the session and the cookie`() async throws {
        let cookie = try await site.start(as: "ann")
        let answer = try await site.send(cookie) { session in
            try session.set(.item, "lost")
            try session.signOut()
            #expect(
                session.principal == nil && session.id == nil && session.names == []
                    && session.expiresIn == nil
            )
        }
        #expect(answer.setCookie?.contains("Max-Age=0") == true && answer.cookie == nil)
        #expect(try await site.record(cookie) == nil)
        #expect(try await site.manager.list(for: "ann").isEmpty)
    }

    @Test func `what is written after signing out goes into another session`() async throws {
        let cookie = try await site.start(as: "ann")
        let id = try await site.record(cookie)?.id
        let answer = try await site.send(cookie) { session in
            try session.signOut()
            try session.flash("bye")
        }
        let record = try await site.found(answer.cookie)
        #expect(
            record.id != id && record.principal == nil
                && record.attributes.keys.sorted() == ["@flash"]
        )
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `signing out and in again is another session`() async throws {
        let cookie = try await site.start(as: "ann")
        let id = try await site.record(cookie)?.id
        let answer = try await site.send(cookie) { session in
            try session.signOut()
            try session.signIn(as: "bob")
        }
        let record = try await site.found(answer.cookie)
        #expect(record.id != id && record.principal == "bob")
    }

    @Test func `a renewal replaces the secret and nothing else`() async throws {
        let cookie = try await site.start(as: "ann")
        let before = try await site.found(cookie)
        let fresh = try #require(try await site.send(cookie) { try $0.renew() }.cookie)
        // Inside the grace the old one works, and is never sent again.
        let late = try await site.send(cookie) { try $0.set(.item, "late") }
        #expect(late.setCookie == nil)
        #expect(try await site.read(cookie, .item) == "late")
        #expect(try await site.send(cookie) { try $0.renew() }.setCookie == nil)
        try await site.send(fresh) { #expect($0[.item] == "late") }
        let after = try await site.found(fresh)
        #expect(
            fresh != cookie && after.id == before.id && after.principal == "ann"
                && after.times.deadline == before.times.deadline
        )
        site.clock.advance(by: .seconds(30))
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `the remaining time is the nearer of both limits`() async throws {
        let site = try Site(policy: SessionPolicy(idleTimeout: .seconds(600), lifetime: .seconds(1000)))
        let cookie = try await site.start()
        try await site.send(cookie) { #expect($0.expiresIn == .seconds(600)) }
        site.clock.advance(by: .seconds(500))
        try await site.send(cookie) { #expect($0.expiresIn == .seconds(500)) }
    }

    // MARK: Flash

    /// The messages that a page takes.
    private func messages(_ cookie: String) async throws -> [String] {
        let exchange = site.open(cookie)
        let messages = try await exchange.session().takeFlash()
        _ = try await site.close(exchange, cookie)
        return messages
    }

    @Test func `a flash message shows once`() async throws {
        let cookie = try await site.start { session in
            try session.flash("one")
            try session.flash("two")
        }
        try await site.send(cookie) { session in
            let first = try session.takeFlash()
            let second = try session.takeFlash()
            #expect(first == ["one", "two"] && second == [])
        }
        #expect(try await messages(cookie) == [])
        #expect(try await site.record(cookie)?.attributes.isEmpty == true)
    }

    @Test func `a message that comes in while others are taken shows later`() async throws {
        let cookie = try await site.start { try $0.flash("one") }
        site.before(.commit) { [site] in try await site.send(cookie) { try $0.flash("two") } }
        #expect(try await messages(cookie) == ["one"])
        #expect(try await messages(cookie) == ["two"])
    }

    @Test func `two pages that take the same messages lose none that came later`() async throws {
        let cookie = try await site.start { try $0.flash("one") }
        site.before(.commit) { [site] in
            try await site.send(cookie) { session in
                let taken = try session.takeFlash()
                #expect(taken == ["one"])
                try session.flash("two")
            }
        }
        #expect(try await messages(cookie) == ["one"])
        #expect(try await messages(cookie) == ["two"])
    }
}
