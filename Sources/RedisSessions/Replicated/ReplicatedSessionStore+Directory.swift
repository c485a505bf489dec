// SPDX-License-Identifier: Apache-2.0

public import Sessions
import Synchronization

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionDirectory`.
/// The sessions of a user, from the copies but exact: one round trip shows where the log ends, and that much
/// is waited for.
extension ReplicatedSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await check()
        return log.state.withLock { state -> [SessionSummary] in
            guard let table = state.serving?.table else { return [] }
            let ids = crypto.hashes(principal: principal).flatMap { table.live($0, at: state.now) }
            return ids.compactMap { id in table[id].map { $0.session.summary(id) } }
        }.sorted { $0.lastUsed > $1.lastUsed }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await check()
        // Only what is there is worth an entry, or any user could fill the log with them.
        guard let user = log.state.withLock({ $0.serving?.table[id]?.session.principalHash }),
            crypto.hashes(principal: principal).contains(user)
        else { return false }
        return try await count(.revoke(id, user: user, tombstone: SessionPolicy.tombstone)) == 1
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        var total = 0
        for user in crypto.hashes(principal: principal) {
            total += try await count(.revokeAll(user: user, except: kept, tombstone: SessionPolicy.tombstone))
        }
        return total
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await check()
        guard log.state.withLock({ $0.serving?.table[id] != nil }) else { return }
        _ = try await count(.revoke(id, user: nil, tombstone: SessionPolicy.tombstone))
    }
}
