// SPDX-License-Identifier: Apache-2.0

/// A token that was presented, with the hash under which its record knows its secret; or, for callers without a secret,
/// the hash of the user's name.
///
/// The two hashes are made for different uses, so that neither can stand for the other. The `SessionRecord.storeContext` of stores that keep records by token: parsed and hashed once for each
/// request.
package struct PresentedToken: Sendable {
    package let token: SessionToken
    package let hash: [UInt8]
    package let family: SecretFamily
    /// The user whose session it is, where the hash is that of the name; nil where a secret was presented.
    package let user: String?
    /// The record's hash of its user's name, where the store needs it to find the user's list.
    package var userHash: [UInt8]?

    package init(_ token: SessionToken, hash: [UInt8], family: SecretFamily) {
        self.token = token
        self.hash = hash
        self.family = family
        user = nil
    }

    /// Stands for the user of a record, who has presented no secret.
    package init(_ user: String, hash: [UInt8], for id: SessionID, family: SecretFamily) {
        // A secret that no record knows.
        token = SessionToken(id: id)
        self.hash = hash
        self.family = family
        self.user = user
    }
}
