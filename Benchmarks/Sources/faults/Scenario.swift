// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Something that breaks, and the servers that it happens to.
struct Scenario: Sendable {
    /// Why it was not played to its end.
    struct Failure: Error, CustomStringConvertible { let description: String }

    let name: String
    let words: String
    /// Whether acknowledged writes may be missing: another server takes over, and replication is asynchronous.
    var mayLose = false
    /// Plays it with a number of visitors.
    let play: @Sendable (Self, Int) async throws -> Row

    var row: Row { Row(name, words, mayLose: mayLose) }

    static let all = sentinels + clusters + lines

    // MARK: A primary, a replica and three sentinels

    static let sentinels = [
        Scenario(name: "sentinel-kill", words: "Sentinel: the primary is killed", mayLose: true) {
            try await Setup.onSentinels($0, $1) { servers, load in
                load.faultBegan()
                await servers.servers[0].crash()
                try await Setup.promoted(servers.servers[1])
            }
        },
        Scenario(
            name: "sentinel-freeze",
            words: "Sentinel: the primary is frozen, and comes back 2 s after the failover",
            mayLose: true
        ) {
            try await Setup.onSentinels($0, $1) { servers, load in
                load.faultBegan()
                servers.servers[0].freeze()
                try await Setup.promoted(servers.servers[1])
                try await Task.sleep(for: .seconds(2))
                servers.servers[0].thaw()
                try await Task.sleep(for: .seconds(2))
            }
        },
        Scenario(name: "sentinel-failover", words: "Sentinel: a failover is ordered", mayLose: true) {
            try await Setup.onSentinels($0, $1) { servers, load in
                load.faultBegan()
                try await servers.sentinels[0].admin("SENTINEL", "FAILOVER", "main")
                try await Setup.promoted(servers.servers[1])
                try await Task.sleep(for: .seconds(2))
            }
        },
        Scenario(
            name: "sentinel-failover-paused",
            words: "the same, with writes paused on the old primary before (CLIENT PAUSE 5000 WRITE)"
        ) {
            try await Setup.onSentinels($0, $1) { servers, load in
                load.faultBegan()
                try await servers.servers[0].admin("CLIENT", "PAUSE", "5000", "WRITE")
                try await servers.servers[0].replicated(to: servers.servers[1])
                try await servers.sentinels[0].admin("SENTINEL", "FAILOVER", "main")
                try await Setup.promoted(servers.servers[1])
                try await Task.sleep(for: .seconds(2))
            }
        },
        Scenario(
            name: "sentinel-partition",
            words: "Sentinel: replica and sentinels do not reach the primary, the application does",
            mayLose: true
        ) {
            try await Setup.onSentinels($0, $1) { try await partition($0, $1) }
        },
        Scenario(
            name: "sentinel-partition-guarded",
            words: "the same with min-replicas-to-write 1 and min-replicas-max-lag 1",
            mayLose: true
        ) {
            try await Setup.onSentinels($0, $1) { servers, load in
                for setting in ["min-replicas-to-write", "min-replicas-max-lag"] {
                    try await servers.servers[0].admin("CONFIG", "SET", setting, "1")
                }
                try await partition(servers, load)
            }
        },
    ]

    /// Refuses the user of replica and sentinels on the primary, until another one has been there for three seconds.
    private static func partition(_ servers: SentinelServers, _ load: Load) async throws {
        let root = [
            "-p", "\(servers.servers[0].port)", "--user", "root", "--pass", "pw", "--no-auth-warning",
        ]
        load.faultBegan()
        try await run("redis-cli", root + ["ACL", "SETUSER", "default", "off"])
        try await run("redis-cli", root + ["CLIENT", "KILL", "USER", "default"])
        try await Setup.promoted(servers.servers[1])
        try await Task.sleep(for: .seconds(3))
    }

    // MARK: Three primaries with a replica each

    static let clusters = [
        Scenario(name: "cluster-kill", words: "Cluster: one of three primaries is killed", mayLose: true) {
            try await Setup.onCluster($0, $1) { cluster, load in
                load.faultBegan()
                await cluster.primaries[0].crash()
                try await Setup.promoted(cluster.replicas[0])
            }
        },
        Scenario(
            name: "cluster-freeze",
            words: "Cluster: one of three primaries is frozen, and comes back 2 s after the failover",
            mayLose: true
        ) {
            try await Setup.onCluster($0, $1) { cluster, load in
                load.faultBegan()
                cluster.primaries[0].freeze()
                try await Setup.promoted(cluster.replicas[0])
                try await Task.sleep(for: .seconds(2))
                cluster.primaries[0].thaw()
                try await Task.sleep(for: .seconds(2))
            }
        },
        Scenario(
            name: "cluster-failover",
            words: "Cluster: every primary changes places with its replica (CLUSTER FAILOVER)"
        ) {
            try await Setup.onCluster($0, $1) { cluster, load in
                load.faultBegan()
                for replica in cluster.replicas {
                    // Repeated, because an attempt ends when the others do not agree to it in time.
                    let isPromoted = await poll(seconds: 20, every: .milliseconds(500)) {
                        if (try? await replica.admin("ROLE"))?.hasPrefix("master") == true { return true }
                        _ = try? await replica.admin("CLUSTER", "FAILOVER")
                        return false
                    }
                    guard isPromoted else { throw Failure(description: "no failover") }
                }
            }
        },
        Scenario(
            name: "cluster-resize",
            words:
                "Cluster: a node is added, gets the used slots of another one, gives them to a third, and is removed"
        ) {
            try await Setup.onCluster($0, $1) { cluster, load in
                load.faultBegan()
                let added = try await cluster.addNode()
                let slots = try await usedSlots(cluster.primaries[0])
                for slot in slots { try await cluster.move(slot, from: cluster.primaries[0], to: added) }
                for slot in slots { try await cluster.move(slot, from: added, to: cluster.primaries[1]) }
                let id = try await added.admin("CLUSTER", "MYID")
                for node in cluster.nodes { try await node.admin("CLUSTER", "FORGET", id) }
                await added.crash()
            }
        },
        Scenario(
            name: "cluster-migrate",
            words: "Cluster: all slots of a node move as a whole (CLUSTER MIGRATESLOTS)"
        ) {
            guard try await ServerVersion.installed.movesSlotsAsAWhole else {
                throw Failure(description: "needs Valkey 9")
            }
            return try await Setup.onCluster($0, $1) { cluster, load in
                load.faultBegan()
                try await cluster.moveAtOnce(0...5460, from: cluster.primaries[0], to: cluster.primaries[1])
            }
        },
    ]

    /// The slots that hold keys on a node.
    private static func usedSlots(_ node: RedisServer) async throws -> Set<Int> {
        var slots: Set<Int> = []
        for key in try await node.keys() {
            slots.insert(Int(try await node.admin("CLUSTER", "KEYSLOT", key)) ?? 0)
        }
        return slots
    }

    // MARK: One server behind a line that breaks

    static let lines = [
        Scenario(name: "freeze", words: "TLS: the server is frozen for 3 s") {
            try await Setup.onLine($0, $1) { _, server, load in
                load.faultBegan()
                server.freeze()
                try await Task.sleep(for: .seconds(3))
                server.thaw()
            }
        },
        Scenario(name: "stall-there", words: "TLS: for 3 s nothing arrives at the server") {
            try await Setup.onLine($0, $1) { line, _, load in
                load.faultBegan()
                line.delay(.there, by: nil)
                try await Task.sleep(for: .seconds(3))
                line.delay(.there, by: .zero)
            }
        },
        Scenario(name: "stall-back", words: "TLS: for 3 s no reply arrives") {
            try await Setup.onLine($0, $1) { line, _, load in
                load.faultBegan()
                line.delay(.back, by: nil)
                try await Task.sleep(for: .seconds(3))
                line.delay(.back, by: .zero)
            }
        },
        Scenario(name: "delay", words: "TLS: each direction takes 200 ms for 3 s") {
            try await Setup.onLine($0, $1) { line, _, load in
                load.faultBegan()
                for direction in [FaultyLine.Direction.there, .back] {
                    line.delay(direction, by: .milliseconds(200))
                }
                try await Task.sleep(for: .seconds(3))
                for direction in [FaultyLine.Direction.there, .back] { line.delay(direction, by: .zero) }
            }
        },
        Scenario(name: "reset", words: "TLS: all connections are reset, every 100 ms for 3 s") {
            try await Setup.onLine($0, $1) { line, _, load in
                load.faultBegan()
                try await Setup.storm(every: .milliseconds(100)) { line.reset() }
            }
        },
        Scenario(
            name: "reset-in-reply",
            words: "each connection is reset in the middle of a reply, every 100 ms for 3 s"
        ) {
            try await Setup.onLine($0, $1, isPlain: true) { line, _, load in
                load.faultBegan()
                try await Setup.storm(every: .milliseconds(100)) { line.resetInReply() }
            }
        },
        Scenario(name: "client-kill", words: "TLS: CLIENT KILL of all clients, every 50 ms for 3 s") {
            try await Setup.onLine($0, $1) { _, server, load in
                load.faultBegan()
                try await Setup.storm(every: .milliseconds(50)) {
                    try await server.admin("CLIENT", "KILL", "TYPE", "normal")
                }
            }
        },
        Scenario(
            name: "address-move",
            words: "the address moves to the promoted replica, and 500 ms later the old primary follows that",
            mayLose: true
        ) {
            let replica = try await RedisServer(Setup.users())
            return try await Setup.onLine($0, $1, isPlain: true) { line, server, load in
                try await replica.admin("REPLICAOF", "127.0.0.1", "\(server.port)")
                try await server.replicated(to: replica)
                load.faultBegan()
                try await replica.admin("REPLICAOF", "NO", "ONE")
                line.lead(to: replica.port)
                try await Task.sleep(for: .milliseconds(500))
                try await server.admin("REPLICAOF", "127.0.0.1", "\(replica.port)")
                try await Task.sleep(for: .seconds(2))
            }
        },
    ]
}
