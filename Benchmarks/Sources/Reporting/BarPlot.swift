// SPDX-License-Identifier: Apache-2.0

/// One measure of all strategies as horizontal bars, in SVG.
package struct BarPlot: Sendable {
    package struct Row: Sendable {
        var label: String
        /// The style class of the bar when there is only one part.
        var style: String
        /// The parts, side by side.
        var parts: [Double]
        /// What stands beside the bar.
        var text: String

        package init(label: String, style: String, parts: [Double], text: String) {
            self.label = label
            self.style = style
            self.parts = parts
            self.text = text
        }
    }

    var title: String
    /// What is better, and what exactly is shown.
    var note: String
    /// The names and style classes of the parts; empty when there is only one.
    var legend: [(name: String, style: String)] = []
    var rows: [Row]

    package init(
        title: String,
        note: String,
        legend: [(name: String, style: String)] = [],
        rows: [Row]
    ) {
        self.title = title
        self.note = note
        self.legend = legend
        self.rows = rows
    }

    private static let width = 380.0
    private static let labelWidth = 104.0
    private static let textWidth = 112.0
    private static let rowHeight = 26.0

    package var html: String {
        HTML.element(
            "figure",
            ["class": "card"],
            HTML.element(
                "figcaption",
                [:],
                HTML.element("h3", [:], HTML.text(title)),
                HTML.element("p", [:], HTML.text(note))
            ),
            legend.isEmpty ? "" : Self.legend(legend),
            svg
        )
    }

    package static func legend(_ parts: [(name: String, style: String)]) -> String {
        HTML.element(
            "p",
            ["class": "legend"],
            parts.map {
                HTML.element("span", [:], HTML.element("i", ["class": $0.style], ""), HTML.text($0.name))
            }
        )
    }

    private var svg: String {
        let top = rows.map { $0.parts.reduce(0) { $0 + max(0, $1) } }.max() ?? 0
        let scale = top > 0 ? (Self.width - Self.labelWidth - Self.textWidth) / top : 0
        let height = Double(rows.count) * Self.rowHeight
        let spoken = rows.map { "\($0.label) \($0.text)" }.joined(separator: ", ")
        var content = [HTML.element("title", [:], HTML.text("\(title): \(spoken)"))]
        for (index, row) in rows.enumerated() {
            let y = Double(index) * Self.rowHeight
            content.append(text(row.label, x: Self.labelWidth - 8, y: y, anchor: "end", style: "label"))
            var x = Self.labelWidth
            for (part, value) in row.parts.enumerated() {
                let width = max(0, value) * scale
                content.append(
                    HTML.element(
                        "rect",
                        [
                            "x": HTML.coordinate(x), "y": HTML.coordinate(y + 5),
                            "width": HTML.coordinate(max(width, part == 0 ? 1.5 : 0)),
                            "height": HTML.coordinate(Self.rowHeight - 10), "rx": "2",
                            "class": legend.isEmpty ? row.style : legend[part].style,
                        ],
                        []
                    )
                )
                x += width
            }
            content.append(text(row.text, x: x + 6, y: y, anchor: "start", style: "value"))
        }
        return HTML.element(
            "svg",
            ["viewBox": "0 0 \(HTML.coordinate(Self.width)) \(HTML.coordinate(height))", "role": "img"],
            content
        )
    }

    private func text(_ text: String, x: Double, y: Double, anchor: String, style: String) -> String {
        HTML.element(
            "text",
            [
                "x": HTML.coordinate(x), "y": HTML.coordinate(y + Self.rowHeight / 2 + 4.5),
                "text-anchor": anchor, "class": style,
            ],
            HTML.text(text)
        )
    }
}
