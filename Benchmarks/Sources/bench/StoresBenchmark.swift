// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting

/// Part b: every store over HTTP.
struct StoresBenchmark: Sendable {
    let plan: BenchPlan
    let wrk: Wrk
    let progress: RunProgress
    let arguments: [String]

    struct Result: Sendable {
        var cases: [Measured<HTTPCase, HTTPSample>] = []
        /// Commands sent to Redis for each request, by store and route, at one connection.
        var sent: [HTTPCase: Double] = [:]
        /// Stores that did not start, with the reason.
        var missing: [String: String] = [:]
    }

    /// How long all of it takes on two cores.
    static func seconds(_ plan: BenchPlan) -> Double {
        plan.stores.reduce(0) { sum, store in
            sum
                + plan.httpCases(store).reduce(3) { sum, item in
                    let rounds = plan.httpRounds(store, isPrincipal: item.connections == 64)
                    return sum + Double(rounds) * 4 / 3 * seconds(item.route, plan)
                }
        }
    }

    /// How long one measurement takes, its warm-up included.
    private static func seconds(_ route: HTTPRoute, _ plan: BenchPlan) -> Double {
        Double(plan.wrkSeconds) + (route == .signIn ? 2.5 : 1.3)
    }

    func run() async -> Result {
        var result = Result()
        for store in plan.stores {
            do {
                let application = try await Fixture.start(store, arguments: arguments)
                do {
                    let ready = try await application.prepared(sessions: plan.sessions, wrk)
                    for route in HTTPRoute.allCases where route != .unmanaged {
                        let item = HTTPCase(server: store, route: route, connections: 1)
                        result.sent[item] = try await ready.commandsSent(route)
                    }
                    // Ratios are taken at 64 connections, so these have more rounds.
                    for isPrincipal in [true, false] {
                        let cases = plan.httpCases(store).filter { ($0.connections == 64) == isPrincipal }
                        guard !cases.isEmpty else { continue }
                        result.cases += await interleaved(
                            cases,
                            rounds: plan.httpRounds(store, isPrincipal: isPrincipal),
                            "\(store)\(isPrincipal ? "" : ", 1 and 256 connections")",
                            progress,
                            seconds: { Self.seconds($0.route, plan) }
                        ) { item in
                            item.route == .signIn
                                ? try await signIn(item)
                                : try await ready.measure(
                                    item.route,
                                    connections: item.connections,
                                    seconds: plan.wrkSeconds,
                                    wrk
                                )
                        }
                    }
                } catch {
                    result.missing[store] = "\(error)"
                }
                await application.stop()
            } catch {
                result.missing[store] = "\(error)"
            }
            if let reason = result.missing[store] {
                progress.write("      \(store) is left out: \(reason.prefix(300))")
            }
        }
        return result
    }

    /// Each request makes a session, and a store in memory refuses more than it has room for: every round starts empty.
    private func signIn(_ item: HTTPCase) async throws -> HTTPSample {
        let fresh = try await Fixture.start(item.server, arguments: arguments)
        do {
            _ = try await fresh.signIn(count: 32)
            let sample = try await fresh.measure(
                .signIn,
                connections: item.connections,
                seconds: plan.wrkSeconds,
                wrk
            )
            await fresh.stop()
            return sample
        } catch {
            await fresh.stop()
            throw error
        }
    }
}
