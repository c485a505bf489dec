// SPDX-License-Identifier: Apache-2.0

/// Sets of ASCII bytes that several formats share.
package enum ASCII {
    /// Letters and digits.
    package static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    /// What key names in a store may hold: nothing with a meaning in patterns and access rules.
    package static func isKeyByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "-_.:/".utf8.contains(byte)
    }
}

extension BidirectionalCollection<UInt8> {
    /// The bytes without the spaces and tabs at either end, HTTP's optional whitespace (RFC 9110 §5.6.3).
    var trimmed: SubSequence {
        var rest = drop { $0 == 0x20 || $0 == 0x09 }
        while rest.last == 0x20 || rest.last == 0x09 { rest.removeLast() }
        return rest
    }
}
