// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport
import Testing

@testable import Hiredis

extension Topologies {
    /// Nodes that fail, come and go while they are used.
    @Suite(.timeLimit(.minutes(10))) struct ClusterFailureTests {
        /// Callers that increment one counter each, on all nodes, until they are stopped.
        private final class Writers: Sendable {
            private struct Count {
                var acknowledged = 0
                /// Those that a replica has for certain.
                var replicated = 0
                var unknown = 0
                var others: [RedisError] = []
            }

            private let counts: Mutex<[Count]>
            private let tasks: Mutex<[Task<Void, Never>]> = Mutex([])

            init(_ number: Int, _ redis: RedisClient) {
                counts = Mutex(Array(repeating: Count(), count: number))
                let tasks = (0..<number).map { index in
                    Task {
                        while !Task.isCancelled {
                            do throws(RedisError) {
                                let write = RedisCommand("INCR", "writer:\(index)")
                                _ = try await redis.send(write, cancellation: .ignore)
                                self.counts.withLock { $0[index].acknowledged += 1 }
                            } catch {
                                self.counts.withLock {
                                    if error.outcome == .unknown {
                                        $0[index].unknown += 1
                                    } else {
                                        $0[index].others.append(error)
                                    }
                                }
                            }
                        }
                    }
                }
                self.tasks.withLock { $0 = tasks }
            }

            var acknowledged: Int { counts.withLock { $0.reduce(0) { $0 + $1.acknowledged } } }
            /// Failures that say that nothing was executed: within the deadline there should be none.
            var refused: [RedisError] { counts.withLock { $0.flatMap(\.others) } }

            /// Waits until the replicas have what is acknowledged now: that must not be lost.
            func replicate(_ cluster: RedisCluster) async throws {
                let now = counts.withLock { $0.map(\.acknowledged) }
                for (primary, replica) in zip(cluster.primaries, cluster.replicas) {
                    try await primary.replicated(to: replica)
                }
                counts.withLock { for index in now.indices { $0[index].replicated = now[index] } }
            }

            /// Stops the writers; returns how many acknowledged increments are missing.
            func stop(_ redis: RedisClient) async throws -> Int {
                for task in tasks.withLock(\.self) { task.cancel() }
                for task in tasks.withLock(\.self) { await task.value }
                var missing = 0
                for (index, count) in counts.withLock(\.self).enumerated() {
                    let stored = try await redis.number(RedisCommand("GET", "writer:\(index)")) ?? 0
                    #expect(stored <= count.acknowledged + count.unknown, "writer \(index)")
                    #expect(stored >= count.replicated, "writer \(index)")
                    missing += max(0, count.acknowledged - stored)
                }
                return missing
            }

            func write(_ more: Int) async -> Bool {
                let now = acknowledged
                return await poll(seconds: 20) { self.acknowledged >= now + more }
            }
        }

        @Test(arguments: ["killed", "frozen"])
        func `a primary fails and its replica takes over`(_ how: String) async throws {
            try await withCluster(try await RedisCluster(hasReplicas: true), timeout: .seconds(20)) {
                redis,
                cluster in
                let writers = Writers(24, redis)
                #expect(await writers.write(2000))
                try await writers.replicate(cluster)
                if how == "killed" {
                    await cluster.primaries[0].crash()
                } else {
                    cluster.primaries[0].freeze()
                }
                // The writers of the other nodes go on; those of this one when the replica was promoted.
                #expect(
                    await poll(seconds: 20) {
                        (try? await cluster.replicas[0].admin("ROLE"))?.hasPrefix("master") == true
                    }
                )
                #expect(await writers.write(2000))
                for index in 0..<24 {
                    _ = try await redis.send(RedisCommand("GET", "writer:\(index)", readOnly: true))
                }
                // Replication is asynchronous: what was acknowledged and not replicated may be missing.
                _ = try await writers.stop(redis)
                #expect(writers.refused.isEmpty, "\(writers.refused.prefix(3))")
                #expect(redis.statistics.slotRefreshes < 40)
                if how == "frozen" { cluster.primaries[0].thaw() }
            }
        }

        @Test func `a planned failover loses nothing`() async throws {
            try await withCluster(try await RedisCluster(hasReplicas: true)) { redis, cluster in
                let writers = Writers(24, redis)
                #expect(await writers.write(1000))
                for replica in cluster.replicas {
                    // Repeated, because an attempt ends when the others do not agree to it in time.
                    let isPromoted = await poll(seconds: 20, every: .milliseconds(500)) {
                        if (try? await replica.admin("ROLE"))?.hasPrefix("master") == true { return true }
                        _ = try? await replica.admin("CLUSTER", "FAILOVER")
                        return false
                    }
                    #expect(isPromoted)
                }
                #expect(await writers.write(1000))
                let missing = try await writers.stop(redis)
                #expect(missing == 0)
                #expect(writers.refused.isEmpty, "\(writers.refused.prefix(3))")
                // The nodes that own nothing any more were left.
                #expect(
                    await poll(seconds: 10) {
                        for node in cluster.primaries {
                            let clients = try? await node.admin("CLIENT", "LIST", "TYPE", "normal")
                            guard clients?.contains("cmd=incr") == false else { return false }
                        }
                        return true
                    }
                )
            }
        }

        @Test func `a node is added, used and removed`() async throws {
            try await withCluster(try await RedisCluster()) { redis, cluster in
                let writers = Writers(24, redis)
                #expect(await writers.write(500))
                let added = try await cluster.addNode()
                let slots = Set((0..<24).map { HashSlot.of(Array("writer:\($0)".utf8)[...]) })
                for slot in slots { try await cluster.move(slot, from: cluster.primary(of: slot), to: added) }
                #expect(await writers.write(500))
                let calls = try await added.commandCounts()["incr"] ?? 0
                #expect(calls > 400)
                for slot in slots { try await cluster.move(slot, from: added, to: cluster.primary(of: slot)) }
                #expect(await writers.write(500))
                let id = try await added.admin("CLUSTER", "MYID")
                for node in cluster.primaries { try await node.admin("CLUSTER", "FORGET", id) }
                await added.crash()
                #expect(await writers.write(500))
                let missing = try await writers.stop(redis)
                #expect(missing == 0)
                #expect(writers.refused.isEmpty, "\(writers.refused.prefix(3))")
            }
        }

        @Test func `while slots have no owner, callers wait for their deadline and are told`() async throws {
            try await withCluster(try await RedisCluster(), timeout: .seconds(3)) { redis, cluster in
                _ = try await redis.send(RedisCommand("SET", "foo", "v"))
                _ = try await redis.send(RedisCommand("SET", "bar", "v"))
                await cluster.primaries[0].crash()
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("INCR", "bar"))
                }
                #expect(error?.outcome != .unknown || error?.code == .connection)
                // The others refuse, too: the cluster does not serve all slots.
                #expect(
                    await poll(seconds: 10) {
                        (try? await cluster.primaries[2].admin("GET", "foo"))?.contains("CLUSTERDOWN") == true
                    }
                )
                let down = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("GET", "foo"))
                }
                #expect(down?.prefix == "CLUSTERDOWN" && down?.outcome == .rejected)
                try await cluster.primaries[0].restart()
                #expect(
                    await poll(seconds: 20) { (try? await redis.text(RedisCommand("GET", "foo"))) == "v" }
                )
            }
        }
    }
}
