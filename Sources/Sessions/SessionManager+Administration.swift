// SPDX-License-Identifier: Apache-2.0

/// Seeing and ending the sessions of a user, from a "your devices" page or an operator's tool.
extension SessionManager {
    /// The live sessions of a user, most recently used first.
    ///
    /// Two round trips.
    ///
    /// - Throws: `.unsupported` when the store keeps no list, `.storeUnavailable`.
    public func list(for principal: String) async throws(SessionError) -> [SessionSummary] {
        try await ask { directory throws(SessionError) in try await directory.sessions(of: principal) }
    }

    /// Ends one session of a user, on every server, before this returns.
    ///
    /// Two round trips.
    ///
    /// - Returns: false when the user has no such live session; somebody else's is never touched.
    /// - Throws: `.unsupported`, `.storeUnavailable`.
    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        let isRevoked = try await ask { directory throws(SessionError) in
            try await directory.revoke(id, of: principal)
        }
        if isRevoked { events.emit(.revoked, id) }
        return isRevoked
    }

    /// Ends all sessions of a user, or all but one.
    ///
    /// See `SessionDirectory.revokeAll`. Two round trips.
    ///
    /// - Parameters:
    ///   - principal: the user.
    ///   - kept: the session to spare, usually the one that asks.
    /// - Returns: how many were ended.
    /// - Throws: `.unsupported`, `.storeUnavailable`.
    @discardableResult
    public func revokeAll(of principal: String, except kept: SessionID? = nil) async throws(SessionError)
        -> Int
    {
        let count = try await ask { directory throws(SessionError) in
            try await directory.revokeAll(of: principal, except: kept)
        }
        if count > 0 { events.emit(.revoked, nil, detail: "\(count) sessions of one user") }
        return count
    }

    private func ask<Answer>(
        _ question: (any SessionDirectory) async throws(SessionError) -> Answer
    ) async throws(SessionError) -> Answer {
        guard let directory = store as? any SessionDirectory else {
            throw SessionError(.unsupported, "This store can neither list nor revoke sessions.")
        }
        do { return try await question(directory) } catch {
            events.emit(.storeFailed, nil, detail: "list or revoke: \(error)")
            throw error
        }
    }
}
