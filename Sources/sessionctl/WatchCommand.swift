// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RedisSessions
import Sessions
import Synchronization

/// `sessionctl watch`.
struct WatchCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Shows sign-ins, sign-outs, revocations and new sessions as they happen, until Ctrl-C.",
        discussion: """
            Redis reports changed keys to this connection (client-side caching); no setting of the server is needed. Each \
            changed session is read once, so on a busy server this costs a read for each write. Of changes that follow each \
            other at once only the last one is seen. A sign-in shows which session, not which user.

            Signs of theft (a replayed or guessed secret) leave no trace in Redis: they are in the events of the application \
            (wrong-secret, replayed). What its policy does about them is seen here, as revoked.
            """
    )

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "End after this many changes.") var count: Int?
    @Flag(help: "Print JSON, one object a line.") var json = false

    private struct Line: Encodable {
        let time: String
        /// `created`, `signed-in`, `signed-out`, `revoked` or `expired`.
        let change: String
        let id: String
    }

    func validate() throws {
        guard count ?? 1 > 0 else { throw ValidationError("--count is at least 1.") }
    }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        let (notices, continuation) = AsyncStream.makeStream(of: SessionNotice.self)
        try await withThrowingTaskGroup { group in
            group.addTask { try await store.watch { continuation.yield($0) } }
            group.addTask {
                var left = count ?? .max
                for await notice in notices {
                    if try show(notice) { left -= 1 }
                    if left == 0 { return }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Prints a notice; returns whether it is a change.
    private func show(_ notice: SessionNotice) throws -> Bool {
        switch notice {
        case .watching(let server): Output.note("watching \(server)")
        case .lost(let server):
            Output.note("\(server): the connection was lost; changes are missed meanwhile")
        case .emptied(let server): Output.note("\(server): all keys were removed")
        case .changed(let change, let id, let time):
            let line = Line(time: "\(time)", change: change.rawValue, id: "\(id)")
            if json {
                try Output.json(line, isLine: true)
            } else {
                let space = String(repeating: " ", count: max(0, 10 - line.change.count))
                Output.line("\(line.time)  \(line.change)\(space)  \(line.id)")
            }
            return true
        }
        return false
    }
}
