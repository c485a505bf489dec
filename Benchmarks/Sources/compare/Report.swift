// SPDX-License-Identifier: Apache-2.0

import Reporting

/// The HTML page: one file, with its style and plots inside, that loads nothing.
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

    var html: String {
        HTML.page(
            title: "What consistent sessions cost",
            body: [header] + (results.isEmpty ? [] : sections) + [missing, method]
        )
    }

    private var sections: [String] {
        [
            summary,
            HTML.section(
                "What breaks, and what does not",
                "Every strategy went through the same faults. Each visitor knows what it has written and seen, and says what is missing.",
                verdicts
            ),
            HTML.section(
                "While it breaks",
                "Requests per second under light load, in steps of a quarter of a second: an instance is killed, one is added, Redis stops for \(Text.number(plan.faultSeconds)) s.",
                BarPlot.legend(TimelinePlot.legend) + timelines
            ),
            HTML.section(
                "What it costs",
                "Full load, nothing broken; the same mix of requests for all.",
                plots
            ),
            HTML.section(
                "What the literature says, and what was measured",
                "The costs that textbooks name for each strategy, beside the numbers of this run.",
                literature
            ),
            HTML.section("All numbers", "The same as in the terminal.", HTML.details(Tables.all(entries))),
        ]
    }

    private var header: String {
        HTML.header(
            title: "What consistent sessions cost",
            "\(results.count) ways to keep HTTP sessions the same on every server: one workload, one plan of faults, behind a real balancer. \(plan.visitors) visitors, \(plan.instances) instances, \(machine.date)."
        )
    }

    private var timelines: String {
        let top = TimelinePlot.top(results)
        return HTML.element(
            "div",
            ["class": "times"],
            results.map { TimelinePlot(result: $0, top: top).html }
        )
    }

    /// Strategies that did not run, with the reason.
    private var missing: String {
        let list = entries.compactMap { entry in
            if case .unavailable(let strategy, let reason) = entry {
                HTML.element(
                    "li",
                    [:],
                    HTML.element("b", [:], HTML.text(strategy.id)),
                    HTML.text(": \(reason)")
                )
            } else {
                nil
            }
        }
        return list.isEmpty
            ? ""
            : HTML.section(
                "Not available",
                "These strategies could not be started.",
                HTML.element("ul", [:], list)
            )
    }
}
