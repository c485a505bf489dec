// SPDX-License-Identifier: Apache-2.0

/// What the cookie carries for stores that keep the session elsewhere: an ID, a secret, and the version last
/// seen.
///
/// `ID.SECRET`, or `ID.SECRET.VERSION` where reads may come from a local copy. The secret is 192 random bits and 64
/// that recognise it as one of its record's (see `SecretFamily`). It is never stored: the record keeps its keyed hash
/// only, so neither a dump of the store nor a log line can be used as a cookie (R33). Prints as its ID.
package struct SessionToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The record's name.
    package let id: SessionID
    /// The 32 secret bytes, never stored and never logged.
    package let secret: [UInt8]
    /// The version of the record that the client has seen; nil where reads always come from the source.
    package let version: Int?

    /// Draws a secret that belongs to no family; for records have `RecordCrypto.token`.
    package init(id: SessionID = SessionID()) { self.init(id: id, secret: RandomBytes.draw(words: 4)) }

    package init(id: SessionID, secret: [UInt8]) { self.init(id: id, secret: secret, version: nil) }

    private init(id: SessionID, secret: [UInt8], version: Int?) {
        self.id = id
        self.secret = secret
        self.version = version
    }

    /// Returns the same token for a client that has seen `version`.
    package func seen(_ version: Int) -> SessionToken {
        SessionToken(id: id, secret: secret, version: version)
    }

    /// Reads a cookie value; nil for anything but the exact form, decided before any I/O (R04).
    package init?(_ credential: SessionCredential) {
        guard (66...96).contains(credential.value.utf8.count) else { return nil }
        let text = Array(credential.value.utf8)
        let dot = UInt8(ascii: ".")
        guard text[22] == dot, let id = Base64URL.decode(text[..<22]).flatMap({ SessionID(bytes: $0) }),
            let secret = Base64URL.decode(text[23..<66])
        else { return nil }
        guard text.count > 66 else {
            self.init(id: id, secret: secret, version: nil)
            return
        }
        let digits = text[67...]
        guard text[66] == dot, (1...18).contains(digits.count),
            digits.allSatisfy({ (0x30...0x39).contains($0) }), digits.count == 1 || digits.first != 0x30
        else { return nil }
        self.init(id: id, secret: secret, version: digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
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
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}
