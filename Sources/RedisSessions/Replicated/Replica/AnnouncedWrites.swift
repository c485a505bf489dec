// SPDX-License-Identifier: Apache-2.0

/// The entries that this instance is appending, and what those of them did that have been applied.
struct AnnouncedWrites: Sendable {
    private var nonces: Set<UInt64> = []
    private var results: [UInt64: AppendResult] = [:]

    /// Keeps the result of an entry once it is applied, until `finished`.
    mutating func announced(_ nonce: UInt64) { nonces.insert(nonce) }

    mutating func finished(_ nonce: UInt64) {
        nonces.remove(nonce)
        results[nonce] = nil
    }

    /// Keeps the result of an entry that was announced; of a repeated entry the first counts.
    mutating func applied(_ nonce: UInt64, _ result: @autoclosure () -> AppendResult) {
        if nonces.contains(nonce), results[nonce] == nil { results[nonce] = result() }
    }

    /// Returns the result of an announced entry; nil if it has not been applied.
    func result(of nonce: UInt64) -> AppendResult? { results[nonce] }

    /// Decides what a writer does that has waited for the outcome of its entry, in vain or not.
    func awaited(_ nonce: UInt64) -> WriteAction {
        guard let result = result(of: nonce) else { return .fail(.unknownOutcome) }
        switch result.outcome {
        case .refused: return .writeAgain
        // It was read by a replica that did not know yet what it does.
        case .none: return .fail(.unknownOutcome)
        default: return .answer(result)
        }
    }
}
