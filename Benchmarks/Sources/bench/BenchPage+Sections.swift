// SPDX-License-Identifier: Apache-2.0

import Reporting

extension BenchPage {
    var client: Page.Section {
        var section = Page.Section(
            "The Redis client",
            "Every caller sends one command at a time and waits for its reply, as request handlers do. The client puts the commands of callers that come together into one write."
        )
        guard !results.client.isEmpty else { return section }
        let callers = plan.callers.map(String.init)
        func values(_ runner: ClientCase.Runner, _ measure: (ClientSample) -> Double?) -> [Double?] {
            plan.callers.map { results.clientRow($0, runner)?.median(measure) }
        }
        let runners: [(ClientCase.Runner, String, String)] = [
            (.loops, "this client, callers on the event loops", "b"),
            (.pool, "this client, callers on the pool", "a"),
            (.pipelined, "redis-benchmark -P 16", "c-dashed"),
            (.reference, "redis-benchmark", "c"),
        ]
        section.figures = [
            Figure(
                "Commands per second",
                "More is better. HGETALL of a hash with 6 fields, by the number of concurrent callers.",
                LinePlot(
                    steps: callers,
                    series: runners.map { .init($0.1, style: $0.2, values($0.0, \.rate)) }
                )
            ),
            Figure(
                "Ratio to redis-benchmark",
                "More is better. The same rounds, redis-benchmark without pipelining is 1.",
                LinePlot(
                    steps: callers,
                    series: [
                        .init(
                            "callers on the event loops",
                            style: "b",
                            plan.callers.map { results.clientRatio($0, .loops) }
                        ),
                        .init(
                            "callers on the pool",
                            style: "a",
                            plan.callers.map { results.clientRatio($0, .pool) }
                        ),
                        .init("redis-benchmark", style: "c", plan.callers.map { _ in 1 }),
                    ]
                )
            ),
            Figure(
                "Processor time per command",
                "Less is better. User and system time of the client's process, in microseconds.",
                LinePlot(
                    steps: callers,
                    series: runners.filter { $0.0 != .pipelined }
                        .map { .init($0.1, style: $0.2, values($0.0, \.processor)) }
                )
            ),
            commandPlot, systemCalls, allocations,
        ]
        return section
    }

    /// Every command at 64 callers, plain and over TLS.
    private var commandPlot: Figure {
        let rows: [BarPlot.Row] = ClientCase.Command.allCases.flatMap { command in
            [false, true].compactMap { isTLS in
                results.clientRatio(64, .pool, command, isTLS: isTLS).map {
                    BarPlot.Row(
                        label: (command == .commit ? "commit" : command.rawValue) + (isTLS ? ", TLS" : ""),
                        style: "own",
                        parts: [$0],
                        text: "× \(Text.number($0))"
                    )
                }
            }
        }
        return Figure(
            "By command, 64 callers",
            "More is better. Ratio to redis-benchmark without pipelining, callers on the pool.",
            bars: rows
        )
    }

    private var allocations: Figure {
        let rows: [BarPlot.Row] = [ClientCase.Runner.pool, .loops].flatMap { runner in
            plan.callers.compactMap { callers in
                results.clientRow(callers, runner)?.median(\.allocations).map {
                    BarPlot.Row(
                        label: "\(callers), \(runner.rawValue)",
                        style: "own",
                        parts: [$0],
                        text: Text.number($0)
                    )
                }
            }
        }
        return Figure(
            "Allocations per command",
            "Less is better. By callers; what the callers allocate for the command is in it.",
            bars: rows
        )
    }

    private var systemCalls: Figure {
        let legend = [
            Page.Legend("writes", "part-instances"), Page.Legend("wake-ups", "part-balancer"),
            Page.Legend("reads", "part-client"), Page.Legend("context switches", "part-redis"),
        ]
        let rows: [BarPlot.Row] = [ClientCase.Runner.pool, .loops].flatMap { runner in
            plan.callers.compactMap { callers in
                guard let row = results.clientRow(callers, runner) else { return nil }
                let parts = [
                    row.median(\.socketWrites), row.median(\.wakeUps), row.median(\.reads),
                    row.median(\.switches),
                ].map { $0 ?? 0 }
                return BarPlot.Row(
                    label: "\(callers), \(runner.rawValue)",
                    parts: parts,
                    text: Text.number(parts.reduce(0, +))
                )
            }
        }
        return Figure(
            "System calls and switches",
            "Less is better, per command. A caller alone pays for each, many share them.",
            legend: legend,
            bars: rows
        )
    }

    var stores: Page.Section {
        var section = Page.Section(
            "Over HTTP",
            "One instance, one Redis and wrk share the machine. bare: outside of the middleware; none: under it, without touching the session."
        )
        guard !results.stores.cases.isEmpty else { return section }
        let colours: [HTTPRoute: String] = [
            .bare: "floor", .none: "part-client", .unmanaged: "floor", .read: "backend", .write: "client",
            .signIn: "synchronization",
        ]
        func bars(
            _ title: String,
            _ note: String,
            _ store: String,
            _ value: (Measured<HTTPCase, HTTPSample>) -> (Double, String)?
        ) -> Figure {
            Figure(
                title,
                note,
                bars: HTTPRoute.allCases.compactMap { route in
                    guard let row = results.http(store, route), let (number, text) = value(row) else {
                        return nil
                    }
                    return .init(
                        label: route.rawValue,
                        style: colours[route] ?? "",
                        parts: [number],
                        text: text
                    )
                }
            )
        }
        let rates = results.storeNames.map { store in
            bars(store, "More is better: requests per second, 64 connections.", store) { row in
                row.median(\.rate).map { ($0, Text.number($0)) }
            }
        }
        let store = results.storeNames.first ?? "redis"
        let more = [
            bars("\(store): half and 99 % of the requests", "Less is better: the median is the bar.", store) {
                row in
                guard let half = row.median(\.p50), let most = row.median(\.p99) else { return nil }
                return (half, "\(Text.number(half)) / \(Text.milliseconds(most))")
            },
            Figure(
                "\(store): processor time per request",
                "Less is better. All of the application, HTTP included, and Redis.",
                legend: [Page.Legend("application", "part-instances"), Page.Legend("Redis", "part-redis")],
                bars: HTTPRoute.allCases.compactMap { route in
                    guard let row = results.http(store, route), let server = row.median(\.server),
                        let redis = row.median(\.redis)
                    else { return nil }
                    return .init(
                        label: route.rawValue,
                        parts: [server, redis],
                        text: "\(Text.number(server)) + \(Text.microseconds(redis))"
                    )
                }
            ),
        ]
        section.figures = rates + more
        return section
    }

    var growth: Page.Section {
        var section = Page.Section(
            "What grows",
            "With the number of sessions, their size, the instances and the attributes."
        )
        let growth = results.growth
        func add(_ title: String, _ note: String, _ steps: [String], _ series: [LinePlot.Series]) {
            guard !steps.isEmpty else { return }
            section.figures.append(Figure(title, note, LinePlot(steps: steps, series: series)))
        }
        add(
            "Sessions in one Redis",
            "More is better: requests per second with so many sessions stored.",
            growth.populations.map { Text.number(Double($0.sessions)) },
            Self.rates(growth.populations, \.read, \.write)
        )
        add(
            "Size of a session",
            "More is better: requests per second when one attribute has so many bytes.",
            growth.payloads.map { Text.bytes(Double($0.bytes)) },
            Self.rates(growth.payloads, \.read, \.write)
        )
        add(
            "Instances on one Redis",
            "More is better: all instances together; they share the machine's cores.",
            growth.fleets.map { "\($0.instances)" },
            Self.rates(growth.fleets, \.read, \.write)
        )
        add(
            "Attributes of a session",
            "Less is better: microseconds that Redis works on a commit and on the read before it.",
            growth.attributes.map { "\($0.attributes)" },
            [
                .init("commit", style: "d", growth.attributes.map(\.commit)),
                .init("read", style: "a", growth.attributes.map(\.read)),
            ]
        )
        return section
    }

    /// The lines of reads, and of reads and writes.
    private static func rates<Step>(
        _ steps: [Step],
        _ read: KeyPath<Step, HTTPSample>,
        _ write: KeyPath<Step, HTTPSample>
    ) -> [LinePlot.Series] {
        [
            .init("read", style: "a", steps.map { $0[keyPath: read].rate }),
            .init("read and write", style: "d", steps.map { $0[keyPath: write].rate }),
        ]
    }
}
