// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// What the numbers were measured on; no host name, no path.
struct Machine: Sendable {
    var processor: String
    var cores: Int
    var memoryBytes: Double
    var kernel: String
    var redis: String
    var balancer: String
    var date: String

    static func current() async -> Machine {
        func field(_ file: String, _ name: String) -> String? {
            (try? String(contentsOfFile: file, encoding: .utf8))?.split(separator: "\n").first {
                $0.hasPrefix(name)
            }?
            .split(separator: ":", maxSplits: 1).last.map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? "unknown"
        let kilobytes = field("/proc/meminfo", "MemTotal").flatMap { Double($0.prefix { $0.isNumber }) } ?? 0
        let redis = (try? await TestSupport.run("redis-server", ["--version"])) ?? ""
        return Machine(
            processor: field("/proc/cpuinfo", "model name") ?? "unknown processor",
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryBytes: kilobytes * 1024,
            kernel: kernel.trimmingCharacters(in: .whitespacesAndNewlines),
            redis: redis.split(separator: " ").first { $0.hasPrefix("v=") }.map { String($0.dropFirst(2)) }
                ?? "unknown",
            balancer: await Balancer.version(),
            date: String(Date.now.formatted(.iso8601).prefix(10))
        )
    }

    /// Debug builds are several times slower; their numbers compare nothing.
    static var isDebugBuild: Bool {
        #if DEBUG
            true
        #else
            false
        #endif
    }
}
