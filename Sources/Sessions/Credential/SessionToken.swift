// SPDX-License-Identifier: Apache-2.0

import Crypto

/// Names a session record.
///
/// Not a credential.
///
/// 128 random bits, printed as 22 characters of base64url. It may be logged, shown on a "your devices" page
/// and used as a key in the store: whoever knows it can name the session, not use it. It stays the same
/// through sign-in and renewal.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    /// A fresh random session ID from the operating system's generator.
    package init() {
        var generator = SystemRandomNumberGenerator()
        high = generator.next()
        low = generator.next()
    }

    /// The session ID that `text` prints; nil when it is not exactly 22 canonical characters.
    public init?(_ text: some StringProtocol) { self.init(ascii: Array(text.utf8)[...]) }

    package init?(ascii: ArraySlice<UInt8>) {
        guard ascii.count == 22, let bytes = Base64URL.decode(ascii) else { return nil }
        self.init(bytes: bytes)
    }

    /// The 16 bytes.
    package var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } }
    }

    /// The session ID of 16 bytes; nil for any other number of them.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        high = bytes[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The text for logs and messages; holds no secret.
    public var description: String { String(decoding: Base64URL.encode(bytes), as: UTF8.self) }
}

/// What the cookie carries for stores that keep the session elsewhere: a session ID, a secret, and the
/// version last seen.
///
/// `HANDLE.SECRET`, or `HANDLE.SECRET.VERSION` where reads may come from a local copy. The secret is 256
/// random bits and is never stored: the record keeps its keyed digest only, so neither a dump of the store
/// nor a log line can be used as a cookie (R33). Prints as its session ID.
package struct SessionToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The record's name.
    package let id: SessionID
    /// The credential, 32 bytes.
    ///
    /// Never stored, never logged.
    package let secret: [UInt8]
    /// The version of the record that the client has seen; nil where reads always come from the source.
    package let version: Int?

    /// A fresh ticket for a new record.
    package init() { self.init(id: SessionID()) }

    /// A fresh secret for an existing record.
    package init(id: SessionID, version: Int? = nil) {
        self.id = id
        var generator = SystemRandomNumberGenerator()
        secret = (0..<4).flatMap { _ in
            let word = generator.next()
            return (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
        }
        self.version = version
    }

    /// The same ticket for a client that has seen `version`.
    package func seen(_ version: Int) -> SessionToken {
        SessionToken(id: id, secret: secret, version: version)
    }

    private init(id: SessionID, secret: [UInt8], version: Int?) {
        self.id = id
        self.secret = secret
        self.version = version
    }

    /// Reads a cookie value.
    ///
    /// Anything but the exact form is nil, decided before any I/O (R04).
    package init?(_ credential: SessionCredential) {
        let parts = Array(credential.value.utf8.prefix(96)).split(
            separator: UInt8(ascii: "."),
            omittingEmptySubsequences: false
        )
        guard (2...3).contains(parts.count), let id = SessionID(ascii: parts[0]) else { return nil }
        guard parts[1].count == 43, let secret = Base64URL.decode(parts[1]) else { return nil }
        self.id = id
        self.secret = secret
        guard parts.count == 3 else {
            version = nil
            return
        }
        let digits = parts[2]
        guard (1...18).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        guard digits.count == 1 || digits.first != 0x30 else { return nil }
        version = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    /// The cookie value.
    package var credential: SessionCredential {
        var text = Base64URL.encode(id.bytes)
        text.append(UInt8(ascii: "."))
        text += Base64URL.encode(secret)
        if let version { text += Array(".\(version)".utf8) }
        return SessionCredential(String(decoding: text, as: UTF8.self))
    }

    package var description: String { "SessionToken(\(id))" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["handle": id]) }
}

/// The value of the session cookie, whatever the store made it of.
///
/// A secret: it prints as `SessionCredential(…)`.
public struct SessionCredential: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The cookie's value.
    public let value: String

    /// Wraps a cookie value.
    public init(_ value: String) { self.value = value }

    /// The text for logs and messages; holds no secret.
    public var description: String { "SessionCredential(…)" }
    /// The same as `description`.
    public var debugDescription: String { description }
    /// Keeps `dump` and debuggers from the stored properties.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Turns secrets and user names into what the store may see.
///
/// With a pepper, whoever can read and write the store still can neither test guesses of a user name nor
/// plant a record that accepts a secret of their own. Without one, user names in index keys can be guessed by
/// trying them (R33).
package struct RecordCrypto: Sendable {
    private let key: SymmetricKey

    /// - Parameter pepper: at least 32 bytes; nil for a fixed public key.
    package init(pepper: [UInt8]?) throws(SessionError) {
        if let pepper, pepper.count < 32 {
            throw SessionError(
                .invalidConfiguration,
                "The pepper has \(pepper.count) bytes; give at least 32 random bytes."
            )
        }
        key = SymmetricKey(data: pepper ?? Array("swift-sessions without pepper".utf8))
    }

    /// What the record keeps of a ticket's secret: 32 bytes, bound to the record it belongs to.
    package func digest(of ticket: SessionToken) -> [UInt8] {
        var mac = HMAC<SHA256>(key: key)
        mac.update(data: Array("ticket".utf8))
        mac.update(data: ticket.id.bytes)
        mac.update(data: ticket.secret)
        return Array(mac.finalize())
    }

    /// What stands in the store for a user: 32 bytes.
    package func digest(ofPrincipal principal: String) -> [UInt8] {
        var mac = HMAC<SHA256>(key: key)
        mac.update(data: Array("principal".utf8))
        mac.update(data: Array(principal.utf8))
        return Array(mac.finalize())
    }

    /// What proves that `bytes` come from somebody with the same pepper, and were made for this use: 32
    /// bytes.
    package func seal(of bytes: [UInt8], for use: String) -> [UInt8] {
        var mac = HMAC<SHA256>(key: key)
        mac.update(data: Array("log".utf8))
        mac.update(data: Array(use.utf8) + [0])
        mac.update(data: bytes)
        return Array(mac.finalize())
    }

    /// Whether two digests are equal, in time that does not depend on where they differ (R34).
    package static func areEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// The user name, sealed so that only the holder of the ticket can read it: the store sees noise (R33).
    package func seal(principal: String, for ticket: SessionToken) -> [UInt8] {
        // Sealing fails only for inputs of many gigabytes; an empty seal opens as "no principal".
        let box = try? ChaChaPoly.seal(
            Array(principal.utf8),
            using: sealKey(ticket),
            authenticating: ticket.id.bytes
        )
        return box.map { Array($0.combined) } ?? []
    }

    /// The user name behind `sealed`; nil when it was made for another ticket or was tampered with.
    package func openPrincipal(_ sealed: [UInt8], with ticket: SessionToken) -> String? {
        guard let box = try? ChaChaPoly.SealedBox(combined: sealed),
            let plain = try? ChaChaPoly.open(box, using: sealKey(ticket), authenticating: ticket.id.bytes)
        else { return nil }
        return String(validating: plain, as: UTF8.self)
    }

    private func sealKey(_ ticket: SessionToken) -> SymmetricKey {
        var mac = HMAC<SHA256>(key: SymmetricKey(data: ticket.secret))
        mac.update(data: Array("principal seal".utf8))
        return SymmetricKey(data: Array(mac.finalize()))
    }
}
