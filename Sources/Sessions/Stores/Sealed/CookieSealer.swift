// SPDX-License-Identifier: Apache-2.0

import Crypto

/// Seals bytes into the text of a cookie, so that only holders of the keys can read or make it.
///
/// `PURPOSE.KEY.BODY`: what the cookie is for, in which version; the name of the key; and base64url of 16
/// random bytes of salt, the ciphertext and its tag (AES-256-GCM). Each cookie has a data key and nonce of
/// its own: 44 bytes of HKDF-SHA-256 from the key, the salt, and the purpose. So no nonces need to be
/// counted, however many instances seal: two cookies share a nonce only if they drew the same 128 random
/// bits. The associated data are the purpose, the application, the cookie's name and the key's name, each
/// behind its length: a seal of one purpose, application or cookie never opens as another. Nothing is
/// compressed: the length depends on the length of what is sealed alone. Source: R59–R63, R66, R67; RFC 5869;
/// NIST SP 800-38D.
package struct CookieSealer: Sendable {
    /// What became of a text.
    package enum OpenResult: Sendable {
        /// It is authentic.
        ///
        /// - Parameter isCurrent: it was sealed with the key that seals now.
        case opened([UInt8], isCurrent: Bool)
        /// Not the form of a seal. Decided without cryptography.
        case malformed
        /// The form of a seal, under a key that the ring does not have. Decided without cryptography.
        case unknownKey
        /// The key does not open it: changed, forged, or sealed for another cookie or application.
        case forged
    }

    private let keys: SealKeyRing
    private let application: String
    private let cookieName: String
    private let onAttempt: @Sendable () -> Void

    /// What the text is for, in which version: a whole session.
    private static let purpose = "s1"
    private static let saltBytes = 16
    private static let tagBytes = 16

    /// - Parameters:
    ///   - keys: the keys.
    ///   - application: what the seal is valid for, besides the cookie's name; see `RecordCrypto.validate`.
    ///   - cookieName: the cookie's name.
    ///   - onAttempt: runs before each attempt to open, so that tests can count them.
    /// - Throws: `.invalidConfiguration`.
    package init(
        _ keys: SealKeyRing,
        application: String,
        cookieName: String,
        onAttempt: @escaping @Sendable () -> Void = {}
    ) throws(SessionError) {
        try RecordCrypto.validate(application: application)
        self.keys = keys
        self.application = application
        self.cookieName = cookieName
        self.onAttempt = onAttempt
    }

    /// Whether a text starts as the seals of this purpose do.
    package func isSealed(_ text: String) -> Bool { text.utf8.starts(with: "\(Self.purpose).".utf8) }

    /// The bytes that a seal of `count` bytes has as text.
    package func length(sealing count: Int) -> Int { length(sealing: count, keys.sealing) }

    /// Seals with the first key of the ring.
    package func seal(_ plaintext: [UInt8]) throws(SessionError) -> String {
        try seal(plaintext, salt: RandomBytes.draw(words: 2))
    }

    /// Seals with a given salt, for known answers.
    ///
    /// A salt must never be used twice.
    package func seal(_ plaintext: [UInt8], salt: [UInt8]) throws(SessionError) -> String {
        let key = keys.sealing
        let (dataKey, nonce) = derive(key, salt: salt)
        guard
            let box = try? AES.GCM.seal(
                plaintext,
                using: dataKey,
                nonce: AES.GCM.Nonce(data: nonce),
                authenticating: context(key)
            )
        else {
            throw SessionError(.tooLarge, "The session is too large to be sealed.")
        }
        let body = Base64URL.encode(salt + Array(box.ciphertext) + Array(box.tag))
        return "\(Self.purpose).\(key.id)." + String(decoding: body, as: UTF8.self)
    }

    /// Opens a text.
    ///
    /// At most one key is tried, once. What is longer than a cookie can be is malformed before anything is
    /// decoded.
    package func open(_ text: String) -> OpenResult {
        guard text.utf8.count <= CookieChunks.maximumBytes, isSealed(text) else { return .malformed }
        let parts = Array(text.utf8.dropFirst(Self.purpose.utf8.count + 1)).split(
            separator: UInt8(ascii: "."),
            maxSplits: 2,
            omittingEmptySubsequences: false
        )
        guard parts.count == 2, SealKey.isID(parts[0]), let body = Base64URL.decode(parts[1]),
            body.count >= Self.saltBytes + Self.tagBytes
        else { return .malformed }
        guard let key = keys.key(String(decoding: parts[0], as: UTF8.self)) else { return .unknownKey }
        let (dataKey, nonce) = derive(key, salt: Array(body.prefix(Self.saltBytes)))
        onAttempt()
        let ciphertext = body.dropFirst(Self.saltBytes).dropLast(Self.tagBytes)
        guard
            let box = try? AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: nonce),
                ciphertext: ciphertext,
                tag: body.suffix(Self.tagBytes)
            ),
            let plaintext = try? AES.GCM.open(box, using: dataKey, authenticating: context(key))
        else { return .forged }
        return .opened(Array(plaintext), isCurrent: key.id == keys.sealing.id)
    }

    private func length(sealing count: Int, _ key: SealKey) -> Int {
        Self.purpose.utf8.count + key.id.utf8.count + 2
            + ((Self.saltBytes + count + Self.tagBytes) * 4 + 2)
            / 3
    }

    private func derive(_ key: SealKey, salt: [UInt8]) -> (SymmetricKey, nonce: [UInt8]) {
        var info = ByteWriter()
        info.string("swift-sessions data key".utf8)
        info.string(Self.purpose.utf8)
        let derived = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key.secret,
            salt: salt,
            info: info.bytes,
            outputByteCount: 44
        )
        let bytes = unsafe derived.withUnsafeBytes { unsafe Array($0) }
        return (SymmetricKey(data: bytes.prefix(32)), nonce: Array(bytes.suffix(12)))
    }

    private func context(_ key: SealKey) -> [UInt8] {
        var context = ByteWriter()
        for part in ["swift-sessions seal", Self.purpose, application, cookieName, key.id] {
            context.string(part.utf8)
        }
        return context.bytes
    }
}
