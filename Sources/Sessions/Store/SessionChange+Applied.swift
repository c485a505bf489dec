// SPDX-License-Identifier: Apache-2.0

extension SessionChange {
    /// Returns the attributes after the change: first the sign-in drops, then the operations apply.
    ///
    /// - Throws: `.invalidValue` when an increment meets a value that is not an integer, or would overflow.
    package func applied(to attributes: [String: [UInt8]]) throws(SessionError) -> [String: [UInt8]] {
        guard case .signIn(_, let keeping) = rotation else { return try operations.applied(to: attributes) }
        return try operations.applied(to: attributes.filter { keeping.contains($0.key) })
    }
}

extension [String: SessionChange.Operation] {
    /// Returns the attributes after these operations: the one rule for all stores that are not scripts.
    ///
    /// - Throws: `.invalidValue` when an increment meets a value that is not an integer, or would overflow.
    package func applied(to attributes: [String: [UInt8]]) throws(SessionError) -> [String: [UInt8]] {
        var next = attributes
        for (name, operation) in self {
            switch operation {
            case .set(let bytes): next[name] = bytes
            case .remove: next[name] = nil
            case .increment(let amount):
                guard let number = next[name].map(SessionCodec.integer) ?? 0 else {
                    throw SessionError(.invalidValue, "Only integers can be incremented.")
                }
                let (sum, overflow) = number.addingReportingOverflow(amount)
                guard !overflow else { throw SessionError(.invalidValue, "The increment would overflow.") }
                next[name] = Array(String(sum).utf8)
            }
        }
        return next
    }
}
