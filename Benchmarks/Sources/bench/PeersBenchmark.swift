// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// Part c: this package beside what other languages have, in the same rounds.
struct PeersBenchmark: Sendable {
    let plan: BenchPlan
    let wrk: Wrk
    let progress: Progress
    let arguments: [String]
    /// Where the peers are installed; nil leaves them out.
    let peers: URL?

    /// The name of this package among its peers.
    static let own = "swift-sessions"

    struct Result: Sendable {
        /// In the order of the tables.
        var names: [String] = []
        var cases: [Measured<HTTPCase, HTTPSample>] = []
        var sent: [HTTPCase: Double] = [:]
        var checks: [String: PeerChecks] = [:]
        var versions: [String: [String]] = [:]
        /// Peers that did not start, with the reason.
        var missing: [String: String] = [:]
    }

    func run() async -> Result {
        var result = Result()
        var applications: [Application] = []
        func add(_ name: String, _ launch: () async throws -> Application) async {
            do {
                let application = try await launch()
                do {
                    applications.append(try await application.prepared(sessions: plan.sessions, wrk))
                } catch {
                    await application.stop()
                    throw error
                }
            } catch {
                result.missing[name] = "\(error)"
                progress.note("\(name) is left out: \("\(error)".prefix(600))")
            }
        }
        await add(Self.own) { try await Fixture.start("redis", name: Self.own, arguments: arguments) }
        for peer in Peer.all {
            guard let peers else {
                result.missing[peer.name] = "--peers names no folder"
                continue
            }
            await add(peer.name) { try await peer.launch(from: peers, wrk.folder) }
            result.versions[peer.folder] = Self.versions(peers.appending(path: peer.folder))
        }
        await measure(applications, &result)
        for application in applications { await application.stop() }
        return result
    }

    private func measure(_ applications: [Application], _ result: inout Result) async {
        result.names = applications.map(\.name)
        let cases = applications.flatMap { application in
            [HTTPRoute.bare, .none, .read, .write].compactMap { route in
                plan.isQuick && route == .none
                    ? nil : HTTPCase(server: application.name, route: route, connections: 64)
            }
        }
        let byName = Dictionary(uniqueKeysWithValues: applications.map { ($0.name, $0) })
        result.cases = await interleaved(cases, rounds: plan.peerRounds, "peers", progress) { item in
            guard let application = byName[item.server] else { throw CancellationError() }
            return try await application.measure(
                item.route,
                connections: item.connections,
                seconds: plan.wrkSeconds,
                wrk
            )
        }
        for application in applications {
            for route in [HTTPRoute.read, .write] {
                let item = HTTPCase(server: application.name, route: route, connections: 1)
                result.sent[item] = try? await application.commandsSent(route)
            }
            progress.write("      \(application.name): ")
            do {
                let checks = try await PeerChecks.run(application, plan)
                result.checks[application.name] = checks
                progress.write("\(checks) \(progress.elapsed)\n")
            } catch {
                progress.write("the checks failed: \("\(error)".prefix(300))\n")
            }
        }
    }

    private static func versions(_ folder: URL) -> [String] {
        let text = try? String(contentsOf: folder.appending(path: "versions"), encoding: .utf8)
        return (text ?? "").split(separator: "\n").map(String.init)
    }
}
