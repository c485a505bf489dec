// SPDX-License-Identifier: Apache-2.0

public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionDirectory`.
/// Lists and revokes the sessions of a user in the replica, exactly: one round trip asks where the log ends, and
/// everything up to there is applied first.
extension ReplicatedSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await check()
        let user = digester.digest(ofPrincipal: principal)
        return log.summaries(of: user).sorted { $0.lastUsed > $1.lastUsed }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await check()
        let user = digester.digest(ofPrincipal: principal)
        // No entry for a session that does not exist, or requests with invented IDs could fill the log.
        guard log.lookUp(id).record?.session.user == user else { return false }
        return try await count(.revoke(id, user: user, tombstone: tombstone)) == 1
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await count(
            .revokeAll(user: digester.digest(ofPrincipal: principal), except: kept, tombstone: tombstone)
        )
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await check()
        guard log.lookUp(id).record != nil else { return }
        _ = try await count(.revoke(id, user: nil, tombstone: tombstone))
    }
}
