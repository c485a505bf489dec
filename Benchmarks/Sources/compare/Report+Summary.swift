// SPDX-License-Identifier: Apache-2.0

import Reporting

extension Report {
    /// The few numbers that one would tell a colleague.
    var facts: [Page.Fact] {
        var facts: [Page.Fact] = []
        if let fast = results.max(by: { $0.steady.rate < $1.steady.rate }),
            let slow = results.min(by: { $0.steady.rate < $1.steady.rate }),
            results.count > 1
        {
            facts.append(
                Page.Fact(
                    "\(Text.number(fast.steady.rate))/s",
                    "\(fast.strategy.id) is the fastest; \(slow.strategy.id) does \(Text.number(slow.steady.rate * 100 / fast.steady.rate)) % of that"
                )
            )
        }
        let losers = results.filter { $0.kill.lostSessions > 0 }
        let lost = losers.reduce(0) { $0 + $1.kill.lostSessions }
        facts.append(
            Page.Fact(
                "\(lost) lost",
                losers.isEmpty
                    ? "sessions when an instance was killed: no strategy lost any"
                    : "sessions when an instance was killed, with \(names(losers)); \(results.count - losers.count) of \(results.count) strategies lost none"
            )
        )
        let unaware = results.filter { $0.outage.refused + $0.outage.failed == 0 }
        facts.append(
            Page.Fact(
                "\(unaware.count) of \(results.count)",
                unaware.isEmpty
                    ? "strategies went through the outage of Redis unharmed"
                    : "did not notice that Redis was gone: \(names(unaware))"
            )
        )
        if let heavy = results.max(by: { $0.steady.cookieBytes < $1.steady.cookieBytes }),
            let light = results.min(by: { $0.steady.cookieBytes < $1.steady.cookieBytes }),
            light.steady.cookieBytes > 0, results.count > 1
        {
            facts.append(
                Page.Fact(
                    "× \(Text.number(heavy.steady.cookieBytes / light.steady.cookieBytes))",
                    "cookie bytes per request: \(heavy.strategy.id) \(Text.bytes(heavy.steady.cookieBytes)), \(light.strategy.id) \(Text.bytes(light.steady.cookieBytes))"
                )
            )
        }
        return facts
    }

    private func names(_ results: [StrategyResult]) -> String {
        results.map(\.strategy.id).joined(separator: ", ")
    }
}
