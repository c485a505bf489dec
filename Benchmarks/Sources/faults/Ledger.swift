// SPDX-License-Identifier: Apache-2.0

/// What one visitor was told about its session, to be compared with what is stored in the end.
///
/// The visitor makes one request at a time: it reads, and then adds 1 to a counter or appends a number to a list.
struct Ledger: Sendable {
    /// What a visitor writes: how much is added to the counter, or the number that is appended.
    enum Write: Hashable, Sendable {
        case increment
        case append(Int)
    }

    /// What is wrong with a session in the end.
    struct Verdict: Hashable, Sendable {
        /// Acknowledged writes that are not there.
        var lost = 0
        /// When the appends among them were acknowledged, from the first to the last.
        var lostBetween: ClosedRange<Duration>?
        /// Writes that are there although they were not made or were refused, or more often than they were made.
        var surplus = 0
    }

    /// Requests that were answered, and how many of them have written.
    private(set) var answered = 0
    private(set) var acknowledged = 0
    /// Requests that an application answers with 503.
    private(set) var refused = 0
    /// Requests that ended in any other way.
    private(set) var others: [String: Int] = [:]
    /// Answers that belong to another session.
    private(set) var foreign = 0

    private var increments = 0
    private var unknownIncrements = 0
    private var appends: [Int: Duration] = [:]
    private var unknownAppends: Set<Int> = []

    private var fault: Duration?
    private var lastWrite: Duration?
    /// The longest time without an acknowledged write since the fault; nil before the first one.
    private(set) var outage: Duration?

    /// An answer was for this session, or for another one.
    mutating func read(isOwn: Bool) {
        answered += 1
        if !isOwn { foreign += 1 }
    }

    mutating func acknowledged(_ write: Write, at time: Duration) {
        answered += 1
        acknowledged += 1
        switch write {
        case .increment: increments += 1
        case .append(let number): appends[number] = time
        }
        if let fault, time > fault {
            outage = max(outage ?? .zero, time - max(fault, lastWrite ?? fault))
        }
        lastWrite = time
    }

    /// A request got no answer: an error that says "try again later".
    ///
    /// - Parameter unknown: what it may have written all the same.
    mutating func refused(unknown: Write? = nil) {
        refused += 1
        switch unknown {
        case .increment: unknownIncrements += 1
        case .append(let number): unknownAppends.insert(number)
        case nil: break
        }
    }

    mutating func failed(_ reason: String) { others[reason, default: 0] += 1 }

    /// The fault begins: the time without a write counts from here.
    mutating func faultBegan(at time: Duration) { fault = time }

    /// Compares what is stored with what was told.
    ///
    /// - Parameters:
    ///   - counter: the counter's last value.
    ///   - list: the numbers in the list.
    /// - Returns: what is missing and what is too much.
    func verdict(counter: Int, list: [Int]) -> Verdict {
        let kept = Set(list)
        let lost = appends.filter { !kept.contains($0.key) }.values
        let surplus = kept.count { appends[$0] == nil && !unknownAppends.contains($0) }
        return Verdict(
            lost: max(0, increments - counter) + lost.count,
            lostBetween: lost.min().map { $0...(lost.max() ?? $0) },
            surplus: max(0, counter - increments - unknownIncrements) + (list.count - kept.count) + surplus
        )
    }
}
