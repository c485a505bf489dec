// SPDX-License-Identifier: Apache-2.0

/// How much one session may hold (R78). Checked before anything is sent to the store, so what is stored stays unchanged.
///
/// Two requests that each add within the limits at the same moment may together pass them once; the next change is refused.
public struct SessionLimits: Hashable, Sendable {
    /// Bytes of all names and encoded values together. Default 64 KiB.
    public var bytes: Int
    /// Number of attributes. Default 128.
    public var attributes: Int

    /// Creates limits.
    public init(bytes: Int = 65_536, attributes: Int = 128) {
        self.bytes = bytes
        self.attributes = attributes
    }

    package func validate() throws(SessionError) {
        guard (1...16_777_216).contains(bytes), (1...1024).contains(attributes) else {
            throw SessionError(.invalidConfiguration, "Limits must be 1 byte to 16 MiB and 1 to 1024 attributes.")
        }
    }

    package func check(_ attributes: [String: [UInt8]]) throws(SessionError) {
        guard attributes.count <= self.attributes else {
            throw SessionError(.tooLarge, "The session would hold \(attributes.count) attributes; \(self.attributes) are allowed.")
        }
        try check(bytes: attributes.reduce(0) { $0 + $1.key.utf8.count + $1.value.count })
    }

    package func check(bytes count: Int) throws(SessionError) {
        guard count <= bytes else { throw SessionError(.tooLarge, "The session would hold \(count) bytes; \(bytes) are allowed.") }
    }
}
