// SPDX-License-Identifier: Apache-2.0

import Sessions

/// What this instance does while a new log is being filled.
///
/// Pure: times are passed in. All instances claim; after a while without a new claim the best one fills in
/// its sessions and opens the log. One that has died is passed over, and if it was only slow, nothing is lost
/// by two that fill in theirs.
struct SeedingPlan: Sendable {
    enum Action: Equatable, Sendable {
        case nothing
        case claim(UInt64)
        case seed(UInt64)
        case open(UInt64?, claims: Int)
    }

    /// Which log is being filled.
    let epoch: UInt64
    private let isCreator: Bool
    private let quiet: Duration
    private let started: ContinuousClock.Instant
    private var progress = 0
    private var moved: ContinuousClock.Instant
    private var own: UInt64?
    private var isSeeded = false
    private var isOpened = false
    private var struck: Set<UInt64> = []

    /// - Parameters:
    ///   - isCreator: this instance began the log.
    ///   - quiet: without news for so long, everybody who is there has spoken.
    init(epoch: UInt64, isCreator: Bool, quiet: Duration, now: ContinuousClock.Instant) {
        self.epoch = epoch
        self.isCreator = isCreator
        self.quiet = quiet
        started = now
        moved = now
    }

    /// - Parameter canClaim: this instance holds sessions of an earlier log, be it none.
    mutating func next(_ seeding: Seeding, canClaim: Bool, now: ContinuousClock.Instant) -> Action {
        if seeding.progress != progress {
            progress = seeding.progress
            moved = now
            isOpened = false
        }
        let isSilent = now - moved >= quiet
        let isDead = now - moved >= quiet * 3
        if isDead {
            // What was sent has not arrived.
            isOpened = false
            if let own, let claim = seeding.claims.first(where: { $0.nonce == own }) {
                isSeeded = isSeeded && claim.isComplete
            } else {
                own = nil
            }
        }
        if canClaim, own == nil {
            let nonce = UInt64.random(in: .min ... .max)
            (own, moved) = (nonce, now)
            return .claim(nonce)
        }
        guard now - started >= quiet * 2, !isOpened else { return .nothing }
        if seeding.claims.isEmpty {
            guard isCreator && isSilent || isDead else { return .nothing }
            isOpened = true
            return .open(nil, claims: 0)
        }
        if seeding.claims.allSatisfy({ struck.contains($0.nonce) }) { struck = [] }
        guard let best = seeding.claims.first(where: { !struck.contains($0.nonce) }) else { return .nothing }
        if best.isComplete, best.nonce == own || isDead {
            isOpened = true
            return .open(best.nonce, claims: seeding.claims.count)
        }
        if best.nonce == own, !isSeeded, isSilent {
            isSeeded = true
            return .seed(best.nonce)
        }
        if isDead, best.nonce != own {
            struck.insert(best.nonce)
            moved = now
        }
        return .nothing
    }
}
