// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import RedisSessions
import Sessions

/// `sessionctl revoke`.
struct RevokeCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Ends sessions by their IDs.",
        discussion: "Exit code 1 if none of them was alive. A record that cannot be read is ended, too."
    )

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "IDs of the sessions.") var ids: [String]
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        let ended: [String]
        let notAlive: [String]
    }

    func validate() throws { _ = try SessionIDs(ids) }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        let ids = try SessionIDs(ids).all
        let ended = try await store.end(ids)
        let others = ids.filter { !ended.contains($0) }
        if json {
            let isEnded = ids.filter(ended.contains).map(\.description)
            try Output.json(Answer(ended: isEnded, notAlive: others.map(\.description)))
        } else {
            Output.line("\(ended.count) of \(ids.count) ended")
            for id in others { Output.note("\(id) was not alive") }
        }
        if ended.isEmpty { throw ExitCode(1) }
    }
}

/// What the commands that end several sessions print as JSON.
struct EndedCount: Encodable {
    let ended: Int

    func print(json: Bool) throws {
        if json { return try Output.json(self) }
        Output.line("\(ended) session\(ended == 1 ? "" : "s") ended")
    }
}

/// `sessionctl revoke-user`.
struct RevokeUserCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "revoke-user",
        abstract: "Ends all sessions of a user.",
        discussion: "A sign-in that is under way is refused, if its password was checked before."
    )

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "Name of the user.") var user: String
    @Option(help: "ID of a session that goes on.") var except: String?
    @Flag(help: "Print JSON.") var json = false

    func validate() throws { if let except { _ = try SessionIDs([except]) } }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        let kept = try except.map { try SessionIDs([$0]).all[0] }
        let count = try await store.revokeAll(of: PrincipalName.normalized(user), except: kept)
        try EndedCount(ended: count).print(json: json)
    }
}

/// `sessionctl revoke-all`.
struct RevokeAllCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "revoke-all",
        abstract: "Ends all sessions of the application.",
        discussion: """
            Asks on a terminal; elsewhere --yes is needed. Reads the names of all keys in batches, so it takes a while on a \
            large server and blocks nothing. Sessions that are created meanwhile may survive: after a break-in, deploy a new \
            pepper as well.
            """
    )

    @OptionGroup var connection: ConnectionOptions
    @Flag(help: "Do not ask.") var yes = false
    @Flag(help: "Print JSON.") var json = false

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        if !yes { try confirm(client.configuration) }
        var count = 0
        do {
            count = try await store.endEverySession {
                count = $0
                if Output.isInteractive { FileHandle.standardError.write(Data("\r\($0) ended".utf8)) }
            }
        } catch {
            Output.endProgress()
            Output.note("sessionctl: \(count) sessions had ended before this error; run the command again.")
            throw error
        }
        Output.endProgress()
        try EndedCount(ended: count).print(json: json)
    }

    private func confirm(_ server: RedisConfiguration) throws {
        guard isatty(STDIN_FILENO) == 1 else {
            throw ValidationError("Add --yes to end all sessions without a question.")
        }
        let name = try connection.applicationName()
        Output.note("This ends every session of \(name) at \(server). Type the name of the application:")
        guard readLine() == name else {
            Output.note("Nothing was done.")
            throw ExitCode(1)
        }
    }
}
