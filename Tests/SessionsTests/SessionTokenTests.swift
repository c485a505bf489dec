// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@Suite struct `Session ticket` {
    private let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    private func parse(_ text: String) -> SessionToken? { SessionToken(SessionCredential(text)) }
    private func parse(_ bytes: [UInt8]) -> SessionToken? { parse(String(decoding: bytes, as: UTF8.self)) }

    // MARK: Form (R04, R66)

    @Test func `what was printed is read again`() throws {
        for version in [nil, 0, 1, 9, 10, 999_999_999_999_999_999] as [Int?] {
            let ticket = version.map { SessionToken().seen($0) } ?? SessionToken()
            let read = try #require(SessionToken(ticket.credential))
            #expect(read.id == ticket.id && read.secret == ticket.secret && read.version == version)
            #expect(SessionID(ticket.id.description) == ticket.id)
        }
        let text = SessionToken().credential.value
        #expect(
            text.utf8.count == 66 && text.utf8.split(separator: UInt8(ascii: ".")).map(\.count) == [22, 43]
        )
    }

    @Test func `no truncation is read`() {
        let text = SessionToken().seen(12).credential.value
        for length in 0..<text.utf8.count where ![66, 68].contains(length) {
            #expect(parse(String(text.prefix(length))) == nil, "\(length) characters")
            if length > 0 {
                #expect(parse(String(text.suffix(length))) == nil, "the last \(length) characters")
            }
        }
    }

    @Test func `no letter can be replaced by one outside the alphabet`() {
        let text = Array(SessionToken().credential.value.utf8)
        for position in text.indices {
            for byte in UInt8.min...UInt8.max where !alphabet.contains(byte) && byte != text[position] {
                var changed = text
                changed[position] = byte
                #expect(parse(changed) == nil, "byte \(byte) at \(position)")
            }
        }
    }

    @Test func `one ticket has one text`() throws {
        let ticket = SessionToken().seen(34)
        let text = Array(ticket.credential.value.utf8)
        var accepted = 0
        for position in text.indices {
            for byte in alphabet + Array(".+/= ".utf8) where byte != text[position] {
                var changed = text
                changed[position] = byte
                guard let other = parse(changed) else { continue }
                accepted += 1
                #expect(Array(other.credential.value.utf8) == changed)
                #expect(
                    other.id != ticket.id || other.secret != ticket.secret
                        || other.version != ticket.version
                )
            }
        }
        // The last letter of the session ID carries 2 bits (4 letters), that of the secret 4 bits (16
        // letters), the version digits.
        #expect(accepted == 21 * 63 + 3 + 42 * 63 + 15 + 8 + 9)
    }

    @Test func `a letter more or less is not read`() {
        let text = Array(SessionToken().credential.value.utf8)
        for position in 0...text.count {
            for byte in alphabet + Array(".=+/\0\r\n *{%\"".utf8) {
                var changed = text
                changed.insert(byte, at: position)
                #expect(parse(changed) == nil, "byte \(byte) before \(position)")
            }
        }
        for position in text.indices {
            var changed = text
            changed.remove(at: position)
            #expect(parse(changed) == nil, "without \(position)")
        }
    }

    @Test(arguments: [
        "", "0", "00", "01", "-1", "+1", " 1", "1 ", "1.", ".1", "1.1", "1e3", "0x1", "a", "\u{661}",
        "\u{FF11}", "1\u{301}",
        "1000000000000000000", "9223372036854775808", "99999999999999999999999999999999",
    ]) func `the version is canonical decimal digits, at most 18`(version: String) {
        let text = SessionToken().credential.value + "." + version
        #expect((parse(text) != nil) == (version == "0"))
    }

    @Test func `nothing that is too long or strange is read, and nothing crashes`() {
        let text = SessionToken().credential.value
        for length in [85, 86, 95, 96, 97, 4096, 70_000] {
            #expect(parse(String(repeating: "A", count: length)) == nil)
            #expect(parse(text + "." + String(repeating: "1", count: length)) == nil)
            #expect(parse(String(repeating: ".", count: length)) == nil)
        }
        for strange in [
            "", ".", "..", "...", "\0", "{\(text)}", "*", "../../etc", "\u{212A}\(text.dropFirst())",
            "\(text);", "\"\(text)\"",
        ] {
            #expect(parse(strange) == nil, "\(strange.debugDescription)")
        }
        #expect(parse([UInt8](repeating: 0xFF, count: 66)) == nil)
        #expect(parse(text.replacing(".", with: "\u{2024}")) == nil)
    }

    @Test func `a id is exactly 22 canonical letters`() {
        let text = SessionID().description
        for length in 0...64 where length != 22 {
            #expect(SessionID(String(repeating: "A", count: length)) == nil)
        }
        #expect(text.utf8.count == 22 && SessionID(text.dropLast() + "B") == nil)
        for wrong in ["+", "/", "=", ".", " ", "\0", "\u{E9}"] {
            #expect(SessionID(text.dropLast() + wrong) == nil)
        }
    }

    // MARK: Randomness (R01)

    @Test func `no two of 100000 tickets are alike, and every bit is a coin toss`() {
        let number = 100_000
        var ids = Set<SessionID>(minimumCapacity: number)
        var secrets = Set<[UInt8]>(minimumCapacity: number)
        var histogram = [Int](repeating: 0, count: 48 * 256)
        for _ in 0..<number {
            let ticket = SessionToken()
            ids.insert(ticket.id)
            secrets.insert(ticket.secret)
            for (position, byte) in (ticket.id.bytes + ticket.secret).enumerated() {
                histogram[position << 8 | Int(byte)] += 1
            }
        }
        #expect(ids.count == number && secrets.count == number)
        // Six standard deviations: a true coin fails this once in a million runs.
        let tolerance = 6 * Double(number).squareRoot() / 2
        for position in 0..<48 {
            for bit in 0..<8 {
                let ones = (0..<256).filter { $0 >> bit & 1 == 1 }.reduce(0) {
                    $0 + histogram[position << 8 | $1]
                }
                #expect(abs(Double(ones - number / 2)) < tolerance, "bit \(bit) of byte \(position)")
            }
        }
    }

    @Test func `a new secret for an old id shares nothing with the old one`() {
        let ticket = SessionToken()
        let next = SessionToken(id: ticket.id)
        #expect(next.id == ticket.id && next.secret != ticket.secret)
    }

    // MARK: Hashes (R33, R34)

    private func crypto(_ application: String = "shop", _ peppers: [UInt8] = []) throws -> RecordCrypto {
        let peppers = try peppers.map { try SessionPepper(Array($0..<$0 + 32)) }
        return try RecordCrypto(application: application, peppers: peppers)
    }

    @Test func `a hash is bound to the secret, the id, the pepper and the application`() throws {
        let plain = try crypto()
        let token = SessionToken()
        let hash = plain.hash(token)
        #expect(hash.count == 32 && hash == plain.hash(token))
        #expect(plain.hash(SessionToken(id: token.id)) != hash)
        #expect(try crypto("shop", [7]).hash(token) != hash && crypto("admin").hash(token) != hash)
        let moved = try #require(parse(SessionID().description + token.credential.value.dropFirst(22)))
        #expect(moved.secret == token.secret && plain.hash(moved) != hash)
        #expect(plain.hash(principal: "K") != plain.hash(principal: "\u{212A}"))
        #expect(try plain.hash(principal: "ann") != crypto("admin").hash(principal: "ann"))
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try SessionPepper([UInt8](repeating: 7, count: 31))
        }
    }

    @Test(arguments: [
        Array("correct-horse-battery-staple-2026".utf8), Array(String(repeating: "a1", count: 32).utf8),
        [UInt8](repeating: 0, count: 32), [UInt8](repeating: 7, count: 64), [],
    ]) func `a password and a repeated byte are no pepper`(bytes: [UInt8]) throws {
        let error = try #require(throws: SessionError.self) { try SessionPepper(bytes) }
        #expect(error.code == .invalidConfiguration && error.message.contains("random bytes"))
    }

    @Test func `the first pepper writes and all are tried`() throws {
        let (old, new) = (try crypto("shop", [1]), try crypto("shop", [2, 1]))
        let token = SessionToken()
        #expect(new.hash(token) != old.hash(token))
        #expect(new.hashes(token) == [try crypto("shop", [2]).hash(token), old.hash(token)])
        #expect(new.hashes(principal: "ann").last == old.hash(principal: "ann"))
        #expect(new.isAuthentic(old.tag([1, 2], for: "log"), [1, 2], for: "log"))
        #expect(!old.isAuthentic(new.tag([1, 2], for: "log"), [1, 2], for: "log"))
        #expect(!new.isAuthentic(old.tag([1, 2], for: "log"), [1, 2], for: "other"))
        let introduced = try RecordCrypto(
            application: "shop",
            peppers: [SessionPepper(Array(2..<2 + 32)), .none]
        )
        #expect(introduced.hashes(token).last == (try crypto().hash(token)))
    }

    @Test(arguments: ["", "a b", "a{b}", "a*", "ä", String(repeating: "a", count: 129)])
    func `an application's name that could mean something else in a key is refused`(name: String) {
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try RecordCrypto(application: name, peppers: [])
        }
    }

    @Test func `hashes are equal only when all their bytes are`() {
        let digest = [UInt8](0..<32)
        #expect(RecordCrypto.areEqual(digest, digest))
        for index in digest.indices {
            var other = digest
            other[index] ^= 0x80
            #expect(!RecordCrypto.areEqual(digest, other))
        }
        #expect(
            !RecordCrypto.areEqual(digest, Array(digest.dropLast()))
                && !RecordCrypto.areEqual(digest, digest + [0])
        )
        #expect(!RecordCrypto.areEqual(digest, []))
    }

    @Test func `an encrypted user name opens with its own token only`() throws {
        let crypto = try crypto()
        let ticket = SessionToken()
        let sealed = crypto.encrypt(principal: "ann", for: ticket)
        #expect(crypto.decryptPrincipal(sealed, with: ticket) == "ann")
        #expect(crypto.decryptPrincipal(sealed, with: SessionToken(id: ticket.id)) == nil)
        #expect(crypto.decryptPrincipal([], with: ticket) == nil)
        for index in sealed.indices {
            var other = sealed
            other[index] ^= 1
            #expect(crypto.decryptPrincipal(other, with: ticket) == nil)
        }
        #expect(crypto.encrypt(principal: "ann", for: ticket) != sealed)
    }
}
