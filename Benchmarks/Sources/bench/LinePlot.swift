// SPDX-License-Identifier: Apache-2.0

import Reporting

/// One measure over a few steps, a line for each series, in SVG.
struct LinePlot: Sendable {
    struct Series: Sendable {
        var name: String
        /// `a` to `d`, and `-dashed` behind it.
        var style: String
        /// One value for each step; nil where nothing was measured.
        var values: [Double?]
    }

    var title: String
    /// What is better, and what exactly is shown.
    var note: String
    /// What stands below the axis.
    var steps: [String]
    var series: [Series]
    /// Writes a value.
    var format: @Sendable (Double) -> String = Text.number

    private static let (width, height) = (380.0, 230.0)
    private static let (left, right, top, bottom) = (52.0, 40.0, 14.0, 26.0)

    var html: String {
        HTML.element(
            "figure",
            ["class": "card"],
            HTML.element(
                "figcaption",
                [:],
                HTML.element("h3", [:], HTML.text(title)),
                HTML.element("p", [:], HTML.text(note))
            ),
            BarPlot.legend(series.map { (name: $0.name, style: "line-\($0.style)") }),
            svg
        )
    }

    private var most: Double { Self.roundUp(series.flatMap(\.values).compactMap { $0 }.max() ?? 1) }

    /// The next number that is easy to divide by four.
    static func roundUp(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return 1 }
        var unit = 1.0
        while unit > value { unit /= 10 }
        while unit * 10 <= value { unit *= 10 }
        return ([1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].first { $0 * unit >= value } ?? 10) * unit
    }

    private func x(_ step: Int) -> Double {
        let space = Self.width - Self.left - Self.right
        return Self.left + (steps.count > 1 ? space * Double(step) / Double(steps.count - 1) : space / 2)
    }

    private func y(_ value: Double, _ most: Double) -> Double {
        Self.height - Self.bottom - value / most * (Self.height - Self.top - Self.bottom)
    }

    private var svg: String {
        let most = most
        let spoken = series.map { line in
            "\(line.name): "
                + zip(steps, line.values).compactMap { step, value in value.map { "\(step) \(format($0))" } }
                .joined(separator: ", ")
        }.joined(separator: "; ")
        var content = [HTML.element("title", [:], HTML.text("\(title): \(spoken)"))]
        for part in 0...4 {
            let value = most * Double(part) / 4
            content.append(
                HTML.element(
                    "line",
                    [
                        "x1": HTML.coordinate(Self.left), "x2": HTML.coordinate(Self.width - Self.right),
                        "y1": HTML.coordinate(y(value, most)), "y2": HTML.coordinate(y(value, most)),
                        "class": "grid",
                    ],
                    []
                )
            )
            content.append(text(Self.short(value), Self.left - 6, y(value, most) + 4, "end"))
        }
        for (index, step) in steps.enumerated() {
            content.append(text(step, x(index), Self.height - 8, "middle"))
        }
        for line in series {
            let points = line.values.enumerated().compactMap { index, value in
                value.map { (x: x(index), y: y($0, most), value: $0) }
            }
            content.append(
                HTML.element(
                    "polyline",
                    [
                        "points": points.map { "\(HTML.coordinate($0.x)),\(HTML.coordinate($0.y))" }
                            .joined(separator: " "), "class": "line line-\(line.style)",
                    ],
                    []
                )
            )
            for point in points {
                content.append(
                    HTML.element(
                        "circle",
                        [
                            "cx": HTML.coordinate(point.x), "cy": HTML.coordinate(point.y), "r": "3.2",
                            "class": "dot-\(line.style)",
                        ],
                        HTML.element("title", [:], HTML.text("\(line.name): \(format(point.value))"))
                    )
                )
            }
        }
        content += endLabels(most)
        return HTML.element(
            "svg",
            ["viewBox": "0 0 \(HTML.coordinate(Self.width)) \(HTML.coordinate(Self.height))", "role": "img"],
            content
        )
    }

    /// The last value of each line beside its end, moved apart where lines end together.
    private func endLabels(_ most: Double) -> [String] {
        let ends = series.compactMap { line in
            line.values.lastIndex { $0 != nil }.flatMap { index in
                line.values[index].map { (x: x(index), y: y($0, most), value: $0) }
            }
        }
        var free = Self.height - Self.bottom + 8
        return ends.sorted { $0.y > $1.y }.map { end in
            let place = min(end.y + 4, free)
            free = place - 12
            return text(Self.short(end.value), end.x + 7, place, "start")
        }
    }

    private static func short(_ value: Double) -> String {
        if value >= 1e6 { return "\(Text.number(value / 1e6)) M" }
        return value >= 10_000 ? "\(Text.number((value / 1000).rounded())) k" : Text.number(value)
    }

    private func text(_ text: String, _ x: Double, _ y: Double, _ anchor: String) -> String {
        HTML.element(
            "text",
            [
                "x": HTML.coordinate(x), "y": HTML.coordinate(y), "text-anchor": anchor, "class": "tick",
            ],
            HTML.text(text)
        )
    }
}
