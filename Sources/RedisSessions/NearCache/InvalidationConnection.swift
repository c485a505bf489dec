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

    /// How many names of keys are tried to find one of the server's slots.
    private static let maximumTries = 1000

    let redis: RedisClient
    let node: RedisNode
    let cache: NearCache

    /// Keeps a connection to each server that has records, until the task is cancelled.
    static func run(_ redis: RedisClient, _ cache: NearCache) async {
        await withDiscardingTaskGroup { group in
            var known: Set<Int> = []
            for await nodes in redis.primaries() {
                for node in nodes where known.insert(node.id).inserted {
                    group.addTask { await Self(redis: redis, node: node, cache: cache).run() }
                }
            }
        }
    }

    /// Receives invalidations until the server has left or the task is cancelled; connects again after errors.
    private func run() async {
        var refused = 0
        while !Task.isCancelled, !node.isClosed {
            var refusal: Refusal?
            let lost = redis.statistics.lostConnections
            do {
                try await node.withDedicatedConnection { connection in
                    do throws(RedisError) { try await track(connection) } catch {
                        if error.serverMessage != nil { refusal = Refusal(command: "CLIENT", error: error) }
                        throw error
                    }
                    try await follow(connection, since: lost)
                }
            } catch let error as RedisError where error.serverMessage != nil {
                refusal = refusal ?? Refusal(command: "SUBSCRIBE", error: error)
            } catch {}
            cache.disconnected(from: node.id, node.isClosed ? nil : refusal)
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
    private nonisolated(nonsending) func follow(_ connection: RedisDedicatedConnection, since lost: Int)
        async throws
    {
        let messages = connection.subscribe(to: NearCache.channel)
        try await withThrowingTaskGroup { group in
            group.addTask {
                var number = 0
                // Four in a lease, so that one late answer ends nothing.
                while cache.pinged(node.id) <= 20, !node.isClosed, isSameServer(since: lost) {
                    let sent = cache.now()
                    if await isServing(&number) { connection.ping("\(sent.milliseconds)") }
                    try await Task.sleep(for: cache.lease / 4)
                }
            }
            group.addTask {
                for try await message in messages {
                    try await cache.beforeApplying?()
                    try cache.received(message, from: node.id)
                }
            }
            defer { group.cancelAll() }
            _ = try await group.next()
        }
    }

    private var isCluster: Bool { redis.configuration.topology.isCluster }

    /// Whether the address surely leads to the server of this connection.
    ///
    /// It may not when another connection of the client was lost. In a cluster, the address names the server.
    private func isSameServer(since lost: Int) -> Bool {
        isCluster || redis.statistics.lostConnections == lost
    }

    /// Returns whether the server serves its slots: in a cluster, one that is cut off from the others, or has been
    /// replaced, still answers `PING`, but not a question about a key.
    ///
    /// - Parameter number: Part of the name of the key that is asked for when none was read; raised until the key is on
    ///   this server.
    /// - Returns: Whether it has answered.
    private func isServing(_ number: inout Int) async -> Bool {
        guard isCluster else { return true }
        if let key = cache.lastKey(of: node.id), redis.placement(of: key)?.node == node.id {
            return await isAnswered(key)
        }
        for _ in 0..<Self.maximumTries {
            let key = "\(cache.keyPrefix)\(number)}"
            if redis.placement(of: key)?.node == node.id { return await isAnswered(key) }
            number += 1
        }
        return false
    }

    /// Whether this server answers a question about a key.
    private func isAnswered(_ key: String) async -> Bool {
        let place = redis.placement(of: key)
        let reply = try? await redis.send(RedisCommand("EXISTS", key, readOnly: true))
        return reply != nil && place?.node == node.id && redis.placement(of: key) == place
    }
}
