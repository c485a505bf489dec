// SPDX-License-Identifier: Apache-2.0

/// Names a session record.
///
/// Not a credential.
///
/// 128 random bits, printed as 22 characters of base64url. It may be logged, shown on a "your devices" page
/// and used as a key in the store: who knows it can name the session, not use it. It stays the same through
/// sign-in and renewal.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    /// Draws a random ID from the operating system's generator.
    public init() {
        var generator = SystemRandomNumberGenerator()
        high = generator.next()
        low = generator.next()
    }

    /// Reads the printed form; nil when it is not exactly 22 canonical characters.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count == 22, let bytes = Base64URL.decode(text.utf8) else { return nil }
        self.init(bytes: bytes)
    }

    /// The 16 bytes.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        append(to: &bytes)
        return bytes
    }

    /// Appends the 16 bytes.
    package func append(to bytes: inout [UInt8]) {
        RandomBytes.append(high, to: &bytes)
        RandomBytes.append(low, to: &bytes)
    }

    /// Creates the ID of 16 bytes; nil for any other number of them.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        high = bytes[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The text for logs and messages; holds no secret.
    public var description: String { String(decoding: Base64URL.encode(bytes), as: UTF8.self) }
}
