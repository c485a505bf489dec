// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The state of a recovery as `RecoveryPlan` needs it.
struct RecoveryStatus: Sendable {
    let epoch: UInt64
    /// Whether this instance began the log.
    let isCreator: Bool
    /// How far this instance has applied the old logs; nil if it never was live.
    let rank: LogRank?
    /// See `LogRecovery.candidates`.
    let candidates: [LogRecovery.Candidate]
    /// Changes with each entry that is part of the recovery.
    let progress: Int
}

/// What this instance contributes to the recovery of a log.
///
/// Times and random numbers are passed in. All instances announce their candidacy; after a while without a new
/// one, the best candidate transfers its sessions and activates them. A candidate that makes no progress is
/// passed over; if it was only slow, both transfer, and whichever is activated first counts. Without any
/// candidate the log begins without sessions, after a longer wait: those that hold sessions may be cut off. So does
/// the next log when all candidates for this one have stopped.
struct RecoveryPlan: Sendable {
    enum Action: Equatable, Sendable {
        case wait
        /// Announce the candidacy with this nonce.
        case announce(UInt64)
        /// Transfer all sessions of this instance, whose candidacy has this nonce.
        case transfer(UInt64)
        case activate(UInt64?, candidates: Int)
        /// Begin another log: an activation counts the candidates of this one, and none of them transfers its sessions.
        case beginAnew
    }

    /// The log that is being recovered.
    let epoch: UInt64
    private let quietPeriod: Duration
    private let emptyDelay: Duration
    private let started: ContinuousClock.Instant
    private var progress = 0
    private var progressed: ContinuousClock.Instant
    /// When an entry of the recovery came last.
    private var received: ContinuousClock.Instant
    private var own: UInt64?
    private var hasTransferred = false
    private var hasActivated = false
    private var passedOver: Set<UInt64> = []

    /// Creates the plan for the recovery of one log.
    ///
    /// After `quietPeriod` without progress, all running instances are assumed to have announced themselves;
    /// none of them holds sessions if there is no candidate for `emptyDelay`.
    init(
        epoch: UInt64,
        quietPeriod: Duration,
        emptyDelay: Duration = .zero,
        now: ContinuousClock.Instant
    ) {
        self.epoch = epoch
        self.quietPeriod = quietPeriod
        self.emptyDelay = emptyDelay
        started = now
        progressed = now
        received = now
    }

    /// Continues the plan for the log that is being recovered, or creates one if that is another log.
    init(
        for status: RecoveryStatus,
        after plan: RecoveryPlan?,
        _ options: LogOptions,
        now: ContinuousClock.Instant
    ) {
        if let plan, plan.epoch == status.epoch {
            self = plan
        } else {
            self.init(
                epoch: status.epoch,
                quietPeriod: options.quietPeriod,
                emptyDelay: options.newLogDelay,
                now: now
            )
        }
    }

    /// Decides the next action; called several times in each quiet period.
    ///
    /// - Parameters:
    ///   - status: the state of the recovery.
    ///   - nonce: a random number, which becomes that of the candidacy.
    ///   - now: the current instant.
    /// - Returns: the action, which the plan takes as done.
    mutating func next(_ status: RecoveryStatus, nonce: UInt64, now: ContinuousClock.Instant) -> Action {
        if status.progress != progress {
            progress = status.progress
            (progressed, received) = (now, now)
            hasActivated = false
        }
        let isQuiet = now - progressed >= quietPeriod
        let isStuck = now - progressed >= quietPeriod * 3
        if isStuck { repeatLostEntries(status) }
        if status.rank != nil, own == nil {
            (own, progressed) = (nonce, now)
            return .announce(nonce)
        }
        guard now - started >= quietPeriod * 2, !hasActivated else { return .wait }
        if status.candidates.isEmpty {
            guard now - started >= emptyDelay, status.isCreator && isQuiet || isStuck else { return .wait }
            hasActivated = true
            return .activate(nil, candidates: 0)
        }
        let hasComplete = status.candidates.contains(where: \.isComplete)
        if status.rank == nil, !hasComplete, now - received >= max(emptyDelay, quietPeriod * 6) {
            received = now
            return .beginAnew
        }
        if status.candidates.allSatisfy({ passedOver.contains($0.nonce) }) { passedOver = [] }
        guard let best = status.candidates.first(where: { !passedOver.contains($0.nonce) }) else {
            return .wait
        }
        if best.isComplete, best.nonce == own || isStuck {
            hasActivated = true
            return .activate(best.nonce, candidates: status.candidates.count)
        }
        if best.nonce == own, !hasTransferred, isQuiet {
            hasTransferred = true
            return .transfer(best.nonce)
        }
        if isStuck, best.nonce != own {
            passedOver.insert(best.nonce)
            progressed = now
        }
        return .wait
    }

    /// Forgets what this instance sent and the log does not contain.
    private mutating func repeatLostEntries(_ status: RecoveryStatus) {
        hasActivated = false
        if let candidate = status.candidates.first(where: { $0.nonce == own }) {
            hasTransferred = hasTransferred && candidate.isComplete
        } else {
            own = nil
        }
    }
}
