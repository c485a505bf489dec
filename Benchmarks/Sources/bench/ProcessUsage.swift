// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What this process, or the children that have ended, have used so far.
struct ProcessUsage: Sendable {
    var processorSeconds = 0.0
    var switches = 0.0
    /// System calls that read or wrote, from `/proc/self/io`; 0 for children.
    var reads = 0.0
    var writes = 0.0

    static func own() -> ProcessUsage {
        var usage = resources(of: 0)
        let text = (try? String(contentsOfFile: "/proc/self/io", encoding: .utf8)) ?? ""
        (usage.reads, usage.writes) = calls(text)
        return usage
    }

    static func children() -> ProcessUsage { resources(of: -1) }

    static func calls(_ text: String) -> (reads: Double, writes: Double) {
        func value(_ name: String) -> Double {
            text.split(separator: "\n").first { $0.hasPrefix("\(name): ") }
                .flatMap { Double($0.dropFirst(name.count + 2)) } ?? 0
        }
        return (value("syscr"), value("syscw"))
    }

    static func - (later: ProcessUsage, earlier: ProcessUsage) -> ProcessUsage {
        ProcessUsage(
            processorSeconds: later.processorSeconds - earlier.processorSeconds,
            switches: later.switches - earlier.switches,
            reads: later.reads - earlier.reads,
            writes: later.writes - earlier.writes
        )
    }

    /// `RUSAGE_SELF` is 0 and `RUSAGE_CHILDREN` -1 everywhere; their types differ.
    private static func resources(of who: Int32) -> ProcessUsage {
        var usage = rusage()
        getrusage(who, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return ProcessUsage(
            processorSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            switches: Double(usage.ru_nvcsw + usage.ru_nivcsw)
        )
    }
}
