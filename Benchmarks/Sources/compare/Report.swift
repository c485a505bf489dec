// SPDX-License-Identifier: Apache-2.0

import Reporting

/// The page of one run.
struct Report: Sendable {
    let plan: Plan
    let entries: [Entry]
    let machine: Machine
    /// Versions of what took part.
    let redisVersion: String
    let balancerVersion: String
    /// How long the whole run took.
    let seconds: Double

    /// The strategies that ran.
    var results: [StrategyResult] {
        entries.compactMap { if case .measured(let result) = $0 { result } else { nil } }
    }

    private static let sliceSeconds = 0.25

    var page: Page {
        Page(
            title: "What consistent sessions cost",
            introduction:
                "\(results.count) ways to keep HTTP sessions the same on every server: one workload, one plan of faults, behind a real balancer. \(plan.visitors) visitors, \(plan.instances) instances, \(machine.date).",
            facts: results.isEmpty ? [] : facts,
            sections: (results.isEmpty ? [] : [verdicts, timelines, costs, literature, numbers]) + [missing]
                + method
        )
    }

    private var timelines: Page.Section {
        var section = Page.Section(
            "While it breaks",
            "Requests per second under light load, in steps of a quarter of a second: an instance is killed, one is added, Redis stops for \(Text.number(plan.faultSeconds)) s."
        )
        let phases = results.map { result in
            [result.kill.phase, result.addition.phase, result.outage.phase].map { phase in
                TimelinePlot.Phase(
                    seconds: phase.seconds,
                    slices: slices(phase.samples, seconds: phase.seconds, sliceSeconds: Self.sliceSeconds),
                    events: phase.events
                )
            }
        }
        let most = phases.joined().flatMap(\.slices).map(\.total).max() ?? 1
        let top = Double(most) / Self.sliceSeconds
        section.legend = TimelinePlot.legend
        section.figures = zip(results, phases).map { result, phases in
            Figure(
                result.strategy.id,
                sentence(result),
                mark: result.strategy.family.rawValue,
                TimelinePlot(top: top, sliceSeconds: Self.sliceSeconds, phases: phases)
            )
        }
        return section
    }

    /// What the faults cost one strategy.
    private func sentence(_ result: StrategyResult) -> String {
        let (kill, outage) = (result.kill, result.outage)
        let lost =
            kill.lostSessions == 0
            ? "the kill loses no session"
            : "the kill loses \(kill.lostSessions) of \(result.sessions) sessions"
        let bad = outage.refused + outage.failed
        return bad == 0
            ? "\(lost); the outage is not noticed"
            : "\(lost); the outage costs \(bad) of \(bad + outage.good) requests"
    }

    private var numbers: Page.Section {
        var section = Page.Section("All numbers", "The same as in the terminal.")
        section.details = Tables.all(entries).map(Page.Table.init)
        return section
    }

    /// Strategies that did not run, with the reason.
    private var missing: Page.Section {
        var section = Page.Section("Not available", "These strategies could not be started.")
        section.sentences = entries.compactMap { entry in
            if case .unavailable(let strategy, let reason) = entry {
                "\(strategy.id): \(reason)"
            } else {
                nil
            }
        }
        return section
    }
}
