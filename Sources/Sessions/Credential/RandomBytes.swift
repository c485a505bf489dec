// SPDX-License-Identifier: Apache-2.0

/// Random bytes from the operating system's generator, for IDs, secrets and salts.
enum RandomBytes {
    /// Draws `8 * words` bytes.
    static func draw(words: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 * words)
        for _ in 0..<words { append(generator.next(), to: &bytes) }
        return bytes
    }

    /// Returns what shows that a key did not come from a random generator; nil when nothing does (R62).
    static func weakness(of key: [UInt8]) -> String? {
        if key.allSatisfy({ (0x20...0x7E).contains($0) }) {
            return "it holds printable characters only, as a password does; use 32 random bytes"
        }
        return key.allSatisfy { $0 == key[0] } ? "all its bytes are the same; use 32 random bytes" : nil
    }

    /// Appends the 8 bytes of a word, the most significant first.
    static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
        }
    }
}
