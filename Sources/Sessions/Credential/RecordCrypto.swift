// SPDX-License-Identifier: Apache-2.0

import Crypto

/// A secret of the servers that keys everything derived from secrets and user names in a store.
///
/// With a pepper, an attacker who can read and write the store can neither test guesses of a user name nor
/// plant a record that accepts a secret of their own (R33); what a session holds they can still change and
/// roll back. Without one they can sign in as anybody. Make one with `openssl rand 32 | basenc --base64url`.
public struct SessionPepper: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    let bytes: [UInt8]

    /// Creates a pepper.
    ///
    /// - Parameter bytes: at least 32 bytes from a random generator; decode what is configured as text.
    /// - Throws: `.invalidConfiguration` when it is shorter, for a password (printable characters only) and
    ///   for one repeated byte.
    public init(_ bytes: [UInt8]) throws(SessionError) {
        guard bytes.count >= 32 else {
            throw SessionError(
                .invalidConfiguration,
                "A pepper needs at least 32 random bytes; this one has \(bytes.count)."
            )
        }
        if let weakness = RandomBytes.weakness(of: bytes) {
            throw SessionError(.invalidConfiguration, "A pepper cannot be used: \(weakness).")
        }
        self.bytes = bytes
    }

    private init() { bytes = Array("swift-sessions without pepper".utf8) }

    /// No secret.
    ///
    /// As the last of several: accepts the records from before there was a pepper.
    public static let none = SessionPepper()

    /// The text for logs and messages; holds no secret.
    public var description: String { "SessionPepper(…)" }
    /// The same as `description`.
    public var debugDescription: String { description }
    /// Hides the bytes from `dump` and debuggers.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Turns secrets and user names into what a store may see, for one application.
///
/// Everything is bound to the application's name: what one application stored is worthless to another, even
/// on one Redis and under equal keys.
package struct RecordCrypto: Sendable {
    /// One for each pepper, with the key already taken in; copied for each use.
    private let macs: [HMAC<SHA256>]

    /// - Parameters:
    ///   - application: the name that all instances of one application share.
    ///   - peppers: the first writes, all are tried; none for a fixed public key.
    /// - Throws: `.invalidConfiguration` for an impossible name or too many peppers.
    package init(application: String, peppers: [SessionPepper]) throws(SessionError) {
        try Self.validate(application: application)
        guard peppers.count <= 8 else {
            throw SessionError(
                .invalidConfiguration,
                "There are \(peppers.count) peppers; at most 8 are allowed."
            )
        }
        macs = (peppers.isEmpty ? [.none] : peppers).map { pepper in
            let mac = HMAC<SHA256>.authenticationCode(
                for: Array("application \(application)".utf8),
                using: SymmetricKey(data: pepper.bytes)
            )
            return HMAC(key: SymmetricKey(data: Array(mac)))
        }
    }

    /// Checks the name of an application.
    ///
    /// - Parameter application: 1 to 128 letters, digits, `-`, `_`, `.`, `:` or `/`, because it starts the
    ///   keys in Redis.
    /// - Throws: `.invalidConfiguration` for any other name.
    package static func validate(application: String) throws(SessionError) {
        guard (1...128).contains(application.utf8.count), application.utf8.allSatisfy(ASCII.isKeyByte) else {
            throw SessionError(
                .invalidConfiguration,
                "The application's name must be 1 to 128 letters, digits or -_.:/ characters, other for each application."
            )
        }
    }

    /// Returns what the record keeps of a token's secret: 32 bytes, bound to the record it belongs to.
    package func hash(_ token: SessionToken) -> [UInt8] { hash(token, macs[0]) }

    /// Returns the hashes that a record may hold for a token, one for each pepper, the first as `hash` makes
    /// it.
    package func hashes(_ token: SessionToken) -> [[UInt8]] { macs.map { hash(token, $0) } }

    /// Draws a secret for a record: 24 random bytes, and 8 that hide its generation under the family's key.
    package func token(
        for id: SessionID,
        in family: SecretFamily,
        generation: Int
    ) -> SessionToken {
        var secret = RandomBytes.draw(words: 3)
        RandomBytes.append(mask(secret, id, family.key, macs[0]) ^ UInt64(generation), to: &secret)
        return SessionToken(id: id, secret: secret)
    }

    /// Returns the token of a session after a change: with a new secret if that is to be replaced.
    package func token(of presented: PresentedToken, isReplaced: Bool) -> SessionToken {
        guard isReplaced else { return presented.token }
        let (id, family) = (presented.token.id, presented.family)
        return token(for: id, in: family, generation: family.generation + 1)
    }

    /// Returns the generation of a secret that a record of this family has or had; nil for any other.
    ///
    /// A guess passes once in 2^48 times, which reports a theft that was none and opens nothing.
    package func generation(of token: SessionToken, in family: SecretFamily) -> Int? {
        let tail = token.secret[24...].reduce(0) { $0 << 8 | UInt64($1) }
        for mac in macs {
            let generation = mask(Array(token.secret[..<24]), token.id, family.key, mac) ^ tail
            if generation <= min(UInt64(family.generation), 0xffff) { return Int(generation) }
        }
        return nil
    }

    private func mask(_ random: [UInt8], _ id: SessionID, _ key: [UInt8], _ mac: HMAC<SHA256>) -> UInt64 {
        Self.code("family", key, id, random, mac)[..<8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Returns what stands in the store for a user: 32 bytes.
    package func hash(principal: String) -> [UInt8] { hash(principal, macs[0]) }

    /// Returns what may stand in the store for a user, one value for each pepper, the first as `hash` makes
    /// it.
    package func hashes(principal: String) -> [[UInt8]] { macs.map { hash(principal, $0) } }

    /// Returns 16 bytes that prove that `bytes` come from a holder of the pepper and were made for this use.
    package func tag(_ bytes: [UInt8], for use: String) -> [UInt8] { tag(bytes, use, macs[0]) }

    /// Returns whether `tag` proves `bytes` under one of the peppers.
    package func isAuthentic(_ tag: [UInt8], _ bytes: [UInt8], for use: String) -> Bool {
        macs.contains { Self.areEqual(tag, self.tag(bytes, use, $0)) }
    }

    /// Returns whether two hashes are equal, in time that does not depend on where they differ (R34).
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    /// Returns the user name, encrypted so that only the holder of the token can read it and only a holder of
    /// the pepper can write it (R33).
    package func encrypt(principal: String, for token: SessionToken) -> [UInt8] {
        // Fails only for inputs of many gigabytes; an empty result decrypts as "no principal".
        let box = try? ChaChaPoly.seal(
            Array(principal.utf8),
            using: principalKey(token, macs[0]),
            authenticating: token.id.bytes
        )
        return box.map { Array($0.combined) } ?? []
    }

    /// Returns the user name; nil when it was encrypted for another token or was changed.
    package func decryptPrincipal(_ bytes: [UInt8], with token: SessionToken) -> String? {
        guard let box = try? ChaChaPoly.SealedBox(combined: bytes) else { return nil }
        for mac in macs {
            let key = principalKey(token, mac)
            if let plain = try? ChaChaPoly.open(box, using: key, authenticating: token.id.bytes) {
                return String(validating: plain, as: UTF8.self)
            }
        }
        return nil
    }

    /// With the secret alone, a writer to the store could encrypt another user's name for a cookie of their own.
    private func principalKey(_ token: SessionToken, _ mac: HMAC<SHA256>) -> SymmetricKey {
        SymmetricKey(data: Self.code("name", [], nil, token.secret, mac))
    }

    private func hash(_ token: SessionToken, _ mac: HMAC<SHA256>) -> [UInt8] {
        Self.code("token", [], token.id, token.secret, mac)
    }

    private func hash(_ principal: String, _ mac: HMAC<SHA256>) -> [UInt8] {
        Self.code("principal", [], nil, Array(principal.utf8), mac)
    }

    private func tag(_ bytes: [UInt8], _ use: String, _ mac: HMAC<SHA256>) -> [UInt8] {
        Array(Self.code("log", Array(use.utf8) + [0], nil, bytes, mac)[..<16])
    }

    /// Returns the code of the parts, one after the other; what is made for one use fits no other.
    ///
    /// Each call into the generic `HMAC` costs as much as hashing a block, so the parts go in at once.
    private static func code(
        _ use: String,
        _ context: [UInt8],
        _ id: SessionID?,
        _ content: [UInt8],
        _ mac: HMAC<SHA256>
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(use.utf8.count + context.count + 16 + content.count)
        bytes += use.utf8
        bytes += context
        id?.append(to: &bytes)
        bytes += content
        var mac = mac
        mac.update(data: bytes)
        return unsafe mac.finalize().withUnsafeBytes { unsafe Array($0) }
    }
}
