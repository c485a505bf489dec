// SPDX-License-Identifier: Apache-2.0

/// How many requests ended well and badly in each slice of time.
struct Timeline: Sendable {
    struct Slice: Sendable, Equatable {
        var good = 0
        var refused = 0
        var failed = 0
    }

    let sliceSeconds: Double
    private(set) var slices: [Slice]

    /// Sorts samples by the time at which the answer came (or did not come).
    init(_ samples: [Sample], seconds: Double, sliceSeconds: Double) {
        self.sliceSeconds = sliceSeconds
        slices = Array(repeating: Slice(), count: max(1, Int((seconds / sliceSeconds).rounded(.up))))
        for sample in samples {
            let index = min(slices.count - 1, max(0, Int(sample.end / sliceSeconds)))
            switch sample.outcome {
            case .good: slices[index].good += 1
            case .refused: slices[index].refused += 1
            case .failed: slices[index].failed += 1
            }
        }
    }
}

/// When the last request that went wrong was over, in seconds after `moment`; 0 when none went wrong after
/// it.
///
/// Requests that began before the moment count if they ended after it: the fault hit them.
func recovery(after moment: Double, _ samples: [Sample]) -> Double {
    let last = samples.filter { $0.outcome != .good && $0.end >= moment }.map(\.end).max() ?? moment
    return last - moment
}
