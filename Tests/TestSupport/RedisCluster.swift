// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Synchronization

/// A private Redis Cluster of one test: nodes on loopback, joined and with all slots assigned.
///
/// Tests change it as an operator does, through `redis-cli`.
public final class RedisCluster: Sendable {
    /// The number of slots of a cluster.
    public static let slots = 16_384

    /// The nodes that began as primaries, in the order of their slots.
    public let primaries: [RedisServer]
    /// The nodes that began as replicas; the one at a position replicates the primary there.
    public let replicas: [RedisServer]
    private let arguments: [String]
    private let tls: URL?
    private let marked = Mutex<Set<String>>([])

    /// `redis-cluster://127.0.0.1:PORT`, of the first primary; `rediss-cluster://…` with TLS.
    public var url: String {
        "redis\(tls == nil ? "" : "s")-cluster://127.0.0.1:\(primaries[0].mainPort)"
    }

    /// All nodes.
    public var nodes: [RedisServer] { primaries + replicas }

    /// Starts a cluster and waits until all nodes serve all slots.
    ///
    /// - Parameters:
    ///   - count: how many primaries; each owns an equal part of the slots.
    ///   - hasReplicas: whether each primary has a replica.
    ///   - arguments: further `redis-server` arguments.
    ///   - tls: a folder with certificates as for `RedisServer`; no node listens without TLS then.
    /// - Throws: `ChildProcess.Failure` when they do not get ready.
    public init(
        primaries count: Int = 3,
        hasReplicas: Bool = false,
        _ arguments: [String] = [],
        tls: URL? = nil
    ) async throws {
        (self.arguments, self.tls) = (arguments, tls)
        primaries = try await Self.start(count, arguments, tls)
        replicas = hasReplicas ? try await Self.start(count, arguments, tls) : []
        for (index, node) in primaries.enumerated() {
            let slots = (index * Self.slots / count..<(index + 1) * Self.slots / count).map(\.description)
            // Ranges of slots can be given since Redis 7.
            try await node.admin(["CLUSTER", "ADDSLOTS"] + slots)
        }
        // Different epochs, so that nodes agree at once on who owns what.
        for (index, node) in nodes.enumerated() {
            try await node.admin("CLUSTER", "SET-CONFIG-EPOCH", "\(index + 1)")
        }
        for node in nodes.dropFirst() { try await join(node) }
        try await settle()
        for (primary, replica) in zip(primaries, replicas) {
            try await replica.admin("CLUSTER", "REPLICATE", try await Self.id(of: primary))
            try await Self.wait("the replica follows") {
                try await replica.admin("INFO", "replication").contains("master_link_status:up")
            }
        }
        try await settle()
    }

    /// Starts a node without slots and joins it.
    public func addNode() async throws -> RedisServer {
        let node = try await Self.start(1, arguments, tls)[0]
        try await join(node)
        try await settle(nodes + [node])
        return node
    }

    /// Moves a slot as `redis-cli --cluster` does, with its keys.
    public func move(_ slot: Int, from source: RedisServer, to target: RedisServer) async throws {
        try await beginMove(slot, from: source, to: target)
        try await moveKeys(of: slot, from: source, to: target)
        try await endMove(slot, from: source, to: target)
    }

    /// Marks a slot as on its way: its source answers `ASK` for keys that it does not have.
    public func beginMove(_ slot: Int, from source: RedisServer, to target: RedisServer) async throws {
        try await target.admin("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", try await Self.id(of: source))
        try await source.admin("CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", try await Self.id(of: target))
    }

    /// Marks the slots of all keys with a prefix as on their way to the next node; the keys stay where they are.
    public func beginMoves(ofKeys prefix: String) async throws {
        for (index, source) in primaries.enumerated() {
            for key in try await source.keys(prefix) where marked.withLock({ $0.insert(key).inserted }) {
                let slot = try await slot(of: key)
                guard primary(of: slot) === source else { continue }
                try await beginMove(slot, from: source, to: primaries[(index + 1) % primaries.count])
            }
        }
    }

    /// Moves the keys of a slot that is on its way; those that exist, up to a number.
    public func moveKeys(of slot: Int, from source: RedisServer, to target: RedisServer, count: Int = 1000)
        async throws
    {
        let keys = try await source.admin("CLUSTER", "GETKEYSINSLOT", "\(slot)", "\(count)")
        for key in keys.split(separator: "\n") {
            try await source.admin("MIGRATE", "127.0.0.1", "\(target.mainPort)", String(key), "0", "5000")
        }
    }

    /// Assigns a slot that is on its way; the other nodes learn of it by themselves.
    public func endMove(_ slot: Int, from source: RedisServer, to target: RedisServer) async throws {
        let id = try await Self.id(of: target)
        for node in [target, source] { try await node.admin("CLUSTER", "SETSLOT", "\(slot)", "NODE", id) }
    }

    /// Moves slots as a whole, with their keys; for servers that can (`ServerVersion.movesSlotsAsAWhole`).
    public func moveAtOnce(_ slots: ClosedRange<Int>, from source: RedisServer, to target: RedisServer)
        async throws
    {
        let range = ["SLOTSRANGE", "\(slots.lowerBound)", "\(slots.upperBound)"]
        try await source.admin(
            ["CLUSTER", "MIGRATESLOTS"] + range + ["NODE", try await Self.id(of: target)]
        )
        try await Self.wait("the slots move") {
            let lines = try await source.admin("CLUSTER", "GETSLOTMIGRATIONS").split(separator: "\n")
            let states = zip(lines, lines.dropFirst()).filter { $0.0 == "state" }.map(\.1)
            return !states.isEmpty && states.allSatisfy { $0 == "success" }
        }
    }

    /// The slot of a key.
    public func slot(of key: String) async throws -> Int {
        Int(try await primaries[0].admin("CLUSTER", "KEYSLOT", key)) ?? -1
    }

    /// The primary that began with a slot.
    public func primary(of slot: Int) -> RedisServer { primaries[slot * primaries.count / Self.slots] }

    /// How often each command was called on all nodes that answer; see `RedisServer`.
    public func commandCounts() async throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for node in nodes {
            counts.merge((try? await node.commandCounts()) ?? [:]) { $0 + $1 }
        }
        for name in ["ping", "publish", "replconf", "psync"] { counts[name] = nil }
        return counts.filter { !$0.key.hasPrefix("cluster") }
    }

    /// Sets all command counters to zero.
    public func resetCounts() async throws { for node in nodes { try await node.resetCounts() } }

    /// Waits until all nodes have the same view of a cluster that serves.
    public func settle(_ nodes: [RedisServer]? = nil) async throws {
        let nodes = nodes ?? self.nodes
        try await Self.wait("the cluster serves") {
            for node in nodes {
                let info = try await node.admin("CLUSTER", "INFO")
                guard info.contains("cluster_state:ok"), info.contains("cluster_known_nodes:\(nodes.count)")
                else {
                    return false
                }
            }
            return true
        }
    }

    private func join(_ node: RedisServer) async throws {
        try await node.admin("CLUSTER", "MEET", "127.0.0.1", "\(primaries[0].mainPort)")
    }

    private static func start(_ count: Int, _ extra: [String], _ tls: URL?) async throws -> [RedisServer] {
        var servers: [RedisServer] = []
        for _ in 0..<count {
            let arguments = [
                "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                "--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0",
            ]
            servers.append(try await RedisServer(arguments + extra, tls: tls, isTLSOnly: tls != nil))
        }
        return servers
    }

    private static func id(of node: RedisServer) async throws -> String {
        try await node.admin("CLUSTER", "MYID")
    }

    private static func wait(_ what: String, for condition: () async throws -> Bool) async throws {
        guard await poll(seconds: 15, { (try? await condition()) == true }) else {
            throw ChildProcess.Failure(description: "not in time: \(what)")
        }
    }
}
