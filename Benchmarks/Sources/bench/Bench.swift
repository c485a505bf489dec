// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Reporting
import TestSupport

/// Measures the client, the stores over HTTP, peers in other languages and what grows; prints tables, and writes
/// them as Markdown and as one HTML page.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures the Redis client, sessions over HTTP and their peers, all in one run."
    )

    enum Part: String, CaseIterable, ExpressibleByArgument {
        case client, stores, peers, growth

        var title: String {
            switch self {
            case .client: "The Redis client beside redis-benchmark"
            case .stores: "Sessions over HTTP"
            case .peers: "Peers in other languages"
            case .growth: "What grows"
            }
        }

        /// How long it takes on two cores.
        func seconds(_ plan: BenchPlan) -> Double {
            switch self {
            case .client: ClientBenchmark.seconds(plan)
            case .stores: StoresBenchmark.seconds(plan)
            case .peers: PeersBenchmark.seconds(plan)
            case .growth: GrowthBenchmark.seconds(plan)
            }
        }
    }

    @Flag(help: "The most important part, within 5 minutes.") var quick = false
    @Option(
        parsing: .upToNextOption,
        help: "What is measured: client, stores, peers, growth; all when left out."
    )
    var parts = Part.allCases
    @Option(
        parsing: .upToNextOption,
        help:
            "The stores over HTTP: \(BenchPlan.allStores.joined(separator: ", ")); those of the plan when left out."
    )
    var stores: [String] = []
    @Option(help: "The folder that Benchmarks/Peers/install.sh has filled.") var peers: String?
    @Option(
        parsing: .unconditionalSingleValue,
        help: "A further argument for fixture-app, as in --app --executor --app loops."
    )
    var app: [String] = []
    @Option(help: "Where the page goes; its JSON and a Markdown file go beside it.") var output =
        "bench-report.html"
    @Option(help: "The JSON of an earlier run: writes its page again, and measures nothing.") var from:
        String?

    func validate() throws {
        if let unknown = stores.first(where: { !BenchPlan.allStores.contains($0) }) {
            throw ValidationError("There is no store \(unknown).")
        }
        var isFolder: ObjCBool = false
        let folder = URL(fileURLWithPath: output).deletingLastPathComponent()
        guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue
        else { throw ValidationError("--output: there is no such folder.") }
    }

    func run() async throws {
        let template = try await PageTemplate()
        if let from { return try template.write(from, to: URL(fileURLWithPath: output)) }
        let plan = BenchPlan(isQuick: quick, stores: stores)
        let workplace = try Workplace("bench")
        defer { workplace.remove() }
        let progress = RunProgress(parts: parts.map { $0.seconds(plan) })
        if Machine.isDebugBuild { progress.write("This is a debug build: its numbers compare nothing.") }
        let results = try await measure(plan, progress, in: workplace.folder)
        progress.end()
        let tables = BenchTables(results: results, plan: plan).all
        for table in tables {
            let lines = table.lines(isTerminal: isatty(STDOUT_FILENO) == 1)
            progress.write("\n" + lines.joined(separator: "\n"))
        }
        let report = BenchPage(
            results: results,
            plan: plan,
            machine: Machine.current(),
            redisVersion: await Machine.redisVersion(),
            wrkVersion: await Self.wrkVersion(),
            seconds: progress.seconds
        )
        let file = URL(fileURLWithPath: output)
        let markdown = file.deletingPathExtension().appendingPathExtension("md")
        let json = try template.write(report.page, to: file)
        try report.markdown.write(to: markdown, atomically: true, encoding: .utf8)
        progress.write(
            "\nPage: \(file.path)\nJSON: \(json.path)\nMarkdown: \(markdown.path)\nIt took \(progress.elapsed)."
        )
        if results.isEmpty { throw ExitCode.failure }
    }

    private func measure(_ plan: BenchPlan, _ progress: RunProgress, in folder: URL) async throws
        -> BenchResults
    {
        let wrk = try Wrk(folder)
        var results = BenchResults()
        for (index, part) in parts.enumerated() {
            progress.begin(index, part.rawValue, "[\(part.rawValue)] \(part.title)")
            switch part {
            case .client:
                do {
                    results.client = try await ClientBenchmark(plan: plan, progress: progress).run(in: folder)
                } catch {
                    results.failures.append("client: \(error)")
                    progress.write("      failed: \(error)")
                }
            case .stores:
                results.stores = await StoresBenchmark(
                    plan: plan,
                    wrk: wrk,
                    progress: progress,
                    arguments: app
                ).run()
            case .peers:
                results.peers = await PeersBenchmark(
                    plan: plan,
                    wrk: wrk,
                    progress: progress,
                    arguments: app,
                    peers: peers.map { URL(fileURLWithPath: $0) }
                ).run()
            case .growth:
                results.growth = await GrowthBenchmark(
                    plan: plan,
                    wrk: wrk,
                    progress: progress,
                    arguments: app
                ).run()
            }
        }
        return results
    }

    /// `wrk` prints its version and exits with 1.
    private static func wrkVersion() async -> String {
        guard let child = try? ChildProcess("wrk", ["--version"]) else { return "unknown" }
        _ = try? await child.wait(seconds: 5)
        return child.text.split(separator: " ").dropFirst().first.map(String.init) ?? "unknown"
    }
}
