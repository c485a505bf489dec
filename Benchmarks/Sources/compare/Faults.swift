// SPDX-License-Identifier: Apache-2.0

import Reporting
import TestSupport

/// The plan of faults: an instance killed, an instance added, Redis stopped.
///
/// Light load goes on throughout.
struct Faults: Sendable {
    let plan: Plan
    let cluster: Cluster
    let workload: Workload

    /// Kills an instance under load, and then asks every visitor what is left of its session.
    func kill() async -> (StrategyResult.Kill, Findings) {
        let log = PhaseLog()
        let seconds = plan.leadSeconds + plan.watchSeconds
        let killed = await underLoad(log, seconds: seconds) {
            try? await Task.sleep(for: .seconds(plan.leadSeconds))
            cluster.killOne()
            return log.now
        }
        let auditLog = PhaseLog()
        await workload.audit(cluster.site, auditLog)
        let samples = log.samples
        let findings = log.findings + auditLog.findings
        let kill = StrategyResult.Kill(
            bad: samples.count { $0.outcome != .good },
            lostSessions: findings.lostSessions,
            recovery: recovery(after: killed, samples),
            phase: .init(samples: samples, seconds: seconds, events: [.init(at: killed, label: "killed")])
        )
        return (kill, findings)
    }

    /// Starts one more instance under load, and then asks it alone for every session.
    func add() async throws -> (StrategyResult.Addition, Findings) {
        let log = PhaseLog()
        let seconds = plan.leadSeconds + plan.watchSeconds
        let (started, served) = try await underLoad(log, seconds: seconds) {
            try? await Task.sleep(for: .seconds(plan.leadSeconds))
            try cluster.startSpare()
            let started = log.now
            return (
                started, await workload.arrival(at: cluster.spareNumber, cluster.site, log, until: seconds)
            )
        }
        let samples = log.samples
        let known = await workload.known(at: cluster.spare)
        let auditLog = PhaseLog()
        await workload.audit(cluster.site, auditLog)
        let addition = StrategyResult.Addition(
            bad: samples.count { $0.outcome != .good },
            serves: served.map { $0 - started },
            known: known,
            phase: .init(samples: samples, seconds: seconds, events: [.init(at: started, label: "added")])
        )
        return (addition, log.findings + auditLog.findings)
    }

    /// Freezes Redis (`SIGSTOP`): its connections stay open and nothing answers.
    ///
    /// Then it goes on with what it had. A Redis that is started again empty would lose the sessions by
    /// nature; here it is the outage that is watched.
    func outage() async -> (StrategyResult.Outage, Findings) {
        let log = PhaseLog()
        let seconds = plan.leadSeconds + plan.faultSeconds + plan.recoverySeconds
        let (stopped, back) = await underLoad(log, seconds: seconds) {
            try? await Task.sleep(for: .seconds(plan.leadSeconds))
            cluster.freezeRedis()
            let stopped = log.now
            try? await Task.sleep(for: .seconds(plan.faultSeconds))
            cluster.thawRedis()
            return (stopped, log.now)
        }
        let auditLog = PhaseLog()
        await workload.audit(cluster.site, auditLog)
        let samples = log.samples
        let findings = log.findings + auditLog.findings
        let hit = samples.filter { $0.end >= stopped && $0.start < back }
        let outage = StrategyResult.Outage(
            refused: hit.count { $0.outcome == .refused },
            failed: hit.count { $0.outcome == .failed },
            good: hit.count { $0.outcome == .good },
            lostSessions: findings.lostSessions,
            recovery: recovery(after: back, samples),
            phase: .init(
                samples: samples,
                seconds: seconds,
                events: [.init(at: stopped, label: "Redis stopped"), .init(at: back, label: "back")]
            )
        )
        return (outage, findings)
    }

    private func underLoad<Moment: Sendable>(
        _ log: PhaseLog,
        seconds: Double,
        _ fault: @Sendable () async throws -> Moment
    ) async rethrows -> Moment {
        async let load: Void = workload.stroll(cluster.site, log, seconds: seconds)
        let moment = try await fault()
        await load
        return moment
    }
}
