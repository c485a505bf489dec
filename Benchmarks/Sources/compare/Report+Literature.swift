// SPDX-License-Identifier: Apache-2.0

import Reporting

extension Report {
    /// The named cost of each strategy beside what was measured.
    var literature: Page.Section {
        var section = Page.Section(
            "What the literature says, and what was measured",
            "The costs that textbooks name for each strategy, beside the numbers of this run."
        )
        section.tables = [
            Page.Table(
                .texts,
                heads: ["strategy", "cost named in the literature", "measured here"],
                rows: results.map { result in
                    Page.Row(
                        name: result.strategy.id,
                        cells: [
                            Page.Cell(result.strategy.namedCost),
                            Page.Cell(sentences(result).joined(separator: " ")),
                        ]
                    )
                }
            )
        ]
        return section
    }

    private func sentences(_ result: StrategyResult) -> [String] {
        switch result.strategy.family {
        case .backend: [hop(result), time(result), refusal(result)]
        case .mapping:
            result.strategy.usesRedis
                ? [route(result), hop(result), crash(result), refusal(result)]
                : [crash(result), newcomer(result), route(result)]
        case .client:
            result.strategy.usesRedis
                ? [cookie(result), hop(result), sealing(result), replay(result), refusal(result)]
                : [cookie(result), sealing(result), replay(result), tabs(result), refusal(result)]
        case .synchronization: [hop(result), copies(result), delay(result), refusal(result)]
        }
    }

    private func hop(_ result: StrategyResult) -> String {
        let steady = result.steady
        return
            "\(Text.number(steady.commandsSent)) commands and \(Text.bytes(steady.redisBytes)) per request between instances and Redis; Redis works \(Text.microseconds(steady.processor.redis)) for each."
    }

    private func time(_ result: StrategyResult) -> String {
        "The median request takes \(Text.milliseconds(result.steady.p50))\(beside(result, { Text.milliseconds($0.steady.p50) }))."
    }

    private func refusal(_ result: StrategyResult) -> String {
        let outage = result.outage
        let bad = outage.refused + outage.failed
        if bad == 0 { return "Redis can stop: no visitor noticed." }
        return
            "With Redis stopped, \(bad) of \(bad + outage.good) requests were refused\(outage.failed == 0 ? " honestly (503)" : ", \(outage.failed) without an answer"), and \(outage.lostSessions == 0 ? "no session" : "\(outage.lostSessions) sessions") lost."
    }

    private func crash(_ result: StrategyResult) -> String {
        let kill = result.kill
        return kill.lostSessions == 0
            ? "Killing one of \(plan.instances) instances lost no session."
            : "Killing one of \(plan.instances) instances lost \(kill.lostSessions) of \(result.sessions) sessions."
    }

    private func newcomer(_ result: StrategyResult) -> String {
        "The instance that was added knew \(result.addition.known.part) of \(result.addition.known.total)."
    }

    private func route(_ result: StrategyResult) -> String {
        let plain = results.first { $0.strategy.id == "redis" }?.steady.cookieBytes
        let size = plain.map { result.steady.cookieBytes - $0 }
        return
            "The balancer's state is a route cookie\(size.map { " of \(Text.bytes($0)) on each request" } ?? ""); it keeps no table."
    }

    private func cookie(_ result: StrategyResult) -> String {
        "\(Text.bytes(result.steady.cookieBytes)) of cookies with each request\(beside(result, { Text.bytes($0.steady.cookieBytes) })), \(Text.bytes(result.steady.clientBytes)) in all between client and balancer."
    }

    private func sealing(_ result: StrategyResult) -> String {
        "Instances work \(Text.microseconds(result.steady.processor.instances)) per request\(beside(result, { Text.microseconds($0.steady.processor.instances) })), sealing and opening included."
    }

    private func replay(_ result: StrategyResult) -> String {
        let replays = result.copies.replays
        return
            "\(replays.part) of \(replays.total) copied cookies still worked after their owners had signed out."
    }

    private func tabs(_ result: StrategyResult) -> String {
        "Two tabs at once lost \(result.copies.tabs.part) of \(result.copies.tabs.total) acknowledged changes."
    }

    private func copies(_ result: StrategyResult) -> String {
        "Each session takes \(Text.growth(result.memory.perSession)) in all instances together\(beside(result, { Text.growth($0.memory.perSession) })), and Redis keeps \(Text.growth(result.memory.redisPerSession)) for it."
    }

    private func delay(_ result: StrategyResult) -> String {
        let stale = result.findings.staleReads
        let reads =
            stale == 0
            ? "No stale read: a copy that is behind waits or asks."
            : "\(stale) stale read\(stale == 1 ? "" : "s"), \(result.copies.stale) of them where two tabs shared a cookie or a copy of one was used."
        return reads
            + " The instance that was added knew \(result.addition.known.part) of \(result.addition.known.total) sessions\(result.addition.serves.map { " and served after \(Text.seconds($0))" } ?? "")."
    }

    /// The same number of the strategy that keeps everything in its own memory: the least that is possible.
    private func beside(_ result: StrategyResult, _ value: (StrategyResult) -> String) -> String {
        guard result.strategy.id != "memory",
            let memory = results.first(where: { $0.strategy.id == "memory" })
        else { return "" }
        return " (memory: \(value(memory)))"
    }
}
