// SPDX-License-Identifier: Apache-2.0

/// The HTML page: one file, with its style and plots inside, that loads nothing.
struct Report: Sendable {
    let plan: Plan
    let entries: [Entry]
    let machine: Machine
    /// How long the whole run took.
    let seconds: Double

    /// The strategies that ran.
    var results: [StrategyResult] {
        entries.compactMap { if case .measured(let result) = $0 { result } else { nil } }
    }

    var html: String {
        let head = HTML.element(
            "head",
            [:],
            HTML.element("meta", ["charset": "utf-8"], []),
            HTML.element("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"], []),
            HTML.element("title", [:], "What consistent sessions cost"),
            HTML.element("style", [:], Self.style)
        )
        let body = HTML.element(
            "body",
            [:],
            [header] + (results.isEmpty ? [] : sections) + [missing, method]
        )
        return "<!DOCTYPE html>\n" + HTML.element("html", ["lang": "en"], head, body) + "\n"
    }

    private var sections: [String] {
        [
            summary,
            section(
                "What breaks, and what does not",
                "Every strategy went through the same faults. Each visitor knows what it has written and seen, and says what is missing.",
                verdicts
            ),
            section(
                "While it breaks",
                "Requests per second under light load, in steps of a quarter of a second: an instance is killed, one is added, Redis stops for \(Text.number(plan.faultSeconds)) s.",
                BarPlot.legend(TimelinePlot.legend) + timelines
            ),
            section("What it costs", "Full load, nothing broken; the same mix of requests for all.", plots),
            section(
                "What the literature says, and what was measured",
                "The costs that textbooks name for each strategy, beside the numbers of this run.",
                literature
            ),
            section("All numbers", "The same as in the terminal.", numbers),
        ]
    }

    private var header: String {
        HTML.element(
            "header",
            [:],
            HTML.element("h1", [:], "What consistent sessions cost"),
            HTML.element(
                "p",
                [:],
                HTML.text(
                    "\(results.count) ways to keep HTTP sessions the same on every server: one workload, one plan of faults, behind a real balancer. \(plan.visitors) visitors, \(plan.instances) instances, \(machine.date)."
                )
            ),
            Machine.isDebugBuild
                ? HTML.element(
                    "p",
                    ["class": "warning"],
                    "This was a debug build: the numbers compare nothing."
                ) : ""
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

    private var numbers: String {
        Tables.all(entries).map { table in
            let rows = table.rows.map { row in
                let cells = row.cells.map { cell in
                    cell.isLoss
                        ? HTML.element("td", ["class": "loss"], HTML.text(cell.text)) : HTML.text(cell.text)
                }
                return row.note.map {
                    cells + [HTML.element("td", ["colspan": "\(table.heads.count - 1)"], HTML.text($0))]
                } ?? cells
            }
            return HTML.element(
                "details",
                [:],
                HTML.element("summary", [:], HTML.text(table.title)),
                HTML.table(
                    heads: table.heads.map { HTML.text($0.filter { !$0.isEmpty }.joined(separator: " ")) },
                    rows: rows,
                    style: "numbers"
                )
            )
        }.joined()
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
            : section(
                "Not available",
                "These strategies could not be started.",
                HTML.element("ul", [:], list)
            )
    }

    func section(_ title: String, _ introduction: String, _ content: String) -> String {
        HTML.element(
            "section",
            [:],
            HTML.element("h2", [:], HTML.text(title)),
            HTML.element("p", [:], HTML.text(introduction)),
            content
        )
    }
}
