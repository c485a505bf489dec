// SPDX-License-Identifier: Apache-2.0

import Sessions
import Synchronization
import Testing

@Suite struct `Seals` {
    private static let salt = (0xA0...0xAF).map { UInt8($0) }

    private static func key(_ id: String, _ seed: UInt8 = 0) throws -> SealKey {
        try SealKey(id: id, bytes: (seed..<(seed + 32)).map { $0 })
    }

    private func seal(
        _ keys: [SealKey],
        application: String = "shop",
        cookieName: String = "__Host-session",
        onAttempt: @escaping @Sendable () -> Void = {}
    ) throws -> CookieSealer {
        try CookieSealer(
            try SealKeyRing(keys),
            application: application,
            cookieName: cookieName,
            onAttempt: onAttempt
        )
    }

    private func seal(onAttempt: @escaping @Sendable () -> Void = {}) throws -> CookieSealer {
        try seal([Self.key("k1")], onAttempt: onAttempt)
    }

    private enum Answer { case opened, malformed, unknownKey, forged }

    private func answer(_ opening: CookieSealer.OpenResult) -> Answer {
        switch opening {
        case .opened: .opened
        case .malformed: .malformed
        case .unknownKey: .unknownKey
        case .forged: .forged
        }
    }

    // Computed with Python's `cryptography` (HKDF, AESGCM) from the description in the source, not with this
    // code.
    @Test func `gives the answers that another implementation gives`() throws {
        let first = "s1.k1.oKGio6SlpqeoqaqrrK2ur-ycHVzfwTy4ALLaytFIg6lvyVNty3ifO8ivjB0dfA"
        #expect(try seal().seal(Array("attack at dawn".utf8), salt: Self.salt) == first)
        let second =
            "s1.2026-11_b.oKGio6SlpqeoqaqrrK2ur43paz64rxrefJu0oKorxg2m5lqG3_uf5X94fG2rfUzwEoU2cWzRSO4tQ6PGZplFasTQ"
            + "sS1hJdQyne-JUT3GTl1z8LZWeME3o-4duCvekN8XWg62fo9kwLy4EdF7IbxAARTrJWKyQTKrOPeFP2p2O-52nX3G"
        let other = try seal(
            [Self.key("2026-11_b")],
            application: "shop/staging",
            cookieName: "id"
        )
        #expect(try other.seal((0..<100).map { $0 }, salt: Self.salt) == second)
        guard case .opened(let plaintext, isCurrent: true) = try seal().open(first) else {
            return #expect(Bool(false), "not opened")
        }
        #expect(plaintext == Array("attack at dawn".utf8))
    }

    @Test func `no changed byte, no shorter and no longer text opens`() throws {
        let seal = try seal()
        let text = Array(try seal.seal(Array("attack at dawn".utf8)).utf8)
        for position in text.indices {
            for letter in ["A", "B", "_", "-", ".", "+", "/", "=", "~", " ", "\u{0}", "é"]
            where Array(letter.utf8) != [text[position]] {
                let changed = String(
                    decoding: text[..<position] + Array(letter.utf8) + text[(position + 1)...],
                    as: UTF8.self
                )
                #expect(answer(seal.open(changed)) != .opened, "\(letter) at \(position)")
            }
            #expect(
                answer(seal.open(String(decoding: text[..<position], as: UTF8.self))) != .opened,
                "cut at \(position)"
            )
        }
        for tail in ["A", "AA", "AAA", "AAAA", "=", "==", ".", "\n"] {
            #expect(answer(seal.open(String(decoding: text, as: UTF8.self) + tail)) != .opened)
        }
    }

    @Test func `every bit of salt, ciphertext and tag counts`() throws {
        let seal = try seal()
        let text = try seal.seal(Array("attack at dawn".utf8))
        let body = try #require(Base64URL.decode(text.utf8.dropFirst("s1.k1.".utf8.count)))
        for bit in 0..<(body.count * 8) {
            var changed = body
            changed[bit / 8] ^= 1 << (bit % 8)
            let opening = seal.open("s1.k1." + String(decoding: Base64URL.encode(changed), as: UTF8.self))
            #expect(answer(opening) == .forged, "bit \(bit)")
        }
    }

    @Test func `there is one text for each seal`() throws {
        let seal = try seal()
        // 14 bytes of plaintext make a body with loose bits in its last letter.
        let text = try seal.seal(Array("attack at dawn!".utf8).dropLast(1))
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let opened = alphabet.filter { answer(seal.open(String(text.dropLast()) + String($0))) == .opened }
        #expect(opened.count == 1)
        for other in [
            text.uppercased(), " " + text, text + " ", "s1..k1" + text.dropFirst(5), "S1" + text.dropFirst(2),
        ] {
            #expect(answer(seal.open(other)) == .malformed)
        }
    }

    @Test func `a seal is valid for one purpose, application, cookie and key`() throws {
        let text = try seal().seal([1, 2, 3])
        #expect(answer(try seal([Self.key("k1")], application: "shop2").open(text)) == .forged)
        #expect(answer(try seal([Self.key("k1")], cookieName: "__Host-admin").open(text)) == .forged)
        #expect(answer(try seal([Self.key("k1", 1)]).open(text)) == .forged)
        #expect(answer(try seal().open("g1" + text.dropFirst(2))) == .malformed)
        // What stands behind the name changes nothing: the name itself is bound.
        #expect(answer(try seal([Self.key("k2")]).open("s1.k2" + text.dropFirst(5))) == .forged)
        // Lengths stand before the parts: moving a letter from one to the next is another context.
        let moved = try seal([Self.key("k1")], application: "shop_", cookieName: "_Host-session")
        #expect(answer(moved.open(text)) == .forged)
    }

    @Test func `exactly one key is tried, and none for an unknown name`() throws {
        let attempts = Mutex(0)
        func seal(_ keys: [SealKey]) throws -> CookieSealer {
            try self.seal(keys) { attempts.withLock { $0 += 1 } }
        }
        let (first, second, third) = (try Self.key("a"), try Self.key("b", 1), try Self.key("c", 2))
        let old = try seal([first]).seal([1])
        guard case .opened([1], isCurrent: false) = try seal([second, first]).open(old) else {
            return #expect(Bool(false))
        }
        #expect(attempts.withLock { $0 } == 1)
        #expect(answer(try seal([second, third]).open(old)) == .unknownKey)
        #expect(answer(try seal([second, third]).open("s1.zz.AAAA")) == .malformed)
        #expect(attempts.withLock { $0 } == 1)
        // The same bytes under another name: one attempt, which fails.
        #expect(answer(try seal([Self.key("x"), first]).open("s1.x" + old.dropFirst(4))) == .forged)
        #expect(attempts.withLock { $0 } == 2)
    }

    @Test func `what is longer than a cookie can be is not decoded`() throws {
        let attempts = Mutex(0)
        let seal = try seal { attempts.withLock { $0 += 1 } }
        #expect(answer(seal.open(try seal.seal([UInt8](repeating: 0, count: 6200)))) == .malformed)
        #expect(answer(seal.open("s1.k1." + String(repeating: "A", count: 10_000_000))) == .malformed)
        #expect(attempts.withLock { $0 } == 0)
        #expect(answer(seal.open("s1.k1." + String(repeating: "A", count: 8184))) == .forged)
    }

    @Test func `the length follows from the length of what is sealed`() throws {
        let seal = try seal()
        for count in [0, 1, 2, 3, 10, 1000] {
            let texts = try [UInt8(0), 0x41, 0xFF].map { try seal.seal([UInt8](repeating: $0, count: count)) }
            for text in texts {
                #expect(text.utf8.count == 6 + ((count + 32) * 8 + 5) / 6)
                #expect(text.utf8.count == seal.length(sealing: count))
            }
            #expect(Set(texts).count == 3)
        }
    }

    @Test func `100,000 seals share no salt`() throws {
        let seal = try seal()
        var salts: Set<Substring> = []
        for _ in 0..<100_000 { salts.insert(try seal.seal([]).dropFirst(6).prefix(21)) }
        #expect(salts.count == 100_000)
    }

    @Test(arguments: ["", String(repeating: "a", count: 129)]) func `an application must have a name`(
        name: String
    ) throws {
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try seal([Self.key("k1")], application: name)
        }
    }
}

@Suite struct `Seal keys` {
    private static let random: [UInt8] = (0..<32).map { $0 &* 73 &+ 5 }

    @Test func `what is no random 32 bytes is refused`() {
        let password = Array("correct horse battery staple 123".utf8)
        let bad: [[UInt8]] = [
            [], Array(Self.random.dropLast()), Self.random + [1], password, [UInt8](repeating: 0, count: 32),
        ]
        for bytes in bad + [[UInt8](repeating: 200, count: 32)] {
            #expect(throws: SessionError(.invalidConfiguration, "")) { try SealKey(id: "k", bytes: bytes) }
        }
        for id in ["", "a b", "a.b", "a:b", "ä", String(repeating: "k", count: 33)] {
            #expect(throws: SessionError(.invalidConfiguration, "")) {
                try SealKey(id: id, bytes: Self.random)
            }
        }
    }

    @Test func `a ring has keys, each under a name of its own`() throws {
        let key = try SealKey(id: "a", bytes: Self.random)
        #expect(throws: SessionError(.invalidConfiguration, "")) { try SealKeyRing([]) }
        #expect(throws: SessionError(.invalidConfiguration, "")) { try SealKeyRing([key, key]) }
        let ring = try SealKeyRing([try SealKey(id: "b", bytes: Self.random), key])
        #expect(
            ring.ids == ["b", "a"] && ring.sealing.id == "b" && ring.key("a") != nil && ring.key("c") == nil
        )
    }

    @Test func `a ring is read from text, and a mistake is named by its place alone`() throws {
        let text = String(decoding: Base64URL.encode(Self.random), as: UTF8.self)
        #expect(try SealKeyRing(parsing: "new:\(text),old:\(text.dropLast(2))Ao").ids == ["new", "old"])
        let bad = [
            "": 1, "a": 1, "a:\(text),": 2, ",a:\(text)": 1, "a:\(text):": 1, "a:\(text)=": 1,
            "a:\(text),b:\(text.dropLast())": 2,
            "a:\(text),b:+\(text.dropFirst())": 2, "a b:\(text)": 1, "a:\(text),\n": 2,
        ]
        for (text, position) in bad {
            do {
                _ = try SealKeyRing(parsing: text)
                Issue.record("accepted: \(text)")
            } catch {
                #expect(
                    error.code == .invalidConfiguration && error.message.contains("Seal key \(position) of"),
                    "\(error.message)"
                )
                for secret in text.split(separator: ":") where secret.count > 20 {
                    #expect(!error.message.contains(secret.prefix(20)))
                }
            }
        }
    }

    @Test func `neither keys nor rings print what they hold`() throws {
        let key = try SealKey(id: "a", bytes: Self.random)
        let ring = try SealKeyRing([key])
        let store = try SealedSessionStore(ring, application: "shop")
        var text = ""
        for value in [key, ring, store] as [Any] {
            text += "\(value) \(String(reflecting: value))"
            dump(value, to: &text)
        }
        let words = text.split { !$0.isLetter && !$0.isNumber }.joined(separator: " ")
        #expect(!words.contains(Self.random.prefix(3).map(String.init).joined(separator: " ")))
        #expect(!text.contains(String(decoding: Base64URL.encode(Self.random).prefix(12), as: UTF8.self)))
        #expect(
            !text.lowercased().contains(
                Self.random.prefix(4).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            )
        )
    }
}
