// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Reporting
import TestSupport

/// Breaks topologies on loopback while visitors use them, and prints what was lost, refused and delayed.
@main
struct Faults: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "faults",
        abstract: "Breaks servers and connections under load, and counts what visitors notice of it."
    )

    @Option(parsing: .upToNextOption, help: "Names of scenarios; all when left out.") var scenario: [String] =
        []
    @Option(help: "Visitors, each with one request at a time.") var visitors = 48
    @Flag(help: "Lists the scenarios.") var list = false

    private var chosen: [Scenario] {
        get throws {
            try scenario.isEmpty
                ? Scenario.all
                : scenario.map { name in
                    guard let found = Scenario.all.first(where: { $0.name == name }) else {
                        throw ValidationError("There is no scenario \(name); --list names them.")
                    }
                    return found
                }
        }
    }

    func validate() throws {
        _ = try chosen
        guard (1...1000).contains(visitors) else {
            throw ValidationError("--visitors must be between 1 and 1000.")
        }
    }

    func run() async throws {
        if list { return print(Scenario.all.map { "\($0.name): \($0.words)" }.joined(separator: "\n")) }
        let workplace = try Workplace("faults")
        defer { workplace.remove() }
        let start = ContinuousClock.now
        var table = TextTable(title: "Faults", heads: Row.heads.map { [$0] })
        var (answered, givenUp, isBroken) = (0, 0, false)
        for scenario in try chosen {
            FileHandle.standardError.write(Data("\(scenario.name): \(scenario.words)\n".utf8))
            do {
                let row = try await scenario.play(scenario, visitors)
                table.add(row.cells)
                answered += row.answered
                givenUp += row.givenUp
                isBroken = isBroken || row.isBroken
            } catch {
                table.add(scenario.name, note: "not played: \(error)")
            }
        }
        let machine = Machine.current()
        print(
            """
            * server: \(try await TestSupport.run("redis-server", ["--version"]).split(separator: " sha").first ?? "")
            * machine: \(machine.processor), \(machine.cores) cores; \(Machine.isDebugBuild ? "debug" : "release") build
            * date: \(machine.date)
            * \(answered) answers; \(givenUp) reads were given up before their reply
            * \(visitors) visitors; the run took \(Int((ContinuousClock.now - start) / .seconds(1))) s

            \(table.markdown)
            """
        )
        if isBroken { throw ExitCode.failure }
    }
}
