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
    @Option(help: "Where the page goes; the Markdown file goes beside it.") var output = "bench-report.html"

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
        let plan = BenchPlan(isQuick: quick, stores: stores)
        let workplace = try Workplace("bench")
        defer { workplace.remove() }
        let progress = Progress()
        if Machine.isDebugBuild { progress.note("This is a debug build: its numbers compare nothing.") }
        let results = try await measure(plan, progress, in: workplace.folder)
        let tables = BenchTables(results: results, plan: plan).all
        for table in tables {
            let lines = table.lines(isTerminal: isatty(STDOUT_FILENO) == 1)
            progress.write("\n" + lines.joined(separator: "\n") + "\n")
        }
        let page = BenchPage(
            results: results,
            plan: plan,
            machine: Machine.current(),
            redisVersion: await Machine.redisVersion(),
            wrkVersion: await Self.wrkVersion(),
            seconds: progress.seconds,
            foreign: progress.foreign
        )
        let file = URL(fileURLWithPath: output)
        let markdown = file.deletingPathExtension().appendingPathExtension("md")
        try page.html.write(to: file, atomically: true, encoding: .utf8)
        try page.markdown.write(to: markdown, atomically: true, encoding: .utf8)
        progress.write("\nPage: \(file.path)\nMarkdown: \(markdown.path)\nIt took \(progress.elapsed).\n")
        if results.isEmpty { throw ExitCode.failure }
    }

    private func measure(_ plan: BenchPlan, _ progress: Progress, in folder: URL) async throws -> BenchResults
    {
        let wrk = try Wrk(folder)
        var results = BenchResults()
        if parts.contains(.client) {
            progress.part("a", "The Redis client beside redis-benchmark")
            do {
                results.client = try await ClientBenchmark(plan: plan, progress: progress).run(in: folder)
            } catch {
                results.failures.append("client: \(error)")
                progress.note("failed: \(error)")
            }
        }
        if parts.contains(.stores) {
            progress.part("b", "Sessions over HTTP")
            results.stores = await StoresBenchmark(plan: plan, wrk: wrk, progress: progress, arguments: app)
                .run()
        }
        if parts.contains(.peers) {
            progress.part("c", "Peers in other languages")
            results.peers = await PeersBenchmark(
                plan: plan,
                wrk: wrk,
                progress: progress,
                arguments: app,
                peers: peers.map { URL(fileURLWithPath: $0) }
            ).run()
        }
        if parts.contains(.growth) {
            progress.part("d", "Growth")
            results.growth = await GrowthBenchmark(plan: plan, wrk: wrk, progress: progress, arguments: app)
                .run()
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
