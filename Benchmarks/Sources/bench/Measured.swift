// SPDX-License-Identifier: Apache-2.0

import Reporting

/// One case and what was measured for it in each round.
struct Measured<Case: Sendable, Sample: Sendable>: Sendable {
    let `case`: Case
    var samples: [Sample]
    /// The processors that other programs kept busy meanwhile, for each attempt.
    var foreign: [Double] = []

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

/// What can be measured again when its rounds are far apart.
protocol Rated: Sendable {
    /// Per second.
    var rate: Double { get }
}

/// Measures every case once in each round.
///
/// The order turns around from round to round, so that a slow minute of the machine hits all cases and none
/// first. In the end, a third as many measurements as a round has go to the cases whose rates are furthest apart.
/// A case that fails has fewer samples. `seconds` says how long a case takes, for the time left.
func interleaved<Case: Sendable, Sample: Rated>(
    _ cases: [Case],
    rounds: Int,
    _ name: String,
    _ progress: RunProgress,
    seconds: (Case) -> Double,
    _ measure: (Case) async throws -> Sample
) async -> [Measured<Case, Sample>] {
    var rows = cases.map { Measured<Case, Sample>(case: $0, samples: []) }
    func measured(_ index: Int, _ step: String) async {
        let before = ForeignLoad()
        do {
            let sample = try await progress.step(step, seconds: seconds(cases[index])) {
                try await measure(cases[index])
            }
            rows[index].samples.append(sample)
        } catch {
            progress.write("      \(cases[index]) failed: \("\(error)".prefix(400))")
        }
        rows[index].foreign.append(ForeignLoad().since(before))
    }
    for round in 1...max(1, rounds) {
        for index in round.isMultiple(of: 2) ? Array(cases.indices.reversed()) : Array(cases.indices) {
            await measured(index, "\(name), round \(round) of \(rounds)")
        }
        progress.write("      \(name), round \(round) of \(rounds): \(progress.elapsed) so far")
    }
    guard rounds > 1, cases.count >= 3 else { return rows }
    for _ in 0..<cases.count / 3 {
        let spreads = rows.map { $0.spread(\.rate) ?? 0 }
        // Once more does not help a case that had twice its share.
        let open = cases.indices.filter { rows[$0].samples.count < 2 * rounds }
        guard let widest = open.max(by: { spreads[$0] < spreads[$1] }), spreads[widest] > 0.1 else { break }
        await measured(widest, "\(name), the widest again")
    }
    progress.write("      \(name), the widest again: \(progress.elapsed) so far")
    return rows
}
