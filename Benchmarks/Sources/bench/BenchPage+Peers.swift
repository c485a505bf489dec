// SPDX-License-Identifier: Apache-2.0

import Reporting

extension BenchPage {
    var peers: String {
        guard !results.peers.cases.isEmpty else { return "" }
        func rows(_ value: (String) -> (Double, String)?) -> [BarPlot.Row] {
            results.peers.names.compactMap { name in
                value(name).map { number, text in
                    .init(
                        label: name,
                        style: name == PeersBenchmark.own ? "own" : "other",
                        parts: [number],
                        text: text
                    )
                }
            }
        }
        func rate(_ route: HTTPRoute) -> (String) -> (Double, String)? {
            { name in
                guard let rate = results.peer(name, route)?.median(\.rate) else { return nil }
                return (
                    rate, "\(Text.number(rate)), × \(Text.number(results.peerRatio(name, route) ?? .nan))"
                )
            }
        }
        func cost(_ route: HTTPRoute) -> [BarPlot.Row] {
            results.peers.names.compactMap { name in
                guard let above = results.aboveBare(name, route) else { return nil }
                return .init(
                    label: name,
                    style: "",
                    parts: [max(0, above.server), max(0, above.redis)],
                    text: Text.microseconds(max(0, above.server) + max(0, above.redis))
                )
            }
        }
        let parts = [(name: "application", style: "part-instances"), (name: "Redis", style: "part-redis")]
        let plots = [
            BarPlot(
                title: "Reads per second",
                note: "More is better. And the ratio to the peer's own bare handler.",
                rows: rows(rate(.read))
            ),
            BarPlot(
                title: "Reads and writes per second",
                note: "More is better. And the ratio to the peer's own bare handler.",
                rows: rows(rate(.write))
            ),
            BarPlot(
                title: "Cost of a read",
                note: "Less is better: processor time per request above the bare handler.",
                legend: parts,
                rows: cost(.read)
            ),
            BarPlot(
                title: "Cost of a read and write",
                note: "Less is better: processor time per request above the bare handler.",
                legend: parts,
                rows: cost(.write)
            ),
        ]
        return HTML.section(
            "Beside other languages",
            "Each with the settings that its documentation recommends, the same five attributes, and 30 minutes that start again with each use. A slow bare handler flatters the ratio: look at the processor time, too.",
            Self.grid(plots.map(\.html)) + verdicts + earlier
        )
    }

    /// What happens where requests of one session meet.
    private var verdicts: String {
        func cell(_ isFine: Bool, _ text: String, _ small: String, _ head: String) -> String {
            HTML.element(
                "td",
                ["data-head": head, "class": isFine ? "fine" : "loss"],
                HTML.text(text),
                HTML.element("small", [:], HTML.text(small))
            )
        }
        let heads = [
            "", "\(plan.increments) updates at once", "a slow request after the sign-out", "a made-up id",
        ]
        let rows = results.peers.names.compactMap { name -> [String]? in
            guard let checks = results.peers.checks[name] else { return nil }
            return [
                HTML.text(name),
                cell(
                    checks.lost == 0,
                    "\(checks.lost) lost",
                    checks.lost == 0
                        ? "\(checks.acknowledged) were acknowledged and are there"
                        : "of \(checks.acknowledged) that were acknowledged",
                    heads[1]
                ),
                cell(
                    checks.revived == 0,
                    "\(checks.revived) of \(checks.attempts) undone",
                    checks.revived == 0 ? "signed out stays out" : "the session is back, signed in",
                    heads[2]
                ),
                cell(
                    !checks.adoptsMadeUpID,
                    checks.adoptsMadeUpID ? "adopted" : "refused",
                    checks.adoptsMadeUpID ? "a visitor can be given a known id" : "a new id is drawn",
                    heads[3]
                ),
            ]
        }
        guard !rows.isEmpty else { return "" }
        return HTML.element(
            "div",
            ["style": "margin-top: 1rem"],
            HTML.table(heads: heads, rows: rows, style: "verdicts")
        )
    }

    /// Peers that this program does not install, as they were measured once.
    private var earlier: String {
        let rows = [
            [
                "hummingbird-auth 2.2, valkey-swift", "24 947", "0.35", "16 445", "0.23", "34 + 8 µs", "2–3",
                "5/5", "adopted",
            ],
            ["scs 2.9 (Go)", "18 620", "0.21", "17 646", "0.19", "57 + 18 µs", "2–6", "5/5", "refused"],
            [
                "express-session, connect-redis (Node)", "12 943", "0.49", "10 907", "0.41", "59 + 12 µs",
                "1–2", "5/5", "refused",
            ],
        ]
        var table = TextTable(
            title:
                "Measured earlier: 2026-11-22, 2 cores (AMD EPYC, virtual machine), Redis 7.0, 64 connections; not in this run",
            heads: [
                "peer", "reads per second", "over own bare", "reads and writes per second", "over own bare",
                "CPU of a read above bare", "updates that survived of 200", "sign-outs undone", "made-up id",
            ].map { [$0] }
        )
        for row in rows { table.add(row.map { .init($0) }) }
        return HTML.details([table])
    }
}
