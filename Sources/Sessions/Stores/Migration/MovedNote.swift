// SPDX-License-Identifier: Apache-2.0

import Crypto

/// What a record that has moved to another store says to those who still come with its old credential.
///
/// It is kept as an attribute of the old record. The new credential in it is sealed with the secret of the
/// old one, which the old store does not have: only somebody who could use the session before the move can
/// follow it.
struct MovedNote: Codable, Sendable {
    static let key = SessionKey<MovedNote>(reserved: "@moved")

    /// The name of the session in the new store.
    private let id: String
    /// The new credential, sealed; nil when nobody may follow.
    private let credential: String?

    /// - Parameters:
    ///   - credential: what the note leads to; nil when the old credential shall be worth nothing.
    ///   - presented: the old credential.
    init(id: SessionID, credential: SessionCredential?, for presented: SessionCredential) {
        self.id = "\(id)"
        let box = credential.flatMap {
            try? AES.GCM.seal(Array($0.value.utf8), using: Self.sealKey(presented)).combined
        }
        self.credential = box.map { String(decoding: Base64URL.encode(Array($0)), as: UTF8.self) }
    }

    /// The note in a record's attributes; nil when the record has not moved.
    init?(in attributes: [String: [UInt8]]) {
        guard let bytes = attributes[Self.key.name],
            let note = try? SessionCodec.decode(MovedNote.self, from: bytes)
        else { return nil }
        self = note
    }

    /// The name of the session in the new store.
    var target: SessionID? { SessionID(id) }

    /// What the note leads to; nil for who did not hold the credential that moved.
    func open(with presented: SessionCredential) -> SessionCredential? {
        guard let credential, let bytes = Base64URL.decode(credential.utf8),
            let box = try? AES.GCM.SealedBox(combined: bytes),
            let plain = try? AES.GCM.open(box, using: Self.sealKey(presented))
        else { return nil }
        return String(validating: plain, as: UTF8.self).map { SessionCredential($0) }
    }

    private static func sealKey(_ presented: SessionCredential) -> SymmetricKey {
        // The secret alone: a ticket may carry a version that changes while the secret stays.
        let secret = SessionToken(presented)?.secret ?? Array(presented.value.utf8)
        return HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: secret),
            info: Array("swift-sessions moved".utf8),
            outputByteCount: 32
        )
    }
}
