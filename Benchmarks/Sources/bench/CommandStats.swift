// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Which commands Redis has executed, those inside scripts included, and how long it took, from `INFO`.
struct CommandStats: Sendable {
    struct Entry: Sendable, Equatable {
        var calls = 0
        var microseconds = 0.0
    }

    var entries: [String: Entry] = [:]
    /// User and system time of the server's process, as `getrusage` has it.
    var processorSeconds = 0.0

    /// Reads `INFO commandstats` and `INFO cpu`.
    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            if ["used_cpu_sys", "used_cpu_user"].contains(parts[0]) {
                processorSeconds += Double(parts[1]) ?? 0
            } else if parts[0].hasPrefix("cmdstat_") {
                var entry = Entry()
                for field in parts[1].split(separator: ",") {
                    let pair = field.split(separator: "=")
                    if pair.count == 2, pair[0] == "calls" { entry.calls = Int(pair[1]) ?? 0 }
                    if pair.count == 2, pair[0] == "usec" { entry.microseconds = Double(pair[1]) ?? 0 }
                }
                entries[String(parts[0].dropFirst("cmdstat_".count))] = entry
            }
        }
        // What the benchmark itself asks.
        for own in ["info", "config|resetstat", "monitor", "memory|usage", "scan", "dbsize"] {
            entries[own] = nil
        }
    }

    static func read(_ redis: RedisServer) async throws -> CommandStats {
        CommandStats(try await redis.admin("INFO", "everything"))
    }

    static func - (later: CommandStats, earlier: CommandStats) -> CommandStats {
        var difference = later
        difference.processorSeconds -= earlier.processorSeconds
        for (name, entry) in earlier.entries {
            difference.entries[name]?.calls -= entry.calls
            difference.entries[name]?.microseconds -= entry.microseconds
        }
        difference.entries = difference.entries.filter { $0.value.calls > 0 }
        return difference
    }

    /// All commands together.
    var calls: Int { entries.values.reduce(0) { $0 + $1.calls } }

    /// How long one call of the given commands takes, in microseconds; nil when there was none.
    func microsecondsPerCall(_ names: [String]) -> Double? {
        let chosen = names.compactMap { entries[$0] }
        let calls = chosen.reduce(0) { $0 + $1.calls }
        return calls > 0 ? chosen.reduce(0) { $0 + $1.microseconds } / Double(calls) : nil
    }
}
