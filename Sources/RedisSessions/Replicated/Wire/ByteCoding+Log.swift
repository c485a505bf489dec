// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The values that only log entries are made of.
extension ByteWriter {
    /// Appends a byte string that may be missing.
    mutating func optional(_ bytes: [UInt8]?) {
        byte(bytes == nil ? 0 : 1)
        if let bytes { string(bytes) }
    }

    mutating func instant(_ instant: SessionInstant) { signed(instant.milliseconds) }

    /// Appends a duration in whole milliseconds.
    mutating func duration(_ duration: Duration) { signed(duration.wholeMilliseconds) }

    /// Appends 8 bytes, the highest first.
    mutating func word(_ word: UInt64) {
        raw((0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) })
    }

    mutating func position(_ position: LogPosition) {
        number(position.milliseconds)
        number(position.sequence)
    }
}

extension ByteReader {
    mutating func optional() throws(Malformed) -> [UInt8]? { try flag() ? try string() : nil }

    mutating func instant() throws(Malformed) -> SessionInstant {
        SessionInstant(milliseconds: try signed())
    }

    mutating func duration() throws(Malformed) -> Duration { .milliseconds(try signed()) }

    mutating func word() throws(Malformed) -> UInt64 { try raw(8).reduce(0) { $0 << 8 | UInt64($1) } }

    mutating func position() throws(Malformed) -> LogPosition {
        LogPosition(milliseconds: try number(), sequence: try number())
    }

    mutating func id() throws(Malformed) -> SessionID {
        guard let id = SessionID(bytes: try raw(16)) else { throw Malformed() }
        return id
    }

    /// Reads a byte that must be 0 or 1.
    mutating func flag() throws(Malformed) -> Bool {
        let byte = try byte()
        guard byte < 2 else { throw Malformed() }
        return byte == 1
    }

    /// Reads a number that must fit into an `Int`.
    mutating func count() throws(Malformed) -> Int {
        guard let count = Int(exactly: try number()) else { throw Malformed() }
        return count
    }
}
