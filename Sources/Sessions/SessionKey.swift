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
/// In a module whose default isolation is `MainActor` write `nonisolated static var`.
///
/// Values travel as JSON, so `Codable` rules decide what an old value looks like to new code. A stored value
/// that does not decode as `Value` reads as absent and raises an event (R36). It stays stored until `set` or
/// `remove` replaces it; `update` refuses it. Members of stored objects that `Value` does not know, for example
/// because a newer instance wrote them, survive an `update`, unless they would change what `Value` reads.
///
/// A type that changes incompatibly gets a version and a migration:
///
/// ```swift
/// extension SessionKey where Value == Cart {
///     static var cart: Self { .init("cart", version: 2) { (items: [String]) in Cart(items) } }
/// }
/// ```
public struct SessionKey<Value: Codable & Sendable>: Sendable {
    /// The attribute's name, as it stands in the store.
    public let name: String
    /// The version of `Value`; 1 unless the key has a migration.
    public let version: Int
    /// Makes a value of one that was stored under an earlier version.
    let migration: (@Sendable ([UInt8]) throws -> Value)?

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
        self.init(reserved: name)
    }

    /// Creates a key whose values replace those of an earlier type.
    ///
    /// A stored value of an earlier version is migrated when it is read, and stored in the new form when it is
    /// written. Instances that know only the earlier version read the new form as absent and do not change it.
    /// Values of version 1 are stored as plain JSON, later ones with `v` and the version in front: they cannot be
    /// incremented.
    ///
    /// - Parameters:
    ///   - name: as for `init(_:)`.
    ///   - version: 2 to 9,999.
    ///   - earlier: the key that reads earlier values, for more than two versions; one of the version before,
    ///     without a migration, by default.
    ///   - migrate: makes a value of an earlier one. If it throws, the stored value does not decode.
    /// - Precondition: the version is in its range and later than that of `earlier`, which has the same name.
    public init<Earlier>(
        _ name: StaticString,
        version: Int,
        from earlier: SessionKey<Earlier>? = nil,
        migrate: @escaping @Sendable (Earlier) throws -> Value
    ) {
        let plain = SessionKey(name)
        let earlier = earlier ?? SessionKey<Earlier>(plain.name, version: version - 1, migration: nil)
        precondition(
            (2...9999).contains(version) && earlier.version < version && earlier.name == plain.name,
            "a migration leads from an earlier version of the same key to a version from 2 to 9999"
        )
        self.init(plain.name, version: version) { try migrate(try SessionCodec.decode(earlier, $0)) }
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
        self.init(reserved: name)
    }

    /// A key of this package's own.
    init(reserved name: String) { self.init(name, version: 1, migration: nil) }

    private init(_ name: String, version: Int, migration: (@Sendable ([UInt8]) throws -> Value)?) {
        self.name = name
        self.version = version
        self.migration = migration
    }

    private static func isValid(_ name: String) -> Bool {
        let bytes = name.utf8
        return (1...128).contains(bytes.count) && bytes.first != UInt8(ascii: "@")
            && bytes.allSatisfy { (0x20...0x7E).contains($0) }
    }
}

extension SessionKey: Hashable {
    /// Keys are equal when name and version are.
    public static func == (left: Self, right: Self) -> Bool {
        left.name == right.name && left.version == right.version
    }

    /// Equal keys hash equally.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        hasher.combine(version)
    }
}
