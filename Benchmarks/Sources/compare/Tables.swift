// SPDX-License-Identifier: Apache-2.0

import Reporting

/// What the run prints at its end: what each strategy costs, and what it loses.
enum Tables {
    static func all(_ entries: [Entry]) -> [TextTable] { [costs(entries), bytes(entries), faults(entries)] }

    private static func costs(_ entries: [Entry]) -> TextTable {
        var table = TextTable(
            title: "Steady load",
            heads: [
                ["strategy"], ["requests", "per second"], ["p50"], ["p99"],
                ["processor", "instances", "per request"],
                ["processor", "Redis", "per request"], ["commands", "to Redis", "per request"],
                ["and inside", "scripts"],
                ["failed"],
            ]
        )
        for entry in entries {
            guard case .measured(let result) = entry else {
                unavailable(entry, in: &table)
                continue
            }
            let steady = result.steady
            table.add([
                .init(result.strategy.id), .init(Text.number(steady.rate)),
                .init(Text.milliseconds(steady.p50)),
                .init(Text.milliseconds(steady.p99)), .init(Text.microseconds(steady.processor.instances)),
                .init(Text.microseconds(steady.processor.redis)), .init(Text.number(steady.commandsSent)),
                .init(Text.number(steady.commandsInScripts)), .init("\(steady.bad)", isLoss: steady.bad > 0),
            ])
        }
        return table
    }

    private static func bytes(_ entries: [Entry]) -> TextTable {
        var table = TextTable(
            title: "On the wire and in memory",
            heads: [
                ["strategy"], ["client to", "balancer", "per request"],
                ["balancer to", "instance", "per request"],
                ["instance to", "Redis", "per request"], ["cookies", "per request"],
                ["memory", "per instance"],
                ["instances'", "memory", "per session"], ["Redis'", "memory", "per session"],
            ]
        )
        for entry in entries {
            guard case .measured(let result) = entry else {
                unavailable(entry, in: &table)
                continue
            }
            let steady = result.steady
            table.add([
                .init(result.strategy.id), .init(Text.bytes(steady.clientBytes)),
                .init(Text.bytes(steady.instanceBytes)),
                .init(Text.bytes(steady.redisBytes)), .init(Text.bytes(steady.cookieBytes)),
                .init(Text.bytes(result.memory.after)),
                .init(Text.growth(result.memory.perSession)),
                .init(Text.growth(result.memory.redisPerSession)),
            ])
        }
        return table
    }

    private static func faults(_ entries: [Entry]) -> TextTable {
        var table = TextTable(
            title: "Faults, and what the visitors' own histories found (!: something is lost)",
            heads: [
                ["strategy"], ["killed:", "sessions", "lost"], ["", "requests", "failed"],
                ["", "", "recovery"],
                ["added:", "knows", "sessions"], ["", "", "serves"], ["outage:", "requests", "bad"],
                ["", "", "recovery"],
                ["stale", "reads"], ["lost", "updates"], ["in two", "tabs"], ["copies", "work"],
            ]
        )
        for entry in entries {
            guard case .measured(let result) = entry else {
                unavailable(entry, in: &table)
                continue
            }
            let (kill, addition, outage, copies) = (
                result.kill, result.addition, result.outage, result.copies
            )
            let hit = outage.refused + outage.failed
            let foreign = result.findings.foreignReads
            table.add([
                .init(result.strategy.id),
                .init("\(kill.lostSessions)/\(result.sessions)", isLoss: kill.lostSessions > 0),
                .init("\(kill.bad)"), .init(Text.seconds(kill.recovery)),
                .init(
                    "\(addition.known.part)/\(addition.known.total)",
                    isLoss: addition.known.part < addition.known.total
                ),
                .init(addition.serves.map(Text.seconds) ?? "never"),
                .init("\(hit)/\(hit + outage.good)"), .init(Text.seconds(outage.recovery)),
                .init(
                    "\(result.findings.staleReads)" + (foreign > 0 ? "+\(foreign)" : ""),
                    isLoss: result.findings.staleReads + foreign > 0
                ),
                .init("\(result.findings.lostUpdates)", isLoss: result.findings.lostUpdates > 0),
                .init("\(copies.tabs.part)/\(copies.tabs.total)", isLoss: copies.tabs.part > 0),
                .init("\(copies.replays.part)/\(copies.replays.total)", isLoss: copies.replays.part > 0),
            ])
        }
        return table
    }

    private static func unavailable(_ entry: Entry, in table: inout TextTable) {
        guard case .unavailable(let strategy, let reason) = entry else { return }
        table.add(strategy.id, note: "not available: \(reason.prefix(80))")
    }
}
