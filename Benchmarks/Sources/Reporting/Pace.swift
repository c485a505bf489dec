// SPDX-License-Identifier: Apache-2.0

/// How far a run is and how long it goes on, from the planned length of its parts and the time that they took.
///
/// Lengths are in planned seconds, which the machine may turn into more or fewer real ones.
struct Pace: Sendable {
    /// The ends of the parts, one after the other.
    private let ends: [Double]
    /// Where the part ends that is being worked on.
    private var partEnd = 0.0
    private(set) var done = 0.0
    /// Real seconds from the start to the end of the last step.
    private var elapsed = 0.0

    init(parts: [Double]) {
        var sum = 0.0
        ends = parts.map {
            sum += $0
            return sum
        }
    }

    var total: Double { ends.last ?? 0 }

    /// Real seconds that a planned one takes.
    ///
    /// The plan counts as much as 15 seconds of experience, so that the first steps do not decide alone.
    private var factor: Double { (elapsed + 15) / (done + 15) }

    /// Goes to a part; what was left out of the parts before it counts as done.
    mutating func begin(part: Int) {
        done = part > 0 ? ends[part - 1] : 0
        partEnd = ends[part]
    }

    /// Counts a step; its part does not get longer than planned.
    mutating func finish(step: Double, elapsed: Double) {
        done = min(done + step, partEnd)
        self.elapsed = elapsed
    }

    /// Where the run is inside a step of the given length that has gone on for some real seconds.
    func position(in step: Double, since seconds: Double) -> (share: Double, secondsLeft: Double) {
        let planned = min(min(done + step, partEnd), done + seconds / factor)
        guard total > 0 else { return (1, 0) }
        return (planned / total, (total - planned) * factor)
    }
}
