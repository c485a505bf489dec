// SPDX-License-Identifier: Apache-2.0

public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionDirectory`.
/// Lists and revokes the sessions of a user in Redis, at the cost of `RedisSessionStore`.
extension CachedSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await base.sessions(of: principal)
    }

    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        try await base.sessions(of: principal, page)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        defer { cache.changed([id]) }
        return try await base.revoke(id, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        // Drops each session that it ends: `RedisSessionStore.ended`.
        try await base.revokeAll(of: principal, except: kept)
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        defer { cache.changed([id]) }
        try await base.revoke(id)
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        try await base.load(id, of: principal)
    }
}
