// SPDX-License-Identifier: Apache-2.0

/// The slot of a key in a Redis Cluster.
///
/// Source: the Redis Cluster specification, "Key distribution model" and "Hash tags".
enum HashSlot {
    /// The number of slots.
    static let count = 16_384

    /// Returns the slot of a key: of the text between its first `{` and the next `}`, if there is any, else of
    /// the whole key.
    static func of(_ key: ArraySlice<UInt8>) -> Int {
        guard let open = key.firstIndex(of: UInt8(ascii: "{")),
            let close = key[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        else { return Int(crc16(key)) % count }
        return Int(crc16(key[(open + 1)..<close])) % count
    }

    /// CRC-16/XMODEM: polynomial 0x1021, from 0.
    static func crc16(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        bytes.reduce(0) { sum, byte in sum << 8 ^ table[Int(UInt8(sum >> 8) ^ byte)] }
    }

    private static let table: [UInt16] = (0..<256).map { byte in
        (0..<8).reduce(UInt16(byte) << 8) { sum, _ in sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x1021 }
    }
}
