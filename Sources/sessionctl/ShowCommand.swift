// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RedisSessions
import Sessions

/// `sessionctl show`.
struct ShowCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows a session: times, version, attributes.",
        discussion: """
            The user's name is stored encrypted for the holder of the cookie, so it cannot be shown; --user tells whether the \
            session is that user's. Secrets and hashes are never shown.
            """
    )

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "ID of the session.") var id: String
    @Option(help: "Name of a user whose session it may be.") var user: String?
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        /// `live`, `signed-out`, `revoked`, `unknown` or `unreadable`.
        let state: String
        /// Whether it is that of `--user`; missing without that.
        let isUser: Bool?
        let session: SessionView?
    }

    func validate() throws { _ = try SessionIDs([id]) }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        let id = try SessionIDs([id]).all[0]
        let session: StoredSession
        switch try await store.inspect(id) {
        case .live(let live): session = live
        case .absent(let absence):
            let (state, message) = Self.words(absence)
            if json { try Output.json(Answer(state: state, isUser: nil, session: nil)) }
            Output.note("sessionctl: \(message)")
            throw ExitCode(1)
        }
        var isUser: Bool?
        if let user { isUser = try await store.isSession(id, of: PrincipalName.normalized(user)) }
        let view = SessionView(session)
        if json { return try Output.json(Answer(state: "live", isUser: isUser, session: view)) }
        var user = view.signedIn ? "signed in (--user NAME tells whether it is that user's)" : "anonymous"
        if let name = self.user, let isUser { user = isUser ? name : "another one than \(name)" }
        if !view.signedIn { user = "anonymous" }
        Output.list([
            ("ID", view.id), ("user", user), ("version", "\(view.version)"), ("created", view.created),
            ("last used", view.lastUsed), ("signed in", view.authenticated ?? "-"),
            ("secret issued", view.secretIssued),
            ("expires", "\(view.expires), in \(Duration.seconds(view.secondsLeft).text) unless it is used"),
            ("at the latest", view.deadline),
            ("idle timeout", Duration.seconds(view.idleTimeoutSeconds).text),
        ])
        guard !view.attributes.isEmpty else { return Output.note("no attributes") }
        Output.line("")
        Output.table(
            ["ATTRIBUTE", "BYTES", "VALUE"],
            view.attributes.map {
                [$0.version == 1 ? $0.name : "\($0.name) (version \($0.version))", "\($0.bytes)", $0.text]
            }
        )
    }

    private static func words(_ absence: SessionAbsence) -> (state: String, message: String) {
        switch absence {
        case .ended(.signOut): ("signed-out", "This session was ended by a sign-out.")
        case .ended: ("revoked", "This session was revoked.")
        case .unreadable:
            ("unreadable", "The record is damaged, of another version of the library, or not a session's.")
        default: ("unknown", "There is no such session: it has expired, or never existed.")
        }
    }
}

/// The IDs on a command line.
struct SessionIDs {
    let all: [SessionID]

    /// - Throws: `ValidationError`, which does not repeat the text: it could be a cookie's value.
    init(_ texts: [String]) throws {
        all = try texts.map { text in
            guard let id = SessionID(text) else {
                throw ValidationError(
                    "The ID of a session has 22 letters, digits, - and _; no cookie's value is one."
                )
            }
            return id
        }
    }
}
