// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

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
    /// For names that are known at run time only, use `init(validating:)`.
    ///
    /// - Precondition: `name` is 1 to 128 printable ASCII characters and does not start with `@`, which is
    ///   reserved.
    public init(_ name: StaticString) {
        let name = name.description
        precondition(
            Self.isValid(name),
            "a session key is 1 to 128 printable ASCII characters, the first not @"
        )
        self.name = name
    }

    /// Creates a key from a name that is known at run time only.
    ///
    /// ASCII, because Swift takes different spellings of one letter for equal and a store does not (R07).
    ///
    /// - Parameter name: 1 to 128 printable ASCII characters, the first not `@`.
    /// - Throws: `.invalidValue` for any other name.
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

/// How attribute values become bytes: JSON, so that integers are decimal text, which Redis can add to.
package enum SessionCodec {
    /// Returns the bytes of a value.
    package static func encode(_ value: some Encodable) throws(SessionError) -> [UInt8] {
        if let integer = value as? Int { return Array(String(integer).utf8) }
        do {
            return Array(try JSONEncoder().encode(value))
        } catch {
            throw SessionError(.invalidValue, "A \(type(of: value)) could not be encoded as JSON.")
        }
    }

    /// Returns the value of some bytes; throws what the decoder throws.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        if Value.self == Int.self, let integer = integer(bytes) as? Value { return integer }
        return try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// Returns the integer that canonical decimal text stands for, the form in which increments are kept.
    package static func integer(_ bytes: [UInt8]) -> Int? {
        guard bytes.count <= 20, let number = Int(String(decoding: bytes, as: UTF8.self)) else { return nil }
        return String(number).utf8.elementsEqual(bytes) ? number : nil
    }
}
