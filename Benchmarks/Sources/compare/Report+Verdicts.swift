// SPDX-License-Identifier: Apache-2.0

import Reporting

extension Report {
    /// What each strategy lost or kept: one row each, coloured.
    var verdicts: Page.Section {
        var section = Page.Section(
            "What breaks, and what does not",
            "Every strategy went through the same faults. Each visitor knows what it has written and seen, and says what is missing."
        )
        section.tables = [
            Page.Table(
                .verdicts,
                heads: [
                    "strategy", "an instance killed", "an instance added",
                    "Redis stopped for \(Text.number(plan.faultSeconds)) s", "stale reads", "lost updates",
                    "two tabs at once", "a copied cookie after the sign-out",
                ],
                rows: results.map { result in
                    let (findings, copies) = (result.findings, result.copies)
                    return Page.Row(
                        name: result.strategy.id,
                        cells: [
                            killed(result), added(result), outage(result), stale(result),
                            cell(
                                findings.lostUpdates == 0,
                                "\(findings.lostUpdates)",
                                findings.lostUpdates == 0
                                    ? "all that was acknowledged is there" : "acknowledged changes are gone"
                            ),
                            cell(
                                copies.tabs.part == 0,
                                "\(copies.tabs.part) of \(copies.tabs.total) lost",
                                copies.tabs.part == 0 ? "both changes are there" : "the later answer wins"
                            ),
                            cell(
                                copies.replays.part == 0,
                                "\(copies.replays.part) of \(copies.replays.total) work",
                                copies.replays.part == 0
                                    ? "signed out means out" : "the copy stays valid until it expires"
                            ),
                        ]
                    )
                }
            )
        ]
        return section
    }

    private func killed(_ result: StrategyResult) -> Page.Cell {
        let kill = result.kill
        return cell(
            kill.lostSessions == 0,
            "\(kill.lostSessions) of \(result.sessions) sessions lost",
            kill.bad == 0
                ? "no request failed"
                : "\(kill.bad) requests failed, over after \(Text.seconds(kill.recovery))"
        )
    }

    private func added(_ result: StrategyResult) -> Page.Cell {
        let addition = result.addition
        return cell(
            addition.known.part == addition.known.total,
            "knows \(addition.known.part) of \(addition.known.total)",
            addition.serves.map { "serves after \(Text.seconds($0))" }
                ?? "served no visitor while it was watched"
        )
    }

    private func outage(_ result: StrategyResult) -> Page.Cell {
        let outage = result.outage
        let bad = outage.refused + outage.failed
        guard bad > 0 || outage.lostSessions > 0 else {
            return cell(true, "not noticed", "all \(outage.good) requests answered")
        }
        let share = Text.number(Double(bad) * 100 / Double(max(1, bad + outage.good)))
        let tail =
            "\(outage.failed == 0 ? "honestly, with 503" : "\(outage.failed) without an answer"); fine again \(outage.recovery == 0 ? "at once" : "after \(Text.seconds(outage.recovery))")"
        if outage.failed == 0, outage.lostSessions == 0 {
            return Page.Cell("\(share) % refused", .wary, remark: tail)
        }
        let lost = outage.lostSessions > 0 ? ", \(outage.lostSessions) sessions lost" : ""
        return cell(false, "\(share) % failed\(lost)", tail)
    }

    private func stale(_ result: StrategyResult) -> Page.Cell {
        let findings = result.findings
        if findings.foreignReads > 0 {
            return cell(
                false,
                "\(findings.staleReads)",
                "and \(findings.foreignReads) reads of what was never written"
            )
        }
        return cell(
            findings.staleReads == 0,
            "\(findings.staleReads)",
            findings.staleReads == 0
                ? "no visitor saw less than before" : "reads showed less than before, for a moment"
        )
    }

    private func cell(_ isFine: Bool, _ text: String, _ note: String) -> Page.Cell {
        Page.Cell(text, isFine ? .fine : .loss, remark: note)
    }
}
