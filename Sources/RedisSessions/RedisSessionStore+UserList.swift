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

/// What a sign-in has entered into the list of its user.
struct ListedSignIn: Sendable {
    let principalHash: [UInt8]
    let id: SessionID
    /// How many sessions the user may have; nil for no limit.
    let maximum: Int?
    /// The server's time after which the sign-in must not arrive, because its entry may be gone.
    let signInLimit: SessionInstant
}

/// Entering sessions into the list of their user, and keeping the list short.
extension RedisSessionStore {
    /// How many sessions of a user are asked for, or ended, in one write.
    static let chunk = 256

    /// Enters a session into the list of the user who signs in, before the sign-in itself.
    ///
    /// Without its entry the session could not be revoked, so nothing else is sent before the answer.
    ///
    /// - Returns: the list; nil if all sessions of the user were ended after `checked`.
    func enter(
        _ id: SessionID,
        into principal: String,
        _ policy: SessionPolicy,
        since checked: ContinuousClock.Instant?,
        copied wait: RedisReplicaWait?
    ) async throws(SessionError) -> ListedSignIn? {
        let hash = crypto.hash(principal: principal)
        var command = RedisCommand(script: Self.indexScript, keys: [schema.index(hash)])
        command.append("\(id)")
        command.append(Int(policy.lifetime.wholeMilliseconds))
        command.append(checked.map { "\($0.duration(to: .now).wholeMilliseconds)" } ?? "")
        command.append(Int(SessionPolicy.tombstone.wholeMilliseconds))
        let reply = try await redis.send([command], copied: wait)[0]
        if let error = reply.error { throw .unavailable(error) }
        guard let now = reply.integer else { throw RevocableSessionStore.unexpected }
        if now == 0 { return nil }
        return ListedSignIn(
            principalHash: hash,
            id: id,
            maximum: policy.maximumSessionsPerUser,
            signInLimit: SessionInstant(milliseconds: Int64(now)) + SessionPolicy.tombstone
        )
    }

    /// Enters a session that is in use again, without waiting: Redis may have evicted the list.
    func renewEntry(_ record: SessionRecord, _ presented: PresentedToken) {
        guard presented.user == nil, let hash = presented.userHash else { return }
        var command = RedisCommand(script: Self.indexScript, keys: [schema.index(hash)])
        command.append("\(record.id)")
        command.append(Int(record.times.deadline.milliseconds))
        for _ in 0..<2 { command.append("") }
        redis.submit(command)
    }

    /// Asks who is in the list, behind the sign-in itself: of several at the same time the last one sees all of them.
    ///
    /// Not more than twice the limit, and 256, so that a list from a time without a limit shrinks by and by.
    func askMembers(_ entry: ListedSignIn) -> [RedisCommand] {
        guard let maximum = entry.maximum else { return [] }
        return [RedisCommand("ZRANGE", schema.index(entry.principalHash), "0", "\(2 * maximum + Self.chunk)")]
    }

    /// Ends the sessions above the limit, those that signed in first, after a sign-in.
    ///
    /// Two round trips if the list is longer than the limit; at most 256 sessions. Those that are over do not count, and
    /// leave the list. Sign-ins at the same time all go by one order, so the last of them leaves as many as there may be.
    ///
    /// - Parameters:
    ///   - entry: what the sign-in has entered.
    ///   - members: the reply to `askMembers`.
    ///   - wait: is told how many copies have the ends.
    /// - Returns: false if later sign-ins leave no room for this one: it has ended.
    /// - Throws: `.storeUnavailable`; the sign-in must not be acknowledged then.
    func endSurplus(
        _ entry: ListedSignIn,
        _ members: RedisReply?,
        copied wait: RedisReplicaWait?
    ) async throws(SessionError) -> Bool {
        guard let maximum = entry.maximum, let members else { return true }
        if let error = members.error { throw .unavailable(error) }
        let list = UserList(entry.principalHash, (0..<members.count).compactMap { members[$0].string })
        guard list.ids.count > maximum else { return true }
        let questions = list.ids.map { id in
            var command = RedisCommand("HMGET", schema.session(id))
            for field: RedisSchema.Field in [.format, .principalHash, .authenticated] {
                command.append(field.rawValue)
            }
            return command
        }
        var own: [(signIn: Int, id: SessionID)] = []
        var over: [SessionID] = []
        for (id, owner) in zip(list.ids, try await redis.send(questions)) where owner.count == 3 {
            if owner[1].bytes == list.principalHash {
                own.append((owner[2].bytes.flatMap(SessionCodec.integer) ?? 0, id))
            } else if owner[0].isNull, !list.pending.contains(id) {
                over.append(id)
            }
        }
        own.sort { ($0.signIn, $0.id.description) < ($1.signIn, $1.id.description) }
        let surplus = own.prefix(min(Self.chunk, max(0, own.count - maximum))).map(\.id)
        if !surplus.isEmpty {
            let replies = try await redis.writeAll(copied: wait) { notAfter in
                surplus.map { endCommand($0, list.principalHash, if: "own", notAfter: notAfter) }
            }
            for reply in replies { if let error = reply.error { throw .unavailable(error) } }
        }
        forget(over + surplus, of: list.principalHash)
        return !surplus.contains(entry.id)
    }

    /// Removes entries from a user's list, without waiting: those of dead sessions are only skipped.
    func forget(_ ids: some Collection<SessionID>, of principalHash: [UInt8]) {
        guard !ids.isEmpty else { return }
        changed(Array(ids))
        ended?(Array(ids))
        var command = RedisCommand("ZREM", schema.index(principalHash))
        for id in ids {
            command.append("\(id)")
            command.append("\(UserList.pendingMark)\(id)")
        }
        redis.submit(command)
    }
}
