// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Reporting

/// The same workload and the same faults for all strategies; prints tables and writes one HTML report.
@main
struct Compare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract:
            "Runs one workload and one plan of faults over all strategies and compares what they cost and lose."
    )

    @Option(help: "Visitors with cookie jars.") var visitors = Plan().visitors
    @Option(help: "How many of them press at the same time under full load.") var concurrency = Plan()
        .concurrency
    @Option(help: "How long the full load lasts, in seconds.") var seconds = Plan().seconds
    @Option(help: "How long Redis is stopped, in seconds; the other faults are watched in proportion.")
    var faultSeconds = Plan().faultSeconds
    @Option(help: "Instances behind the balancer, before one is killed and one is added.") var instances =
        Plan().instances
    @Option(help: "Size of the largest attribute of each session.") var payloadBytes = Plan().payloadBytes
    @Option(help: "Further sessions that are created to weigh them.") var sessions = Plan().sessions
    @Option(help: "Names with commas between; all when left out.") var strategies = ""
    @Option(help: "Where the report goes; its JSON goes beside it.") var output = "compare-report.html"
    @Option(help: "The JSON of an earlier run: writes its report again, and runs nothing.") var from: String?
    @Option(help: "Of the random choices.") var seed = Plan().seed

    private var chosen: [Strategy] {
        get throws {
            guard !strategies.isEmpty else { return Strategy.all }
            return try strategies.split(separator: ",").map { name in
                guard let strategy = Strategy.all.first(where: { $0.id == name }) else {
                    throw ValidationError(
                        "There is no strategy \(name). There are: \(Strategy.all.map(\.id).joined(separator: ", "))."
                    )
                }
                return strategy
            }
        }
    }

    func validate() throws {
        func check(_ name: String, _ value: Double, _ range: ClosedRange<Double>) throws {
            guard range.contains(value) else {
                throw ValidationError(
                    "--\(name) must be between \(Text.number(range.lowerBound)) and \(Text.number(range.upperBound))."
                )
            }
        }
        try check("visitors", Double(visitors), 5...2000)
        try check("concurrency", Double(concurrency), 1...1000)
        try check("seconds", seconds, 0.5...600)
        try check("fault-seconds", faultSeconds, 0.5...60)
        try check("instances", Double(instances), 2...8)
        // Two kilobytes are what a sealed cookie surely holds beside the rest of a session.
        try check("payload-bytes", Double(payloadBytes), 1...2000)
        try check("sessions", Double(sessions), 0...200_000)
        guard try !chosen.isEmpty else { throw ValidationError("--strategies names none.") }
        let folder = URL(fileURLWithPath: output).deletingLastPathComponent()
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue
        else {
            throw ValidationError("--output: there is no such folder.")
        }
    }

    func run() async throws {
        let template = try await PageTemplate()
        if let from { return try template.write(from, to: URL(fileURLWithPath: output)) }
        let plan = Plan(
            visitors: visitors,
            concurrency: min(concurrency, visitors),
            seconds: seconds,
            instances: instances,
            payloadBytes: payloadBytes,
            sessions: sessions,
            faultSeconds: faultSeconds,
            seed: seed
        )
        let workplace = try Workplace("compare")
        defer { workplace.remove() }
        let chosen = try chosen
        let progress = RunProgress(parts: chosen.map { _ in Experiment.seconds(plan) })
        var entries: [Entry] = []
        for (index, strategy) in chosen.enumerated() {
            progress.begin(
                index,
                strategy.id,
                "[\(index + 1)/\(chosen.count)] \(strategy.id): \(strategy.summary)"
            )
            let entry = await Experiment(plan: plan, progress: progress).run(strategy)
            if case .unavailable(_, let reason) = entry { progress.write("      not available: \(reason)") }
            entries.append(entry)
        }
        progress.end()
        for table in Tables.all(entries) {
            progress.write("\n" + table.lines(isTerminal: isatty(STDOUT_FILENO) == 1).joined(separator: "\n"))
        }
        let file = URL(fileURLWithPath: output)
        let report = Report(
            plan: plan,
            entries: entries,
            machine: Machine.current(),
            redisVersion: await Machine.redisVersion(),
            balancerVersion: await Balancer.version(),
            seconds: progress.seconds
        )
        let json = try template.write(report.page, to: file)
        progress.write("\nReport: \(file.path)\nJSON: \(json.path)")
        if entries.allSatisfy({ if case .unavailable = $0 { true } else { false } }) {
            throw ExitCode.failure
        }
    }
}
