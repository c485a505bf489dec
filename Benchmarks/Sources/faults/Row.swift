// SPDX-License-Identifier: Apache-2.0

import Reporting

/// What all visitors of one scenario have seen; one row of the table.
struct Row: Sendable {
    let name: String
    /// The topology, and what happens to it.
    let words: String
    private let mayLose: Bool
    private(set) var answered = 0
    private(set) var acknowledged = 0
    private(set) var lost = 0
    private var lostBetween: ClosedRange<Duration>?
    private(set) var surplus = 0
    private(set) var refused = 0
    private(set) var others: [String: Int] = [:]
    private(set) var foreign = 0
    /// The longest time that a visitor had no write acknowledged since the fault; nil if one never had again.
    private(set) var outage: Duration? = .zero

    /// Reads that were given up before their reply.
    var givenUp = 0

    init(_ name: String, _ words: String, mayLose: Bool) {
        self.name = name
        self.words = words
        self.mayLose = mayLose
    }

    /// Adds one visitor.
    ///
    /// - Parameters:
    ///   - ledger: what it was told.
    ///   - verdict: what is stored; nil if its session is gone, and all that it has written with it.
    mutating func add(_ ledger: Ledger, _ verdict: Ledger.Verdict?) {
        answered += ledger.answered
        acknowledged += ledger.acknowledged
        lost += verdict?.lost ?? ledger.acknowledged
        if let own = verdict?.lostBetween {
            let all = lostBetween ?? own
            lostBetween = min(all.lowerBound, own.lowerBound)...max(all.upperBound, own.upperBound)
        }
        surplus += verdict?.surplus ?? 0
        refused += ledger.refused
        others.merge(ledger.others, uniquingKeysWith: +)
        foreign += ledger.foreign
        outage = if let outage, let own = ledger.outage { max(outage, own) } else { nil }
    }

    /// Whether something happened that must not happen in this scenario.
    var isBroken: Bool {
        lost > 0 && !mayLose || surplus > 0 || foreign > 0 || !others.isEmpty || outage == nil
    }

    static let heads = [
        "scenario", "answers", "writes acknowledged", "lost", "within", "executed twice", "503",
        "other errors", "longest without a write", "foreign answers",
    ]

    var cells: [TextTable.Cell] {
        func count(_ value: Int) -> TextTable.Cell { .init("\(value)", isLoss: value > 0) }
        let others = others.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return [
            .init("\(name): \(words)"), .init("\(answered)"), .init("\(acknowledged)"), count(lost),
            .init(lostBetween.map { Text.seconds(($0.upperBound - $0.lowerBound) / .seconds(1)) } ?? "–"),
            count(surplus), .init("\(refused)"),
            .init(others.isEmpty ? "0" : others.joined(separator: ", "), isLoss: !others.isEmpty),
            outage.map { .init(Text.seconds($0 / .seconds(1))) } ?? .init("no end", isLoss: true),
            count(foreign),
        ]
    }
}
