// SPDX-License-Identifier: Apache-2.0

/// Random bytes from the operating system's generator, for IDs, secrets and salts.
enum RandomBytes {
    /// Draws `8 * words` bytes.
    static func draw(words: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<words).flatMap { _ in bytes(of: generator.next()) }
    }

    /// Returns what shows that a key did not come from a random generator; nil when nothing does (R62).
    static func weakness(of key: [UInt8]) -> String? {
        if key.allSatisfy({ (0x20...0x7E).contains($0) }) {
            return "it holds printable characters only, as a password does; use 32 random bytes"
        }
        return key.allSatisfy { $0 == key[0] } ? "all its bytes are the same; use 32 random bytes" : nil
    }

    /// Returns the 8 bytes of each word, the most significant first.
    static func bytes(of words: UInt64...) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 * words.count)
        for word in words {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
            }
        }
        return bytes
    }
}
