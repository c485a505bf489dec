// SPDX-License-Identifier: Apache-2.0

import Reporting

/// The page of one run: one file, with its style and plots inside, that loads nothing; and the same as Markdown.
struct BenchPage: Sendable {
    let results: BenchResults
    let plan: BenchPlan
    let machine: Machine
    let redisVersion: String
    let wrkVersion: String
    /// How long the whole run took.
    let seconds: Double
    /// The processors that other programs kept busy, for each case that was measured.
    let foreign: [Double]

    static let title = "How fast sessions are"

    var tables: BenchTables { BenchTables(results: results, plan: plan) }

    var html: String {
        HTML.page(
            title: Self.title,
            style: Self.style,
            body: [
                HTML.header(title: Self.title, introduction), HTML.summary(summary), client, stores, peers,
                growth,
                HTML.section("All numbers", "The same as in the terminal.", HTML.details(tables.all)),
                missing,
                method,
            ]
        )
    }

    var markdown: String {
        let facts = facts.map { "* \($0.0): \($0.1)" }.joined(separator: "\n")
        return "## \(Self.title)\n\n\(introduction)\n\n\(facts)\n\n"
            + tables.all.map(\.markdown).joined(separator: "\n")
            + (reasons.isEmpty
                ? "" : "\n" + reasons.map { "* \($0.0): \($0.1)" }.joined(separator: "\n") + "\n")
    }

    private var introduction: String {
        "The Redis client beside redis-benchmark, every store over HTTP, and the same work in other languages, all in one run on \(machine.cores) cores. \(plan.isQuick ? "The short form of the run, " : "")\(machine.date)."
    }

    /// The style of lines, which bars do not need.
    private static let style = """

        .line { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round } .line-a { stroke: var(--backend); background: var(--backend) } .line-b { stroke: var(--synchronization); background: var(--synchronization) } .line-c { stroke: var(--part-a); background: var(--part-a) } .line-d { stroke: var(--mapping); background: var(--mapping) } .line-c-dashed { stroke: var(--part-a); background: var(--part-a); stroke-dasharray: 5 4; opacity: .8 }
        .dot-a { fill: var(--backend) } .dot-b { fill: var(--synchronization) } .dot-c, .dot-c-dashed { fill: var(--part-a) } .dot-d { fill: var(--mapping) } .own { fill: var(--backend); background: var(--backend) } .other { fill: var(--part-a); background: var(--part-a) } .floor { fill: var(--line); background: var(--line) }
        """

    private var summary: [(number: String, meaning: String)] {
        var facts: [(number: String, meaning: String)] = []
        if let most = plan.callers.compactMap({ callers in
            results.clientRatio(callers, .pool).map { (callers, $0) }
        }).max(by: { $0.1 < $1.1 }) {
            facts.append(
                (
                    "× \(Text.number(most.1))",
                    "redis-benchmark without pipelining: the client with \(most.0) callers on Swift's default pool"
                )
            )
        }
        if let read = results.httpRatio("redis", .read, over: .none),
            let write = results.httpRatio("redis", .write, over: .none)
        {
            facts.append(
                (
                    "\(Text.number(read)) / \(Text.number(write))",
                    "of the requests per second of a handler that leaves the session alone: one that reads it from Redis, and one that reads and writes"
                )
            )
        }
        if let none = results.httpRatio("redis", .none, over: .bare) {
            facts.append(
                (
                    "\(Text.number(none))",
                    "of the bare handler's requests per second, when a session is not used"
                )
            )
        }
        if let checks = results.peers.checks[PeersBenchmark.own] {
            let others = results.peers.checks.filter { $0.key != PeersBenchmark.own && $0.value.lost > 0 }
            facts.append(
                (
                    "\(checks.lost) lost",
                    "of \(checks.increments) parallel updates of one session; \(others.count) of \(results.peers.checks.count - 1) peers lose some"
                )
            )
        }
        return facts
    }

    private var missing: String {
        reasons.isEmpty
            ? ""
            : HTML.section(
                "Not measured",
                "What could not be started or installed.",
                HTML.sentences(reasons.map { "\($0.0): \($0.1)" })
            )
    }

    private var reasons: [(String, String)] {
        let parts = results.stores.missing.merging(results.peers.missing) { first, _ in first }
        return parts.sorted { $0.key < $1.key }.map { ($0.key, String($0.value.prefix(300))) }
            + (results.failures + results.growth.failures).map { ("failed", $0) }
    }

    var facts: [(String, String)] {
        [
            ("processor", "\(machine.processor), \(machine.cores) cores"),
            ("memory", Text.bytes(machine.memoryBytes)),
            ("kernel", machine.kernel), ("Redis", redisVersion), ("wrk", wrkVersion),
            ("build", Machine.isDebugBuild ? "debug" : "release"), ("date", machine.date),
            ("the run took", "\(Text.number(seconds)) s"),
            ("other programs kept busy", foreignLoad),
        ]
            + results.peers.versions.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value.joined(separator: ", ")) }
    }

    private var foreignLoad: String {
        guard let half = median(foreign), let most = foreign.max() else { return "not measured" }
        return
            "\(Text.number(half)) of \(machine.cores) cores in the median of all measurements, at most \(Text.number(most))"
    }
}
