// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import TestSupport

/// The phases that every strategy goes through, in the same order and with the same sizes.
struct Experiment: Sendable {
    let plan: Plan
    let progress: RunProgress

    /// The phases of a strategy, in their order.
    private enum Phase: CaseIterable {
        case start, warmUp, steady, sessions, copies, kill, addition, outage

        /// How long it takes on two cores.
        func seconds(_ plan: Plan) -> Double {
            switch self {
            case .start: 1.5
            case .warmUp: plan.warmUpSeconds + 1
            case .steady: plan.seconds + 1
            case .sessions: Double(plan.sessions) / 1500
            case .copies: 3
            case .kill, .addition: plan.leadSeconds + plan.watchSeconds + 1
            case .outage: plan.leadSeconds + plan.faultSeconds + plan.recoverySeconds + 1
            }
        }
    }

    /// How long one strategy takes on two cores.
    static func seconds(_ plan: Plan) -> Double {
        Phase.allCases.reduce(0) { $0 + $1.seconds(plan) }
    }

    /// Does a phase, and writes what came of it.
    private func phase<Value: Sendable>(
        _ phase: Phase,
        _ name: String,
        _ body: () async throws -> (Value, String)
    ) async rethrows -> Value {
        let (value, outcome) = try await progress.step(name, seconds: phase.seconds(plan), body)
        progress.write("      \(name)\(outcome.isEmpty ? "" : ": \(outcome)")")
        return value
    }

    /// Runs one strategy from the start of its cluster to the end.
    func run(_ strategy: Strategy) async -> Entry {
        let cluster: Cluster
        do {
            cluster = try await phase(.start, "start") {
                (try await Cluster(strategy, plan: plan), "")
            }
        } catch {
            return .unavailable(strategy, reason: Self.reason(error))
        }
        do {
            let result = try await measure(cluster)
            await cluster.stop()
            return .measured(result)
        } catch {
            await cluster.stop()
            return .unavailable(strategy, reason: Self.reason(error))
        }
    }

    private func measure(_ cluster: Cluster) async throws -> StrategyResult {
        let workload = Workload(plan)
        let site = cluster.site
        let warmUp = PhaseLog()
        await phase(.warmUp, "warm-up, \(plan.visitors) visitors") {
            await workload.prepare(site, warmUp)
            await workload.press(site, warmUp, seconds: plan.warmUpSeconds)
            return ((), "")
        }
        let (steady, steadyLog) = try await phase(.steady, "steady load, \(Text.number(plan.seconds)) s") {
            let pair = try await self.steady(cluster, workload)
            return (pair, "\(Text.number(pair.0.rate))/s, p99 \(Text.milliseconds(pair.0.p99))")
        }
        let memory = try await phase(.sessions, "\(plan.sessions) more sessions") {
            let memory = try await self.memory(cluster, workload)
            return (memory, "\(Text.bytes(memory.after)) per instance")
        }
        let copyLog = PhaseLog()
        let copies = await phase(.copies, "two tabs, copied cookies") {
            let copies = await self.copies(cluster, workload, copyLog)
            return (
                copies,
                "\(copies.tabs.part) of \(copies.tabs.total) changes lost, \(copies.replays.part) copies work"
            )
        }
        // Every visitor has a session when the faults start.
        await workload.prepare(site, copyLog)
        var sessions = 0
        for visitor in workload.visitors where await visitor.hasSession { sessions += 1 }
        let faults = Faults(plan: plan, cluster: cluster, workload: workload)
        let (kill, killFindings) = await phase(.kill, "an instance killed") {
            let pair = await faults.kill()
            return (pair, "\(pair.0.lostSessions) sessions lost, \(pair.0.bad) requests failed")
        }
        let (addition, additionFindings) = try await phase(.addition, "an instance added") {
            let pair = try await faults.add()
            return (pair, "knows \(pair.0.known.part) of \(pair.0.known.total) sessions")
        }
        let (outage, outageFindings) = await phase(
            .outage,
            "Redis stopped for \(Text.number(plan.faultSeconds)) s"
        ) {
            let pair = await faults.outage()
            return (
                pair,
                "\(pair.0.refused + pair.0.failed) of \(pair.0.refused + pair.0.failed + pair.0.good) requests refused"
            )
        }
        // What two tabs lose is told on its own; it is no failing of the servers' order of events.
        var findings = warmUp.findings + steadyLog.findings + killFindings + additionFindings + outageFindings
        findings.staleReads += copyLog.findings.staleReads
        findings.foreignReads += copyLog.findings.foreignReads
        return StrategyResult(
            strategy: cluster.strategy,
            steady: steady,
            memory: memory,
            copies: copies,
            kill: kill,
            addition: addition,
            outage: outage,
            findings: findings,
            sessions: sessions
        )
    }

    private func steady(_ cluster: Cluster, _ workload: Workload) async throws -> (
        StrategyResult.Steady, PhaseLog
    ) {
        let redisBefore = try await RedisCounters.read(cluster.nodes)
        let bytesBefore = try await cluster.balancer.bytes()
        let processorBefore = ProcessorTime.read(cluster)
        let log = PhaseLog()
        await workload.press(cluster.site, log, seconds: plan.seconds)
        let seconds = log.now
        let processor = ProcessorTime.read(cluster)
        let bytes = try await cluster.balancer.bytes()
        let redis = try await RedisCounters.read(cluster.nodes)
        // What one look at the counters costs is no request's.
        let ownBytes = try await RedisCounters.read(cluster.nodes).bytes - redis.bytes

        let samples = log.samples
        let requests = max(1, samples.count)
        var steady = StrategyResult.Steady(
            requests: requests,
            seconds: seconds,
            bad: samples.count { $0.outcome != .good }
        )
        steady.p50 = percentile(0.5, of: samples.map(\.seconds)).map { $0 * 1000 } ?? 0
        steady.p99 = percentile(0.99, of: samples.map(\.seconds)).map { $0 * 1000 } ?? 0
        for kind in Sample.Kind.allCases {
            steady.p50ByKind[kind] = percentile(0.5, of: samples.filter { $0.kind == kind }.map(\.seconds))
                .map { $0 * 1000 }
        }
        steady.clientBytes = Double(bytes.client - bytesBefore.client) / Double(requests)
        steady.instanceBytes = Double(bytes.instances - bytesBefore.instances) / Double(requests)
        steady.redisBytes = Double(max(0, redis.bytes - redisBefore.bytes - ownBytes)) / Double(requests)
        steady.processor = processor.perRequest(since: processorBefore, requests)
        var cookies: [Double] = []
        for visitor in workload.visitors where await visitor.hasSession {
            cookies.append(Double(await visitor.cookieBytes))
        }
        steady.cookieBytes = percentile(0.5, of: cookies) ?? 0

        // Counted apart from the measured load, for watching costs Redis a good part of its time.
        let countLog = PhaseLog()
        var monitors: [ChildProcess] = []
        for node in cluster.nodes { monitors.append(try await node.monitor()) }
        await workload.press(cluster.site, countLog, seconds: min(0.5, plan.seconds))
        let counted = Double(max(1, countLog.samples.count))
        for monitor in monitors {
            let count = CommandCount(monitor: await monitorIsQuiet(monitor))
            await monitor.stop(SIGKILL)
            steady.commandsSent += Double(count.sent) / counted
            steady.commandsInScripts += Double(count.inScripts) / counted
        }
        return (steady, log)
    }

    private func monitorIsQuiet(_ monitor: ChildProcess) async -> String {
        var text = monitor.text
        _ = await poll(seconds: 1, every: .milliseconds(100)) {
            let before = text.utf8.count
            text = monitor.text
            return text.utf8.count == before
        }
        return text
    }

    private func memory(_ cluster: Cluster, _ workload: Workload) async throws -> StrategyResult.Memory {
        let pids = cluster.instancePids
        let before = pids.map(ProcessProbe.residentBytes).reduce(0, +)
        let redisBefore = try await RedisCounters.read(cluster.nodes).memory
        await workload.fill(cluster.site, sessions: plan.sessions)
        let after = pids.map(ProcessProbe.residentBytes).reduce(0, +)
        let redisAfter = try await RedisCounters.read(cluster.nodes).memory
        let count = Double(max(1, pids.count))
        let sessions = Double(max(1, plan.sessions))
        return StrategyResult.Memory(
            before: Double(before) / count,
            after: Double(after) / count,
            perSession: Double(after - before) / sessions,
            redisPerSession: cluster.strategy.usesRedis ? Double(redisAfter - redisBefore) / sessions : 0
        )
    }

    private func copies(_ cluster: Cluster, _ workload: Workload, _ log: PhaseLog) async
        -> StrategyResult.Copies
    {
        var copies = StrategyResult.Copies()
        let site = cluster.site
        let acknowledged = Counter()
        await workload.each { visitor in
            if await visitor.hasSession { acknowledged.add(await visitor.writeInTwoTabs(site, log)) }
        }
        copies.tabs.total = acknowledged.value
        copies.tabs.part = log.findings.lostUpdates
        copies.stale = log.findings.staleReads
        var stolen: [Browser] = []
        for visitor in workload.visitors.prefix(100) where await visitor.isSignedIn {
            stolen.append(await visitor.signOutKeepingCopy(site, log))
        }
        // Local copies may serve another holder for a second; a replay that works later works for good.
        try? await Task.sleep(for: .milliseconds(1200))
        for copy in stolen {
            copies.replays.total += 1
            if await Visitor.opensSignedInSession(copy, site) { copies.replays.part += 1 }
        }
        return copies
    }

    private static func reason(_ error: any Error) -> String {
        let text = "\(error)".split(separator: "\n").map(String.init)
        return text.last { $0.contains("Error") || $0.contains("not there") } ?? text.last
            ?? "it did not start"
    }
}
