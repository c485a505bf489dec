// SPDX-License-Identifier: Apache-2.0

/// Random bytes from the operating system's generator, for IDs, secrets and salts.
enum RandomBytes {
    /// Draws `8 * words` bytes.
    static func draw(words: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<words).flatMap { _ in bytes(of: generator.next()) }
    }

    /// Returns the 8 bytes of a word, the most significant first.
    static func bytes(of word: UInt64) -> [UInt8] {
        unsafe withUnsafeBytes(of: word.bigEndian) { unsafe Array($0) }
    }
}
