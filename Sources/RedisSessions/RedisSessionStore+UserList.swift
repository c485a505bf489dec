// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// The members of the list of a user's sessions; see `index.lua`.
struct UserList: Sendable {
    /// In front of the ID of a session whose sign-in may be on its way.
    static let pendingMark = "@new:"

    let principalHash: [UInt8]
    /// The sessions, the one with the first deadline first.
    var ids: [SessionID] = []
    /// Those whose sign-in may not have arrived: without a record they are not over.
    var pending: Set<SessionID> = []
    /// How many the user may have; nil for no limit.
    var maximum: Int?
    /// The server's time after which the sign-in must not arrive, because its entry may be gone.
    var signInLimit: SessionInstant?

    init(_ principalHash: [UInt8], _ members: [String]) {
        self.principalHash = principalHash
        for member in members {
            if member.hasPrefix(Self.pendingMark) {
                if let id = SessionID(member.dropFirst(Self.pendingMark.count)) { pending.insert(id) }
            } else if let id = SessionID(member) {
                ids.append(id)
            }
        }
    }
}

/// Entering sessions into the list of their user, and keeping the list short.
extension RedisSessionStore {
    /// How many sessions of a user are asked for, or ended, in one write.
    static let chunk = 256

    /// Enters a session into the list of the user who signs in, before the sign-in itself.
    ///
    /// Without its entry the session could not be revoked, so nothing else is sent before the answer.
    ///
    /// - Returns: the user's other sessions, if there are more than the policy allows; nil if all sessions of the user
    ///   were ended after `checked`.
    func enter(
        _ id: SessionID,
        into principal: String,
        _ policy: SessionPolicy,
        since checked: ContinuousClock.Instant?
    ) async throws(SessionError) -> UserList? {
        let hash = crypto.hash(principal: principal)
        var command = RedisCommand(script: Self.indexScript, keys: [schema.index(hash)])
        command.append("\(id)")
        command.append(Int(policy.lifetime.wholeMilliseconds))
        command.append(checked.map { "\($0.duration(to: .now).wholeMilliseconds)" } ?? "")
        command.append(Int(SessionPolicy.tombstone.wholeMilliseconds))
        command.append(policy.maximumSessionsPerUser.map { "\($0)" } ?? "")
        let reply = try await redis.send([command])[0]
        if let error = reply.error { throw .unavailable(error) }
        if reply.integer == 0 { return nil }
        guard reply.count > 0, let now = reply[0].integer else { throw RevocableSessionStore.unexpected }
        var list = UserList(hash, (1..<reply.count).compactMap { reply[$0].string })
        list.ids.removeAll { $0 == id }
        list.maximum = policy.maximumSessionsPerUser
        list.signInLimit = SessionInstant(milliseconds: Int64(now)) + SessionPolicy.tombstone
        return list
    }

    /// Enters a session that is in use again, without waiting: Redis may have evicted the list.
    func renewEntry(_ record: SessionRecord, _ presented: PresentedToken) {
        guard presented.user == nil, let hash = presented.userHash else { return }
        var command = RedisCommand(script: Self.indexScript, keys: [schema.index(hash)])
        command.append("\(record.id)")
        command.append(Int(record.times.deadline.milliseconds))
        for _ in 0..<3 { command.append("") }
        redis.submit(command)
    }

    /// Asks whose the listed sessions are, together with the sign-in itself.
    func askOwners(_ list: UserList?) -> [RedisCommand] {
        (list?.ids ?? []).map { id in
            var command = RedisCommand("HMGET", schema.session(id))
            for field: RedisSchema.Field in [.format, .principalHash, .authenticated] {
                command.append(field.rawValue)
            }
            return command
        }
    }

    /// Ends the sessions above the limit, those that signed in first, after a sign-in.
    ///
    /// One round trip if there are any; at most 256, so that a list from a time without a limit shrinks by and by.
    /// Sessions that are over do not count, and leave the list.
    ///
    /// - Parameters:
    ///   - list: the user's other sessions.
    ///   - owners: the replies to `askOwners`.
    /// - Throws: `.storeUnavailable`; the sign-in must not be acknowledged then.
    func endSurplus(in list: UserList, _ owners: ArraySlice<RedisReply>) async throws(SessionError) {
        guard let maximum = list.maximum else { return }
        var own: [(id: SessionID, signIn: Int)] = []
        var over: [SessionID] = []
        var arriving = 0
        for (id, owner) in zip(list.ids, owners) where owner.count == 3 {
            if owner[1].bytes == list.principalHash {
                own.append((id, owner[2].bytes.flatMap(SessionCodec.integer) ?? 0))
            } else if list.pending.contains(id) {
                arriving += 1
            } else if owner[0].isNull {
                over.append(id)
            }
        }
        own.sort { $0.signIn < $1.signIn }
        let surplus = own.prefix(min(Self.chunk, max(0, own.count + arriving + 1 - maximum))).map(\.id)
        if !surplus.isEmpty {
            let replies = try await redis.writeAll { notAfter in
                surplus.map { endCommand($0, list.principalHash, if: "own", notAfter: notAfter) }
            }
            for reply in replies { if let error = reply.error { throw .unavailable(error) } }
        }
        forget(over + surplus, of: list.principalHash)
    }

    /// Removes entries from a user's list, without waiting: those of dead sessions are only skipped.
    func forget(_ ids: some Collection<SessionID>, of principalHash: [UInt8]) {
        guard !ids.isEmpty else { return }
        var command = RedisCommand("ZREM", schema.index(principalHash))
        for id in ids {
            command.append("\(id)")
            command.append("\(UserList.pendingMark)\(id)")
        }
        redis.submit(command)
    }
}
