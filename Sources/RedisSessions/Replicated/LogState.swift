// SPDX-License-Identifier: Apache-2.0

import Sessions

/// Everything that an instance knows of the log, and who waits for what.
///
/// Pure: the shell passes entries, answers and times in, and wakes those that the returned values name.
struct LogState: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// What a reader waits for.
    enum Need: Sendable {
        /// The log can be written, and everything in it is known.
        case live
        /// Everything up to there was applied.
        case position(LogPosition)
    }

    /// Somebody who waits for their own entry.
    enum Writer: Sendable {
        case announced
        case waiting(CheckedContinuation<Answer?, Never>, until: Instant)
        case answered(Answer)
    }

    struct Answer: Sendable {
        let outcome: Replica.Outcome
        let position: LogPosition
    }

    /// Whom to wake, and with what.
    struct Wake {
        var writers: [(CheckedContinuation<Answer?, Never>, Answer?)] = []
        var readers: [(CheckedContinuation<Bool, Never>, Bool)] = []

        func callAsFunction() {
            for (continuation, answer) in writers { continuation.resume(returning: answer) }
            for (continuation, isFulfilled) in readers { continuation.resume(returning: isFulfilled) }
        }
    }

    /// The sessions that requests see; nil before the log was read for the first time.
    private(set) var serving: Replica?
    /// What is being made of a log that `serving` can not follow: it was replaced, or trimmed too far.
    private(set) var building: Replica?
    /// The log is gone, or is being filled: nothing can be written, and the copies are all there is.
    private(set) var isLost = false
    /// What stood in the log then has been applied to `serving`.
    private(set) var confirmed: Instant?
    /// When Redis did not answer last.
    var failed: Instant?
    /// The log that this instance has begun itself.
    var created: UInt64?
    var clock = ServerClock()
    var statistics = ReplicatedSessionStatistics()
    private(set) var isRunning = false
    private var writers: [UInt64: Writer] = [:]
    private var readers: [(need: Need, continuation: CheckedContinuation<Bool, Never>, until: Instant)] = []
    private let time: @Sendable (SessionInstant) -> SessionInstant

    init(time: @escaping @Sendable (SessionInstant) -> SessionInstant) {
        self.time = time
        building = Replica(time: time)
    }

    /// The store's time.
    var now: SessionInstant {
        let estimate = clock.now().map(time)
        let applied = serving?.now
        return max(estimate ?? applied ?? .now, applied ?? SessionInstant(milliseconds: 0))
    }

    var isLive: Bool { building == nil && serving != nil && !isLost }

    /// The entry applied last by whatever follows the log.
    var applied: LogPosition { (building ?? serving)?.applied ?? .start }

    // MARK: What the reader saw

    /// Reading starts over; requests go on seeing what they saw.
    mutating func startOver(isLost: Bool) {
        statistics.replays += 1
        building = Replica(time: time)
        self.isLost = isLost
        confirmed = nil
    }

    /// An entry came; nil for one that is not ours.
    ///
    /// False when the rest of what was read is of no use.
    mutating func came(_ entry: LogEntry?, at position: LogPosition, _ wake: inout Wake) -> Bool {
        guard let entry else {
            statistics.refused += 1
            skip(position)
            return true
        }
        var outcome = apply(entry, at: position)
        if case .replaced = outcome {
            startOver(isLost: true)
            guard case .origin = entry.content else { return false }
            outcome = apply(entry, at: position)
        }
        statistics.applied += 1
        switch writers.removeValue(forKey: entry.nonce) {
        case nil: break
        case .announced?, .answered?:
            writers[entry.nonce] = .answered(Answer(outcome: outcome, position: position))
        case .waiting(let continuation, _)?:
            wake.writers.append((continuation, Answer(outcome: outcome, position: position)))
        }
        guard building?.isLive == true else { return true }
        statistics.reseeds += 1
        promote()
        return true
    }

    /// The end of the log was reached; everything that was in it at `instant` has been applied.
    mutating func reachedEnd(at instant: Instant, _ wake: inout Wake) {
        if building?.epoch != nil, building?.seeding == nil {
            building?.joined()
            promote()
        }
        guard building == nil else { return }
        isLost = false
        confirm(instant)
        wake.readers += settled()
    }

    /// Everything that was in the log at `instant` has been applied.
    mutating func confirm(_ instant: Instant) { confirmed = max(confirmed ?? instant, instant) }

    private mutating func promote() {
        serving = building
        building = nil
    }

    private mutating func apply(_ entry: LogEntry, at position: LogPosition) -> Replica.Outcome {
        // In place, or each entry would copy the table.
        if building != nil { return building!.apply(entry, at: position) }
        return serving?.apply(entry, at: position) ?? .none
    }

    private mutating func skip(_ position: LogPosition) {
        if building != nil { building!.skip(position) } else { serving?.skip(position) }
    }

    /// Changes the table of the sessions that requests see, in a way that changes no outcome.
    mutating func tend<Result>(_ body: (inout CopyTable, SessionInstant) -> Result) -> Result? {
        guard let now = serving?.now else { return nil }
        return body(&serving!.table, now)
    }

    // MARK: Those who wait

    mutating func started() { isRunning = true }

    /// Nobody reads any more: those who wait are told.
    mutating func stopped() -> Wake {
        isRunning = false
        confirmed = nil
        return overdue(at: nil)
    }

    /// An append did not reach the log.
    mutating func lost() {
        isLost = true
        confirmed = nil
    }

    mutating func announced(_ nonce: UInt64) { writers[nonce] = .announced }

    mutating func withdrawn(_ nonce: UInt64) { writers[nonce] = nil }

    /// The answer, if it is there already.
    mutating func awaits(_ nonce: UInt64, _ continuation: CheckedContinuation<Answer?, Never>, until: Instant)
        -> Answer??
    {
        if case .answered(let answer) = writers.removeValue(forKey: nonce) { return .some(answer) }
        guard isRunning else { return .some(nil) }
        writers[nonce] = .waiting(continuation, until: until)
        return nil
    }

    /// Whether the need is met, if that is known already.
    mutating func awaits(_ need: Need, _ continuation: CheckedContinuation<Bool, Never>, until: Instant)
        -> Bool?
    {
        if isMet(need) { return true }
        guard isRunning, until > .now else { return false }
        readers.append((need, continuation, until))
        return nil
    }

    func isMet(_ need: Need) -> Bool {
        switch need {
        case .live: isLive
        case .position(let position): building == nil && (serving?.applied ?? .start) >= position
        }
    }

    /// Those whose need is met by now.
    mutating func settled() -> [(CheckedContinuation<Bool, Never>, Bool)] {
        guard !readers.isEmpty else { return [] }
        let all = readers
        readers = all.filter { !isMet($0.need) }
        return all.filter { isMet($0.need) }.map { ($0.continuation, true) }
    }

    /// Those whose time is over; all of them for nil.
    mutating func overdue(at now: Instant?) -> Wake {
        var wake = Wake()
        for reader in readers where now.map({ reader.until <= $0 }) ?? true {
            wake.readers.append((reader.continuation, isMet(reader.need)))
        }
        readers.removeAll { reader in now.map { reader.until <= $0 } ?? true }
        for case (let nonce, .waiting(let continuation, let until)) in writers
        where now.map({ until <= $0 }) ?? true {
            wake.writers.append((continuation, nil))
            writers[nonce] = nil
        }
        return wake
    }
}
