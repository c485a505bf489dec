// SPDX-License-Identifier: Apache-2.0

public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionDirectory`.
/// Lists and revokes the sessions of a user in the replica, exactly: one round trip asks where the log ends, and
/// everything up to there is applied first.
extension ReplicatedSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await check()
        let all = crypto.hashes(principal: principal).flatMap { log.summaries(of: $0) }
        return all.sorted(by: SessionSummary.isListedBefore)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await check()
        // No entry for a session that does not exist, or requests with invented IDs could fill the log.
        guard let user = log.lookUp(id).record?.session.principalHash,
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
        guard log.lookUp(id).record != nil else { return }
        _ = try await count(.revoke(id, user: nil, tombstone: SessionPolicy.tombstone))
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        try await check()
        let (copy, now) = log.lookUp(id)
        guard let copy, copy.session.isAlive(at: now),
            let hash = copy.session.user(crypto.hashes(principal: principal))
        else { return .absent(.unknown) }
        let presented = PresentedToken(principal, hash: hash, for: id, family: copy.session.family)
        let record = record(copy.session, presented, .previous, seen: copy.changed, at: now)
        return record.map { .found($0) } ?? .absent(.unknown)
    }
}
