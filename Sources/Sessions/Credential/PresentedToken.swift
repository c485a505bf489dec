// SPDX-License-Identifier: Apache-2.0

/// What ties the secrets of one record together.
///
/// Each secret hides its generation under the key, so that a record recognises every secret it ever had, however old,
/// without remembering any (reuse detection in constant space, R16).
package struct SecretFamily: Hashable, Sendable {
    /// 16 random bytes, drawn with the record.
    package let key: [UInt8]
    /// How often the secret was replaced.
    package var generation = 0
    /// The first generation with the rights of the signed-in user.
    package var trustedFrom = 0

    /// Draws the family of a new record.
    package init() { key = RandomBytes.draw(words: 2) }

    package init(key: [UInt8], generation: Int, trustedFrom: Int) {
        self.key = key
        self.generation = generation
        self.trustedFrom = trustedFrom
    }

    /// Describes an earlier secret.
    ///
    /// - Parameters:
    ///   - generation: its generation.
    ///   - rotated: when the current secret was issued.
    ///   - isReplay: whether the grace of earlier secrets is over.
    ///   - now: the store's time.
    package func replaced(
        _ generation: Int,
        since rotated: SessionInstant,
        isReplay: Bool,
        at now: SessionInstant
    ) -> ReplacedSecret {
        ReplacedSecret(
            isLate: now < rotated + SessionPolicy.tombstone,
            isReplay: isReplay,
            hadRights: generation >= trustedFrom
        )
    }
}

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
