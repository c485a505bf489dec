// SPDX-License-Identifier: Apache-2.0

package import Hiredis
package import Sessions
import Synchronization

/// What `RedisSessionStore.watch` tells.
package enum SessionNotice: Sendable {
    /// What happened to a session.
    package enum Change: String, Sendable {
        case created
        case signedIn = "signed-in"
        case signedOut = "signed-out"
        case revoked
        case expired
    }

    /// Changes at this server are reported from now on.
    case watching(RedisAddress)
    /// They are not, until the next `watching`.
    case lost(RedisAddress)
    /// All keys of a server were removed.
    case emptied(RedisAddress)
    case changed(Change, SessionID, SessionInstant)
}

extension RedisSessionStore {
    /// Tells what happens to sessions, until the task is cancelled.
    ///
    /// Each server reports the names of changed keys (`CLIENT TRACKING` in broadcast mode, as for a near cache; no setting
    /// of the server is needed), and each changed record is read: one `HMGET`. Of changes that follow each other at once only
    /// the last one is seen, and what happens while a connection is lost is missed. A session that was neither created nor
    /// used while it was watched does not count as expired.
    ///
    /// - Parameter notify: Is told; from several tasks.
    /// - Throws: `.storeUnavailable` when no server can be reached at first, or one refuses a right.
    package func watch(_ notify: @escaping @Sendable (SessionNotice) -> Void) async throws {
        let client = try redis.required()
        let sightings = Sightings(since: try await redis.askTime())
        let (failures, failure) = AsyncThrowingStream.makeStream(of: Never.self)
        try await withThrowingTaskGroup { group in
            group.addTask {
                await withDiscardingTaskGroup { followers in
                    var known: Set<Int> = []
                    for await servers in client.primaries() {
                        for server in servers where known.insert(server.id).inserted {
                            followers.addTask {
                                do { try await follow(server, sightings, notify) } catch {
                                    failure.finish(throwing: error)
                                }
                            }
                        }
                    }
                }
            }
            // An error of one server does not end the wait for the next change of the servers.
            group.addTask { for try await _ in failures {} }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func follow(
        _ server: RedisNode,
        _ sightings: Sightings,
        _ notify: @escaping @Sendable (SessionNotice) -> Void
    ) async throws {
        while !Task.isCancelled, !server.isClosed {
            do {
                try await server.withDedicatedConnection { connection in
                    let id = try await connection.send(RedisCommand("CLIENT", "ID")).integer ?? 0
                    var track = RedisCommand("CLIENT", "TRACKING", "ON", "REDIRECT", "\(id)")
                    for word in ["BCAST", "PREFIX", schema.sessions] { track.append(word) }
                    _ = try await connection.send(track)
                    let messages = connection.subscribe(to: NearCache.channel)
                    try await withThrowingTaskGroup { group in
                        group.addTask {
                            // A connection that was cut unnoticed fails when it is written to.
                            while true {
                                try await Task.sleep(for: .seconds(5))
                                connection.ping("")
                            }
                        }
                        group.addTask {
                            for try await message in messages {
                                try await received(message, from: server, sightings, notify)
                            }
                        }
                        defer { group.cancelAll() }
                        _ = try await group.next()
                    }
                }
            } catch let error as RedisError where error.prefix == "NOPERM" {
                throw SessionError(
                    .storeUnavailable,
                    "Redis does not let this user follow changes; grant what `sessionctl schema --acl` prints.",
                    underlying: error
                )
            } catch {}
            notify(.lost(server.serverAddress))
            try await Task.sleep(for: .seconds(1))
        }
    }

    private func received(
        _ message: RedisReply,
        from server: RedisNode,
        _ sightings: Sightings,
        _ notify: @Sendable (SessionNotice) -> Void
    ) async throws {
        if let error = message.error { throw error }
        switch message.count >= 2 ? message[0].string : nil {
        case "subscribe": notify(.watching(server.serverAddress))
        case "message" where message.count == 3 && message[2].isNull:
            notify(.emptied(server.serverAddress))
        case "message" where message.count == 3:
            let ids = (0..<message[2].count).compactMap { message[2][$0].string.flatMap(schema.session(of:)) }
            for chunk in ids.chunks(of: Self.chunk) {
                let questions = chunk.map { id in
                    var command = RedisCommand("HMGET", schema.session(id), readOnly: true)
                    for field in Sightings.fields { command.append(field.rawValue) }
                    return command
                }
                for (id, record) in zip(chunk, try await redis.send(questions, cancellation: .abandon)) {
                    guard let (change, time) = sightings.saw(id, record) else { continue }
                    notify(.changed(change, id, time))
                }
            }
        default: break
        }
    }
}

/// The sessions that were seen while they were watched, to tell what a change has been.
final class Sightings: Sendable {
    /// What is read of a changed record.
    static let fields: [RedisSchema.Field] = [.format, .gone, .created, .authenticated]
    /// More than that are forgotten, all at once.
    private static let maximum = 100_000

    private let start: SessionInstant
    /// When their users signed in; nil for those of nobody.
    private let known = Mutex<[SessionID: SessionInstant?]>([:])

    /// - Parameter start: the server's time from which on something is news.
    init(since start: SessionInstant) { self.start = start }

    /// Decides what has happened to a session.
    ///
    /// - Parameters:
    ///   - id: the session.
    ///   - record: the reply to `HMGET` of `fields`.
    /// - Returns: what, and when; nil when it was only used.
    func saw(_ id: SessionID, _ record: RedisReply) -> (SessionNotice.Change, SessionInstant)? {
        guard record.count == Self.fields.count else { return nil }
        func instant(_ index: Int) -> SessionInstant? {
            record[index].integer.map { SessionInstant(milliseconds: Int64($0)) }
        }
        return known.withLock { known in
            if let reason = record[1].string {
                known[id] = nil
                return (reason == "signed-out" ? .signedOut : .revoked, .now)
            }
            guard !record[0].isNull, let created = instant(2) else {
                return known.removeValue(forKey: id) == nil ? nil : (.expired, .now)
            }
            let authenticated = instant(3)
            let earlier = known[id]
            if earlier == nil, known.count >= Self.maximum { known.removeAll() }
            known[id] = .some(authenticated)
            if let authenticated {
                let isNews = earlier.map { $0 != authenticated } ?? (authenticated >= start)
                return isNews ? (.signedIn, authenticated) : nil
            }
            return earlier == nil && created >= start ? (.created, created) : nil
        }
    }
}
