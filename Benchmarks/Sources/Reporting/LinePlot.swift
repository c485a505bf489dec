// SPDX-License-Identifier: Apache-2.0

/// One measure over a few steps, a line for each series.
package struct LinePlot: Codable, Sendable {
    package struct Series: Codable, Sendable {
        var name: String
        /// `a` to `d`, and `-dashed` behind it.
        var style: String
        /// One value for each step; nil where nothing was measured.
        var values: [Double?]

        package init(_ name: String, style: String, _ values: [Double?]) {
            self.name = name
            self.style = style
            self.values = values
        }
    }

    /// What stands below the axis.
    var steps: [String]
    var series: [Series]

    package init(steps: [String], series: [Series]) {
        self.steps = steps
        self.series = series
    }

    private static let (width, height) = (380.0, 230.0)
    private static let (left, right, top, bottom) = (52.0, 40.0, 14.0, 26.0)

    /// The next number that is easy to divide by four.
    package static func roundUp(_ value: Double) -> Double {
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

    var drawing: Drawing {
        let most = Self.roundUp(series.flatMap(\.values).compactMap { $0 }.max() ?? 1)
        var drawing = Drawing(width: Self.width, height: Self.height)
        drawing.description = series.map { line in
            "\(line.name): "
                + zip(steps, line.values)
                .compactMap { step, value in value.map { "\(step) \(Text.number($0))" } }
                .joined(separator: ", ")
        }.joined(separator: "; ")
        for part in 0...4 {
            let value = most * Double(part) / 4
            drawing.grid.append(
                .init(x: Self.left...Self.width - Self.right, y: y(value, most), style: "grid")
            )
            drawing.labels.append(.init(Self.short(value), x: Self.left - 6, y: y(value, most) + 4, .end))
        }
        for (index, step) in steps.enumerated() {
            drawing.labels.append(.init(step, x: x(index), y: Self.height - 8, .middle))
        }
        var ends: [(x: Double, y: Double, value: Double)] = []
        for line in series {
            let points = line.values.enumerated().compactMap { index, value in
                value.map { (x: x(index), y: y($0, most), value: $0) }
            }
            drawing.curves.append(.init(points.map { ($0.x, $0.y) }, style: "line-\(line.style)"))
            drawing.dots += points.map {
                .init(
                    x: $0.x,
                    y: $0.y,
                    style: "dot-\(line.style)",
                    tip: "\(line.name): \(Text.number($0.value))"
                )
            }
            if let end = points.last { ends.append(end) }
        }
        drawing.labels += Self.endLabels(ends)
        return drawing
    }

    /// The last value of each line beside its end, moved apart where lines end together.
    private static func endLabels(_ ends: [(x: Double, y: Double, value: Double)]) -> [Drawing.Label] {
        var free = height - bottom + 8
        return ends.sorted { $0.y > $1.y }.map { end in
            let place = min(end.y + 4, free)
            free = place - 12
            return .init(short(end.value), x: end.x + 7, y: place, .start)
        }
    }

    private static func short(_ value: Double) -> String {
        if value >= 1e6 { return "\(Text.number(value / 1e6)) M" }
        return value >= 10_000 ? "\(Text.number((value / 1000).rounded())) k" : Text.number(value)
    }
}
