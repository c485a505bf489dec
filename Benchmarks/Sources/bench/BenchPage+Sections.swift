// SPDX-License-Identifier: Apache-2.0

import Reporting

extension BenchPage {
    /// Cards in two columns when there are four, else in as many as there is room for.
    static func grid(_ plots: [String]) -> String {
        HTML.element("div", ["class": plots.count == 4 ? "times" : "plots"], plots)
    }

    var client: String {
        guard !results.client.isEmpty else { return "" }
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
        let plots = [
            LinePlot(
                title: "Commands per second",
                note: "More is better. HGETALL of a hash with 6 fields, by the number of concurrent callers.",
                steps: callers,
                series: runners.map { .init(name: $0.1, style: $0.2, values: values($0.0, \.rate)) }
            ).html,
            LinePlot(
                title: "Ratio to redis-benchmark",
                note: "More is better. The same rounds, redis-benchmark without pipelining is 1.",
                steps: callers,
                series: [
                    .init(
                        name: "callers on the event loops",
                        style: "b",
                        values: plan.callers.map { results.clientRatio($0, .loops) }
                    ),
                    .init(
                        name: "callers on the pool",
                        style: "a",
                        values: plan.callers.map { results.clientRatio($0, .pool) }
                    ),
                    .init(name: "redis-benchmark", style: "c", values: plan.callers.map { _ in 1 }),
                ]
            ).html,
            LinePlot(
                title: "Processor time per command",
                note: "Less is better. User and system time of the client's process, in microseconds.",
                steps: callers,
                series: runners.filter { $0.0 != .pipelined }
                    .map { .init(name: $0.1, style: $0.2, values: values($0.0, \.processor)) }
            ).html,
            commandPlot, systemCalls, allocations,
        ]
        return HTML.section(
            "The Redis client",
            "Every caller sends one command at a time and waits for its reply, as request handlers do. The client puts the commands of callers that come together into one write.",
            Self.grid(plots)
        )
    }

    /// Every command at 64 callers, plain and over TLS.
    private var commandPlot: String {
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
        return BarPlot(
            title: "By command, 64 callers",
            note: "More is better. Ratio to redis-benchmark without pipelining, callers on the pool.",
            rows: rows
        ).html
    }

    private var allocations: String {
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
        return BarPlot(
            title: "Allocations per command",
            note: "Less is better. By callers; what the callers allocate for the command is in it.",
            rows: rows
        ).html
    }

    private var systemCalls: String {
        let legend = [
            (name: "writes", style: "part-instances"), (name: "wake-ups", style: "part-balancer"),
            (name: "reads", style: "part-client"), (name: "context switches", style: "part-redis"),
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
                    style: "",
                    parts: parts,
                    text: Text.number(parts.reduce(0, +))
                )
            }
        }
        return BarPlot(
            title: "System calls and switches",
            note: "Less is better, per command. A caller alone pays for each, many share them.",
            legend: legend,
            rows: rows
        ).html
    }

    var stores: String {
        guard !results.stores.cases.isEmpty else { return "" }
        let colours: [HTTPRoute: String] = [
            .bare: "floor", .none: "part-client", .unmanaged: "floor", .read: "backend", .write: "client",
            .signIn: "synchronization",
        ]
        func bars(
            _ title: String,
            _ note: String,
            _ store: String,
            _ value: (Measured<HTTPCase, HTTPSample>) -> (Double, String)?
        ) -> String {
            BarPlot(
                title: title,
                note: note,
                rows: HTTPRoute.allCases.compactMap { route in
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
            ).html
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
            BarPlot(
                title: "\(store): processor time per request",
                note: "Less is better. All of the application, HTTP included, and Redis.",
                legend: [
                    (name: "application", style: "part-instances"), (name: "Redis", style: "part-redis"),
                ],
                rows: HTTPRoute.allCases.compactMap { route in
                    guard let row = results.http(store, route), let server = row.median(\.server),
                        let redis = row.median(\.redis)
                    else { return nil }
                    return .init(
                        label: route.rawValue,
                        style: "",
                        parts: [server, redis],
                        text: "\(Text.number(server)) + \(Text.microseconds(redis))"
                    )
                }
            ).html,
        ]
        return HTML.section(
            "Over HTTP",
            "One instance, one Redis and wrk share the machine. bare: outside of the middleware; none: under it, without touching the session.",
            Self.grid(rates + more)
        )
    }

    var growth: String {
        let growth = results.growth
        var plots: [String] = []
        if !growth.populations.isEmpty {
            plots.append(
                LinePlot(
                    title: "Sessions in one Redis",
                    note: "More is better: requests per second with so many sessions stored.",
                    steps: growth.populations.map { Text.number(Double($0.sessions)) },
                    series: Self.rates(growth.populations, \.read, \.write)
                ).html
            )
        }
        if !growth.payloads.isEmpty {
            plots.append(
                LinePlot(
                    title: "Size of a session",
                    note: "More is better: requests per second when one attribute has so many bytes.",
                    steps: growth.payloads.map { Text.bytes(Double($0.bytes)) },
                    series: Self.rates(growth.payloads, \.read, \.write)
                ).html
            )
        }
        if !growth.fleets.isEmpty {
            plots.append(
                LinePlot(
                    title: "Instances on one Redis",
                    note: "More is better: all instances together; they share the machine's cores.",
                    steps: growth.fleets.map { "\($0.instances)" },
                    series: Self.rates(growth.fleets, \.read, \.write)
                ).html
            )
        }
        if !growth.attributes.isEmpty {
            plots.append(
                LinePlot(
                    title: "Attributes of a session",
                    note:
                        "Less is better: microseconds that Redis works on a commit and on the read before it.",
                    steps: growth.attributes.map { "\($0.attributes)" },
                    series: [
                        .init(name: "commit", style: "d", values: growth.attributes.map(\.commit)),
                        .init(name: "read", style: "a", values: growth.attributes.map(\.read)),
                    ]
                ).html
            )
        }
        guard !plots.isEmpty else { return "" }
        return HTML.section(
            "What grows",
            "With the number of sessions, their size, the instances and the attributes.",
            Self.grid(plots)
        )
    }

    /// The lines of reads, and of reads and writes.
    private static func rates<Step>(
        _ steps: [Step],
        _ read: KeyPath<Step, HTTPSample>,
        _ write: KeyPath<Step, HTTPSample>
    ) -> [LinePlot.Series] {
        [
            .init(name: "read", style: "a", values: steps.map { $0[keyPath: read].rate }),
            .init(name: "read and write", style: "d", values: steps.map { $0[keyPath: write].rate }),
        ]
    }
}
