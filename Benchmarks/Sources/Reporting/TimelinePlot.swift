// SPDX-License-Identifier: Apache-2.0

/// Answers per second over time, with the events marked.
package struct TimelinePlot: Codable, Sendable {
    /// What was answered in one slice of time, by outcome.
    package struct Slice: Codable, Sendable {
        package var good = 0
        package var refused = 0
        package var failed = 0

        package init() {}

        package var total: Int { good + refused + failed }
    }

    package struct Event: Codable, Sendable {
        /// Seconds since the phase began.
        var at: Double
        var label: String

        package init(at: Double, label: String) {
            self.at = at
            self.label = label
        }
    }

    /// A piece of time that was watched; the phases stand side by side.
    package struct Phase: Codable, Sendable {
        var seconds: Double
        package var slices: [Slice]
        var events: [Event]

        package init(seconds: Double, slices: [Slice], events: [Event]) {
            self.seconds = seconds
            self.slices = slices
            self.events = events
        }
    }

    /// The top of the scale, per second; the same for plots that are compared.
    var top: Double
    var sliceSeconds: Double
    var phases: [Phase]

    package init(top: Double, sliceSeconds: Double, phases: [Phase]) {
        self.top = top
        self.sliceSeconds = sliceSeconds
        self.phases = phases
    }

    /// The colours of the outcomes.
    package static let legend = [
        Page.Legend("answered", "part-instances"), Page.Legend("refused with 503", "refused"),
        Page.Legend("no answer, or another status", "failed"),
    ]

    private static let (width, height) = (420.0, 138.0)
    private static let (left, plotTop, plotHeight) = (30.0, 34.0, 84.0)
    private static let plotBottom = plotTop + plotHeight
    /// Of a label's font, at most.
    private static let characterWidth = 7.0

    var drawing: Drawing {
        let total = phases.reduce(0) { $0 + $1.seconds }
        let perSecond = (Self.width - Self.left) / max(total, 1)
        var drawing = Drawing(width: Self.width, height: Self.height)
        addAxes(to: &drawing, total: total, perSecond: perSecond)
        var start = Self.left
        for (index, phase) in phases.enumerated() {
            if index > 0 {
                drawing.grid.append(.init(x: start, y: Self.plotTop...Self.plotBottom, style: "border"))
            }
            add(phase, to: &drawing, start: start, perSecond: perSecond)
            start += phase.seconds * perSecond
        }
        return drawing
    }

    private func addAxes(to drawing: inout Drawing, total: Double, perSecond: Double) {
        for share in [0.0, 0.5, 1] {
            let y = Self.plotTop + Self.plotHeight * (1 - share)
            drawing.grid.append(.init(x: Self.left...Self.width, y: y, style: "grid"))
            drawing.labels.append(
                .init(Text.number((top * share).rounded()), x: Self.left - 5, y: y + 4, .end)
            )
        }
        for second in stride(from: 0, through: Int(total), by: 5) {
            drawing.labels.append(
                .init(
                    "\(second) s",
                    x: Self.left + Double(second) * perSecond,
                    y: Self.plotBottom + 15,
                    second == 0 ? .start : .middle
                )
            )
        }
    }

    private func add(_ phase: Phase, to drawing: inout Drawing, start: Double, perSecond: Double) {
        for (index, slice) in phase.slices.enumerated() {
            var y = Self.plotBottom
            for (count, outcome) in zip([slice.good, slice.refused, slice.failed], Self.legend)
            where count > 0 {
                let height = Double(count) / sliceSeconds / max(top, 1) * Self.plotHeight
                y -= height
                drawing.areas.append(
                    .init(
                        x: start + Double(index) * sliceSeconds * perSecond,
                        y: y,
                        width: sliceSeconds * perSecond - 0.6,
                        height: height,
                        style: outcome.style
                    )
                )
            }
        }
        var free = 0.0
        for event in phase.events {
            let x = start + event.at * perSecond
            // Below the one before it, where there is no room beside it.
            let y = x < free ? 26.0 : 13
            drawing.marks.append(.init(x: x, y: y + 5...Self.plotBottom, style: "event"))
            drawing.labels.append(.init(event.label, x: x - 3, y: y, .start, style: "event-label"))
            free = x + Double(event.label.count) * Self.characterWidth
        }
    }
}
