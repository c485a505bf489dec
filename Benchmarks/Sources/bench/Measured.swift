// SPDX-License-Identifier: Apache-2.0

import Reporting

/// One case and what was measured for it in each round.
struct Measured<Case: Sendable, Sample: Sendable>: Sendable {
    let `case`: Case
    let samples: [Sample]

    /// The median of one measure; nil when it was never measured.
    func median(_ measure: (Sample) -> Double?) -> Double? { bench.median(samples.compactMap(measure)) }

    /// How far the rounds are apart: (most − least) ÷ median.
    func spread(_ measure: (Sample) -> Double?) -> Double? {
        let values = samples.compactMap(measure)
        guard values.count > 1, let least = values.min(), let most = values.max(),
            let median = bench.median(values), median > 0
        else { return nil }
        return (most - least) / median
    }
}

/// The middle value, or the mean of the two in the middle; nil without values.
func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

/// `part ÷ whole`; nil when one of them was not measured or the whole is 0.
func ratio(_ part: Double?, _ whole: Double?) -> Double? {
    guard let part, let whole, whole > 0 else { return nil }
    return part / whole
}

/// Measures every case once in each round.
///
/// The order turns around from round to round, so that a slow minute of the machine hits all cases and none
/// first. What was measured while other programs kept a third of a processor busy is measured once more, and the
/// quieter of both counts. A case that fails has fewer samples.
func interleaved<Case: Sendable, Sample: Sendable>(
    _ cases: [Case],
    rounds: Int,
    _ name: String,
    _ progress: Progress,
    _ measure: (Case) async throws -> Sample
) async -> [Measured<Case, Sample>] {
    var samples = Array(repeating: [Sample](), count: cases.count)
    for round in 1...max(1, rounds) {
        progress.write("      \(name), round \(round) of \(rounds): ")
        for index in round.isMultiple(of: 2) ? Array(cases.indices.reversed()) : Array(cases.indices) {
            do {
                samples[index].append(try await quiet(cases[index], progress, measure))
            } catch {
                progress.write("\n      \(cases[index]) failed: \("\(error)".prefix(400))\n      ")
            }
        }
        progress.write(" \(progress.elapsed)\n")
    }
    return zip(cases, samples).map { Measured(case: $0, samples: $1) }
}

private func quiet<Case: Sendable, Sample: Sendable>(
    _ item: Case,
    _ progress: Progress,
    _ measure: (Case) async throws -> Sample
) async throws -> Sample {
    func once() async throws -> (sample: Sample, foreign: Double) {
        let before = ForeignLoad()
        let sample = try await measure(item)
        return (sample, ForeignLoad().since(before))
    }
    let first = try await once()
    guard first.foreign > 0.33, progress.mayRepeat() else {
        progress.write(".")
        progress.note(foreign: first.foreign)
        return first.sample
    }
    progress.write("~")
    let second = try await once()
    let quieter = second.foreign < first.foreign ? second : first
    progress.note(foreign: quieter.foreign)
    return quieter.sample
}
