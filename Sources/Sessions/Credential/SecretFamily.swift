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
    /// - Returns: what the store knows of it.
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

/// What a store knows of a secret that was replaced.
public struct ReplacedSecret: Hashable, Sendable {
    /// Whether it was replaced so recently that the request may have left before the new one arrived.
    ///
    /// The browser may hold a newer cookie, so its cookie must not be changed.
    public var isLate: Bool
    /// Whether it was presented after its grace: the cookie may have been copied (R16).
    public var isReplay: Bool
    /// Whether it had the rights of the user who is signed in; false for one from before the sign-in.
    public var hadRights: Bool

    /// Creates a description; for stores.
    public init(isLate: Bool, isReplay: Bool, hadRights: Bool = true) {
        self.isLate = isLate
        self.isReplay = isReplay
        self.hadRights = hadRights
    }
}
