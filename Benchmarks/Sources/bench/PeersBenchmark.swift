// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import TestSupport

/// Part c: this package beside what other languages have, in the same rounds.
struct PeersBenchmark: Sendable {
    let plan: BenchPlan
    let wrk: Wrk
    let progress: RunProgress
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

    private static let (startSeconds, checkSeconds) = (2.5, 6.0)

    /// How long all of it takes on two cores, when all peers are installed.
    static func seconds(_ plan: BenchPlan) -> Double {
        let routes = Double(routes(plan).count * plan.peerRounds) * 4 / 3
        return Double(Peer.all.count + 1) * (startSeconds + checkSeconds + routes * caseSeconds(plan))
    }

    /// How long one measurement takes, its warm-up included.
    private static func caseSeconds(_ plan: BenchPlan) -> Double { Double(plan.wrkSeconds) + 1.3 }

    private static func routes(_ plan: BenchPlan) -> [HTTPRoute] {
        plan.isQuick ? [.bare, .read, .write] : [.bare, .none, .read, .write]
    }

    func run() async -> Result {
        var result = Result()
        var applications: [Application] = []
        func add(_ name: String, _ launch: () async throws -> Application) async {
            do {
                let ready = try await progress.step("start of \(name)", seconds: Self.startSeconds) {
                    let application = try await launch()
                    do {
                        return try await application.prepared(sessions: plan.sessions, wrk)
                    } catch {
                        await application.stop()
                        throw error
                    }
                }
                applications.append(ready)
            } catch {
                result.missing[name] = "\(error)"
                progress.write("      \(name) is left out: \("\(error)".prefix(600))")
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
            Self.routes(plan).map { HTTPCase(server: application.name, route: $0, connections: 64) }
        }
        let byName = Dictionary(uniqueKeysWithValues: applications.map { ($0.name, $0) })
        result.cases = await interleaved(
            cases,
            rounds: plan.peerRounds,
            "peers",
            progress,
            seconds: { _ in Self.caseSeconds(plan) }
        ) { item in
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
            do {
                let checks = try await progress.step(
                    "checks of \(application.name)",
                    seconds: Self.checkSeconds
                ) {
                    try await PeerChecks.run(application, plan)
                }
                result.checks[application.name] = checks
                progress.write("      \(application.name): \(checks)")
            } catch {
                progress.write("      \(application.name): the checks failed: \("\(error)".prefix(300))")
            }
        }
    }

    private static func versions(_ folder: URL) -> [String] {
        let text = try? String(contentsOf: folder.appending(path: "versions"), encoding: .utf8)
        return (text ?? "").split(separator: "\n").map(String.init)
    }
}
