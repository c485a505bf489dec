// SPDX-License-Identifier: Apache-2.0

/// A table of aligned columns for a terminal.
package struct TextTable: Sendable {
    /// One cell; a loss stands out.
    package struct Cell: Sendable, ExpressibleByStringLiteral {
        package var text: String
        package var isLoss = false

        package init(_ text: String, isLoss: Bool = false) {
            self.text = text
            self.isLoss = isLoss
        }

        package init(stringLiteral text: String) { self.init(text) }
    }

    package let title: String
    /// Each may have several lines.
    package let heads: [[String]]
    package private(set) var rows: [(cells: [Cell], note: String?)] = []

    package init(title: String, heads: [[String]]) {
        self.title = title
        self.heads = heads
    }

    package mutating func add(_ cells: [Cell]) { rows.append((cells, nil)) }

    /// A row that has a sentence instead of numbers.
    package mutating func add(_ name: String, note: String) { rows.append(([Cell(name)], note)) }

    /// The lines of the table: the first column to the left, the others to the right.
    ///
    /// A loss is bold in a terminal and marked with `!` in every case, so that it also shows in a file.
    package func lines(isTerminal: Bool) -> [String] {
        let marked = rows.map { row in
            (row.cells.map { ($0.isLoss ? "!" : "") + $0.text }, row.cells.map(\.isLoss), row.note)
        }
        var widths = heads.map { $0.map(\.count).max() ?? 0 }
        for (texts, _, note) in marked {
            for (index, text) in texts.enumerated() where note == nil || index == 0 {
                widths[index] = max(widths[index], text.count)
            }
        }
        func padded(_ text: String, _ index: Int) -> String {
            let space = String(repeating: " ", count: max(0, widths[index] - text.count))
            return index == 0 ? text + space : space + text
        }
        var lines = [title]
        for level in 0..<(heads.map(\.count).max() ?? 0) {
            lines.append(line(heads.enumerated().map { padded(level < $1.count ? $1[level] : "", $0) }))
        }
        lines.append(String(repeating: "-", count: widths.reduce(0, +) + 2 * (widths.count - 1)))
        for (texts, losses, note) in marked {
            if let note {
                lines.append(line([padded(texts[0], 0), note]))
                continue
            }
            lines.append(
                line(
                    texts.enumerated().map { index, text in
                        let cell = padded(text, index)
                        return losses[index] && isTerminal ? "\u{1B}[1m\(cell)\u{1B}[0m" : cell
                    }
                )
            )
        }
        return lines
    }

    private func line(_ cells: [String]) -> String {
        var text = cells.joined(separator: "  ")
        while text.last == " " { text.removeLast() }
        return text
    }
}
