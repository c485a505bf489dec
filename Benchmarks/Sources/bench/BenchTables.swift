// SPDX-License-Identifier: Apache-2.0

import Reporting

/// What a run prints at its end and writes as Markdown: the ratios first, then what they are made of.
struct BenchTables: Sendable {
    let results: BenchResults
    let plan: BenchPlan

    var all: [TextTable] {
        var tables = short.rows.isEmpty ? [] : [short]
        if !results.client.isEmpty { tables += [clientRatios, clientDetails] }
        if !results.stores.cases.isEmpty { tables += [storeRatios, storeDetails] }
        if !results.peers.cases.isEmpty { tables += [peerRatios, peerDetails] }
        return tables + growth
    }

    /// The measures that have a target.
    private var short: TextTable {
        var table = TextTable(title: "In short", heads: [["measure"], ["value"]])
        func add(_ name: String, _ values: [String]) {
            if values.contains(where: { $0 != "–" }) {
                table.add([.init(name), .init(values.joined(separator: " / "))])
            }
        }
        let callers = plan.callers
        let list = callers.map(String.init).joined(separator: " / ")
        add(
            "client over redis-benchmark, HGETALL, callers on the pool, \(list)",
            callers.map { Self.number(results.clientRatio($0, .pool)) }
        )
        add(
            "the same, callers on the event loops, \(list)",
            callers.map { Self.number(results.clientRatio($0, .loops)) }
        )
        add(
            "client CPU per command at 64, pool / loops",
            [ClientCase.Runner.pool, .loops].map {
                Self.micros(results.clientRow(64, $0)?.median(\.processor))
            }
        )
        add(
            "TLS over plain at 64, pool / loops",
            [ClientCase.Runner.pool, .loops].map { runner in
                Self.number(
                    ratio(
                        results.clientRow(64, runner, isTLS: true)?.median(\.rate),
                        results.clientRow(64, runner)?.median(\.rate)
                    )
                )
            }
        )
        add("/none over the bare handler", [Self.number(results.httpRatio("redis", .none, over: .bare))])
        add("read over /none", [Self.number(results.httpRatio("redis", .read, over: .none))])
        add("read and write over /none", [Self.number(results.httpRatio("redis", .write, over: .none))])
        let base = results.http("redis", .none)?.median(\.server)
        func above(_ route: HTTPRoute) -> Double? {
            guard let base, let value = results.http("redis", route)?.median(\.server) else { return nil }
            return value - base
        }
        add(
            "server CPU above /none, read / read and write",
            [Self.micros(above(.read)), Self.micros(above(.write))]
        )
        add(
            "the client's part of a read, and the session layer's",
            [
                Self.micros(above(.unmanaged)),
                Self.micros(above(.read).flatMap { read in above(.unmanaged).map { read - $0 } }),
            ]
        )
        add(
            "a read without a session over /none",
            [
                Self.number(results.httpRatio("redis", .unmanaged, over: .none))
            ]
        )
        add(
            "Redis CPU per request, read / read and write",
            [HTTPRoute.read, .write].map { Self.micros(results.http("redis", $0)?.median(\.redis)) }
        )
        if let checks = results.peers.checks[PeersBenchmark.own] {
            add("lost updates of \(checks.increments)", ["\(checks.lost)"])
        }
        return table
    }

    private var clientRatios: TextTable {
        let callers = plan.callers
        var table = TextTable(
            title: "Client: commands per second over redis-benchmark without pipelining",
            heads: [["command"]] + callers.map { ["pool", "\($0)"] } + callers.map { ["loops", "\($0)"] }
        )
        for command in ClientCase.Command.allCases {
            for isTLS in [false, true] {
                let cells = [ClientCase.Runner.pool, .loops].flatMap { runner in
                    callers.map { Self.number(results.clientRatio($0, runner, command, isTLS: isTLS)) }
                }
                guard cells.contains(where: { $0 != "–" }) else { continue }
                table.add([.init(command.rawValue + (isTLS ? ", TLS" : ""))] + cells.map { .init($0) })
            }
        }
        return table
    }

    private var clientDetails: TextTable {
        var table = TextTable(
            title: "Client: rates, and what one command costs the client's process",
            heads: [
                ["command, callers, runner"], ["over", "-P 1"], ["over", "-P 16"],
                ["commands", "per second"],
                ["spread"], ["CPU"], ["allocations"], ["writes"], ["wake-ups"], ["reads"],
                ["context", "switches"],
            ]
        )
        for row in results.client {
            let item = row.case
            func over(_ reference: ClientCase.Runner) -> String {
                item.runner == reference
                    ? "1"
                    : Self.number(
                        results.clientRatio(
                            item.callers,
                            item.runner,
                            item.command,
                            isTLS: item.isTLS,
                            over: reference
                        )
                    )
            }
            table.add([
                .init(
                    "\(item.command.rawValue)\(item.isTLS ? ", TLS" : ""), \(item.callers), \(item.runner.rawValue)"
                ),
                .init(over(.reference)), .init(over(.pipelined)), .init(Self.number(row.median(\.rate))),
                .init(Self.percent(row.spread(\.rate))), .init(Self.micros(row.median(\.processor))),
                .init(Self.number(row.median(\.allocations))), .init(Self.number(row.median(\.socketWrites))),
                .init(Self.number(row.median(\.wakeUps))), .init(Self.number(row.median(\.reads))),
                .init(Self.number(row.median(\.switches))),
            ])
        }
        return table
    }

    private var storeRatios: TextTable {
        var table = TextTable(
            title: "HTTP: requests per second over /none of the same store, 64 connections",
            heads: [
                ["store"], ["/none", "over bare"], ["read"], ["read", "and write"], ["sign-in"],
                ["server CPU above /none:", "read"], ["read", "and write"],
            ]
        )
        for store in results.storeNames {
            let base = results.http(store, .none)?.median(\.server)
            func above(_ route: HTTPRoute) -> String {
                guard let base, let value = results.http(store, route)?.median(\.server) else { return "–" }
                return Self.micros(value - base)
            }
            table.add(
                [
                    store, Self.number(results.httpRatio(store, .none, over: .bare)),
                    Self.number(results.httpRatio(store, .read, over: .none)),
                    Self.number(results.httpRatio(store, .write, over: .none)),
                    Self.number(results.httpRatio(store, .signIn, over: .none)), above(.read), above(.write),
                ].map { .init($0) }
            )
        }
        for (store, reason) in results.stores.missing.sorted(by: { $0.key < $1.key }) {
            table.add(store, note: "not available: \(reason.prefix(80))")
        }
        return table
    }

    private var storeDetails: TextTable {
        var table = TextTable(
            title: "HTTP: rates, latencies, and what one request costs",
            heads: Self.requestHeads
        )
        for row in results.stores.cases {
            table.add(
                cells(
                    row,
                    name: "\(row.case.server), \(row.case.route.rawValue), \(row.case.connections)",
                    results.stores.sent
                )
            )
        }
        return table
    }

    private static let requestHeads = [
        ["case, connections"], ["requests", "per second"], ["spread"], ["p50"], ["p99"], ["server", "CPU"],
        ["Redis", "CPU"], ["commands", "sent"], ["commands", "executed"], ["errors"],
    ]

    private func cells(
        _ row: Measured<HTTPCase, HTTPSample>,
        name: String,
        _ sent: [HTTPCase: Double]
    ) -> [TextTable.Cell] {
        var alone = row.case
        alone.connections = 1
        let errors = row.samples.reduce(0) { $0 + $1.errors }
        return [
            .init(name), .init(Self.number(row.median(\.rate))), .init(Self.percent(row.spread(\.rate))),
            .init(row.median(\.p50).map(Text.milliseconds) ?? "–"),
            .init(row.median(\.p99).map(Text.milliseconds) ?? "–"), .init(Self.micros(row.median(\.server))),
            .init(Self.micros(row.median(\.redis))), .init(Self.number(sent[alone])),
            .init(Self.number(row.median(\.executed))),
            .init(Text.number(errors), isLoss: errors > 0),
        ]
    }

    private var peerRatios: TextTable {
        var table = TextTable(
            title: "Peers: the same work, 64 connections (!: something is lost)",
            heads: [
                ["peer"], ["over own bare:", "read"], ["read", "and write"],
                ["requests", "per second:", "read"],
                ["", "", "read and write"], ["CPU above bare:", "read"], ["read", "and write"],
                ["commands sent:", "read"], ["read", "and write"], ["updates lost", "of \(plan.increments)"],
                ["sign-outs", "undone"], ["made-up", "id"],
            ]
        )
        for name in results.peers.names {
            func cpu(_ route: HTTPRoute) -> TextTable.Cell {
                guard let above = results.aboveBare(name, route) else { return "–" }
                return .init("\(Text.number(max(0, above.server))) + \(Text.microseconds(above.redis))")
            }
            func sent(_ route: HTTPRoute) -> TextTable.Cell {
                .init(
                    Self.number(results.peers.sent[HTTPCase(server: name, route: route, connections: 1)])
                )
            }
            let checks = results.peers.checks[name]
            table.add([
                .init(name), .init(Self.number(results.peerRatio(name, .read))),
                .init(Self.number(results.peerRatio(name, .write))),
                .init(Self.number(results.peer(name, .read)?.median(\.rate))),
                .init(Self.number(results.peer(name, .write)?.median(\.rate))), cpu(.read), cpu(.write),
                sent(.read), sent(.write),
                .init(checks.map { "\($0.lost)" } ?? "–", isLoss: (checks?.lost ?? 0) > 0),
                .init(
                    checks.map { "\($0.revived)/\($0.attempts)" } ?? "–",
                    isLoss: (checks?.revived ?? 0) > 0
                ),
                .init(
                    checks.map { $0.adoptsMadeUpID ? "adopted" : "refused" } ?? "–",
                    isLoss: checks?.adoptsMadeUpID ?? false
                ),
            ])
        }
        for (name, reason) in results.peers.missing.sorted(by: { $0.key < $1.key }) {
            table.add(name, note: "left out: \(reason.prefix(80))")
        }
        return table
    }

    private var peerDetails: TextTable {
        var table = TextTable(
            title: "Peers: rates, latencies, and what one request costs",
            heads: Self.requestHeads
        )
        for row in results.peers.cases {
            table.add(cells(row, name: "\(row.case.server), \(row.case.route.rawValue)", results.peers.sent))
        }
        return table
    }

    static func number(_ value: Double?) -> String { value.map(Text.number) ?? "–" }
    static func micros(_ value: Double?) -> String { value.map { "\(Text.number($0)) µs" } ?? "–" }
    static func percent(_ value: Double?) -> String {
        value.map { "\(Text.number(($0 * 100).rounded())) %" } ?? "–"
    }
}
