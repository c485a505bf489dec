// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import TestSupport
import Testing

@testable import compare

/// `make compare`: what decides that something is stale or lost, the arithmetic, the tables, and one small
/// run.
@Suite struct CompareTests {
    typealias Sight = History.Sight

    private let start = ContinuousClock.now

    /// A signed-in visitor with two items, a count of two and the first note, all acknowledged.
    private func member() -> History {
        var history = History(user: "v1")
        for write in [History.Write.birth, .append(1), .append(2), .increment, .increment, .note(1), .signIn]
        {
            history.acknowledged(write, askedAt: start)
        }
        return history
    }

    private let whole = Sight(principal: "v1", birth: "v1.1", items: [1, 2], count: 2, note: 1)

    @Test func `a read that shows all that was acknowledged is current`() {
        #expect(member().judge(whole) == .current)
    }

    @Test(arguments: [
        Sight(principal: "v1", birth: "v1.1", items: [1], count: 2, note: 1),
        Sight(principal: "v1", birth: "v1.1", items: [1, 2], count: 1, note: 1),
        Sight(principal: "v1", birth: "v1.1", items: [1, 2], count: 2, note: 0),
    ])
    func `a read without an acknowledged change is behind by one`(sight: Sight) {
        #expect(member().judge(sight) == .behind(1))
    }

    @Test func `what was read once must be read from then on`() {
        var history = member()
        history.leftOpen(.append(3), until: start)
        history.leftOpen(.increment, until: start)
        #expect(history.judge(whole) == .current)
        let more = Sight(principal: "v1", birth: "v1.1", items: [1, 2, 3], count: 3, note: 1)
        #expect(history.judge(more) == .current)
        history.saw(more, askedAt: start + .seconds(1))
        #expect(history.judge(whole) == .behind(2))
    }

    @Test func `a change without an answer may happen until its deadline, and is an error after it`() {
        let empty = Sight(principal: "v1", birth: "v1.1", items: [], count: 2, note: 1)
        var open = member()
        open.leftOpen(.clearItems, until: start + .seconds(6))
        // Redis answered again before the change was applied or refused.
        open.saw(whole, askedAt: start + .seconds(3))
        #expect(open.judge(whole) == .current && open.judge(empty) == .current)
        // Appended after the open change, or before it.
        open.acknowledged(.append(3), askedAt: start + .seconds(4))
        #expect(open.judge(Sight(principal: "v1", birth: "v1.1", items: [3], count: 2, note: 1)) == .current)
        #expect(open.judge(empty) == .current)
        open.saw(whole, askedAt: start + .seconds(7))
        #expect(open.judge(empty) == .behind(2))
    }

    @Test func `a sign-out without an answer may happen until its deadline`() {
        var open = member()
        open.leftOpen(.signOut, until: start + .seconds(6))
        open.saw(whole, askedAt: start + .seconds(3))
        #expect(open.judge(Sight()) == .current && open.judge(whole) == .current)
        open.saw(whole, askedAt: start + .seconds(7))
        #expect(open.judge(Sight()) == .gone)
    }

    @Test func `items that were cleared away and show up again are old state`() {
        var history = member()
        history.acknowledged(.clearItems, askedAt: start)
        #expect(history.judge(whole) == .behind(2))
    }

    @Test func `a lost update is counted once`() {
        var history = member()
        let less = Sight(principal: "v1", birth: "v1.1", items: [2], count: 2, note: 1)
        #expect(history.judge(less) == .behind(1))
        history.lostUpdates(less)
        #expect(history.judge(less) == .current)
    }

    @Test func `a session without its mark or its principal is gone, and lost once`() {
        var history = member()
        #expect(
            history.judge(Sight(principal: nil, birth: "v1.1", items: [1, 2], count: 2, note: 1)) == .gone
        )
        let fresh = Sight(principal: nil, birth: nil, items: [7])
        #expect(history.judge(fresh) == .gone)
        history.lost(fresh)
        #expect(history.judge(fresh) == .current)
        #expect(history.mark == "v1.2")
    }

    @Test func `another visitor's session, a future item and a session that was signed out are foreign`() {
        var history = member()
        #expect(history.judge(Sight(principal: "v1", birth: "v2.1")) == .foreign)
        #expect(history.judge(Sight(principal: "v2", birth: "v1.1")) == .foreign)
        #expect(
            history.judge(Sight(principal: "v1", birth: "v1.1", items: [1, 2, 9], count: 2, note: 1))
                == .foreign
        )
        history.acknowledged(.signOut, askedAt: start)
        #expect(history.judge(whole) == .foreign)
        #expect(history.judge(Sight()) == .current)
    }

    @Test func `a sign-in without an answer is counted for neither`() {
        var history = History(user: "v1")
        history.acknowledged(.birth, askedAt: start)
        history.leftOpen(.signIn, until: start)
        #expect(history.judge(Sight()) == .current)
        #expect(history.judge(Sight(principal: "v1", birth: "v1.1")) == .current)
    }

    @Test func `percentiles are by nearest rank`() {
        let values = (1...200).map(Double.init).shuffled()
        #expect(percentile(0.5, of: values) == 100)
        #expect(percentile(0.99, of: values) == 198)
        #expect(percentile(0.99, of: [3]) == 3)
        #expect(percentile(0.5, of: []) == nil)
    }

    @Test func `recovery ends with the last bad request, also when it began before the fault`() {
        func sample(_ start: Double, _ seconds: Double, _ outcome: Sample.Outcome) -> Sample {
            Sample(start: start, seconds: seconds, kind: .read, outcome: outcome, instance: 1)
        }
        let samples = [
            sample(0.5, 0.1, .failed), sample(0.9, 1.5, .refused), sample(2, 0.25, .failed),
            sample(3, 1, .good),
        ]
        #expect(recovery(after: 1, samples) == 1.4)
        #expect(recovery(after: 2.5, samples) == 0)
        let slices = slices(samples, seconds: 4, sliceSeconds: 1)
        #expect(slices.map(\.failed) == [1, 0, 1, 0])
        #expect(slices.map(\.refused) == [0, 0, 1, 0])
        #expect(slices.map(\.good) == [0, 0, 0, 1])
    }

    @Test func `commands inside scripts and those of the counting itself are told apart`() {
        let count = CommandCount(
            monitor: """
                OK
                1700000000.1 [0 127.0.0.1:50000] "EVALSHA" "a] [0 lua] b" "1"
                1700000000.1 [0 lua] "HGET" "k" "f"
                1700000000.1 [0 lua] "PEXPIRE" "k" "1"
                1700000000.2 [0 unix:/folder/s] "INFO"
                """
        )
        #expect(count.sent == 1)
        #expect(count.inScripts == 2)
    }

    @Test func `columns are aligned, and a loss is marked and, in a terminal, bold`() {
        var table = TextTable(title: "Title", heads: [["name"], ["sessions", "lost"]])
        table.add([.init("redis"), .init("0/9")])
        table.add([.init("memory"), .init("3/9", isLoss: true)])
        table.add("sealed", note: "not available: it said no")
        #expect(
            table.lines(isTerminal: false) == [
                "Title", "name    sessions", "            lost", "----------------", "redis        0/9",
                "memory      !3/9",
                "sealed  not available: it said no",
            ]
        )
        #expect(table.lines(isTerminal: true)[5] == "memory  \u{1B}[1m    !3/9\u{1B}[0m")
    }

    @Test func `numbers keep the digits that count`() {
        #expect(
            [0, 0.318, 5, 7.25, 32.06, 99.96, 1234.5, 1_234_567].map(Text.number) == [
                "0", "0.32", "5", "7.25", "32.1", "100", "1 235", "1 234 567",
            ]
        )
        #expect([0, 412.4, 20_480, 42_000_000].map(Text.bytes) == ["0 B", "412 B", "20 KiB", "40.1 MiB"])
        #expect([0.212, 5, 12.34].map(Text.seconds) == ["212 ms", "5 s", "12.3 s"])
    }

    @Test(arguments: [
        (["--strategies", "redis,wishes"], "There is no strategy wishes."),
        (["--visitors", "0"], "--visitors must be between 5 and 2 000."),
        (["--seconds", "-1"], "--seconds"),
        (["--output", "/no/such/folder/x.html"], "--output: there is no such folder."),
        (["--from", "/no/such/file.json"], "--from"),
    ])
    func `bad options end with a sentence`(arguments: [String], sentence: String) async throws {
        let child = try ChildProcess(builtProduct("compare"), arguments)
        #expect(try await child.wait(seconds: 20) != 0)
        #expect(child.text.contains(sentence))
    }
}

/// One run of the program as a user starts it, with the smallest sizes.
@Suite(.timeLimit(.minutes(10))) struct CompareRunTests {
    @Test func `a small run prints tables and writes a page that loads nothing`() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "compare-\(UUID().uuidString).html")
        let json = file.deletingPathExtension().appendingPathExtension("json")
        defer { for file in [file, json] { try? FileManager.default.removeItem(at: file) } }
        let child = try ChildProcess(
            builtProduct("compare"),
            [
                "--visitors", "8", "--concurrency", "4", "--seconds", "1", "--fault-seconds", "1",
                "--sessions", "50", "--strategies",
                "redis,memory", "--output", file.path,
            ]
        )
        #expect(try await child.wait(seconds: 150) == 0, "\(child.text)")
        let lines = child.text.split(separator: "\n")
        for name in ["redis", "memory"] {
            #expect(lines.count { $0.hasPrefix(name + " ") } == 3, "\(child.text)")
        }
        #expect(lines.allSatisfy { $0.count <= 120 })
        #expect(!child.text.contains("not available"))

        let page = try String(contentsOf: file, encoding: .utf8)
        #expect(openElements(page) == [])
        for reference in [
            "http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link",
            file.deletingLastPathComponent().path,
        ] {
            #expect(!page.contains(reference), "\(reference)")
        }
        #expect(page.components(separatedBy: "<svg").count - 1 == 9 + 2)
        for heading in ["What breaks, and what does not", "What it costs", "Machine"] {
            #expect(page.contains(">\(heading)</h2>"))
        }

        let again = file.deletingPathExtension().appendingPathExtension("again.html")
        defer { try? FileManager.default.removeItem(at: again) }
        let renderer = try ChildProcess(
            builtProduct("compare"),
            ["--from", json.path, "--output", again.path]
        )
        #expect(try await renderer.wait(seconds: 20) == 0, "\(renderer.text)")
        #expect(try String(contentsOf: again, encoding: .utf8) == page)
    }

    /// The elements that are still open at the end, or the first that is closed out of turn; empty for a
    /// well-formed page.
    private func openElements(_ page: String) -> [String] {
        var open: [String] = []
        for match in page.matches(of: /<(\/?)([a-z][a-z0-9]*)(?:\s[a-zA-Z0-9-]+="[^"<]*")*\s*(\/?)>/) {
            let name = String(match.output.2)
            if !match.output.3.isEmpty { continue }
            if match.output.1.isEmpty {
                open.append(name)
            } else if open.popLast() != name {
                return ["out of turn: \(name)"]
            }
        }
        return open
    }
}
