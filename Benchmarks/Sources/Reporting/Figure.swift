// SPDX-License-Identifier: Apache-2.0

/// A card with a caption and one plot.
package struct Figure: Codable, Sendable {
    package var title: String
    /// What is better, and what exactly is shown.
    package var note: String
    /// The colour of what it is about, a class of the style sheet; may be empty.
    package var mark = ""
    package var legend: [Page.Legend] = []
    package private(set) var bars: BarPlot?
    package private(set) var lines: LinePlot?
    package private(set) var timeline: TimelinePlot?

    /// Bars of one colour each, or of parts side by side that `legend` names.
    package init(_ title: String, _ note: String, legend: [Page.Legend] = [], bars: [BarPlot.Row]) {
        self.title = title
        self.note = note
        self.legend = legend
        self.bars = BarPlot(rows: bars, partStyles: legend.map(\.style))
    }

    package init(_ title: String, _ note: String, _ lines: LinePlot) {
        self.title = title
        self.note = note
        self.lines = lines
        legend = lines.series.map { Page.Legend($0.name, "line-\($0.style)") }
    }

    package init(_ title: String, _ note: String, mark: String, _ timeline: TimelinePlot) {
        self.title = title
        self.note = note
        self.mark = mark
        self.timeline = timeline
    }

    /// The plot, drawn; `description` is for those who do not see it.
    var drawing: Drawing {
        var drawing =
            bars?.drawing ?? lines?.drawing ?? timeline?.drawing ?? Drawing(width: 0, height: 0)
        drawing.description = "\(title): \(drawing.description.isEmpty ? note : drawing.description)"
        return drawing
    }
}
