// SPDX-License-Identifier: Apache-2.0

import Hiredis
public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionDirectory`.
/// The sessions of a user: a sorted set of IDs, entered before each sign-in and read in pages, never searched
/// for.
///
/// An entry may outlive its session until its absolute deadline, when the user did not sign out; it is
/// skipped. Each operation takes one round trip for the list and one for each 256 sessions in it.
extension RedisSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        var summaries: [SessionSummary] = []
        for hash in crypto.hashes(principal: principal) {
            for chunk in try await ids(of: hash).chunks(of: Self.chunk) {
                let replies = try await redis.send(chunk.flatMap(loadCommands), cancellation: .abandon)
                for (position, id) in chunk.enumerated() {
                    let (reply, ttl) = (replies[2 * position], replies[2 * position + 1].integer ?? -2)
                    if let error = reply.error, error.prefix != "WRONGTYPE" { throw .unavailable(error) }
                    guard case .live(let record) = RedisRecord.read(reply, ttl: ttl) else { continue }
                    if record.belongs(to: hash) { summaries.append(record.summary(id)) }
                }
            }
        }
        return summaries.sorted { $0.lastUsed > $1.lastUsed }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        for hash in crypto.hashes(principal: principal) {
            // Only what is in the list may leave a tombstone, or any user could fill Redis with them.
            let listed = try await redis.send(
                RedisCommand("ZSCORE", schema.index(hash), "\(id)", readOnly: true)
            )
            guard !listed.isNull,
                Self.hasEnded(try await redis.write { endCommand(id, hash, if: "user", notAfter: $0) })
            else { continue }
            forget([id], of: principal)
            return true
        }
        return false
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        var count = 0
        var failure: RedisError?
        for hash in crypto.hashes(principal: principal) {
            // First: a sign-in that is not in the list yet is refused.
            let mark = RedisCommand(script: Self.revokedScript, keys: [schema.index(hash)])
            let replies = try await redis.send([mark, rangeCommand(hash, from: 0)])
            failure = failure ?? replies[0].error
            for chunk in try await ids(of: hash, replies[1]).filter({ $0 != kept }).chunks(of: Self.chunk) {
                let replies = try await redis.writeAll { notAfter in
                    chunk.map { endCommand($0, hash, if: "user", notAfter: notAfter) }
                }
                // Only what was ended leaves the list: the others may be another user's by now, or on their
                // way in.
                let ended = zip(chunk, replies).filter { Self.hasEnded($1) }.map { $0.0 }
                forget(ended, of: principal)
                count += ended.count
                for reply in replies { failure = failure ?? reply.error }
            }
        }
        if let failure { throw .unavailable(failure) }
        return count
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        let reply = try await redis.write { endCommand(id, [], if: "any", notAfter: $0) }
        if let error = reply.error { throw .unavailable(error) }
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        switch try await read(id) {
        case .live(let stored): stored.open(id, of: principal, crypto)
        // Not told apart: nobody has shown any right to this session.
        case .absent: .absent(.unknown)
        }
    }

    private static func hasEnded(_ reply: RedisReply) -> Bool { reply.count == 2 && reply[1].integer == 1 }

    /// How many sessions of a user are asked for in one write.
    private static let chunk = 256

    private func rangeCommand(_ principalHash: [UInt8], from rank: Int) -> RedisCommand {
        let key = schema.index(principalHash)
        return RedisCommand("ZRANGE", key, "\(rank)", "\(rank + 9999)", readOnly: true)
    }

    /// Returns the IDs in a user's list; `first` is the reply that has its beginning, if it was asked for.
    private func ids(of principalHash: [UInt8], _ first: RedisReply? = nil) async throws(SessionError)
        -> [SessionID]
    {
        var ids: [SessionID] = []
        var rank = 0
        var next = first
        while true {
            let reply =
                if let next { next } else { try await redis.send(rangeCommand(principalHash, from: rank)) }
            next = nil
            if let error = reply.error { throw .unavailable(error) }
            rank += reply.count
            ids += (0..<reply.count).compactMap { reply[$0].string.flatMap { SessionID($0) } }
            if reply.count < 10_000 { return ids }
        }
    }

    /// Removes ended sessions from a user's list, without waiting: an entry of an ended session is only
    /// skipped.
    func forget(_ ids: some Collection<SessionID>, of principal: String) {
        guard !ids.isEmpty else { return }
        for hash in crypto.hashes(principal: principal) {
            var command = RedisCommand("ZREM", schema.index(hash))
            for id in ids { command.append("\(id)") }
            redis.submit(command)
        }
    }
}

extension Array {
    /// Returns the elements in order, at most `size` at a time.
    fileprivate func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
