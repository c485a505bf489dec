// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One request as the client saw it.
struct Sample: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case untouched, read, write, signIn
    }

    enum Outcome: Sendable {
        case good
        /// 503 with `Retry-After`: an honest refusal.
        case refused
        /// No answer, or another status than 200.
        case failed
    }

    /// Seconds since the phase began.
    var start: Double
    var seconds: Double
    var kind: Kind
    var outcome: Outcome
    /// The number of the instance that answered; 0 when none said so.
    var instance: Int

    var end: Double { start + seconds }
}

/// What the visitors' own histories found.
struct Findings: Sendable, Equatable {
    /// Reads that showed less than the visitor had written or seen; a later read was right again.
    var staleReads = 0
    /// Acknowledged changes that are not there any more.
    var lostUpdates = 0
    var lostSessions = 0
    /// Reads that showed what this visitor never wrote.
    var foreignReads = 0

    static func + (left: Findings, right: Findings) -> Findings {
        Findings(
            staleReads: left.staleReads + right.staleReads,
            lostUpdates: left.lostUpdates + right.lostUpdates,
            lostSessions: left.lostSessions + right.lostSessions,
            foreignReads: left.foreignReads + right.foreignReads
        )
    }
}

/// Collects what happens in one phase, from all visitors.
final class PhaseLog: Sendable {
    private let start = ContinuousClock.now
    private let state = Mutex<(samples: [Sample], findings: Findings)>(([], Findings()))

    /// Seconds since the phase began.
    var now: Double { (ContinuousClock.now - start).seconds }
    var samples: [Sample] { state.withLock { $0.samples } }
    var findings: Findings { state.withLock { $0.findings } }

    func add(_ sample: Sample) { state.withLock { $0.samples.append(sample) } }
    func find(_ change: (inout Findings) -> Void) { state.withLock { change(&$0.findings) } }
}

/// A number that several tasks add to.
final class Counter: Sendable {
    private let sum = Mutex(0)

    var value: Int { sum.withLock { $0 } }

    func add(_ amount: Int) { sum.withLock { $0 += amount } }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
