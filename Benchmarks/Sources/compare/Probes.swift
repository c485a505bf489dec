// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// What a process has used, read from `/proc`.
enum ProcessProbe {
    /// Seconds of processor time, in user and kernel mode; 0 when the process is gone.
    static func processorSeconds(_ pid: pid_t) -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            // The name in parentheses may hold anything; the fields are counted from its end.
            let end = text.lastIndex(of: ")")
        else { return 0 }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            return 0
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Bytes of main memory (`VmRSS`); 0 when the process is gone.
    static func residentBytes(_ pid: pid_t) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }
}

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

/// Which commands reach Redis, as `MONITOR` shows them.
struct CommandCount: Sendable, Equatable {
    /// What clients sent: a script is one.
    var sent = 0
    /// What scripts ran inside.
    var inScripts = 0

    /// Counts the lines of a `MONITOR`, `1700000000.000000 [0 127.0.0.1:50000] "HGETALL" …`.
    ///
    /// Commands of the socket that the counting itself uses are left out.
    init(monitor text: String) {
        for line in text.split(separator: "\n") {
            guard let open = line.firstIndex(of: "["), let close = line[open...].firstIndex(of: "]") else {
                continue
            }
            let client = line[open..<close].split(separator: " ").last ?? ""
            if client == "lua" { inScripts += 1 } else if !client.hasPrefix("unix:") { sent += 1 }
        }
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
