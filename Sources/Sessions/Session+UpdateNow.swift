// SPDX-License-Identifier: Apache-2.0

/// Changes whose outcome the handler needs: they are committed at once, and return what was committed.
///
/// For limits, one-time values and values that are made on first use: whatever a handler decides or shows by the
/// result is true, however many requests run at the same time. What was committed stays, even if the handler throws
/// afterwards. Other changes of the request wait for its end as always.
///
/// Costs one round trip, and one more for each conflict; none where no other request can interfere, because the session
/// is new, or because this request has written the attribute itself. A session in a cookie has no such guarantee: two
/// requests with one cookie do not meet on any server.
extension Session {
    /// Reads, modifies and stores an attribute at once.
    ///
    /// ```swift
    /// let attempts = try await session.updateNow(.attempts, default: 0) { $0 += 1; return $0 }
    /// ```
    ///
    /// - Parameters:
    ///   - key: the attribute.
    ///   - change: runs now, and again on the fresh value if another request committed first. It must depend on its
    ///     argument only. Leaving nil removes the attribute; if it throws, nothing is stored.
    /// - Returns: what `change` returned for the value that was committed.
    /// - Throws: what `change` throws, `.sessionChanged` when the session is over, `.invalidValue`, `.tooLarge`,
    ///   `.conflict`, `.closed`; `.storeUnavailable`, after which the change may have been stored.
    @discardableResult
    public func updateNow<Value, Result: Sendable>(
        _ key: SessionKey<Value>,
        _ change: @escaping @Sendable (inout Value?) throws -> Result
    ) async throws -> Result {
        let result = LastRun<Result>()
        let update: PendingChanges.Update = { [coder] bytes in
            let (bytes, last) = try coder.update(key, bytes, change)
            result.value = last
            return bytes
        }
        try await commit(update, of: key.name)
        guard let result = result.value else { throw SessionError(.conflict, "Nothing was stored.") }
        return result
    }

    /// Reads, modifies and stores an attribute at once, starting from `initial` when there is none; see
    /// `updateNow(_:_:)`.
    @discardableResult
    public func updateNow<Value, Result: Sendable>(
        _ key: SessionKey<Value>,
        default initial: Value,
        _ change: @escaping @Sendable (inout Value) throws -> Result
    ) async throws -> Result {
        try await updateNow(key) { (value: inout Value?) in
            var present = value ?? initial
            let result = try change(&present)
            value = present
            return result
        }
    }

    /// Removes an attribute at once and returns its value: of parallel requests exactly one gets it.
    ///
    /// For one-time codes and the state of an OAuth flow. No round trip when the session has no such attribute.
    ///
    /// - Parameter key: the attribute.
    /// - Returns: its value; nil when there is none, or another request has taken it.
    /// - Throws: as `updateNow(_:_:)`.
    public func take<Value>(_ key: SessionKey<Value>) async throws -> Value? {
        guard has(key) else { return nil }
        return try await updateNow(key) { (value: inout Value?) in
            defer { value = nil }
            return value
        }
    }

    /// Returns the value of an attribute, and stores one at once where there is none: parallel requests of a session get
    /// the same.
    ///
    /// For tokens against cross-site requests and the like. No round trip when there is a value.
    ///
    /// - Parameters:
    ///   - key: the attribute.
    ///   - make: makes the value; its result is dropped if another request was faster.
    /// - Returns: the stored value.
    /// - Throws: as `updateNow(_:_:)`.
    public func value<Value>(
        _ key: SessionKey<Value>,
        orCreate make: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        if isSettled(key.name), let value = self[key] { return value }
        return try await updateNow(key) { (value: inout Value?) in
            if let value { return value }
            let made = try make()
            value = made
            return made
        }
    }
}
