// SPDX-License-Identifier: Apache-2.0

import Reporting

/// Everything that one run has measured; parts that were left out are nil or empty.
struct BenchResults: Sendable {
    var client: [Measured<ClientCase, ClientSample>] = []
    var stores = StoresBenchmark.Result()
    var peers = PeersBenchmark.Result()
    var growth = GrowthBenchmark.Result()
    /// Parts that failed as a whole, in words.
    var failures: [String] = []

    func clientRow(
        _ callers: Int,
        _ runner: ClientCase.Runner,
        _ command: ClientCase.Command = .hgetall,
        isTLS: Bool = false
    ) -> Measured<ClientCase, ClientSample>? {
        let wanted = ClientCase(command: command, isTLS: isTLS, callers: callers, runner: runner)
        return client.first { $0.case == wanted }
    }

    func http(_ store: String, _ route: HTTPRoute, _ connections: Int = 64) -> Measured<HTTPCase, HTTPSample>?
    {
        let wanted = HTTPCase(server: store, route: route, connections: connections)
        return stores.cases.first { $0.case == wanted }
    }

    func peer(_ name: String, _ route: HTTPRoute) -> Measured<HTTPCase, HTTPSample>? {
        let wanted = HTTPCase(server: name, route: route, connections: 64)
        return peers.cases.first { $0.case == wanted }
    }

    /// The client's rate over that of `redis-benchmark` without pipelining, or of another runner.
    func clientRatio(
        _ callers: Int,
        _ runner: ClientCase.Runner,
        _ command: ClientCase.Command = .hgetall,
        isTLS: Bool = false,
        over reference: ClientCase.Runner = .reference
    ) -> Double? {
        ratio(
            clientRow(callers, runner, command, isTLS: isTLS)?.median(\.rate),
            clientRow(callers, reference, command, isTLS: isTLS)?.median(\.rate)
        )
    }

    /// The rate of one route over that of another, for one store.
    func httpRatio(_ store: String, _ route: HTTPRoute, over base: HTTPRoute, _ connections: Int = 64)
        -> Double?
    {
        ratio(
            http(store, route, connections)?.median(\.rate),
            http(store, base, connections)?.median(\.rate)
        )
    }

    func peerRatio(_ name: String, _ route: HTTPRoute) -> Double? {
        ratio(peer(name, route)?.median(\.rate), peer(name, .bare)?.median(\.rate))
    }

    /// Microseconds of processor time for a request above the bare handler: application and Redis.
    func aboveBare(_ name: String, _ route: HTTPRoute) -> (server: Double, redis: Double)? {
        guard let own = peer(name, route), let bare = peer(name, .bare), let server = own.median(\.server),
            let floor = bare.median(\.server), let redis = own.median(\.redis),
            let idle = bare.median(\.redis)
        else { return nil }
        return (server - floor, redis - idle)
    }

    /// The stores that were measured, in the order of the run.
    var storeNames: [String] {
        stores.cases.reduce(into: []) { names, row in
            if !names.contains(row.case.server) { names.append(row.case.server) }
        }
    }

    /// The processors that other programs kept busy, for each measurement.
    var foreign: [Double] {
        client.flatMap(\.foreign) + stores.cases.flatMap(\.foreign) + peers.cases.flatMap(\.foreign)
    }

    var isEmpty: Bool {
        client.isEmpty && stores.cases.isEmpty && peers.cases.isEmpty && growth.attributes.isEmpty
    }
}
