// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// Tells a near cache what was changed at one server: tracks all keys of records, on a connection that redirects the
/// invalidations to itself and so depends on no other.
///
/// `BCAST` costs the server no memory, and works in RESP2, where a connection with a subscription can send `PING` only.
struct InvalidationConnection: Sendable {
    /// The server's answer that it does not send what was changed.
    struct Refusal: Sendable {
        let command: String
        let error: RedisError
    }

    let redis: RedisClient
    let cache: NearCache

    /// Receives invalidations until the task is cancelled; connects again after errors.
    func run() async {
        var refused = 0
        while !Task.isCancelled {
            var refusal: Refusal?
            do {
                try await redis.withDedicatedConnection { connection in
                    do throws(RedisError) { try await track(connection) } catch {
                        if error.serverMessage != nil { refusal = Refusal(command: "CLIENT", error: error) }
                        throw error
                    }
                    try await follow(connection)
                }
            } catch let error as RedisError where error.serverMessage != nil {
                refusal = refusal ?? Refusal(command: "SUBSCRIBE", error: error)
            } catch {}
            cache.disconnected(refusal)
            refused = refusal == nil ? 0 : min(refused + 1, 5)
            try? await Task.sleep(for: .milliseconds(Int.random(in: 50...250) << refused))
        }
    }

    /// Asks the server for the invalidations of all records.
    private nonisolated(nonsending) func track(_ connection: RedisDedicatedConnection)
        async throws(RedisError)
    {
        let id = try await connection.send(RedisCommand("CLIENT", "ID")).integer ?? 0
        var command = RedisCommand("CLIENT", "TRACKING", "ON", "REDIRECT", "\(id)")
        for word in ["BCAST", "PREFIX", cache.keyPrefix] { command.append(word) }
        _ = try await connection.send(command)
    }

    /// Applies the invalidations, and keeps asking whether there are more.
    private nonisolated(nonsending) func follow(_ connection: RedisDedicatedConnection) async throws {
        let lost = redis.statistics.lostConnections
        let messages = connection.subscribe(to: NearCache.channel)
        try await withThrowingTaskGroup { group in
            group.addTask {
                // Four in a lease, so that one late answer ends nothing. When another connection of the client was lost,
                // the address may lead to another server by now, and this connection still to the old one.
                while cache.pinged() <= 20, redis.statistics.lostConnections == lost {
                    connection.ping("\(cache.now().milliseconds)")
                    try await Task.sleep(for: cache.lease / 4)
                }
            }
            group.addTask {
                for try await message in messages {
                    try await cache.beforeApplying?()
                    try cache.received(message)
                }
            }
            defer { group.cancelAll() }
            _ = try await group.next()
        }
    }
}
