// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How attribute values become bytes: JSON, so that integers are decimal text, which Redis can add to.
package enum SessionCodec {
    /// Returns the bytes of a value of version 1.
    package static func encode(_ value: some Encodable) throws(SessionError) -> [UInt8] {
        if let integer = value as? Int { return Array(String(integer).utf8) }
        let encoder = JSONEncoder()
        // One value, one text: whether a stored value holds more than its type knows shows in the bytes.
        encoder.outputFormatting = .sortedKeys
        let json: [UInt8]
        do { json = Array(try encoder.encode(value)) } catch {
            throw SessionError(.invalidValue, "A \(type(of: value)) could not be encoded as JSON.")
        }
        try checkNesting(json[...])
        return json
    }

    /// Returns the value of some bytes of version 1; throws what the decoder throws.
    package static func decode<Value: Decodable>(
        _ type: Value.Type,
        from bytes: ArraySlice<UInt8>
    ) throws -> Value {
        // What most sessions hold, without a decoder.
        if Value.self == Int.self, let integer = integer(bytes) as? Value { return integer }
        if Value.self == String.self, let text = plainText(bytes) as? Value { return text }
        try checkNesting(bytes)
        return try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// The same for a whole array.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try decode(type, from: bytes[...])
    }

    /// Returns the text of a JSON string without escapes; nil for anything else.
    private static func plainText(_ json: ArraySlice<UInt8>) -> String? {
        let quote = UInt8(ascii: "\"")
        guard json.count >= 2, json.first == quote, json.last == quote else { return nil }
        let text = json.dropFirst().dropLast()
        guard text.allSatisfy({ $0 >= 0x20 && $0 != quote && $0 != UInt8(ascii: "\\") }) else { return nil }
        return String(validating: text, as: UTF8.self)
    }

    /// Throws `.invalidValue` for JSON whose lists and objects nest deeper than `SessionLimits.nesting` (R78).
    ///
    /// Before it is decoded, because decoders recurse: depth costs stack.
    static func checkNesting(_ json: ArraySlice<UInt8>) throws(SessionError) {
        guard json.count > SessionLimits.nesting else { return }
        var (depth, isText, isEscaped) = (0, false, false)
        for byte in json {
            switch byte {
            case _ where isEscaped: isEscaped = false
            case UInt8(ascii: "\\") where isText: isEscaped = true
            case UInt8(ascii: "\""): isText.toggle()
            case _ where isText: break
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                guard depth <= SessionLimits.nesting else {
                    throw SessionError(
                        .invalidValue,
                        "The value nests deeper than \(SessionLimits.nesting) lists and objects."
                    )
                }
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
        }
    }

    /// Returns the bytes of a value, with its version in front where that is not 1.
    static func encode<Value>(_ key: SessionKey<Value>, _ value: Value) throws(SessionError) -> [UInt8] {
        let json = try encode(value)
        return key.version == 1 ? json : Array("v\(key.version):".utf8) + json
    }

    /// Returns the value of some bytes, migrated if they are of an earlier version; throws what the decoder throws.
    static func decode<Value>(_ key: SessionKey<Value>, _ bytes: [UInt8]) throws -> Value {
        let (version, json) = split(bytes)
        if version == key.version { return try decode(Value.self, from: json) }
        guard version < key.version, let migration = key.migration else {
            throw SessionError(.invalidValue, "The value is of version \(version), not \(key.version).")
        }
        return try migration(bytes)
    }

    /// Returns the version in front of a value, and its JSON, which never starts with a v.
    package static func split(_ bytes: [UInt8]) -> (version: Int, json: ArraySlice<UInt8>) {
        let digits = bytes.dropFirst().prefix(5).prefix { $0 != UInt8(ascii: ":") }
        guard bytes.first == UInt8(ascii: "v"), digits.endIndex < bytes.endIndex,
            bytes[digits.endIndex] == UInt8(ascii: ":"), let version = integer(digits), version > 1
        else { return (1, bytes[...]) }
        return (version, bytes[(digits.endIndex + 1)...])
    }

    /// Returns the integer that canonical decimal text stands for, the form in which increments are kept.
    package static func integer(_ bytes: [UInt8]) -> Int? {
        unsafe bytes.withUnsafeBytes { unsafe integer($0) }
    }

    /// The same for a part of an array.
    package static func integer(_ bytes: ArraySlice<UInt8>) -> Int? {
        unsafe bytes.withUnsafeBytes { unsafe integer($0) }
    }

    /// The same for bytes that are valid during the call.
    package static func integer(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let isNegative = unsafe bytes.first == UInt8(ascii: "-")
        let start = isNegative ? 1 : 0
        guard bytes.count > start, unsafe bytes[start] != UInt8(ascii: "0") || bytes.count == 1 else {
            return nil
        }
        var number = 0
        for index in start..<bytes.count {
            let digit = unsafe bytes[index]
            guard case 0...9 = digit &- UInt8(ascii: "0") else { return nil }
            let (shifted, isLong) = number.multipliedReportingOverflow(by: 10)
            let value = Int(digit - UInt8(ascii: "0"))
            let (next, isLarge) = shifted.addingReportingOverflow(isNegative ? -value : value)
            guard !isLong, !isLarge else { return nil }
            number = next
        }
        return number
    }
}
