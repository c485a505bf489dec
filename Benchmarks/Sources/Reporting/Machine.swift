// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// What the numbers were measured on; no host name, no path.
package struct Machine: Sendable {
    package var processor: String
    package var cores: Int
    package var memoryBytes: Double
    package var kernel: String
    package var date: String

    package init(processor: String, cores: Int, memoryBytes: Double, kernel: String, date: String) {
        self.processor = processor
        self.cores = cores
        self.memoryBytes = memoryBytes
        self.kernel = kernel
        self.date = date
    }

    package static func current() -> Machine {
        func field(_ file: String, _ name: String) -> String? {
            (try? String(contentsOfFile: file, encoding: .utf8))?.split(separator: "\n").first {
                $0.hasPrefix(name)
            }?
            .split(separator: ":", maxSplits: 1).last.map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? "unknown"
        let kilobytes = field("/proc/meminfo", "MemTotal").flatMap { Double($0.prefix { $0.isNumber }) } ?? 0
        return Machine(
            processor: field("/proc/cpuinfo", "model name") ?? "unknown processor",
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryBytes: kilobytes * 1024,
            kernel: kernel.trimmingCharacters(in: .whitespacesAndNewlines),
            date: String(Date.now.formatted(.iso8601).prefix(10))
        )
    }

    /// What a page says of the machine and the build.
    package var properties: [Page.Property] {
        [
            .init("processor", "\(processor), \(cores) cores"), .init("memory", Text.bytes(memoryBytes)),
            .init("kernel", kernel), .init("build", Self.isDebugBuild ? "debug" : "release"),
            .init("date", date),
        ]
    }

    /// The version of the installed Redis.
    package static func redisVersion() async -> String {
        let text = (try? await TestSupport.run("redis-server", ["--version"])) ?? ""
        return text.split(separator: " ").first { $0.hasPrefix("v=") }.map { String($0.dropFirst(2)) }
            ?? "unknown"
    }

    /// Debug builds are several times slower; their numbers compare nothing.
    package static var isDebugBuild: Bool {
        #if DEBUG
            true
        #else
            false
        #endif
    }
}
