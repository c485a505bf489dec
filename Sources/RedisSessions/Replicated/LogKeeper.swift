// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions
import Synchronization

/// What must be done for the log from time to time: fill a new one, log old sessions again, keep it from
/// expiring.
struct LogKeeper {
    private let log: ReplicatedLog
    private var plan: SeedingPlan?
    /// A session is logged again when its last entry is this old; another age on each instance, so that one
    /// does it for all.
    private let relogAge: Duration
    private var nextRefresh = ContinuousClock.now
    private var nextSweep = ContinuousClock.now

    /// Sessions that are logged again at a time.
    private static let relogLimit = 256
    private static let pause = Duration.milliseconds(50)

    init(_ log: ReplicatedLog) {
        self.log = log
        relogAge = log.options.retention * Double.random(in: 0.4...0.6)
    }

    /// Works until the task is cancelled.
    mutating func run() async {
        while !Task.isCancelled {
            if await !seed() { await tend() }
            try? await Task.sleep(for: min(Self.pause, log.options.quiet / 4))
        }
    }

    /// Ends the waits of those whose time is over.
    static func watch(_ log: ReplicatedLog) async {
        while !Task.isCancelled {
            log.state.withLock { $0.overdue(at: .now) }()
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    // MARK: A new log

    /// False when no log is being filled.
    private mutating func seed() async -> Bool {
        let (seeding, epoch, created, rank) = log.state.withLock { state in
            (state.building?.seeding, state.building?.epoch, state.created, state.serving?.applied)
        }
        guard let seeding, let epoch else {
            plan = nil
            return false
        }
        let now = ContinuousClock.now
        if plan?.epoch != epoch {
            plan = SeedingPlan(epoch: epoch, isCreator: created == epoch, quiet: log.options.quiet, now: now)
        }
        switch plan?.next(seeding, canClaim: rank != nil, now: now) {
        case nil, .nothing: break
        case .claim(let nonce):
            let command = log.state.withLock {
                log.xadd(.claim(rank: rank ?? .start), nonce: nonce, epoch: epoch, &$0)
            }
            _ = await log.send([command])
        case .seed(let nonce): await fill(epoch, nonce)
        case .open(let claim, let claims):
            await log.append(all: [.open(claim: claim, claims: claims)], epoch: epoch)
        }
        return true
    }

    private func fill(_ epoch: UInt64, _ claim: UInt64) async {
        let rows = log.state.withLock { $0.serving?.table.rows ?? [:] }
        var batch: [LogEntry.Content] = []
        var size = 0
        for (id, row) in rows {
            batch.append(.seed(claim: claim, id, row.copy))
            size += row.copy.session.size
            guard batch.count == Self.relogLimit || size > 1 << 18 else { continue }
            guard await log.append(all: batch, epoch: epoch) else { return }
            (batch, size) = ([], 0)
        }
        await log.append(all: batch + [.seeded(claim: claim, count: rows.count)], epoch: epoch)
    }

    // MARK: A log in use

    private mutating func tend() async {
        let now = ContinuousClock.now
        let idle = min(log.options.retention / 8, .seconds(30))
        let (isTickDue, due) = log.state.withLock { state -> (Bool, [LogEntry.Content]) in
            guard state.isLive, let serverTime = state.clock.now(at: now) else { return (false, []) }
            if now >= nextSweep { state.tend { $0.sweep(at: $1) } }
            let applied = state.applied
            // The age of a session is judged by the log, and what is logged again is only as new as what was
            // applied.
            guard serverTime - applied.instant < idle else { return (true, []) }
            let age = UInt64(relogAge.wholeMilliseconds)
            let limit = LogPosition(
                milliseconds: applied.milliseconds - min(applied.milliseconds, age),
                sequence: 0
            )
            let due = state.tend { $0.due(before: limit, at: $1, limit: Self.relogLimit) } ?? []
            return (false, due.map { .full($0.0, asOf: applied, $0.1) })
        }
        if now >= nextSweep { nextSweep = now + idle }
        if isTickDue { await log.append(all: [.tick]) }
        if !due.isEmpty, await !log.append(all: due) {
            log.state.withLock { _ = $0.tend { table, _ in table.retry() } }
        }
        if now >= nextRefresh {
            nextRefresh = now + idle
            var command = RedisCommand("PEXPIRE", log.key)
            command.append("\(log.options.timeToLive.wholeMilliseconds)")
            log.redis.submit(command)
        }
    }
}
