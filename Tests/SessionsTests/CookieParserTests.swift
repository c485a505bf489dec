// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions
import Testing

@Suite struct CookieParserTests {
    let name = "__Host-session"

    /// Reads raw bytes as one or more fields, past the repairs that `HTTPField` makes.
    private func readBytes(_ fields: [UInt8]...) -> CookieLookup {
        var header = CookieParser(name: name)
        for field in fields { header.read(field) }
        return header.result
    }

    private func read(_ fields: String...) -> CookieLookup {
        var header = CookieParser(name: name)
        for field in fields { header.read(Array(field.utf8)) }
        return header.result
    }

    // MARK: Grammar (R53)

    @Test func `finds the value among others`() {
        #expect(read("__Host-session=abc") == .value("abc"))
        #expect(read("a=1; __Host-session=abc; b=2") == .value("abc"))
        #expect(read("a=1;__Host-session=abc;b=2") == .value("abc"))
        #expect(read("a=1; b=2") == .absent)
        #expect(read("") == .absent)
        #expect(read() == .absent)
    }

    @Test func `trims space and tab, nothing else`() {
        #expect(read(" \t __Host-session\t=  abc \t ;") == .value("abc"))
        for blank in [
            "\u{A0}", "\u{85}", "\u{2000}", "\u{200B}", "\u{3000}", "\u{FEFF}", "\u{0B}", "\u{0C}", "\r",
            "\n", "\0",
        ] {
            #expect(
                read("\(blank)__Host-session=abc") == .absent,
                "before the name: \(blank.utf8.map(\.self))"
            )
            #expect(
                read("__Host-session\(blank)=abc") == .absent,
                "after the name: \(blank.utf8.map(\.self))"
            )
            #expect(
                read("__Host-session=\(blank)abc") == .malformed,
                "before the value: \(blank.utf8.map(\.self))"
            )
            #expect(
                read("__Host-session=abc\(blank)") == .malformed,
                "after the value: \(blank.utf8.map(\.self))"
            )
        }
    }

    @Test func `the first equals sign ends the name`() {
        #expect(read("__Host-session=a=b==") == .value("a=b=="))
        #expect(read("x=__Host-session=abc") == .absent)
        #expect(read("__Host-session=") == .value(""))
    }

    @Test func `nameless pairs match no name`() {
        #expect(read("__Host-session") == .absent)
        #expect(read("=__Host-session=abc") == .absent)
        #expect(read("=abc; =; =; abc; ; ;;") == .absent)
    }

    @Test func `quotes, commas, percent signs and dollar signs are ordinary bytes`() {
        #expect(read(#"__Host-session="abc""#) == .value(#""abc""#))
        #expect(read(#"a="x; __Host-session=abc; b=""#) == .value("abc"))
        #expect(read(#"a="x\"; __Host-session=abc"#) == .value("abc"))
        #expect(read("a=1, __Host-session=abc") == .absent)
        #expect(read("__Host-session=abc, a=1") == .value("abc, a=1"))
        #expect(read("__%48ost-session=abc; __Host%2Dsession=abc; __Host-session%3Dabc") == .absent)
        #expect(read("__Host-session=%61%62") == .value("%61%62"))
        #expect(read(#"$Version="1"; __Host-session=abc; $Path="/"; $Domain=x"#) == .value("abc"))
        #expect(read("__Host-session=a+b") == .value("a+b"))
    }

    @Test func `a byte that looks like a separator in Unicode separates nothing`() {
        #expect(read("a=1\u{37E} __Host-session=evil") == .absent)
        #expect(read("a=1\u{FF1B} __Host-session=evil") == .absent)
        #expect(read("__Host-session\u{FF1D}evil") == .absent)
        #expect(read("__Host-session=\u{338}evil") == .malformed)
    }

    @Test func `a combining mark hides no separator`() {
        // `Character` would see one grapheme in each of these.
        #expect(read("a=1;\u{301} x=1; __Host-session=abc") == .value("abc"))
        #expect(read("__Host-session=abc;\u{301}") == .value("abc"))
        #expect(read("a=1; \u{301}b=2;\u{20DD}; __Host-session=abc; \u{301}") == .value("abc"))
    }

    // MARK: Names (R54)

    @Test(arguments: [
        "__host-session", "__HOST-SESSION", "__Host-Session", "_Host-session", "__Host-sessio",
        "__Host-sessions", "__Host-session.",
        // The Kelvin sign and the long s fold to k and s; ligatures and full-width letters normalize to
        // letters.
        "__Ho\u{17F}t-session", "__Host-\u{17F}ession", "\u{FF3F}_Host-session", "__Host-session\u{301}",
        "__Host\u{2010}session",
    ])
    func `only the exact bytes are our name`(other: String) {
        #expect(read("\(other)=evil") == .absent)
        #expect(read("\(other)=evil; __Host-session=abc") == .value("abc"))
        #expect(read("__Host-session=abc; \(other)=evil") == .value("abc"))
    }

    @Test func `names are compared without Unicode equivalence`() {
        var header = CookieParser(name: "tok")
        header.read(Array("to\u{212A}=evil; TOK=evil; tok\u{34F}=evil".utf8))
        #expect(header.result == .absent)
    }

    @Test func `every other byte in the name makes it another name`() {
        let ours = Array(name.utf8)
        for position in ours.indices {
            for byte in UInt8.min...UInt8.max where byte != ours[position] {
                var bytes = ours
                bytes[position] = byte
                #expect(readBytes(bytes + Array("=evil".utf8)) == .absent, "byte \(byte) at \(position)")
            }
        }
    }

    // MARK: Values (R58)

    @Test func `each of the 256 bytes inside the value is taken or refused`() {
        for byte in UInt8.min...UInt8.max {
            let reading = readBytes(Array("__Host-session=a".utf8) + [byte] + Array("z; other=1".utf8))
            switch byte {
            case UInt8(ascii: ";"): #expect(reading == .value("a"))
            case 0x20...0x7E:
                #expect(reading == .value("a\(Character(Unicode.Scalar(byte)))z"), "byte \(byte)")
            default: #expect(reading == .malformed, "byte \(byte)")
            }
        }
    }

    static let hostile: [[UInt8]] = [
        [], [0x3D], Array("=x".utf8), Array("x".utf8), Array("==".utf8), Array("a==b".utf8), Array("\"".utf8),
        Array("a=\"".utf8),
        Array("\"a=b".utf8),
        Array("a=\\".utf8), Array("a={\"b\":[1,2]}".utf8), Array("a=b,c=d".utf8), Array("$Version=1".utf8),
        Array("a=%3B%3D%00".utf8),
        Array("a=\u{37E}".utf8), Array("\u{A0}=\u{A0}".utf8), Array("\u{301}=\u{301}".utf8),
        Array("名=値".utf8), [0x00], [0x61, 0x3D, 0x00],
        [0x0D, 0x0A], [0x7F], [0xFF], [0xFE, 0xFF], [0xC0, 0x80], [0xC2], [0xE2, 0x80], [0xF0, 0x9F, 0x98],
        [0xED, 0xA0, 0x80],
        [0x80, 0x3D, 0x80],
        [0x09], [0x20, 0x20], Array("__Host-sessio".utf8), Array("__Host-".utf8),
        Array("__host-session=evil".utf8),
        Array("= __Host-session=evil".utf8),
    ]

    @Test(arguments: hostile)
    func `a hostile neighbour in any place changes nothing`(neighbour: [UInt8]) {
        let ours = Array("__Host-session=abc".utf8)
        let semicolon = Array("; ".utf8)
        let good = Array("a=1".utf8)
        #expect(readBytes(neighbour) == .absent)
        for pairs in [
            [neighbour, ours, good], [ours, neighbour, good], [good, neighbour, ours],
            [neighbour, ours, neighbour],
        ] {
            #expect(readBytes(Array(pairs.joined(separator: semicolon))) == .value("abc"))
            #expect(readBytes(Array(pairs.joined(separator: [UInt8(ascii: ";")]))) == .value("abc"))
            // R56: the same pairs in a field each.
            #expect(readBytes(pairs[0], pairs[1], pairs[2]) == .value("abc"))
            // And through the type that servers hand over, whichever way it was filled.
            var fields = HTTPFields()
            fields.append(HTTPField(name: .cookie, value: Array(pairs.joined(separator: semicolon))))
            #expect(SessionCookie().read(fields).value == .value("abc"))
            // NIO decodes and repairs before anybody sees the bytes.
            fields = [.cookie: String(decoding: Array(pairs.joined(separator: semicolon)), as: UTF8.self)]
            #expect(SessionCookie().read(fields).value == .value("abc"))
        }
    }

    @Test func `a value of ours that was not UTF-8 is malformed before and after repair`() {
        let bytes = Array("__Host-session=a".utf8) + [0xE2, 0x80] + Array("; b=1".utf8)
        var fields = HTTPFields()
        fields.append(HTTPField(name: .cookie, value: bytes))
        #expect(SessionCookie().read(fields).value == .malformed)
        #expect(SessionCookie().read([.cookie: String(decoding: bytes, as: UTF8.self)]).value == .malformed)
    }

    // MARK: Several (R55, R56)

    @Test func `equal duplicates count as one, different ones are ambiguous in any order`() {
        #expect(read("__Host-session=abc; __Host-session=abc") == .value("abc"))
        #expect(read("__Host-session=abc; a=1; __Host-session=evil") == .ambiguous)
        #expect(read("__Host-session=evil; a=1; __Host-session=abc") == .ambiguous)
        #expect(read("__Host-session=evil; __Host-session=abc; __Host-session=evil") == .ambiguous)
        #expect(read("__Host-session=; __Host-session=abc") == .ambiguous)
        #expect(read("__Host-session=abc; __Host-session=ABC") == .ambiguous)
    }

    @Test func `a malformed duplicate never wins and never disappears`() {
        #expect(read("__Host-session=abc; __Host-session=\u{1}") == .ambiguous)
        #expect(read("__Host-session=\u{1}; __Host-session=abc") == .ambiguous)
        #expect(read("__Host-session=\u{1}; __Host-session=\u{1}") == .malformed)
    }

    @Test func `pairs may come in any number of fields`() {
        #expect(read("a=1", "__Host-session=abc", "b=2") == .value("abc"))
        #expect(read("a=1; __Host-session=abc", "b=2") == .value("abc"))
        #expect(read("__Host-session=abc", "__Host-session=abc") == .value("abc"))
        #expect(read("__Host-session=abc", "__Host-session=evil") == .ambiguous)
        // A field's end ends the pair: nothing runs on into the next field.
        #expect(read("__Host-session", "=abc") == .absent)
        #expect(read("__Host-session=abc", "def") == .value("abc"))

        var fields: HTTPFields = [.accept: "*/*"]
        fields.append(HTTPField(name: .cookie, value: "a=1"))
        fields.append(HTTPField(name: .init("cOOkie")!, value: "__Host-session=abc"))
        fields.append(HTTPField(name: .setCookie, value: "__Host-session=evil"))
        #expect(SessionCookie().read(fields).value == .value("abc"))
        #expect(SessionCookie().read([:]).value == .absent)
    }

    // MARK: Limits (R57)

    @Test func `16 KiB are read, one byte more is not, however they are split`() {
        let ours = "__Host-session=abc; a="
        let full = ours + String(repeating: "x", count: 16 * 1024 - ours.utf8.count)
        #expect(read(full) == .value("abc"))
        #expect(read(full + "x") == .overLimit)
        #expect(read(ours, String(full.dropFirst(ours.count + 2))) == .value("abc"))
        #expect(read(ours, String(full.dropFirst(ours.count + 1))) == .overLimit)
        #expect(read(full + "x", "__Host-session=abc") == .overLimit)
    }

    @Test func `180 pairs are read, 181 are not, and empty ones do not count`() {
        let foreign = Array(repeating: "a=b", count: 178).joined(separator: "; ")
        #expect(read("\(foreign); __Host-session=abc; c") == .value("abc"))
        #expect(read("\(foreign); __Host-session=abc; c; =") == .overLimit)
        #expect(read("__Host-session=abc; \(foreign); c; d") == .overLimit)
        #expect(read(";;;; ; \(foreign);;; ; __Host-session=abc; c; \t ;") == .value("abc"))
        #expect(read(Array(repeating: "__Host-session=abc", count: 181).joined(separator: ";")) == .overLimit)
    }

    @Test(arguments: [";", "a=a;", " ;", "=", "; ", "__Host-session=a;", "a=\t ", "\u{FF}"])
    func `80 KiB are refused unread, and cost twice as much for twice the bytes without a limit`(unit: String)
    {
        func visits(bytes count: Int, limited: Bool) -> (Int, CookieLookup) {
            let bytes = CountedBytes(Array(String(repeating: unit, count: count / unit.utf8.count).utf8))
            var header =
                limited
                ? CookieParser(name: name) : CookieParser(name: name, maximumBytes: .max, maximumPairs: .max)
            header.read(bytes)
            return (bytes.visits.count, header.result)
        }
        #expect(visits(bytes: 80 * 1024, limited: true) == (0, .overLimit))
        let (once, _) = visits(bytes: 40 * 1024, limited: false)
        let (twice, _) = visits(bytes: 80 * 1024, limited: false)
        #expect(twice <= 8 * 80 * 1024, "each byte is looked at a few times at most")
        #expect(abs(twice - 2 * once) <= 64)
    }

    @Test func `reading stops at the pair that is too many`() {
        let bytes = CountedBytes(Array(String(repeating: "a=a;", count: 4000).utf8))
        var header = CookieParser(name: name)
        header.read(bytes)
        #expect(header.result == .overLimit)
        #expect(bytes.visits.count < 8 * 4 * 182)
    }
}

/// Bytes that count how often one of them is looked at.
private struct CountedBytes: RandomAccessCollection {
    final class Visits {
        var count = 0
    }
    let visits = Visits()
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var startIndex: Int { 0 }
    var endIndex: Int { bytes.count }
    subscript(position: Int) -> UInt8 {
        visits.count += 1
        return bytes[position]
    }
}
