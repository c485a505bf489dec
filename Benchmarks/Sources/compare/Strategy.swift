// SPDX-License-Identifier: Apache-2.0

/// One way to keep sessions consistent, as data: how its instances are started and how the balancer spreads
/// requests.
struct Strategy: Sendable, Identifiable {
    /// The four classic answers; hybrids count to the one that they build on.
    enum Family: String, Sendable {
        case backend, mapping, client, synchronization
    }

    /// How the balancer chooses an instance.
    enum Balancing: Sendable {
        /// The next one, whoever asks.
        case roundRobin
        /// The one that an inserted route cookie names.
        case pinned
    }

    /// The name in tables and in `--strategies`.
    let id: String
    let family: Family
    /// One line: where the data is and who is asked.
    let summary: String
    /// What the literature says that it costs.
    let namedCost: String
    let balancing: Balancing
    /// The instance's `--store`.
    let store: String
    var usesRedis = false
    var usesSealKeys = false
    /// How many nodes its Redis has; more than one: a cluster.
    var redisNodes = 1

    /// All of them, in the order of the tables.
    static let all: [Strategy] = [
        Strategy(
            id: "redis",
            family: .backend,
            summary: "a central store that every instance asks",
            namedCost: "one more network hop per request, pressure on the store",
            balancing: .roundRobin,
            store: "redis",
            usesRedis: true
        ),
        Strategy(
            id: "redis-cluster",
            family: .backend,
            summary: "the same over a Redis Cluster of three primaries",
            namedCost: "one more network hop per request; more nodes to run",
            balancing: .roundRobin,
            store: "redis",
            usesRedis: true,
            redisNodes: 3
        ),
        Strategy(
            id: "redis-cached",
            family: .backend,
            summary: "the central store, with copies in each instance that Redis invalidates",
            namedCost: "copies that lag behind, memory per server, messages for each change",
            balancing: .roundRobin,
            store: "redis-cached",
            usesRedis: true
        ),
        Strategy(
            id: "memory",
            family: .mapping,
            summary: "each instance keeps its own; the balancer pins visitors with a route cookie",
            namedCost: "a server crash loses its users; the balancer carries state",
            balancing: .pinned,
            store: "memory"
        ),
        Strategy(
            id: "hybrid",
            family: .mapping,
            summary: "pinned like memory; the data is in Redis, and a copy in the instance",
            namedCost: "the balancer carries state, and the store is asked for changes",
            balancing: .pinned,
            store: "redis-cached",
            usesRedis: true
        ),
        Strategy(
            id: "sealed",
            family: .client,
            summary: "the data travels in an encrypted cookie",
            namedCost: "must be sealed; bytes on every request; leak, tampering, replay",
            balancing: .roundRobin,
            store: "sealed",
            usesSealKeys: true
        ),
        Strategy(
            id: "sealed-revocable",
            family: .client,
            summary: "sealed data, and a list of revocations in Redis that can end it",
            namedCost: "bytes on every request, and a hop to the store that can end it",
            balancing: .roundRobin,
            store: "sealed-revocable",
            usesRedis: true,
            usesSealKeys: true
        ),
        Strategy(
            id: "sealed-tiered",
            family: .client,
            summary: "anonymous visitors sealed, signed-in ones in Redis",
            namedCost: "bytes on every request before the sign-in, a hop per request after it",
            balancing: .roundRobin,
            store: "sealed-tiered",
            usesRedis: true,
            usesSealKeys: true
        ),
        Strategy(
            id: "replicated",
            family: .synchronization,
            summary: "every instance holds every session and follows one log of changes",
            namedCost: "bandwidth, delay, memory per server, broadcast storms",
            balancing: .roundRobin,
            store: "replicated",
            usesRedis: true
        ),
    ]
}
