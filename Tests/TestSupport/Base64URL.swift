// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Returns unpadded base64url (RFC 4648 §5), by Foundation and not by the library under test.
public func base64URL(_ bytes: some Sequence<UInt8>) -> String {
    Data(bytes).base64EncodedString(options: [.base64URLAlphabet, .omitPaddingCharacter])
}

/// Returns the bytes of an unpadded base64url text; nil when it is not one.
public func base64URLDecoded(_ text: String) -> [UInt8]? {
    var base64 = text.replacing("-", with: "+").replacing("_", with: "/")
    while base64.count % 4 != 0 { base64 += "=" }
    return Data(base64Encoded: base64).map(Array.init)
}

/// Returns random bytes as base64url: a made-up ticket, or a key that seals cookies.
///
/// - Parameter bytes: how many bytes.
/// - Returns: the text.
public func randomBase64URL(bytes: Int) -> String {
    base64URL((0..<bytes).map { _ in UInt8.random(in: 0...255) })
}
