// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The folder in which the shop and the supervisor of the demo meet; `Scripts/orders.sh` lists its files.
struct Demo: Sendable {
    /// The strategies that can be chosen, as `Scripts/demo.sh` names them.
    static let strategies = ["redis", "hybrid", "replicated", "memory", "sealed"]
    static let instances = ["app1", "app2", "app3"]
    /// Everything that a page may ask for.
    static let orders = Set(
        instances.flatMap { ["kill \($0)", "freeze \($0)", "restart \($0)"] } + [
            "freeze redis", "empty redis", "tabs",
        ]
            + strategies.map { "switch \($0)" }
    )

    private let folder: URL

    init(folder: String) { self.folder = URL(filePath: folder) }

    /// How things are now.
    var state: DemoState {
        DemoState(
            status: Self.pairs(text("status")),
            ledgers: Self.strategies.reduce(into: [:]) { $0[$1] = Self.pairs(text("ledger-\($1)")) },
            events: text("events").split(separator: "\n").suffix(6).reversed().map(String.init)
        )
    }

    /// Hands an order to the supervisor, one of `orders`, or `note` and a sentence; false when it does not listen.
    func give(_ order: String) -> Bool {
        let pipe = open(folder.appending(path: "orders").path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        guard pipe >= 0 else { return false }
        defer { close(pipe) }
        let line = Array((order + "\n").utf8)
        return write(pipe, line, line.count) == line.count
    }

    private func text(_ name: String) -> String {
        (try? String(contentsOf: folder.appending(path: name), encoding: .utf8)) ?? ""
    }

    /// Reads `name=value name=value …`.
    static func pairs(_ text: String) -> [String: String] {
        text.split(whereSeparator: \.isWhitespace).reduce(into: [:]) { pairs, word in
            let parts = word.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { pairs[String(parts[0])] = String(parts[1]) }
        }
    }
}

/// The state of the demo at one moment.
struct DemoState {
    let status: [String: String]
    let ledgers: [String: [String: String]]
    let events: [String]

    var strategy: String { status["strategy"] ?? "" }

    /// What the page shows, by the ID of the element that shows it: the same at first and in every later event.
    var texts: [String: String] {
        var texts = ["events": events.joined(separator: "\n")]
        for part in Demo.instances + ["redis"] { texts["part-\(part)"] = status[part] ?? "none" }
        for strategy in Demo.strategies {
            let ledger = ledgers[strategy] ?? [:]
            for column in Ledger.columns { texts["\(column)-\(strategy)"] = ledger[column] ?? "–" }
        }
        return texts
    }

    /// The event that tells it to a page.
    var event: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let message = Message(strategy: strategy, texts: texts)
        return ((try? encoder.encode(message)).map { "data: \(String(decoding: $0, as: UTF8.self))\n\n" })
            ?? ""
    }

    private struct Message: Encodable {
        let strategy: String
        let texts: [String: String]
    }
}
