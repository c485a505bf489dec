// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@Suite struct `Byte coding` {
    private static let numbers: [UInt64] = [
        0, 1, 127, 128, 16_383, 16_384, UInt64(Int64.max), .max - 1, .max,
    ]

    private func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        body(&writer)
        return writer.bytes
    }

    @Test func `what is written is read`() throws {
        let attributes = ["b": [1, 2], "a": [], "a\u{301}": [UInt8](repeating: 9, count: 300)]
        let bytes = written { writer in
            for number in Self.numbers { writer.number(number) }
            for number in [Int64.min, -1, 0, 1, .max] { writer.signed(number) }
            writer.byte(7)
            writer.raw([1, 2, 3])
            writer.string("ann".utf8)
            writer.attributes(attributes)
        }
        var reader = ByteReader(bytes)
        for number in Self.numbers { #expect(try reader.number() == number) }
        for number in [Int64.min, -1, 0, 1, .max] { #expect(try reader.signed() == number) }
        #expect(try reader.byte() == 7)
        #expect(try reader.raw(3) == [1, 2, 3])
        #expect(try reader.text() == "ann")
        #expect(throws: ByteReader.Malformed.self) { try reader.end() }
        #expect(try reader.attributes() == attributes)
        try reader.end()
    }

    @Test func `every cut is malformed`() {
        let bytes = written { $0.attributes(["name": [UInt8](repeating: 1, count: 200), "other": [2]]) }
        for count in 0..<bytes.count {
            #expect(throws: ByteReader.Malformed.self) {
                var reader = ByteReader(bytes.prefix(count))
                _ = try reader.attributes()
            }
        }
    }

    @Test func `there is one encoding of each value, and no length is believed`() {
        let malformed: [[UInt8]] = [
            [0x80, 0x00], [0xFF, 0x80, 0x00], [UInt8](repeating: 0xFF, count: 10),
            [UInt8](repeating: 0x80, count: 11),
            [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],
        ]
        for bytes in malformed {
            #expect(throws: ByteReader.Malformed.self) {
                var reader = ByteReader(bytes)
                _ = try reader.number()
            }
        }
        let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]
        #expect(throws: ByteReader.Malformed.self) {
            var reader = ByteReader(huge + [1, 2])
            _ = try reader.string()
        }
        #expect(throws: ByteReader.Malformed.self) {
            var reader = ByteReader(huge + [1, 2])
            _ = try reader.attributes()
        }
        // Out of order, and twice the same name.
        for names in [["b", "a"], ["a", "a"]] {
            let bytes = written { writer in
                writer.number(2)
                for name in names {
                    writer.string(name.utf8)
                    writer.string([])
                }
            }
            #expect(throws: ByteReader.Malformed.self) {
                var reader = ByteReader(bytes)
                _ = try reader.attributes()
            }
        }
    }
}
