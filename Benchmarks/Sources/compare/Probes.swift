// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import TestSupport

/// The counters of a Redis server at one moment.
struct RedisCounters: Sendable {
    var bytes = 0
    var memory = 0

    static func read(_ redis: RedisServer) async throws -> RedisCounters {
        let text = try await redis.admin("INFO")
        var values: [Substring: Int] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, let number = Int(parts[1]) { values[parts[0]] = number }
        }
        return RedisCounters(
            bytes: (values["total_net_input_bytes"] ?? 0) + (values["total_net_output_bytes"] ?? 0),
            memory: values["used_memory"] ?? 0
        )
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
            redis: ProcessProbe.processorSeconds(cluster.redis.pid)
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
