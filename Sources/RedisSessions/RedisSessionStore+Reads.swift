// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// Reads that do not come from the primary, here and in the near cache: cookies that carry the version which the client has
/// seen.
extension RedisSessionStore {
    /// Returns a session as a replica has it, if that is what the client has seen last.
    ///
    /// A newer version is not enough: the secret may have been replaced since, and a replica cannot know that, so the client could
    /// not be told the version, and might see an older one on another replica.
    ///
    /// - Returns: the session; nil when the primary has to be asked.
    func copy(for token: SessionToken) async -> SessionRecord? {
        guard let age = reads.maximumAge, let version = token.version, !recentChanges.contains(token.id),
            // Set by the primary alone.
            redis.clock.now != nil,
            let replies = await redis.redis?.sendToReplica(loadCommands(token.id), within: age),
            case .live(let stored) = RedisRecord.read(replies[0], ttl: replies[1].integer ?? -2),
            stored.version == version, !stored.contradictsClock, redis.clock.agrees(with: stored.now),
            case .found(let record) = stored.open(token, crypto), record.secretStatus == .current
        else { return nil }
        return record
    }

    /// Notes that this process has changed or ended sessions, or may have; before its caller is told.
    func changed(_ ids: @autoclosure () -> [SessionID]) {
        if reads != .primary { recentChanges.insert(ids()) }
    }

    /// Returns the result of a commit whose credential carries the new version.
    func withVersion(
        _ result: SessionCommitResult,
        of record: SessionRecord,
        _ presented: PresentedToken
    ) async -> SessionCommitResult {
        guard case .committed(let id, let version, nil, let remaining) = result, presented.user == nil,
            record.secretStatus == .current
        else { return result.withVersion }
        // Another commit came before this one: it may have replaced the secret, which must not be sent again.
        if version != record.version + 1, await !isCurrent(presented.token) { return result }
        let seen = presented.token.seen(version).credential
        return .committed(id: id, version: version, credential: seen, remaining: remaining)
    }

    /// Returns the credential of a client that has not seen the version of a record, if cookies carry it.
    ///
    /// Only what was read from the primary is newer than what the client has seen: its secret was the current one then.
    func credential(ofUnseen record: SessionRecord, _ presented: PresentedToken) -> SessionCredential? {
        guard cookiesCarryVersion, presented.user == nil, record.secretStatus == .current,
            record.version > presented.token.version ?? 0
        else { return nil }
        return presented.token.seen(record.version).credential
    }

    /// Whether the secret is the one that was issued last.
    private func isCurrent(_ token: SessionToken) async -> Bool {
        guard case .found(let record) = try? await read(token) else { return false }
        return record.secretStatus == .current
    }
}

extension SessionCommitResult {
    /// The result whose credential, if there is one, carries the version.
    var withVersion: SessionCommitResult {
        guard case .committed(let id, let version, let credential?, let remaining) = self else { return self }
        let seen = SessionToken(credential)?.seen(version).credential
        return .committed(id: id, version: version, credential: seen ?? credential, remaining: remaining)
    }
}
