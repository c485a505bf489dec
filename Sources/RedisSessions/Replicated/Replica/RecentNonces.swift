// SPDX-License-Identifier: Apache-2.0

/// The nonces of the entries that could still be repeated.
struct RecentNonces: Sendable {
    private var lastPositions: [UInt64: UInt64] = [:]
    private var nextPruning = 64

    /// Records a nonce; returns false for one that was there.
    ///
    /// - Parameters:
    ///   - nonce: the nonce.
    ///   - last: the milliseconds up to which its entry would count.
    ///   - now: the milliseconds of the entry.
    /// - Returns: whether it is new.
    mutating func insert(_ nonce: UInt64, until last: UInt64, at now: UInt64) -> Bool {
        if lastPositions.count >= nextPruning {
            lastPositions = lastPositions.filter { $0.value >= now }
            nextPruning = max(64, lastPositions.count * 2)
        }
        return lastPositions.updateValue(last, forKey: nonce) == nil
    }
}
