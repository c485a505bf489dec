// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import NIOHTTP1
import Synchronization
import UnixSignals

/// A few visitors who change their sessions all the time, and keep the demo's ledger.
struct Traffic: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Visitors for the demo: ten requests a second, half of them changes, the others reads of them.",
        shouldDisplay: false
    )

    @Option(help: "The balancer's port for HTTP.")
    var balancer: Int

    @Option(help: "The folder of the demo's supervisor.")
    var folder: String

    @Option(help: "The strategy, for the name of the ledger.")
    var strategy: String

    private static let visitors = 5
    /// A session has a lifetime; a new one begins long before.
    private static let changesInSession = 3000

    func run() async throws {
        let file = URL(filePath: folder).appending(path: "ledger-\(strategy)")
        let ledger = Shared(Ledger((try? String(contentsOf: file, encoding: .utf8)) ?? ""))
        try await withThrowingDiscardingTaskGroup { group in
            for visitor in 0..<Self.visitors {
                group.addTask {
                    try await Task.sleep(for: .milliseconds(100 * visitor))
                    while true { try await visit(visitor, ledger) }
                }
            }
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: .sigusr1) { await openTwoTabs(ledger) }
            }
            while true {
                try ledger.with { $0.text }.write(to: file, atomically: true, encoding: .utf8)
                try await Task.sleep(for: .milliseconds(250))
            }
        }
    }

    private final class Shared: Sendable {
        private let ledger: Mutex<Ledger>

        init(_ ledger: Ledger) { self.ledger = Mutex(ledger) }

        func with<Result: Sendable>(_ body: (inout Ledger) -> Result) -> Result {
            ledger.withLock { body(&$0) }
        }
    }

    /// The life of one session: changes and reads in turn, twice a second together.
    private func visit(_ visitor: Int, _ ledger: Shared) async throws {
        var http = LocalHTTP(port: balancer)
        ledger.with { $0.forget(visitor) }
        for _ in 0..<Self.changesInSession {
            await change(&http, visitor, ledger)
            try await Task.sleep(for: .milliseconds(500))
            await read(&http, visitor, ledger)
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func change(_ http: inout LocalHTTP, _ visitor: Int, _ ledger: Shared) async {
        guard let answer = try? await http.send(.POST, "/demo/count") else {
            return ledger.with { $0.refuse() }
        }
        http.keep(answer)
        ledger.with { if answer.status == 200 { $0.acknowledge(visitor) } else { $0.refuse() } }
    }

    private func read(_ http: inout LocalHTTP, _ visitor: Int, _ ledger: Shared) async {
        guard let answer = try? await http.send(.GET, "/demo/count") else {
            return ledger.with { $0.refuse() }
        }
        http.keep(answer)
        let count = Int(answer.text.prefix { $0.isNumber })
        ledger.with {
            if answer.status == 200, let count { $0.read(count, by: visitor) } else { $0.refuse() }
        }
    }

    /// One browser sends two changes at once; each has read the session before the other has stored its own.
    private func openTwoTabs(_ ledger: Shared) async {
        let visitor = -1
        var http = LocalHTTP(port: balancer)
        ledger.with { $0.forget(visitor) }
        await change(&http, visitor, ledger)
        let browser = http
        async let left = try? browser.send(.POST, "/demo/count?pause=300")
        async let right = try? browser.send(.POST, "/demo/count?pause=300")
        let answers = await [left, right].compactMap(\.self).filter { $0.status == 200 }
        for answer in answers {
            http.keep(answer)
            ledger.with { $0.acknowledge(visitor) }
        }
        let lost = ledger.with { $0.lost }
        await read(&http, visitor, ledger)
        let counted = answers.count - (ledger.with { $0.lost } - lost)
        let places = Set(answers.map(\.instance)).sorted().joined(separator: " and ")
        _ = Demo(folder: folder).give(
            "note Two tabs, on \(places): \(answers.count) of 2 changes acknowledged, \(counted) counted"
        )
    }
}
