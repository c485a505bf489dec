// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import TestSupport

/// The counters of all nodes of a Redis at one moment.
struct RedisCounters: Sendable {
    var bytes = 0
    var memory = 0

    static func read(_ nodes: [RedisServer]) async throws -> RedisCounters {
        var counters = RedisCounters()
        for node in nodes {
            for line in try await node.admin("INFO").split(whereSeparator: \.isNewline) {
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2, let number = Int(parts[1]) else { continue }
                switch parts[0] {
                case "total_net_input_bytes", "total_net_output_bytes": counters.bytes += number
                case "used_memory": counters.memory += number
                default: break
                }
            }
        }
        return counters
    }
}

/// The sum of the processor time of each part of the cluster.
struct ProcessorTime: Sendable {
    var client = 0.0
    var balancer = 0.0
    var instances = 0.0
    var redis = 0.0

    static func read(_ cluster: Cluster) -> ProcessorTime {
        ProcessorTime(
            client: ProcessProbe.processorSeconds(getpid()),
            balancer: ProcessProbe.processorSeconds(cluster.balancer.pid),
            instances: cluster.instancePids.reduce(0) { $0 + ProcessProbe.processorSeconds($1) },
            redis: cluster.nodes.reduce(0) { $0 + ProcessProbe.processorSeconds($1.pid) }
        )
    }

    /// Microseconds of each part for one of `requests` requests since `earlier`.
    func perRequest(since earlier: ProcessorTime, _ requests: Int) -> ProcessorTime {
        let share = 1e6 / Double(max(1, requests))
        return ProcessorTime(
            client: (client - earlier.client) * share,
            balancer: (balancer - earlier.balancer) * share,
            instances: (instances - earlier.instances) * share,
            redis: (redis - earlier.redis) * share
        )
    }
}
