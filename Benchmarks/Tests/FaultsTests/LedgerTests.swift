// SPDX-License-Identifier: Apache-2.0

import Reporting
import Testing

@testable import faults

/// What `make faults` takes for lost, for executed twice, and for the time without a write.
@Suite struct LedgerTests {
    @Test func `what was acknowledged must be there, and no more than may have been written`() {
        var ledger = Ledger()
        for _ in 0..<3 { ledger.acknowledged(.increment, at: .zero) }
        ledger.acknowledged(.append(4), at: .seconds(1))
        #expect(ledger.verdict(counter: 3, list: [4]) == .init())
        let lost = ledger.verdict(counter: 1, list: [])
        #expect(lost == .init(lost: 3, lostBetween: .seconds(1) ... .seconds(1)))
        #expect(ledger.verdict(counter: 4, list: [4, 4]) == .init(surplus: 2))
        #expect(ledger.verdict(counter: 3, list: [4, 5]) == .init(surplus: 1))
        // Unknown outcomes may be there or not, each once.
        ledger.refused(unknown: .increment)
        ledger.refused(unknown: .append(5))
        ledger.refused()
        for counter in 3...4 { #expect(ledger.verdict(counter: counter, list: [4]) == .init()) }
        #expect(ledger.verdict(counter: 5, list: [4, 5]) == .init(surplus: 1))
        #expect(ledger.verdict(counter: 4, list: [4, 5, 5]) == .init(surplus: 1))
        #expect(ledger.refused == 3 && ledger.acknowledged == 4)
    }

    @Test func `the time of what is lost is that of the appends`() {
        var ledger = Ledger()
        for number in 1...4 { ledger.acknowledged(.append(number), at: .seconds(number)) }
        let verdict = ledger.verdict(counter: 0, list: [1, 3])
        #expect(verdict == .init(lost: 2, lostBetween: .seconds(2) ... .seconds(4)))
        var row = Row("a", "b", mayLose: true)
        row.add(ledger, .init(lost: 1, lostBetween: .seconds(1) ... .seconds(2)))
        row.add(ledger, verdict)
        #expect(row.lost == 3 && row.cells.contains { $0.text == "3 s" })
    }

    @Test func `the longest time without a write begins with the fault`() {
        var ledger = Ledger()
        ledger.acknowledged(.increment, at: .seconds(1))
        ledger.acknowledged(.increment, at: .seconds(9))
        ledger.faultBegan(at: .seconds(10))
        #expect(ledger.outage == nil)
        ledger.acknowledged(.increment, at: .seconds(12))
        #expect(ledger.outage == .seconds(2))
        ledger.acknowledged(.increment, at: .seconds(13))
        #expect(ledger.outage == .seconds(2))
        ledger.acknowledged(.increment, at: .seconds(16))
        #expect(ledger.outage == .seconds(3))
    }

    @Test func `a row is broken by what must not happen in its scenario`() {
        func row(_ ledger: Ledger, _ verdict: Ledger.Verdict?, mayLose: Bool) -> Row {
            var row = Row("a", "b", mayLose: mayLose)
            row.add(ledger, verdict)
            return row
        }
        var ledger = Ledger()
        ledger.faultBegan(at: .zero)
        #expect(row(ledger, .init(), mayLose: true).isBroken)  // Never written again.
        ledger.acknowledged(.increment, at: .seconds(1))
        ledger.refused(unknown: .increment)
        ledger.read(isOwn: true)
        #expect(!row(ledger, .init(), mayLose: false).isBroken)
        #expect(row(ledger, .init(lost: 1), mayLose: false).isBroken)
        #expect(!row(ledger, .init(lost: 1), mayLose: true).isBroken)
        #expect(row(ledger, .init(surplus: 1), mayLose: true).isBroken)
        // A session that is gone has lost all of its writes.
        #expect(row(ledger, nil, mayLose: true).lost == 1)
        var failed = ledger
        failed.failed("conflict")
        #expect(row(failed, .init(), mayLose: true).isBroken)
        var foreign = ledger
        foreign.read(isOwn: false)
        #expect(row(foreign, .init(), mayLose: true).isBroken)
    }
}
