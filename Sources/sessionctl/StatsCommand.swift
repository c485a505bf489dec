// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RedisSessions

/// `sessionctl stats`.
struct StatsCommand: RedisCommandLine {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Estimates how many sessions there are, how large, how old.",
        discussion: """
            Looks at a sample of the keys of each primary (SCAN, never KEYS) and multiplies by their number (DBSIZE). Exact \
            where the sample holds all keys.
            """
    )

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "How many keys are looked at.") var sample = 10_000
    @Flag(help: "Print JSON.") var json = false

    /// A distribution of the sample.
    private struct Spread: Encodable {
        let p50: Int
        let p99: Int
        let max: Int

        /// - Parameter sorted: in ascending order; nil is returned for none.
        init?(_ sorted: [Int]) {
            guard let last = sorted.last else { return nil }
            func rank(_ percent: Int) -> Int { sorted[(sorted.count * percent + 99) / 100 - 1] }
            (p50, p99, max) = (rank(50), rank(99), last)
        }
    }

    private struct Answer: Encodable {
        let servers: Int
        let keys: Int
        let sampledKeys: Int
        /// Whether all keys were looked at: then no number is an estimate.
        let exact: Bool
        let sessions: Int
        let signedIn: Int
        let ended: Int
        let userLists: Int
        let unreadable: Int
        let otherKeys: Int
        let bytesPerSession: Spread?
        let bytesPerUserList: Spread?
        let ageMilliseconds: Spread?
        let idleMilliseconds: Spread?
        let timeToLiveMilliseconds: Spread?
    }

    func validate() throws {
        guard (1...10_000_000).contains(sample) else {
            throw ValidationError("--sample is from 1 to 10000000.")
        }
    }

    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws {
        defer { Output.endProgress() }
        let census = try await store.census(sampling: sample) { Output.progress($0, of: $1, "keys") }
        Output.endProgress()
        let answer = Answer(
            servers: census.servers,
            keys: census.keys,
            sampledKeys: census.sampledKeys,
            exact: census.isComplete,
            sessions: census.sessions.estimated,
            signedIn: census.signedIn.estimated,
            ended: census.tombstones.estimated,
            userLists: census.userLists.estimated,
            unreadable: census.unreadable.estimated,
            otherKeys: census.others.estimated,
            bytesPerSession: Spread(census.bytes),
            bytesPerUserList: Spread(census.listBytes),
            ageMilliseconds: Spread(census.ages),
            idleMilliseconds: Spread(census.idleTimes),
            timeToLiveMilliseconds: Spread(census.timesToLive)
        )
        if json { return try Output.json(answer) }
        let about = answer.exact ? "" : "about "
        Output.list([
            ("servers", "\(answer.servers)"),
            ("keys", "\(answer.keys), \(answer.exact ? "all" : "\(answer.sampledKeys)") looked at"),
            ("sessions", "\(about)\(answer.sessions)"), ("of them signed in", "\(about)\(answer.signedIn)"),
            ("ended lately", "\(about)\(answer.ended)"), ("users' lists", "\(about)\(answer.userLists)"),
            ("unreadable", "\(about)\(answer.unreadable)"), ("other keys", "\(about)\(answer.otherKeys)"),
        ])
        func time(_ milliseconds: Int) -> String { Duration.milliseconds(milliseconds).text }
        func bytes(_ count: Int) -> String { "\(count) B" }
        let spreads: [(String, Spread?, (Int) -> String)] = [
            ("bytes of a session", answer.bytesPerSession, bytes),
            ("bytes of a list", answer.bytesPerUserList, bytes),
            ("age", answer.ageMilliseconds, time), ("since the last use", answer.idleMilliseconds, time),
            ("time to live", answer.timeToLiveMilliseconds, time),
        ]
        let rows = spreads.compactMap { name, spread, text in
            spread.map { [name, text($0.p50), text($0.p99), text($0.max)] }
        }
        guard !rows.isEmpty else { return }
        Output.line("")
        Output.table(["", "P50", "P99", "MAX"], rows)
    }
}
