// SPDX-License-Identifier: Apache-2.0

/// An attribute as operators see it, in `sessionctl --json` and in the JSON routes for administrators.
///
/// The names are those of the JSON and stay; more may come.
package struct PrintedAttribute: Encodable, Sendable {
    package let name: String
    /// The size as it is stored.
    package let bytes: Int
    /// The version of its type.
    package let version: Int
    /// The JSON as text; missing where it is not UTF-8.
    package let value: String?

    /// - Parameters:
    ///   - name: the attribute's name.
    ///   - stored: its value as it is stored.
    package init(_ name: String, _ stored: [UInt8]) {
        self.name = name
        bytes = stored.count
        let (version, json) = SessionCodec.split(stored)
        self.version = version
        value = String(validating: json, as: UTF8.self)
    }

    /// Returns attributes in the order of their names.
    package static func all(_ stored: [String: [UInt8]]) -> [PrintedAttribute] {
        stored.sorted { $0.key < $1.key }.map { PrintedAttribute($0.key, $0.value) }
    }
}
