// SPDX-License-Identifier: Apache-2.0

extension TextTable {
    /// The same table in Markdown, below its title; a loss is bold.
    package var markdown: String {
        func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
        func safe(_ text: String) -> String { text.replacing("|", with: "\\|") }
        var lines = ["### \(title)", ""]
        lines.append(row(heads.map { safe($0.filter { !$0.isEmpty }.joined(separator: " ")) }))
        lines.append(row(heads.indices.map { $0 == 0 ? "---" : "---:" }))
        for (cells, note) in rows {
            var texts = cells.map { $0.isLoss ? "**\(safe($0.text))**" : safe($0.text) }
            if let note { texts.append(safe(note)) }
            texts += Array(repeating: "", count: max(0, heads.count - texts.count))
            lines.append(row(texts))
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
