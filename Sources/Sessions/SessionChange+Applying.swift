// SPDX-License-Identifier: Apache-2.0

/// What a change makes of the attributes of a record.
extension SessionChange {
    /// The attributes after the change: first the sign-in drops, then the operations apply.
    ///
    /// All of it, or an error.
    ///
    /// - Throws: `.invalidValue` when an increment meets no integer or would overflow.
    package func applied(to attributes: [String: [UInt8]]) throws(SessionError) -> [String: [UInt8]] {
        var next = attributes
        if case .signIn(_, let keeping) = rotation { next = next.filter { keeping.contains($0.key) } }
        for (name, operation) in operations {
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
