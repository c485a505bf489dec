// SPDX-License-Identifier: Apache-2.0

/// How much one session may hold (R78).
///
/// A change that would pass a limit is refused and what is stored stays unchanged.
///
/// A session that is too large already, because the limit was lowered, can still shrink. The number of
/// attributes is checked against the state that the request read: requests at the same moment may together
/// pass it, the number of bytes not. Flash messages do not count: see `Session.flash`.
public struct SessionLimits: Hashable, Sendable {
    /// Bytes of all names and encoded values together.
    ///
    /// Default 64 KiB.
    public var bytes: Int
    /// Number of attributes.
    package var attributes = 128
    /// How deep lists and objects in the JSON of a value may nest.
    ///
    /// Deeper ones are refused when they are written, and do not decode: recursion over them costs stack.
    package static let nesting = 32
    /// Flash messages have limits of their own, so that a full session still takes one.
    private static let exempt = SessionKey<[String]>.flash.name

    /// Creates limits.
    public init(bytes: Int = 65_536) { self.bytes = bytes }

    /// Creates limits with another number of attributes; for tests.
    package init(bytes: Int = 65_536, attributes: Int) {
        self.bytes = bytes
        self.attributes = attributes
    }

    package func validate() throws(SessionError) {
        guard (1...4_194_304).contains(bytes), (1...1024).contains(attributes) else {
            throw SessionError(
                .invalidConfiguration,
                "Limits must be 1 byte to 4 MiB and 1 to 1024 attributes."
            )
        }
    }

    /// Whether so many attributes and bytes are allowed whatever was there before.
    package func allow(_ size: (attributes: Int, bytes: Int)) -> Bool {
        size.attributes <= attributes && size.bytes <= bytes
    }

    package func check(_ attributes: [String: [UInt8]], replacing old: [String: [UInt8]]) throws(SessionError)
    {
        let count = Self.counted(attributes).count
        guard count <= max(self.attributes, old.count) else {
            throw SessionError(
                .tooLarge,
                "The session would hold \(count) attributes; \(self.attributes) are allowed."
            )
        }
        let size = Self.size(of: Self.counted(attributes))
        if size > bytes, size > Self.size(of: Self.counted(old)) { try check(bytes: size) }
    }

    private static func counted(_ attributes: [String: [UInt8]]) -> [String: [UInt8]] {
        guard attributes[exempt] != nil else { return attributes }
        var counted = attributes
        counted[exempt] = nil
        return counted
    }

    /// Bytes of names and values.
    package static func size(of attributes: [String: [UInt8]]) -> Int {
        attributes.reduce(0) { $0 + $1.key.utf8.count + $1.value.count }
    }

    package func check(bytes count: Int) throws(SessionError) {
        guard count <= bytes else {
            throw SessionError(.tooLarge, "The session would hold \(count) bytes; \(bytes) are allowed.")
        }
    }
}
