// SPDX-License-Identifier: Apache-2.0

import SessionsTesting
import Testing

@testable import Sessions

/// Types of values that change while sessions live and instances of both releases run.
@Suite struct `Values of other releases` {
    private struct Line: Codable, Equatable {
        var name: String
        var count = 1
    }
    private struct NewLine: Codable, Equatable {
        var name: String
        var count: Int
        var note: String?
    }
    private struct Cart: Codable, Equatable {
        var lines: [Line]
        var coupon: String?
    }
    private struct NewCart: Codable, Equatable {
        var lines: [NewLine]
        var coupon: String?
        var gift: [String: Double]?
        var limit: UInt64?
    }
    private struct Renamed: Codable, Equatable {
        var title: String
        init(title: String) { self.title = title }
        private enum Keys: String, CodingKey { case title, name }
        init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: Keys.self)
            title =
                try values.decodeIfPresent(String.self, forKey: .name)
                ?? values.decode(String.self, forKey: .title)
        }
        func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: Keys.self)
            try values.encode(title, forKey: .title)
        }
    }

    private let site: Site
    private let old = SessionKey<Cart>("cart")
    private let new = SessionKey<NewCart>("cart")

    init() throws { site = try Site() }

    private func stored(_ cookie: String, _ name: String = "cart") async throws -> String {
        String(decoding: try await site.found(cookie).attributes[name] ?? [], as: UTF8.self)
    }

    // MARK: Unknown members

    @Test func `an update keeps what a newer release wrote`() async throws {
        var cart = NewCart(lines: [
            NewLine(name: "tea", count: 1, note: "loose"), NewLine(name: "cake", count: 2),
        ])
        cart.gift = ["ribbon": 0.1]
        cart.limit = .max
        let cookie = try await site.start { [cart] in try $0.set(new, cart) }
        try await site.send(cookie) { session in
            try session.update(old) { cart in
                cart?.lines.insert(Line(name: "jam"), at: 0)
                cart?.coupon = "MAY"
            }
        }
        cart.lines.insert(NewLine(name: "jam", count: 1), at: 0)
        cart.coupon = "MAY"
        #expect(try await site.read(cookie, new) == cart)
        try await site.send(cookie) {
            try $0.update(old) {
                $0?.lines[1].count = 9; $0?.coupon = nil
            }
        }
        cart.lines[1].count = 9
        cart.coupon = nil
        #expect(try await site.read(cookie, new) == cart)
        try await site.send(cookie) { try $0.update(old) { $0?.lines.removeAll() } }
        cart.lines = []
        #expect(try await site.read(cookie, new) == cart)
    }

    @Test func `what a dictionary or an optional loses is gone`() async throws {
        let prices = SessionKey<[String: Line]>("prices")
        let cookie = try await site.start {
            try $0.set(prices, ["a": Line(name: "a"), "b": Line(name: "b")])
        }
        try await site.send(cookie) { try $0.update(prices) { $0?["a"] = nil } }
        #expect(try await site.read(cookie, prices) == ["b": Line(name: "b")])
    }

    @Test func `members that would change what the type reads are not kept`() async throws {
        let key = SessionKey<Renamed>("thing")
        let cookie = try await site.start()
        try await site.bypass(cookie, ["thing": .set(Array(#"{"name":"old"}"#.utf8))])
        try await site.send(cookie) { try $0.update(key) { $0?.title = "new" } }
        #expect(try await site.read(cookie, key) == Renamed(title: "new"))
    }

    @Test func `set replaces all of it, and plain values are stored as they are`() async throws {
        let cookie = try await site.start { session in
            try session.set(new, NewCart(lines: [], gift: ["a": 1]))
            try session.set(.item, "{}")
            try session.set(.count, 1)
        }
        try await site.send(cookie) { session in
            try session.set(old, Cart(lines: []))
            try session.update(.item) { $0?.append("!") }
            try session.update(.count, default: 0) { $0 += 1 }
        }
        #expect(try await stored(cookie) == #"{"lines":[]}"#)
        #expect(try await stored(cookie, "item") == #""{}!""#)
        #expect(try await stored(cookie, "count") == "2")
    }

    // MARK: What does not decode

    @Test func `an update does not replace what it cannot read`() async throws {
        let cookie = try await site.start()
        let number = SessionKey<Int>("item")
        for now in [false, true] {
            await #expect(throws: SessionError(.invalidValue, "")) {
                try await site.send(cookie) { session in
                    if now {
                        try await session.updateNow(number, default: 0) { $0 += 1 }
                    } else {
                        try session.update(number, default: 0) { $0 += 1 }
                    }
                }
            }
            #expect(site.events() == [.undecodable])
        }
        #expect(try await site.read(cookie, .item) == "tea")
        try await site.send(cookie) { try $0.set(number, 1) }
        #expect(try await site.read(cookie, number) == 1)
    }

    // MARK: Versions

    private var second: SessionKey<Cart> {
        .init("cart", version: 2) { (names: [String]) in Cart(lines: names.map { Line(name: $0) }) }
    }
    private var third: SessionKey<NewCart> {
        .init("cart", version: 3, from: second) { cart in
            NewCart(lines: cart.lines.map { NewLine(name: $0.name, count: $0.count) }, coupon: cart.coupon)
        }
    }

    @Test func `a migration reads earlier values, and a write stores the new form`() async throws {
        let first = SessionKey<[String]>("cart")
        let cookie = try await site.start { try $0.set(first, ["tea"]) }
        try await site.send(cookie) { session in
            #expect(session[second] == Cart(lines: [Line(name: "tea")]))
            #expect(session[third]?.lines == [NewLine(name: "tea", count: 1)])
        }
        #expect(try await stored(cookie) == #"["tea"]"#, "reading changes nothing")
        try await site.send(cookie) { try $0.update(second) { $0?.coupon = "MAY" } }
        #expect(try await stored(cookie) == #"v2:{"coupon":"MAY","lines":[{"count":1,"name":"tea"}]}"#)
        try await site.send(cookie) { session in
            #expect(session[third]?.coupon == "MAY")
            try session.update(third) { $0?.limit = 1 }
        }
        #expect(try await site.open(cookie).session()[third]?.limit == 1)
    }

    @Test func `earlier releases neither read nor replace later versions`() async throws {
        struct Lenient: Codable { var lines: [Line]? }
        let cookie = try await site.start { try $0.set(third, NewCart(lines: [])) }
        let before = try await stored(cookie)
        func refuses<Value>(_ key: SessionKey<Value>) async throws {
            let session = try await site.open(cookie).session()
            #expect(session[key] == nil)
            #expect(throws: SessionError(.invalidValue, "")) { try session.update(key) { _ in } }
        }
        try await refuses(SessionKey<[String]>("cart"))
        try await refuses(second)
        try await refuses(SessionKey<Lenient>("cart"))
        await #expect(throws: SessionError(.invalidValue, "")) {
            try await site.send(cookie) { try $0.increment(SessionKey<Int>("cart")) }
        }
        #expect(try await stored(cookie) == before)
    }

    @Test func `the list of devices migrates, too`() async throws {
        _ = try await site.send { session in
            try session.signIn(as: "ann")
            try session.set(SessionKey<[String]>("cart"), ["tea"])
        }
        let list = try await site.manager.list(for: "ann", showing: second)
        #expect(list.first?[second]?.lines == [Line(name: "tea")])
    }

    // MARK: Instants

    @Test func `an instant is a date, a number and a readable text`() throws {
        for milliseconds: Int64 in [0, -1, 1, 1_795_838_706_789, -62_135_596_800_000, 253_402_300_799_999] {
            let instant = SessionInstant(milliseconds: milliseconds)
            #expect(SessionInstant(instant.date) == instant)
            #expect(try SessionCodec.encode(instant) == Array("\(milliseconds)".utf8))
            #expect(
                try SessionCodec.decode(SessionInstant.self, from: Array("\(milliseconds)".utf8)) == instant
            )
        }
        #expect("\(SessionInstant(milliseconds: 0))" == "1970-01-01T00:00:00.000Z")
        #expect("\(SessionInstant(milliseconds: -1))" == "1969-12-31T23:59:59.999Z")
        #expect("\(SessionInstant(milliseconds: 1_795_838_706_789))" == "2026-11-28T04:05:06.789Z")
        #expect("\(SessionInstant(milliseconds: .max))" == "\(Int64.max) ms")
    }
}
