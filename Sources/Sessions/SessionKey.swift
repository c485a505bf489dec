// SPDX-License-Identifier: Apache-2.0

/// The name of one session attribute together with the type of its value.
///
/// Declare each key once and use it by its short name:
///
/// ```swift
/// extension SessionKey where Value == [String] { static var cart: Self { .init("cart") } }
///
/// session[.cart]
/// ```
///
/// Values travel as JSON, so `Codable` rules decide what an old value looks like to new code. A stored value
/// that does not decode as `Value` reads as absent and raises an event; it never fails the request (R36).
public struct SessionKey<Value: Codable & Sendable>: Hashable, Sendable {
    /// The attribute's name, as it stands in the store.
    public let name: String

    /// Creates a key from a name in the source code.
    ///
    /// - Precondition: `name` is 1 to 128 printable ASCII characters and does not start with `@`, which is
    ///   reserved. Use `init(validating:)` for outside input.
    public init(_ name: String) {
        precondition(
            Self.isValid(name),
            "a session key is 1 to 128 printable ASCII characters, the first not @"
        )
        self.name = name
    }

    /// Creates a key from outside input.
    ///
    /// - Throws: `.invalidValue` for any other name. ASCII, because Swift takes different spellings of one
    ///   letter for equal and a store does not (R07).
    public init(validating name: String) throws(SessionError) {
        guard Self.isValid(name) else {
            throw SessionError(
                .invalidValue,
                "A session key is 1 to 128 printable ASCII characters, the first not @."
            )
        }
        self.name = name
    }

    /// A key of this package's own.
    init(reserved name: String) { self.name = name }

    private static func isValid(_ name: String) -> Bool {
        let bytes = name.utf8
        return (1...128).contains(bytes.count) && bytes.first != UInt8(ascii: "@")
            && bytes.allSatisfy { (0x20...0x7E).contains($0) }
    }
}
