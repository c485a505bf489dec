// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import RedisSessions
import Sessions

/// `sessionctl doctor`.
struct DoctorCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks Redis, its settings and what browsers see, and says what to change.",
        discussion: """
            Writes nothing but keys of its own that last for a second. Looks at the server with the rights that it was given: \
            run it as the application's user to check that one.

            With --site it also visits the site through the balancer: attributes of the cookie, caches, plain HTTP, and \
            whether all instances know a session. Each run begins two sessions there. Without a Redis URL only the site is \
            checked.

            Exit codes: 0 all is well, 1 there are warnings, 2 there are problems.
            """
    )

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "URL of a page that begins a session for a new visitor, as browsers ask for it.")
    var site: String?
    @Option(help: "Name of the session's cookie.") var cookie = SessionCookie().name
    @Option(
        help: "Certificate authority of the site, as a PEM file; the system's if it is missing.",
        completion: .file()
    )
    var siteCaFile: String?
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        let status: Finding.Status
        let findings: [Finding]
    }

    func validate() throws {
        guard let site else { return }
        guard let url = URL(string: site), ["http", "https"].contains(url.scheme),
            url.host()?.isEmpty == false,
            url.user == nil, url.password == nil
        else { throw ValidationError("The site is an http:// or https:// URL without a user.") }
    }

    func run() async throws {
        if site != nil, !connection.namesServer { return try await report([]) }
        try await connect()
    }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        try await report(await Examination(client, store).findings())
    }

    /// Adds what the site shows, prints all, and ends the program accordingly.
    private func report(_ findings: [Finding]) async throws {
        var findings = findings
        if let page = site.flatMap({ URL(string: $0) }) {
            do {
                findings += try await SiteExamination(page, cookie: cookie, caFile: siteCaFile).findings()
            } catch { try Output.fail("The certificate authority of the site cannot be read.") }
        }
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
