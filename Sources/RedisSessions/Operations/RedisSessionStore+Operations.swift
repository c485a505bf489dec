// SPDX-License-Identifier: Apache-2.0

import Hiredis
package import Sessions

/// What operators ask of a store, without the credential of a session.
extension RedisSessionStore {
    /// Reads a session: one round trip.
    package func inspect(_ id: SessionID) async throws(SessionError) -> StoredSession.Reading {
        switch try await read(id) {
        case .live(let record): .live(StoredSession(id, record))
        case .absent(let absence): .absent(absence)
        }
    }

    /// Whether a session is alive and this user's: one round trip.
    ///
    /// The record holds the user's name encrypted for the holder of the secret, so it can be compared and not read.
    package func isSession(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        guard case .live(let record) = try await read(id) else { return false }
        return crypto.hashes(principal: principal).contains { record.belongs(to: $0) }
    }

    /// Reads the live sessions of a user, the one that was used last first, and counts entries of the user's list that
    /// cannot be read.
    ///
    /// One round trip for the list and one for each 256 sessions.
    package func inspect(allOf principal: String) async throws(SessionError)
        -> (sessions: [StoredSession], unreadable: Int)
    {
        var (sessions, unreadable) = ([StoredSession](), 0)
        for hash in crypto.hashes(principal: principal) {
            for chunk in try await list(of: hash).ids.chunks(of: Self.chunk) {
                let replies = try await redis.send(chunk.flatMap(loadCommands), cancellation: .abandon)
                for (position, id) in chunk.enumerated() {
                    let (reply, ttl) = (replies[2 * position], replies[2 * position + 1].integer ?? -2)
                    if let error = reply.error, error.prefix != "WRONGTYPE" { throw .unavailable(error) }
                    switch RedisRecord.read(reply, ttl: ttl) {
                    case .live(let record) where record.belongs(to: hash):
                        sessions.append(StoredSession(id, record))
                    case .absent(.unreadable): unreadable += 1
                    default: break
                    }
                }
            }
        }
        sessions.sort { ($1.times.lastUsed, $0.id.description) < ($0.times.lastUsed, $1.id.description) }
        return (sessions, unreadable)
    }

    /// Ends sessions of any users by their IDs: one round trip for each 256.
    ///
    /// - Parameter ids: The sessions; one that is over already is left as it is.
    /// - Returns: Those that were alive.
    /// - Throws: `.storeUnavailable`; some of them may have ended.
    package func end(_ ids: [SessionID]) async throws(SessionError) -> Set<SessionID> {
        defer { changed(ids) }
        var ended: Set<SessionID> = []
        let wait = durability.wait()
        for chunk in ids.chunks(of: Self.chunk) {
            let replies = try await redis.writeAll(copied: wait) { notAfter in
                chunk.map { endCommand($0, [], if: "any", notAfter: notAfter) }
            }
            for (id, reply) in zip(chunk, replies) {
                if let error = reply.error, error.prefix != "WRONGTYPE" { throw .unavailable(error) }
                if Self.hasEnded(reply) { ended.insert(id) }
            }
        }
        wait?.report()
        return ended
    }

    /// Ends every session of the application.
    ///
    /// First each list of a user's sessions notes it, so that sign-ins which were checked before are refused. Reads the
    /// keys of each server in batches (`SCAN`) and ends 256 sessions in a round trip. A session that is created meanwhile
    /// may survive, and so may one whose slot moves to another node; what is under a session's key and is no hash is left.
    ///
    /// - Parameter progress: Is told how many have ended so far.
    /// - Returns: How many were alive.
    /// - Throws: `.storeUnavailable`; some of them may have ended, and the call may be repeated.
    package func endEverySession(_ progress: (Int) -> Void = { _ in }) async throws(SessionError) -> Int {
        let servers = try await redis.servers()
        for server in servers {
            var scan = KeyScan(server, matching: "\(schema.indexes)*")
            while let keys = try await scan.next() {
                for chunk in keys.chunks(of: Self.chunk) {
                    let marks = chunk.map { RedisCommand(script: Self.revokedScript, keys: [$0]) }
                    for reply in try await redis.send(marks) {
                        if let error = reply.error, error.prefix != "WRONGTYPE" { throw .unavailable(error) }
                    }
                }
            }
        }
        var count = 0
        for server in servers {
            var scan = KeyScan(server, matching: "\(schema.sessions)*")
            while let keys = try await scan.next() {
                count += try await end(keys.compactMap(schema.session(of:))).count
                progress(count)
            }
        }
        return count
    }

    /// Returns the least rights of an operator who uses all of `sessionctl`, in any topology.
    package static func operatorRules(application: String) throws(SessionError) -> String {
        let schema = try RedisSchema(application: application, prefix: application)
        let more = [
            "ACL|WHOAMI", "ASKING", "CLIENT|ID", "CLIENT|TRACKING", "CLUSTER|INFO", "CLUSTER|SLOTS", "DBSIZE",
            "MEMORY|USAGE", "ROLE", "SCAN", "SUBSCRIBE",
        ]
        return AccessControl.rule(
            schema,
            scripts: scripts,
            commands: commands + more,
            channel: NearCache.channel
        )
    }
}
