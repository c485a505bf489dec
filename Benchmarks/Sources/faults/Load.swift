// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import TestSupport

/// Visitors that use one application while something breaks.
struct Load: Sendable {
    private let client: RedisClient
    private let visitors: [Visitor]

    /// Signs visitors in.
    ///
    /// - Parameters:
    ///   - configuration: of the client that all of them share, as in one instance of an application.
    ///   - count: how many.
    /// - Throws: `SessionError`.
    init(_ configuration: RedisConfiguration, visitors count: Int) async throws {
        client = RedisClient(configuration)
        let store = try RedisSessionStore(client, application: Setup.application)
        let start = ContinuousClock.now
        var visitors: [Visitor] = []
        for number in 0..<count { visitors.append(try await Visitor(number, store, since: start)) }
        self.visitors = visitors
    }

    /// Lets the visitors make requests, breaks something after a second, and looks at every session in the end.
    ///
    /// - Parameters:
    ///   - row: names the scenario.
    ///   - breaks: marks the moment of the fault with `faultBegan`, and returns when all is as it shall be in the end.
    /// - Returns: the row of the table, with what was seen.
    /// - Throws: what `breaks` throws.
    func play(_ row: Row, _ breaks: () async throws -> Void) async throws -> Row {
        let running = Task { [client] in try? await client.run() }
        let tasks = visitors.map { visitor in Task { await visitor.run() } }
        var failure: (any Error)?
        do {
            try await Task.sleep(for: .seconds(1))
            try await breaks()
            // Until everybody has written again, and then a while for what comes late.
            _ = await poll(seconds: 15, every: .milliseconds(50)) {
                visitors.allSatisfy { $0.ledger.outage != nil }
            }
            try await Task.sleep(for: .seconds(1))
        } catch { failure = error }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        var row = row
        row.givenUp = client.statistics.abandoned
        for visitor in visitors {
            var verdict: Ledger.Verdict?
            _ = await poll(seconds: 5, every: .milliseconds(50)) {
                verdict = await visitor.verdict()
                return verdict != nil
            }
            row.add(visitor.ledger, verdict)
        }
        running.cancel()
        await running.value
        if let failure { throw failure }
        return row
    }

    /// The fault begins.
    func faultBegan() { for visitor in visitors { visitor.faultBegan() } }
}
