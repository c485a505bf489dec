// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionDirectory`.
/// The sessions of a user in both stores; what has moved is listed where it went.
///
/// Each operation asks both. The old store is asked first to end sessions: what moves meanwhile is found in
/// the new one.
extension MigratingSessionStore: SessionDirectory where Old: SessionDirectory, New: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        let unmoved = try await old.sessions(of: principal).filter { $0[MovedNote.key] == nil }
        return (unmoved + (try await new.sessions(of: principal))).sorted { $0.lastUsed > $1.lastUsed }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        let listed = try await old.sessions(of: principal).first { $0.id == id }
        let isRevoked = try await old.revoke(id, of: principal)
        // A page that was shown before the move names the session as it was.
        guard let note = listed?[MovedNote.key] else {
            return try await new.revoke(id, of: principal) || isRevoked
        }
        guard let target = note.target else { return false }
        return try await new.revoke(target, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        let moved = try await old.sessions(of: principal).count {
            $0[MovedNote.key] != nil && $0.id != kept
        }
        let ended = try await old.revokeAll(of: principal, except: kept)
        return max(0, ended - moved) + (try await new.revokeAll(of: principal, except: kept))
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await old.revoke(id)
        try await new.revoke(id)
    }
}
