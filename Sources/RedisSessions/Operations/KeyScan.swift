// SPDX-License-Identifier: Apache-2.0

package import Hiredis
import Sessions

/// The names of the keys of one server, in batches of about 512: one `SCAN` each, so that no batch keeps the server busy.
///
/// What is there from the first batch to the last one is returned at least once.
struct KeyScan {
    private let server: RedisNode
    private let pattern: String?
    private var cursor: String? = "0"

    /// - Parameters:
    ///   - server: whose keys are read.
    ///   - pattern: the keys that are returned; all of them when nil.
    init(_ server: RedisNode, matching pattern: String? = nil) {
        (self.server, self.pattern) = (server, pattern)
    }

    /// Whether all keys have been returned.
    var isComplete: Bool { cursor == nil }

    /// Returns the next batch, perhaps an empty one; nil after the last: one round trip.
    mutating func next() async throws(SessionError) -> [String]? {
        guard let cursor else { return nil }
        var command = RedisCommand("SCAN", cursor, readOnly: true)
        if let pattern { for word in ["MATCH", pattern] { command.append(word) } }
        for word in ["COUNT", "512"] { command.append(word) }
        let reply = try await server.ask([command])[0]
        if let error = reply.error { throw .unavailable(error) }
        guard reply.count == 2, let next = reply[0].string else {
            throw SessionError(.storeUnavailable, "Redis answered SCAN in an unknown form.")
        }
        self.cursor = next == "0" ? nil : next
        return (0..<reply[1].count).compactMap { reply[1][$0].string }
    }
}

extension RedisNode {
    /// Sends commands to this server: one round trip; an error of the server is in its reply.
    package func ask(_ commands: [RedisCommand]) async throws(SessionError) -> [RedisReply] {
        do { return try await withDedicatedConnection { try await $0.send(commands) } } catch {
            guard let error = error as? RedisError else {
                throw SessionError(.storeUnavailable, "Redis was not asked.", underlying: error)
            }
            throw .unavailable(error)
        }
    }
}

extension RedisSessionClient {
    /// Returns the servers that have keys: the primary, or all primaries of a cluster.
    func servers() async throws(SessionError) -> [RedisNode] {
        let redis = try required()
        // Reads the slots of a cluster, and throws where no server can be reached.
        _ = try await send(RedisCommand("PING", readOnly: true))
        for await servers in redis.primaries() where !servers.isEmpty { return servers }
        throw SessionError(.storeUnavailable, "The client was shut down.")
    }
}

extension RedisSessionStore {
    /// Returns the servers that have the store's keys: one round trip.
    package func servers() async throws(SessionError) -> [RedisNode] { try await redis.servers() }
}
