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
/// Values travel as JSON, so `Codable` rules decide what an old value looks like to new code. A stored value that does not
/// decode as `Value` reads as absent and raises an event; it never fails the request (R36).
public struct SessionKey<Value: Codable & Sendable>: Hashable, Sendable {
    /// The attribute's name, as it stands in the store.
    public let name: String

    /// Creates a key from a name in the source code.
    ///
    /// - Precondition: `name` is 1 to 128 UTF-8 bytes without control characters. Use `init(validating:)` for outside input.
    public init(_ name: String) {
        precondition(Self.isValid(name), "a session key is 1 to 128 bytes without control characters")
        self.name = name
    }

    /// Creates a key from outside input.
    ///
    /// - Throws: `.invalidValue` when the name is empty, longer than 128 UTF-8 bytes or has control characters.
    public init(validating name: String) throws(SessionError) {
        guard Self.isValid(name) else {
            throw SessionError(.invalidValue, "A session key is 1 to 128 bytes without control characters.")
        }
        self.name = name
    }

    private static func isValid(_ name: String) -> Bool {
        let bytes = name.utf8
        return (1...128).contains(bytes.count) && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
