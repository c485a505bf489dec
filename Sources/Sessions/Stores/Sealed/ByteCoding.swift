// SPDX-License-Identifier: Apache-2.0

/// Writes numbers and byte strings one after the other: what seals and log entries are made of.
///
/// Numbers are unsigned LEB128, byte strings their length and then their bytes. There is one encoding of each
/// value.
package struct ByteWriter: Sendable {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []

    /// An empty writer.
    package init() {}

    /// Appends one byte.
    package mutating func byte(_ byte: UInt8) { bytes.append(byte) }

    /// Appends a number in 1 to 10 bytes.
    package mutating func number(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Appends a signed number; -1 is as short as 1.
    package mutating func signed(_ number: Int64) {
        self.number(UInt64(bitPattern: number << 1 ^ number >> 63))
    }

    /// Appends bytes of a length that the reader knows.
    package mutating func raw(_ raw: some Collection<UInt8>) { bytes.append(contentsOf: raw) }

    /// Appends a byte string.
    package mutating func string(_ string: some Collection<UInt8>) {
        number(UInt64(string.count))
        raw(string)
    }

    /// Appends the attributes of a session in the order of their names.
    package mutating func attributes(_ attributes: [String: [UInt8]]) {
        number(UInt64(attributes.count))
        for (name, value) in attributes.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            string(name.utf8)
            string(value)
        }
    }
}

/// Reads what `ByteWriter` wrote, and nothing else.
///
/// Every mistake, a length beyond the end or a number in more bytes than it needs, is a thrown `Malformed`;
/// nothing is reserved before its bytes are there.
package struct ByteReader: Sendable {
    /// The bytes are not what a writer writes.
    package struct Malformed: Error {
        package init() {}
    }

    private var rest: ArraySlice<UInt8>

    /// A reader of all of `bytes`.
    package init(_ bytes: some Collection<UInt8>) { rest = Array(bytes)[...] }

    /// Throws unless everything was read.
    package func end() throws(Malformed) { guard rest.isEmpty else { throw Malformed() } }

    /// The next byte.
    package mutating func byte() throws(Malformed) -> UInt8 {
        guard let byte = rest.popFirst() else { throw Malformed() }
        return byte
    }

    /// The next number.
    package mutating func number() throws(Malformed) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let byte = try byte()
            guard shift < 63 || byte <= 1, byte != 0 || shift == 0 else { throw Malformed() }
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
        }
        throw Malformed()
    }

    /// The next signed number.
    package mutating func signed() throws(Malformed) -> Int64 {
        let number = try number()
        return Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
    }

    /// The next bytes, of a known length.
    package mutating func raw(_ count: Int) throws(Malformed) -> [UInt8] {
        guard count >= 0, count <= rest.count else { throw Malformed() }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// The next byte string.
    package mutating func string() throws(Malformed) -> [UInt8] {
        let count = try number()
        guard count <= UInt64(rest.count) else { throw Malformed() }
        return try raw(Int(count))
    }

    /// The next byte string as text.
    package mutating func text() throws(Malformed) -> String {
        guard let text = String(validating: try string(), as: UTF8.self) else { throw Malformed() }
        return text
    }

    /// The next attributes; out of order or twice the same name is malformed.
    package mutating func attributes() throws(Malformed) -> [String: [UInt8]] {
        var attributes: [String: [UInt8]] = [:]
        var last: String?
        for _ in 0..<(try number()) {
            let name = try text()
            if let last, !last.utf8.lexicographicallyPrecedes(name.utf8) { throw Malformed() }
            attributes[name] = try string()
            last = name
        }
        return attributes
    }
}
