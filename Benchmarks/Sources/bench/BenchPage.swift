// SPDX-License-Identifier: Apache-2.0

import Reporting

/// The page of one run, and its tables as Markdown.
struct BenchPage: Sendable {
    let results: BenchResults
    let plan: BenchPlan
    let machine: Machine
    let redisVersion: String
    let wrkVersion: String
    /// How long the whole run took.
    let seconds: Double

    static let title = "How fast sessions are"

    var tables: BenchTables { BenchTables(results: results, plan: plan) }

    var page: Page {
        Page(
            title: Self.title,
            introduction: introduction,
            facts: summary,
            sections: [client, stores, peers, growth, numbers, missing] + method
        )
    }

    var markdown: String {
        let facts = properties.map { "* \($0.name): \($0.value)" }.joined(separator: "\n")
        return "## \(Self.title)\n\n\(introduction)\n\n\(facts)\n\n"
            + tables.all.map(\.markdown).joined(separator: "\n")
            + (reasons.isEmpty
                ? "" : "\n" + reasons.map { "* \($0.0): \($0.1)" }.joined(separator: "\n") + "\n")
    }

    private var introduction: String {
        "The Redis client beside redis-benchmark, every store over HTTP, and the same work in other languages, all in one run on \(machine.cores) cores. \(plan.isQuick ? "The short form of the run, " : "")\(machine.date)."
    }

    private var summary: [Page.Fact] {
        var facts: [Page.Fact] = []
        if let most = plan.callers.compactMap({ callers in
            results.clientRatio(callers, .pool).map { (callers, $0) }
        }).max(by: { $0.1 < $1.1 }) {
            facts.append(
                Page.Fact(
                    "× \(Text.number(most.1))",
                    "redis-benchmark without pipelining: the client with \(most.0) callers on Swift's default pool"
                )
            )
        }
        if let read = results.httpRatio("redis", .read, over: .none),
            let write = results.httpRatio("redis", .write, over: .none)
        {
            facts.append(
                Page.Fact(
                    "\(Text.number(read)) / \(Text.number(write))",
                    "of the requests per second of a handler that leaves the session alone: one that reads it from Redis, and one that reads and writes"
                )
            )
        }
        if let none = results.httpRatio("redis", .none, over: .bare) {
            facts.append(
                Page.Fact(
                    "\(Text.number(none))",
                    "of the bare handler's requests per second, when a session is not used"
                )
            )
        }
        if let checks = results.peers.checks[PeersBenchmark.own] {
            let others = results.peers.checks.filter { $0.key != PeersBenchmark.own && $0.value.lost > 0 }
            facts.append(
                Page.Fact(
                    "\(checks.lost) lost",
                    "of \(checks.increments) parallel updates of one session; \(others.count) of \(results.peers.checks.count - 1) peers lose some"
                )
            )
        }
        return facts
    }

    private var numbers: Page.Section {
        var section = Page.Section("All numbers", "The same as in the terminal.")
        section.details = tables.all.map(Page.Table.init)
        return section
    }

    private var missing: Page.Section {
        var section = Page.Section("Not measured", "What could not be started or installed.")
        section.sentences = reasons.map { "\($0.0): \($0.1)" }
        return section
    }

    private var reasons: [(String, String)] {
        let parts = results.stores.missing.merging(results.peers.missing) { first, _ in first }
        return parts.sorted { $0.key < $1.key }.map { ($0.key, String($0.value.prefix(300))) }
            + (results.failures + results.growth.failures).map { ("failed", $0) }
    }

    var properties: [Page.Property] {
        machine.properties + [
            .init("Redis", redisVersion), .init("wrk", wrkVersion),
            .init("the run took", "\(Text.number(seconds)) s"),
            .init("other programs kept busy", foreignLoad),
        ]
            + results.peers.versions.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }
            .map { .init($0.key, $0.value.joined(separator: ", ")) }
    }

    private var foreignLoad: String {
        guard let half = median(results.foreign), let most = results.foreign.max() else {
            return "not measured"
        }
        return
            "\(Text.number(half)) of \(machine.cores) cores in the median of all measurements, at most \(Text.number(most))"
    }
}
