// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The periodic work for the log: recovering a new one, refreshing old sessions, keeping it from expiring.
struct LogMaintenance {
    private let log: ReplicationLog
    private var plan: RecoveryPlan?
    /// The age at which a session's last full entry is replaced; random for each instance, so usually one
    /// of them does it for all.
    private let refreshAge: Duration
    /// The part of the compaction size at which this instance logs sessions again; random for the same reason.
    private let fillLevel = Double.random(in: 0.75...1)
    private var nextUpkeep = ContinuousClock.now
    private var nextRefresh = ContinuousClock.now

    /// The maximum number of sessions, and of bytes of their attributes, that are appended at a time.
    private static let batchLimit = (sessions: 256, bytes: 1 << 18)

    init(_ log: ReplicationLog) {
        self.log = log
        refreshAge = log.options.retention * Double.random(in: 0.4...0.6)
    }

    /// Works until the task is cancelled.
    mutating func run() async {
        while !Task.isCancelled {
            if let status = log.recoveryStatus {
                await recover(status)
            } else {
                plan = nil
                await maintain()
            }
            try? await Task.sleep(for: min(.milliseconds(50), log.options.quietPeriod / 4))
        }
    }

    /// Fails the requests whose deadlines have passed, until the task is cancelled.
    static func watchDeadlines(_ log: ReplicationLog) async {
        while !Task.isCancelled {
            log.timePassed()
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    // MARK: A new log

    private mutating func recover(_ status: RecoveryStatus) async {
        let now = ContinuousClock.now
        var plan = RecoveryPlan(for: status, after: plan, log.options, now: now)
        let action = plan.next(status, nonce: .random(in: .min ... .max), now: now)
        self.plan = plan
        switch action {
        case .wait: break
        case .announce(let nonce):
            guard let rank = status.rank else { break }
            await log.append(all: [.candidacy(rank: rank)], epoch: status.epoch, nonce: nonce)
        case .transfer(let nonce): await transfer(nonce, epoch: status.epoch)
        case .activate(let nonce, let count):
            await log.append(all: [.activate(candidacy: nonce, candidates: count)], epoch: status.epoch)
        case .beginAnew: await log.beginAnew()
        }
    }

    private func transfer(_ nonce: UInt64, epoch: UInt64) async {
        var transfer = Transfer(of: log.records, candidacy: nonce, limit: Self.batchLimit)
        while let batch = transfer.nextBatch() {
            guard await log.append(all: batch, epoch: epoch) else { return }
        }
    }

    // MARK: A log in use

    private mutating func maintain() async {
        await refresh()
        let isUpkeepDue = nextUpkeep <= .now
        if let bound = log.trimDue(always: isUpkeepDue) {
            _ = try? await log.redis.send(log.commands.trim(before: bound), cancellation: .ignore)
        }
        guard isUpkeepDue else { return }
        nextUpkeep = .now + log.options.idleInterval
        log.sweep()
        log.redis.submit(log.commands.keep)
    }

    private mutating func refresh() async {
        var isMore = nextRefresh <= .now
        while isMore, !Task.isCancelled {
            let due = log.maintenanceDue(
                RefreshRule(age: refreshAge, fillLevel: fillLevel),
                limit: Self.batchLimit.sessions,
                bytes: Self.batchLimit.bytes
            )
            if case .snapshot? = due.first { isMore = true } else { isMore = false }
            guard await !log.append(all: due) else { continue }
            // What reached the log all the same is due no more when it has been read.
            log.refreshFailed()
            nextRefresh = .now + .seconds(1)
            return
        }
    }
}
