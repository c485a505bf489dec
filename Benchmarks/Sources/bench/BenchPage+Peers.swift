// SPDX-License-Identifier: Apache-2.0

import Reporting

extension BenchPage {
    var peers: Page.Section {
        var section = Page.Section(
            "Beside other languages",
            "Each with the settings that its documentation recommends, the same five attributes, and 30 minutes that start again with each use. A slow bare handler flatters the ratio: look at the processor time, too."
        )
        guard !results.peers.cases.isEmpty else { return section }
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
                    parts: [max(0, above.server), max(0, above.redis)],
                    text: Text.microseconds(max(0, above.server) + max(0, above.redis))
                )
            }
        }
        let parts = [Page.Legend("application", "part-instances"), Page.Legend("Redis", "part-redis")]
        let rateNote = "More is better. And the ratio to the peer's own bare handler."
        let costNote = "Less is better: processor time per request above the bare handler."
        section.figures = [
            Figure("Reads per second", rateNote, bars: rows(rate(.read))),
            Figure("Reads and writes per second", rateNote, bars: rows(rate(.write))),
            Figure("Cost of a read", costNote, legend: parts, bars: cost(.read)),
            Figure("Cost of a read and write", costNote, legend: parts, bars: cost(.write)),
        ]
        section.tables = verdicts
        section.details = [earlier]
        return section
    }

    /// What happens where requests of one session meet.
    private var verdicts: [Page.Table] {
        func cell(_ isFine: Bool, _ text: String, _ remark: String) -> Page.Cell {
            Page.Cell(text, isFine ? .fine : .loss, remark: remark)
        }
        let rows = results.peers.names.compactMap { name -> Page.Row? in
            guard let checks = results.peers.checks[name] else { return nil }
            return Page.Row(
                name: name,
                cells: [
                    cell(
                        checks.lost == 0,
                        "\(checks.lost) lost",
                        checks.lost == 0
                            ? "\(checks.acknowledged) were acknowledged and are there"
                            : "of \(checks.acknowledged) that were acknowledged"
                    ),
                    cell(
                        checks.revived == 0,
                        "\(checks.revived) of \(checks.attempts) undone",
                        checks.revived == 0 ? "signed out stays out" : "the session is back, signed in"
                    ),
                    cell(
                        !checks.adoptsMadeUpID,
                        checks.adoptsMadeUpID ? "adopted" : "refused",
                        checks.adoptsMadeUpID ? "a visitor can be given a known id" : "a new id is drawn"
                    ),
                ]
            )
        }
        let heads = [
            "", "\(plan.increments) updates at once", "a slow request after the sign-out", "a made-up id",
        ]
        return rows.isEmpty ? [] : [Page.Table(.verdicts, heads: heads, rows: rows)]
    }

    /// Peers that this program does not install, as they were measured once.
    private var earlier: Page.Table {
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
        return Page.Table(table)
    }
}
