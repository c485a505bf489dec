// SPDX-License-Identifier: Apache-2.0

import Sessions

/// A session as it was opened with its current secret, without that secret: what a near cache keeps.
///
/// Serving it costs one keyed hash, and decodes and decrypts nothing.
struct CachedSession: Sendable {
    private let record: SessionRecord
    private let hash: [UInt8]
    private let family: SecretFamily
    private let userHash: [UInt8]?

    /// Keeps a record of `RedisSessionStore`; nil unless it was opened with the current secret.
    init?(_ record: SessionRecord) {
        guard record.secretStatus == .current, let presented = record.storeContext as? PresentedToken else {
            return nil
        }
        (hash, family, userHash) = (presented.hash, presented.family, presented.userHash)
        var record = record
        record.storeContext = ()
        self.record = record
    }

    var version: Int { record.version }

    /// How long the session lives from the read on, unless it is used.
    var remaining: Duration { record.times.expiry - record.now }

    /// About what it takes in memory, in bytes.
    var bytes: Int { record.attributes.reduce(1024) { $0 + 128 + $1.key.utf8.count + $1.value.count } }

    /// Returns the session some time after it was read, for the holder of its secret; nil for others.
    func opened(with token: SessionToken, _ crypto: RecordCrypto, after age: Duration) -> SessionRecord? {
        guard crypto.hashes(token).contains(where: { RecordCrypto.areEqual($0, hash) }) else { return nil }
        var presented = PresentedToken(token, hash: hash, family: family)
        presented.userHash = userHash
        var record = record
        record.storeContext = presented
        record.now = record.now + age
        return record
    }
}
