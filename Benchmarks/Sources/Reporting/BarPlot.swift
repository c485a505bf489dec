// SPDX-License-Identifier: Apache-2.0

/// One measure as horizontal bars.
package struct BarPlot: Codable, Sendable {
    package struct Row: Codable, Sendable {
        var label: String
        /// The style class of the bar when there is only one part.
        var style: String
        /// The parts, side by side.
        var parts: [Double]
        /// What stands beside the bar.
        var text: String

        package init(label: String, style: String = "", parts: [Double], text: String) {
            self.label = label
            self.style = style
            self.parts = parts
            self.text = text
        }
    }

    var rows: [Row]
    /// The style class of each part; empty when there is only one.
    var partStyles: [String]

    private static let width = 380.0
    private static let labelWidth = 104.0
    private static let textWidth = 112.0
    private static let rowHeight = 26.0

    var drawing: Drawing {
        let top = rows.map { $0.parts.reduce(0) { $0 + max(0, $1) } }.max() ?? 0
        let scale = top > 0 ? (Self.width - Self.labelWidth - Self.textWidth) / top : 0
        var drawing = Drawing(width: Self.width, height: Double(rows.count) * Self.rowHeight)
        drawing.description = rows.map { "\($0.label) \($0.text)" }.joined(separator: ", ")
        for (index, row) in rows.enumerated() {
            let y = Double(index) * Self.rowHeight
            let baseline = y + Self.rowHeight / 2 + 4.5
            drawing.labels.append(
                .init(row.label, x: Self.labelWidth - 8, y: baseline, .end, style: "label")
            )
            var x = Self.labelWidth
            for (part, value) in row.parts.enumerated() {
                let width = max(0, value) * scale
                drawing.areas.append(
                    .init(
                        x: x,
                        y: y + 5,
                        width: max(width, part == 0 ? 1.5 : 0),
                        height: Self.rowHeight - 10,
                        radius: 2,
                        style: partStyles.isEmpty ? row.style : partStyles[part]
                    )
                )
                x += width
            }
            drawing.labels.append(.init(row.text, x: x + 6, y: baseline, .start, style: "value"))
        }
        return drawing
    }
}
