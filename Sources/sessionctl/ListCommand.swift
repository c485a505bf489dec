// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RedisSessions
import Sessions

/// `sessionctl list`.
struct ListCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the sessions of a user, the one that was used last first."
    )

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "Name of the user, as it is given to signIn.") var user: String
    @Option(help: "An attribute to show, for example the name of the device; may be repeated.")
    var attribute: [String] = []
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        let user: String
        let sessions: [SessionView]
        /// Entries of the user's list whose record cannot be read.
        let unreadable: Int
    }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        let (sessions, unreadable) = try await store.inspect(allOf: PrincipalName.normalized(user))
        let views = sessions.map { SessionView($0, attributes: attribute) }
        if json {
            try Output.json(Answer(user: user, sessions: views, unreadable: unreadable))
        } else {
            let head = ["ID", "CREATED", "LAST USED", "SIGNED IN", "EXPIRES"] + attribute.map(Output.safe)
            let rows = views.map { view in
                [view.id, view.created, view.lastUsed, view.authenticated ?? "-", view.expires]
                    + attribute.map { name in view.attributes.first { $0.name == name }?.text ?? "-" }
            }
            if !rows.isEmpty { Output.table(head, rows) }
            // A wrong name or pepper looks the same as a user without sessions.
            let hint =
                rows.isEmpty
                ? " in \(try connection.applicationName()), if that and the peppers are the application's"
                : ""
            Output.note("\(rows.count) session\(rows.count == 1 ? "" : "s")\(hint)")
        }
        if unreadable > 0 {
            Output.note("sessionctl: \(unreadable) in the user's list cannot be read; see `show` of each.")
        }
    }
}
