// SPDX-License-Identifier: Apache-2.0

/// How much is measured: everything within 20 minutes on two cores, or the most important part within 5.
struct BenchPlan: Sendable {
    let isQuick: Bool
    /// The stores that are measured over HTTP.
    let stores: [String]

    static let allStores = ["redis", "memory", "sealed", "sealed-revocable", "sealed-tiered", "replicated"]

    /// - Parameters:
    ///   - isQuick: whether to measure the most important part only.
    ///   - stores: the stores to measure; empty for all.
    init(isQuick: Bool, stores: [String] = []) {
        self.isQuick = isQuick
        self.stores = stores.isEmpty ? Self.allStores : stores
    }

    var clientRounds: Int { isQuick ? 5 : 7 }
    /// How long one case of the client runs in each round.
    var clientSeconds: Double { isQuick ? 0.25 : 0.35 }
    let callers = [1, 16, 64, 256]

    /// Rounds of the requests of one store; more at 64 connections, of which the ratios are taken.
    func httpRounds(_ store: String, isPrincipal: Bool) -> Int {
        if isQuick { return isPrincipal && store == "redis" ? 4 : 2 }
        return isPrincipal ? 5 : 3
    }
    /// `wrk` takes whole seconds.
    var wrkSeconds: Int { 1 }
    let connections = [1, 64, 256]
    /// Sessions whose cookies `wrk` sends, one after the other.
    let sessions = 200

    var peerRounds: Int { isQuick ? 3 : 5 }
    let increments = 200
    let attempts = 5

    var sessionCounts: [Int] { isQuick ? [1_000, 10_000, 100_000] : [1_000, 10_000, 100_000, 1_000_000] }
    let payloads = [300, 4_096, 61_440]
    var instanceCounts: [Int] { isQuick ? [1, 2] : [1, 2, 4] }
    var attributeCounts: [Int] { isQuick ? [1, 5, 20, 60] : [1, 2, 5, 10, 20, 40, 60] }
    var commits: Int { isQuick ? 300 : 1_000 }
    /// Sessions that are created to weigh a copy in memory.
    var copies: Int { isQuick ? 500 : 1_500 }

    /// The cases of the client: every command at every number of callers, or one command so and the others at 64 alone.
    var clientCases: [ClientCase] {
        ClientCase.Command.allCases.flatMap { command in
            [false, true].flatMap { isTLS in
                callers.flatMap { callers in
                    let isPrincipal = command == .hgetall && (!isTLS || !isQuick)
                    guard isPrincipal || callers == 64 || (!isQuick && !isTLS) else { return [ClientCase]() }
                    guard command == .hgetall || !isTLS || !isQuick else { return [] }
                    return ClientCase.Runner.allCases.map {
                        ClientCase(command: command, isTLS: isTLS, callers: callers, runner: $0)
                    }
                }
            }
        }
    }

    /// The cases of HTTP for one store.
    func httpCases(_ store: String) -> [HTTPCase] {
        connections.flatMap { connections in
            HTTPRoute.allCases.compactMap { route in
                let isExtra = connections != 64
                if route == .unmanaged, isExtra || store != "redis" { return nil }
                if isQuick, route == .bare, store != "redis" { return nil }
                if isQuick, isExtra, store != "redis" || route == .signIn || route == .bare { return nil }
                return HTTPCase(server: store, route: route, connections: connections)
            }
        }
    }
}
