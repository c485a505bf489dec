// SPDX-License-Identifier: Apache-2.0

import Reporting

extension Report {
    /// One card of bars for each measure.
    var costs: Page.Section {
        var section = Page.Section(
            "What it costs",
            "Full load, nothing broken; the same mix of requests for all."
        )
        section.figures = plots
        return section
    }

    private var plots: [Figure] {
        [
            single(
                "Requests per second",
                "More is better. Client, balancer, instances and Redis share \(machine.cores) cores."
            ) {
                ($0.steady.rate, Text.number($0.steady.rate))
            },
            parts(
                "Time of a request",
                "Less is better: median, and what one in a hundred exceeds.",
                [("median", "part-instances"), ("99th percentile", "part-client")]
            ) {
                (
                    [$0.steady.p50, max(0, $0.steady.p99 - $0.steady.p50)],
                    "\(Text.number($0.steady.p50)) / \(Text.milliseconds($0.steady.p99))"
                )
            },
            single("Time of a change", "Less is better: the median of the requests that change a session.") {
                let time = $0.steady.p50ByKind[.write] ?? 0
                return (time, Text.milliseconds(time))
            },
            parts(
                "Processor time per request",
                "Less is better. The client's own share is the same work for all.",
                [("balancer", "part-balancer"), ("instances", "part-instances"), ("Redis", "part-redis")]
            ) {
                let time = $0.steady.processor
                return (
                    [time.balancer, time.instances, time.redis],
                    Text.microseconds(time.balancer + time.instances + time.redis)
                )
            },
            parts(
                "Bytes on the wire per request",
                "Less is better; both directions, from the counters of HAProxy and Redis.",
                [
                    ("client to balancer", "part-balancer"), ("balancer to instance", "part-instances"),
                    ("instance to Redis", "part-redis"),
                ]
            ) {
                let steady = $0.steady
                return (
                    [steady.clientBytes, steady.instanceBytes, steady.redisBytes],
                    Text.bytes(steady.clientBytes + steady.instanceBytes + steady.redisBytes)
                )
            },
            single(
                "Cookies per request",
                "Less is better: what a visitor with a session sends each time, median."
            ) {
                ($0.steady.cookieBytes, Text.bytes($0.steady.cookieBytes))
            },
            parts(
                "Redis commands per request",
                "Less is better. Sent over the wire, and run inside scripts on arrival.",
                [("sent", "part-redis"), ("inside scripts", "part-client")]
            ) {
                let steady = $0.steady
                return (
                    [steady.commandsSent, steady.commandsInScripts],
                    "\(Text.number(steady.commandsSent)) + \(Text.number(steady.commandsInScripts))"
                )
            },
            parts(
                "Memory per session",
                "Less is better: growth for each of \(plan.sessions) more sessions, all instances together.",
                [("instances", "part-instances"), ("Redis", "part-redis")]
            ) {
                let memory = $0.memory
                return (
                    [memory.perSession, memory.redisPerSession],
                    Text.growth(max(0, memory.perSession) + max(0, memory.redisPerSession))
                )
            },
            single("Memory per instance", "Less is better: resident, after those sessions were created.") {
                ($0.memory.after, Text.bytes($0.memory.after))
            },
        ]
    }

    private func single(_ title: String, _ note: String, _ measure: (StrategyResult) -> (Double, String))
        -> Figure
    {
        Figure(
            title,
            note,
            bars: results.map { result in
                let (value, text) = measure(result)
                return .init(
                    label: result.strategy.id,
                    style: result.strategy.family.rawValue,
                    parts: [value],
                    text: text
                )
            }
        )
    }

    private func parts(
        _ title: String,
        _ note: String,
        _ legend: [(String, String)],
        _ measure: (StrategyResult) -> ([Double], String)
    ) -> Figure {
        Figure(
            title,
            note,
            legend: legend.map { Page.Legend($0.0, $0.1) },
            bars: results.map { result in
                let (values, text) = measure(result)
                return .init(label: result.strategy.id, parts: values, text: text)
            }
        )
    }
}
