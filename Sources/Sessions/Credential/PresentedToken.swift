// SPDX-License-Identifier: Apache-2.0

/// A token that was presented, with the hash under which its record knows its secret.
///
/// The `SessionRecord.storeContext` of stores that keep records by token: parsed and hashed once for each
/// request.
package struct PresentedToken: Sendable {
    package let token: SessionToken
    package let hash: [UInt8]
    package let family: SecretFamily

    package init(_ token: SessionToken, hash: [UInt8], family: SecretFamily) {
        self.token = token
        self.hash = hash
        self.family = family
    }
}
