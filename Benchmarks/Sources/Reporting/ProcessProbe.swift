// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// What a process has used, read from `/proc`.
package enum ProcessProbe {
    /// Seconds of processor time, in user and kernel mode; 0 when the process is gone.
    ///
    /// With `withEnded`, what its ended children have used counts as well.
    package static func processorSeconds(_ pid: pid_t, withEnded: Bool = false) -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            // The name in parentheses may hold anything; the fields are counted from its end.
            let end = text.lastIndex(of: ")")
        else { return 0 }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 14 else { return 0 }
        let ticks = fields[11...(withEnded ? 14 : 12)].compactMap { Double($0) }.reduce(0, +)
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Bytes of main memory (`VmRSS`); 0 when the process is gone.
    package static func residentBytes(_ pid: pid_t) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }
}

extension ProcessProbe {
    /// A process and all processes that it and they have started.
    package static func tree(of root: pid_t) -> [pid_t] {
        let all = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap {
            pid_t($0)
        }
        var children: [pid_t: [pid_t]] = [:]
        for pid in all {
            guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
                let end = text.lastIndex(of: ")")
            else { continue }
            let fields = text[text.index(after: end)...].split(separator: " ")
            if fields.count > 1, let parent = pid_t(fields[1]) { children[parent, default: []].append(pid) }
        }
        var found = [root]
        var index = 0
        while index < found.count {
            found += children[found[index]] ?? []
            index += 1
        }
        return found
    }
}
