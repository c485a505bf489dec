// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RedisSessions
import Sessions

/// `sessionctl doctor`.
struct DoctorCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks Redis and its settings, and says what to change.",
        discussion: """
            Writes nothing but keys of its own that last for a second. Looks at the server with the rights that it was given: \
            run it as the application's user to check that one. What browsers and the balancer see is not checked.

            Exit codes: 0 all is well, 1 there are warnings, 2 there are problems.
            """
    )

    @OptionGroup var connection: ConnectionOptions
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        let status: Finding.Status
        let findings: [Finding]
    }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        let findings = await Examination(client, store).findings()
        let status = findings.map(\.status).max() ?? .ok
        if json {
            try Output.json(Answer(status: status, findings: findings))
        } else {
            Output.table(
                ["STATUS", "CHECK", "SERVER", "FINDING"],
                findings.map { [$0.status.rawValue, $0.check, $0.server ?? "-", $0.text] }
            )
            let advice = findings.filter { $0.advice != nil }
            if !advice.isEmpty { Output.line("") }
            for finding in advice { Output.line(Output.safe("\(finding.check): \(finding.advice ?? "")")) }
        }
        if status != .ok { throw ExitCode(status == .warning ? 1 : 2) }
    }
}

/// One thing that was checked.
struct Finding: Encodable {
    enum Status: String, Encodable, Comparable {
        case ok, warning, problem

        static func < (left: Self, right: Self) -> Bool {
            let order: [Self] = [.ok, .warning, .problem]
            return order.firstIndex(of: left)! < order.firstIndex(of: right)!
        }
    }

    let check: String
    let status: Status
    /// The server; missing for what concerns none alone.
    let server: String?
    let text: String
    /// What to change; missing where all is well.
    let advice: String?

    init(_ check: String, _ status: Status, _ text: String, server: String? = nil, _ advice: String? = nil) {
        (self.check, self.status, self.text, self.server, self.advice) = (check, status, text, server, advice)
    }
}
