// SPDX-License-Identifier: Apache-2.0

/// The value below which `share` (0…1) of the values lie, by nearest rank; nil without values.
package func percentile(_ share: Double, of values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let rank = Int((share * Double(sorted.count)).rounded(.up)) - 1
    return sorted[min(max(rank, 0), sorted.count - 1)]
}
