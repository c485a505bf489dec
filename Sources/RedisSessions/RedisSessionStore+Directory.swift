// SPDX-License-Identifier: Apache-2.0

import Hiredis
public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionDirectory`.
/// The sessions of a user: a sorted set of handles, entered before each sign-in and read in pages, never
/// searched for.
///
/// An entry may outlive its session until its absolute deadline, when nobody signed out; it is skipped. Each
/// operation takes one round trip for the list and one for each 256 sessions in it.
extension RedisSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        let digest = digester.digest(ofPrincipal: principal)
        var summaries: [SessionSummary] = []
        for chunk in try await handles(of: principal).chunks(of: Self.chunk) {
            let replies = try await send(chunk.flatMap(loadCommands), cancellation: .abandon)
            for (position, handle) in chunk.enumerated() {
                let ttl = replies[2 * position + 1].integer ?? -2
                if let error = replies[2 * position].error, error.prefix != "WRONGTYPE" {
                    throw Self.unavailable(error)
                }
                guard case .live(let record) = RedisRecord.read(replies[2 * position], ttl: ttl) else {
                    continue
                }
                if record.belongs(to: digest) { summaries.append(record.summary(handle)) }
            }
        }
        return summaries.sorted { $0.lastUsed > $1.lastUsed }
    }

    public func revoke(_ handle: SessionHandle, of principal: String) async throws(SessionError) -> Bool {
        let digest = digester.digest(ofPrincipal: principal)
        // Only what is in the list may leave a tombstone, or anybody could fill Redis with them.
        let listed = try await send(RedisCommand("ZSCORE", keys.index(digest), "\(handle)", readOnly: true))
        guard !listed.isNull, try await send(endCommand(handle, "user", digest)).integer == 1 else {
            return false
        }
        forget([handle], of: principal)
        return true
    }

    public func revokeAll(of principal: String, except kept: SessionHandle?) async throws(SessionError) -> Int
    {
        let digest = digester.digest(ofPrincipal: principal)
        var count = 0
        var failure: RedisError?
        for chunk in try await handles(of: principal).filter({ $0 != kept }).chunks(of: Self.chunk) {
            let replies = try await send(chunk.map { endCommand($0, "user", digest) })
            // Only what was ended leaves the list: the others may be somebody else's by now, or on their way
            // in.
            let ended = zip(chunk, replies).filter { $1.integer == 1 }.map { $0.0 }
            forget(ended, of: principal)
            count += ended.count
            for reply in replies { failure = failure ?? reply.error }
        }
        if let failure { throw Self.unavailable(failure) }
        return count
    }

    public func revoke(_ handle: SessionHandle) async throws(SessionError) {
        _ = try await send(endCommand(handle, "any", []))
    }

    /// How many sessions of a user are asked for in one write.
    private static let chunk = 256

    private func handles(of principal: String) async throws(SessionError) -> [SessionHandle] {
        let key = keys.index(digester.digest(ofPrincipal: principal))
        var handles: [SessionHandle] = []
        var rank = 0
        while true {
            let reply = try await send(
                RedisCommand("ZRANGE", key, "\(rank)", "\(rank + 9999)", readOnly: true)
            )
            rank += reply.count
            handles += (0..<reply.count).compactMap { reply[$0].string.flatMap { SessionHandle($0) } }
            if reply.count < 10_000 { return handles }
        }
    }

    /// Takes ended sessions off a user's list.
    ///
    /// Nobody waits for it: an entry of an ended session is only skipped.
    func forget(_ handles: some Collection<SessionHandle>, of principal: String) {
        guard !handles.isEmpty else { return }
        var command = RedisCommand("ZREM", keys.index(digester.digest(ofPrincipal: principal)))
        for handle in handles { command.append("\(handle)") }
        redis.submit(command)
    }
}

extension Array {
    /// The elements in order, at most `size` at a time.
    fileprivate func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
