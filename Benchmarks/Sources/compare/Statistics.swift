// SPDX-License-Identifier: Apache-2.0

import Reporting

/// How many requests ended well and badly in each slice of time, by the time at which the answer came or did not come.
func slices(_ samples: [Sample], seconds: Double, sliceSeconds: Double) -> [TimelinePlot.Slice] {
    let count = max(1, Int((seconds / sliceSeconds).rounded(.up)))
    var slices = Array(repeating: TimelinePlot.Slice(), count: count)
    for sample in samples {
        let index = min(count - 1, max(0, Int(sample.end / sliceSeconds)))
        switch sample.outcome {
        case .good: slices[index].good += 1
        case .refused: slices[index].refused += 1
        case .failed: slices[index].failed += 1
        }
    }
    return slices
}

/// When the last request that went wrong was over, in seconds after `moment`; 0 when none went wrong after
/// it.
///
/// Requests that began before the moment count if they ended after it: the fault hit them.
func recovery(after moment: Double, _ samples: [Sample]) -> Double {
    let last = samples.filter { $0.outcome != .good && $0.end >= moment }.map(\.end).max() ?? moment
    return last - moment
}
