// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// How attribute values become bytes: JSON, so that integers are decimal text, which Redis can add to.
package enum SessionCodec {
    /// The bytes of a value.
    package static func encode(_ value: some Encodable) throws(SessionError) -> [UInt8] {
        if let integer = value as? Int { return Array(String(integer).utf8) }
        do {
            return Array(try JSONEncoder().encode(value))
        } catch {
            throw SessionError(.invalidValue, "A \(type(of: value)) could not be encoded as JSON.")
        }
    }

    /// The value of some bytes; throws whatever the decoder says.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        if Value.self == Int.self, let integer = integer(bytes) as? Value { return integer }
        return try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// The integer that canonical decimal text stands for, the form in which increments are kept.
    package static func integer(_ bytes: [UInt8]) -> Int? {
        guard bytes.count <= 20, let number = Int(String(decoding: bytes, as: UTF8.self)) else { return nil }
        return String(number).utf8.elementsEqual(bytes) ? number : nil
    }
}
