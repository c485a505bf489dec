// SPDX-License-Identifier: Apache-2.0

import Hiredis
public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionDirectory`.
/// The sessions of a user: a sorted set of IDs, entered before each sign-in and read in pages, never searched
/// for.
///
/// An entry may outlive its session, when that expired; it is skipped, and removed when the list is used. A list that
/// Redis evicted fills again as its sessions are used. A list costs one round trip for the IDs, one for each 256
/// sessions, and one more for the attributes of a page when the user has more sessions than that; a revocation costs
/// two, the end of all sessions one for the IDs and one for each 256.
extension RedisSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        var all: [SessionSummary] = []
        for hash in crypto.hashes(principal: principal) {
            let list = try await list(of: hash)
            for chunk in list.ids.chunks(of: Self.chunk) {
                let replies = try await redis.send(chunk.flatMap(loadCommands), cancellation: .abandon)
                for (position, id) in chunk.enumerated() {
                    let (reply, ttl) = (replies[2 * position], replies[2 * position + 1].integer ?? -2)
                    if let error = reply.error, error.prefix != "WRONGTYPE" { throw .unavailable(error) }
                    guard case .live(let record) = RedisRecord.read(reply, ttl: ttl) else { continue }
                    if record.belongs(to: hash) { all.append(record.summary(id)) }
                }
            }
        }
        return all.sorted(by: SessionSummary.isListedBefore)
    }

    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        var lists: [UserList] = []
        for hash in crypto.hashes(principal: principal) { lists.append(try await list(of: hash)) }
        // What is asked for may be large: it is read for one page only.
        let isOnePage = lists.reduce(0) { $0 + $1.ids.count } <= page.limit
        var all: [SessionSummary] = []
        for list in lists {
            let (found, over) = try await summaries(list.ids, in: list, isOnePage ? page.names : [])
            forget(over.filter { !list.pending.contains($0) }, of: list.principalHash)
            all += found
        }
        let entries = page.cut(from: all)
        guard !isOnePage, !page.names.isEmpty else { return entries }
        var complete: [SessionID: SessionSummary] = [:]
        for list in lists {
            let ids = entries.map(\.id).filter(Set(list.ids).contains)
            for summary in try await summaries(ids, in: list, page.names).found {
                complete[summary.id] = summary
            }
        }
        return entries.compactMap { complete[$0.id] }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        defer { changed([id]) }
        let wait = durability.wait()
        for hash in crypto.hashes(principal: principal) {
            // Only a sign-in that may be on its way may leave a tombstone without a record, or any user could fill
            // Redis with them.
            let pending = try await redis.send(
                RedisCommand("ZSCORE", schema.index(hash), "\(UserList.pendingMark)\(id)", readOnly: true)
            )
            let condition = pending.isNull ? "own" : "user"
            guard
                Self.hasEnded(
                    try await redis.write(copied: wait) { endCommand(id, hash, if: condition, notAfter: $0) }
                )
            else { continue }
            wait?.report()
            forget([id], of: hash)
            return true
        }
        return false
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        var count = 0
        var failure: RedisError?
        let wait = durability.wait()
        for hash in crypto.hashes(principal: principal) {
            // First: a sign-in that is not in the list yet is refused.
            let mark = RedisCommand(script: Self.revokedScript, keys: [schema.index(hash)])
            let replies = try await redis.send([mark, rangeCommand(hash, from: 0)], copied: wait)
            failure = failure ?? replies[0].error
            let list = try await list(of: hash, replies[1])
            for chunk in list.ids.filter({ $0 != kept }).chunks(of: Self.chunk) {
                let replies = try await redis.writeAll(copied: wait) { notAfter in
                    chunk.map { id in
                        let condition = list.pending.contains(id) ? "user" : "own"
                        return endCommand(id, hash, if: condition, notAfter: notAfter)
                    }
                }
                let ended = zip(chunk, replies).filter { Self.hasEnded($1) }.map { $0.0 }
                count += ended.count
                // Also what had ended before. Others may be another user's by now, or on their way in.
                let over = zip(chunk, replies).filter { $1.count == 2 && $1[0].string == "gone" }.map { $0.0 }
                forget(ended + over, of: hash)
                for reply in replies { failure = failure ?? reply.error }
            }
        }
        if let failure { throw .unavailable(failure) }
        wait?.report()
        return count
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        defer { changed([id]) }
        let wait = durability.wait()
        let reply = try await redis.write(copied: wait) { endCommand(id, [], if: "any", notAfter: $0) }
        if let error = reply.error { throw .unavailable(error) }
        if Self.hasEnded(reply) { wait?.report() }
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        switch try await read(id) {
        case .live(let stored): stored.open(id, of: principal, crypto)
        // Not told apart: nobody has shown any right to this session.
        case .absent: .absent(.unknown)
        }
    }

    static func hasEnded(_ reply: RedisReply) -> Bool { reply.count == 2 && reply[1].integer == 1 }

    private func rangeCommand(_ principalHash: [UInt8], from rank: Int) -> RedisCommand {
        let key = schema.index(principalHash)
        return RedisCommand("ZRANGE", key, "\(rank)", "\(rank + 9999)", readOnly: true)
    }

    /// Returns a user's list; `first` is the reply that has its beginning, if it was asked for.
    func list(of principalHash: [UInt8], _ first: RedisReply? = nil) async throws(SessionError)
        -> UserList
    {
        var members: [String] = []
        var rank = 0
        var next = first
        while true {
            let reply =
                if let next { next } else { try await redis.send(rangeCommand(principalHash, from: rank)) }
            next = nil
            if let error = reply.error { throw .unavailable(error) }
            rank += reply.count
            members += (0..<reply.count).compactMap { reply[$0].string }
            if reply.count < 10_000 { return UserList(principalHash, members) }
        }
    }

    /// Returns the entries of a list's live sessions with these attributes, and the sessions that are over.
    private func summaries(
        _ ids: [SessionID],
        in list: UserList,
        _ names: Set<String>
    ) async throws(SessionError) -> (found: [SessionSummary], over: [SessionID]) {
        var found: [SessionSummary] = []
        var over: [SessionID] = []
        let reader = RedisSummary(names: names, principalHash: list.principalHash)
        for chunk in ids.chunks(of: Self.chunk) {
            let commands = chunk.flatMap { reader.commands(for: schema.session($0)) }
            let replies = try await redis.send(commands, cancellation: .abandon)
            for (position, id) in chunk.enumerated() {
                let (reply, ttl) = (replies[2 * position], replies[2 * position + 1].integer ?? -2)
                if let error = reply.error, error.prefix != "WRONGTYPE" { throw .unavailable(error) }
                switch reader.read(reply, ttl: ttl, id) {
                case .live(let summary): found.append(summary)
                case .over: over.append(id)
                case .unreadable: break
                }
            }
        }
        return (found, over)
    }
}

extension Array {
    /// Returns the elements in order, at most `size` at a time.
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
