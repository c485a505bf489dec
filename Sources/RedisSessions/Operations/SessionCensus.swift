// SPDX-License-Identifier: Apache-2.0

import Hiredis
package import Sessions

/// What is in Redis, estimated from a sample of its keys.
///
/// `SCAN` returns keys in the order of their hashes, so the first ones are as good a sample as any.
package struct SessionCensus: Sendable {
    /// What was found of one kind, and how much of it there is in all.
    package struct Count: Sendable {
        /// In the sample.
        package var sampled = 0
        /// On the servers; equal to `sampled` when all keys were looked at.
        package var estimated = 0
    }

    /// The number of keys on the servers (`DBSIZE`).
    package var keys = 0
    /// How many of them were looked at.
    package var sampledKeys = 0
    /// Whether all of them were.
    package var isComplete = true
    package var servers = 0
    package var sessions = Count()
    package var signedIn = Count()
    package var tombstones = Count()
    package var userLists = Count()
    /// Under the key of a session, and not one.
    package var unreadable = Count()
    /// Anything else, also of other applications.
    package var others = Count()
    /// Of the sampled sessions: bytes (`MEMORY USAGE`), and milliseconds since their creation, since their last use and
    /// until their end; in ascending order.
    package var bytes: [Int] = []
    package var ages: [Int] = []
    package var idleTimes: [Int] = []
    package var timesToLive: [Int] = []
    /// The bytes of the sampled lists.
    package var listBytes: [Int] = []

    /// Adds what was found on one server.
    fileprivate mutating func add(_ part: SessionCensus) {
        keys += part.keys
        sampledKeys += part.sampledKeys
        isComplete = isComplete && part.isComplete
        servers += 1
        for count: WritableKeyPath<SessionCensus, Count> in [
            \.sessions, \.signedIn, \.tombstones, \.userLists, \.unreadable, \.others,
        ] {
            let sampled = part[keyPath: count].sampled
            self[keyPath: count].sampled += sampled
            self[keyPath: count].estimated +=
                part.isComplete
                ? sampled
                : Int((Double(sampled) * Double(part.keys) / Double(max(1, part.sampledKeys))).rounded())
        }
        for list: WritableKeyPath<SessionCensus, [Int]> in [
            \.bytes, \.ages, \.idleTimes, \.timesToLive, \.listBytes,
        ] {
            self[keyPath: list] = (self[keyPath: list] + part[keyPath: list]).sorted()
        }
    }
}

extension RedisSessionStore {
    /// Looks at a sample of the keys of each server.
    ///
    /// For each 512 keys a `SCAN`, and for each 256 sessions and lists among them one round trip more.
    ///
    /// - Parameters:
    ///   - limit: How many keys are looked at, at most.
    ///   - progress: Is told how many have been, and how many will be.
    /// - Returns: What was found.
    /// - Throws: `.storeUnavailable`.
    package func census(
        sampling limit: Int,
        _ progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) async throws(SessionError) -> SessionCensus {
        let servers = try await redis.servers()
        let now = try await redis.askTime()
        let share = max(1, limit / servers.count)
        var census = SessionCensus()
        for server in servers {
            var part = SessionCensus()
            let size = try await server.ask([RedisCommand("DBSIZE", readOnly: true)])[0]
            if let error = size.error { throw .unavailable(error) }
            part.keys = size.integer ?? 0
            var scan = KeyScan(server)
            var seen: Set<String> = []
            while part.sampledKeys < share, let keys = try await scan.next() {
                let fresh = keys.filter { seen.insert($0).inserted }
                let taken = fresh.prefix(share - part.sampledKeys)
                part.sampledKeys += taken.count
                part.isComplete = taken.count == fresh.count
                for chunk in Array(taken).chunks(of: Self.chunk) {
                    try await look(at: Array(chunk), now, &part)
                }
                // As if the other servers had as many keys.
                let total = min(limit, max(part.keys, part.sampledKeys) * servers.count)
                progress(census.sampledKeys + part.sampledKeys, total)
            }
            part.isComplete = part.isComplete && scan.isComplete
            census.add(part)
        }
        return census
    }

    private func look(at keys: [String], _ now: SessionInstant, _ part: inout SessionCensus)
        async throws(SessionError)
    {
        let sessions = keys.filter { $0.hasPrefix(schema.sessions) }
        let lists = keys.filter { $0.hasPrefix(schema.indexes) }
        part.userLists.sampled += lists.count
        part.others.sampled += keys.count - sessions.count - lists.count
        var questions: [RedisCommand] = []
        for key in sessions {
            var fields = RedisCommand("HMGET", key, readOnly: true)
            for field: RedisSchema.Field in [.format, .gone, .principalHash, .created, .lastUsed] {
                fields.append(field.rawValue)
            }
            questions += [fields, RedisCommand("PTTL", key, readOnly: true)]
        }
        // By default five fields are measured, which miss the large one.
        questions += sessions.map { RedisCommand("MEMORY", "USAGE", $0, "SAMPLES", "0", readOnly: true) }
        questions += lists.map { RedisCommand("MEMORY", "USAGE", $0, readOnly: true) }
        guard !questions.isEmpty else { return }
        let replies = try await redis.send(questions, cancellation: .abandon)
        for reply in replies {
            if let error = reply.error, error.prefix != "WRONGTYPE" { throw .unavailable(error) }
        }
        let sizes = replies.dropFirst(2 * sessions.count).map(\.integer)
        part.listBytes += sizes.dropFirst(sessions.count).compactMap(\.self)
        for (index, bytes) in sizes.prefix(sessions.count).enumerated() {
            let (fields, ttl) = (replies[2 * index], replies[2 * index + 1].integer ?? -2)
            // Over since the `SCAN`.
            if ttl == -2 { continue }
            guard fields.count == 5, ttl >= 0 else {
                part.unreadable.sampled += 1
                continue
            }
            if !fields[1].isNull {
                part.tombstones.sampled += 1
            } else if fields[0].string == "1", let created = fields[3].integer, let used = fields[4].integer {
                part.sessions.sampled += 1
                if !fields[2].isNull { part.signedIn.sampled += 1 }
                if let bytes { part.bytes.append(bytes) }
                part.ages.append(max(0, Int(now.milliseconds) - created))
                part.idleTimes.append(max(0, Int(now.milliseconds) - used))
                part.timesToLive.append(ttl)
            } else {
                part.unreadable.sampled += 1
            }
        }
    }
}
