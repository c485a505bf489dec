// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import Reporting

/// The bar, and the time left that it names.
@Suite struct RunProgressTests {
    @Test func `a run on plan has the rest of the plan left`() {
        var pace = Pace(parts: [60, 40])
        pace.begin(part: 0)
        #expect(pace.position(in: 0, since: 0).secondsLeft == 100)
        for step in 1...3 { pace.finish(step: 20, elapsed: Double(step) * 20) }
        pace.begin(part: 1)
        #expect(pace.position(in: 0, since: 0) == (share: 0.6, secondsLeft: 40))
        #expect(pace.position(in: 40, since: 10) == (share: 0.7, secondsLeft: 30))
    }

    @Test func `a machine that is slower than planned has more time left`() {
        var pace = Pace(parts: [100])
        pace.begin(part: 0)
        pace.finish(step: 50, elapsed: 115)
        // 15 seconds of the plan count beside the 50 that were done: (115 + 15) ÷ (50 + 15).
        #expect(pace.position(in: 0, since: 0) == (share: 0.5, secondsLeft: 100))
        // Twice as slow: ten real seconds are five planned ones.
        #expect(pace.position(in: 20, since: 10) == (share: 0.55, secondsLeft: 90))
    }

    @Test func `a step that takes longer than planned does not claim to be over`() {
        var pace = Pace(parts: [10, 10])
        pace.begin(part: 0)
        #expect(pace.position(in: 5, since: 1_000).share == 0.25)
        // Nor does a part that has more steps than planned take from the next.
        for _ in 0..<9 { pace.finish(step: 5, elapsed: 5) }
        #expect(pace.position(in: 5, since: 1_000).share == 0.5)
    }

    @Test func `what is left out counts as done`() {
        var pace = Pace(parts: [30, 30, 40])
        pace.begin(part: 0)
        pace.finish(step: 5, elapsed: 5)
        pace.begin(part: 2)
        #expect(pace.position(in: 0, since: 0).share == 0.6)
    }

    @Test(arguments: [
        (0.0, "0 s"), (59.4, "59 s"), (60, "1 min"), (83, "1 min 20 s"), (118, "2 min"), (599, "10 min"),
        (754, "13 min"),
        (-3, "0 s"),
    ])
    func `lengths of time have few digits`(seconds: Double, words: String) {
        #expect(RunProgress.words(seconds) == words)
    }

    @Test func `the bar fits into the terminal`() {
        let whole = RunProgress.bar(share: 0.5, secondsLeft: 83, "redis: an instance killed", columns: 100)
        #expect(whole == "████████████░░░░░░░░░░░░ 50 %, about 1 min 20 s left  redis: an instance killed")
        let cut = RunProgress.bar(share: 0.5, secondsLeft: 83, "redis: an instance killed", columns: 60)
        #expect(cut.count < 60 && cut.hasSuffix("…"))
        #expect(RunProgress.bar(share: 7, secondsLeft: -1, "", columns: 80).contains("100 %"))
    }

    @Test func `a terminal has lines above a bar, a file has lines alone`() async {
        func written(isTerminal: Bool) async -> String {
            let text = Written()
            let progress = RunProgress(parts: [10, 10], isTerminal: isTerminal) { text.add($0) }
            progress.begin(0, "one", "[1/2] one")
            await progress.step("work", seconds: 10) {}
            progress.write("      work: done")
            progress.end()
            progress.write("result")
            return text.value
        }
        #expect(await written(isTerminal: false) == "[1/2] one (about 20 s left)\n      work: done\nresult\n")
        let shown = await written(isTerminal: true)
        #expect(shown.contains("░ 0 %, about 20 s left  one: work"))
        #expect(shown.hasSuffix("\r\u{1B}[Kresult\n"))
        // Each line begins where the bar was.
        #expect(shown.contains("\r\u{1B}[K      work: done\n"))
    }

    /// What a progress has written.
    private final class Written: Sendable {
        private let text = Mutex("")

        var value: String { text.withLock { $0 } }

        func add(_ more: String) { text.withLock { $0 += more } }
    }
}
