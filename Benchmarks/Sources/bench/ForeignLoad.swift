// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting

/// The processor time of all other programs on this machine while something was measured.
struct ForeignLoad: Sendable {
    private let busy: Double
    private let own: Double
    private let start = ContinuousClock.now

    /// Remembers this moment.
    init() {
        busy = Self.busy((try? String(contentsOfFile: "/proc/stat", encoding: .utf8)) ?? "")
        // This process, what it has started, and what of that has ended.
        own = ProcessProbe.tree(of: getpid()).reduce(0) {
            $0 + ProcessProbe.processorSeconds($1, withEnded: true)
        }
    }

    /// The processors that others have kept busy since `earlier`: 0.5 is half of one.
    func since(_ earlier: ForeignLoad) -> Double {
        let seconds = (start - earlier.start) / .seconds(1)
        return seconds > 0 ? max(0, (busy - earlier.busy) - (own - earlier.own)) / seconds : 0
    }

    /// Seconds in which processors did anything, stolen time included, from the first line of `/proc/stat`.
    static func busy(_ text: String) -> Double {
        let fields = text.split(separator: "\n").first.map { $0.split(separator: " ").dropFirst() } ?? []
        let ticks = fields.prefix(8).enumerated().reduce(0.0) { sum, field in
            // Idle, and waiting for a disk.
            [3, 4].contains(field.offset) ? sum : sum + (Double(field.element) ?? 0)
        }
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
