// SPDX-License-Identifier: Apache-2.0

import Reporting

/// What one strategy's visitors got while things broke: answers per second over time, with the faults marked,
/// in SVG.
struct TimelinePlot: Sendable {
    let result: StrategyResult
    /// The top of the scale, in requests per second; the same for all strategies, so that they can be
    /// compared.
    let top: Double

    static let sliceSeconds = 0.25
    static let legend = [
        ("answered", "part-instances"), ("refused with 503", "refused"),
        ("no answer, or another status", "failed"),
    ].map { (name: $0.0, style: $0.1) }

    private static let width = 420.0
    private static let left = 30.0
    private static let plotTop = 34.0
    private static let plotHeight = 84.0
    private static let height = 138.0

    /// The highest rate that occurs.
    static func top(_ results: [StrategyResult]) -> Double {
        let slices = results.flatMap { phases($0).flatMap { timeline($0).slices } }
        return Double(slices.map { $0.good + $0.refused + $0.failed }.max() ?? 1) / sliceSeconds
    }

    var html: String {
        HTML.element(
            "figure",
            ["class": "card"],
            HTML.element(
                "figcaption",
                [:],
                HTML.element(
                    "h3",
                    [:],
                    HTML.element("i", ["class": "dot \(result.strategy.family.rawValue)"], ""),
                    HTML.text(result.strategy.id)
                ),
                HTML.element("p", [:], HTML.text(sentence))
            ),
            svg
        )
    }

    private var sentence: String {
        let (kill, outage) = (result.kill, result.outage)
        let lost =
            kill.lostSessions == 0
            ? "the kill loses no session"
            : "the kill loses \(kill.lostSessions) of \(result.sessions) sessions"
        let bad = outage.refused + outage.failed
        return bad == 0
            ? "\(lost); the outage is not noticed"
            : "\(lost); the outage costs \(bad) of \(bad + outage.good) requests"
    }

    private static func phases(_ result: StrategyResult) -> [StrategyResult.Phase] {
        [result.kill.phase, result.addition.phase, result.outage.phase]
    }

    private static func timeline(_ phase: StrategyResult.Phase) -> Timeline {
        Timeline(phase.samples, seconds: phase.seconds, sliceSeconds: sliceSeconds)
    }

    private var svg: String {
        let phases = Self.phases(result)
        let total = phases.reduce(0) { $0 + $1.seconds }
        let perSecond = (Self.width - Self.left) / max(total, 1)
        var content = [
            HTML.element(
                "title",
                [:],
                HTML.text("\(result.strategy.id): requests per second over time; \(sentence)")
            )
        ]
        content += axes(total: total, perSecond: perSecond)
        var offset = 0.0
        for (index, phase) in phases.enumerated() {
            if index > 0 {
                content.append(line(x: Self.left + offset * perSecond, from: Self.plotTop, style: "border"))
            }
            content += bars(phase, offset: offset, perSecond: perSecond)
            content += events(phase, offset: offset, perSecond: perSecond)
            offset += phase.seconds
        }
        return HTML.element(
            "svg",
            ["viewBox": "0 0 \(HTML.coordinate(Self.width)) \(HTML.coordinate(Self.height))", "role": "img"],
            content
        )
    }

    private func axes(total: Double, perSecond: Double) -> [String] {
        var content: [String] = []
        for share in [0.0, 0.5, 1] {
            let y = Self.plotTop + Self.plotHeight * (1 - share)
            content.append(
                HTML.element(
                    "line",
                    [
                        "x1": HTML.coordinate(Self.left), "x2": HTML.coordinate(Self.width),
                        "y1": HTML.coordinate(y),
                        "y2": HTML.coordinate(y), "class": "grid",
                    ],
                    []
                )
            )
            content.append(
                text(Text.number((top * share).rounded()), x: Self.left - 5, y: y + 4, anchor: "end")
            )
        }
        for second in stride(from: 0, through: Int(total), by: 5) {
            let x = Self.left + Double(second) * perSecond
            content.append(
                text(
                    "\(second) s",
                    x: x,
                    y: Self.plotTop + Self.plotHeight + 15,
                    anchor: second == 0 ? "start" : "middle"
                )
            )
        }
        return content
    }

    private func bars(_ phase: StrategyResult.Phase, offset: Double, perSecond: Double) -> [String] {
        var content: [String] = []
        for (index, slice) in Self.timeline(phase).slices.enumerated() {
            let x = Self.left + (offset + Double(index) * Self.sliceSeconds) * perSecond
            var y = Self.plotTop + Self.plotHeight
            for (count, style) in [
                (slice.good, "part-instances"), (slice.refused, "refused"), (slice.failed, "failed"),
            ] where count > 0 {
                let height = Double(count) / Self.sliceSeconds / max(top, 1) * Self.plotHeight
                y -= height
                content.append(
                    HTML.element(
                        "rect",
                        [
                            "x": HTML.coordinate(x), "y": HTML.coordinate(y),
                            "width": HTML.coordinate(Self.sliceSeconds * perSecond - 0.6),
                            "height": HTML.coordinate(height), "class": style,
                        ],
                        []
                    )
                )
            }
        }
        return content
    }

    private func events(_ phase: StrategyResult.Phase, offset: Double, perSecond: Double) -> [String] {
        phase.events.flatMap { event in
            let x = Self.left + (offset + event.at) * perSecond
            return [
                line(x: x, from: 18, style: "event"),
                text(event.label, x: x - 3, y: 13, anchor: "start", style: "event-label"),
            ]
        }
    }

    private func line(x: Double, from: Double, style: String) -> String {
        HTML.element(
            "line",
            [
                "x1": HTML.coordinate(x), "x2": HTML.coordinate(x), "y1": HTML.coordinate(from),
                "y2": HTML.coordinate(Self.plotTop + Self.plotHeight), "class": style,
            ],
            []
        )
    }

    private func text(_ text: String, x: Double, y: Double, anchor: String, style: String = "tick") -> String
    {
        HTML.element(
            "text",
            ["x": HTML.coordinate(x), "y": HTML.coordinate(y), "text-anchor": anchor, "class": style],
            HTML.text(text)
        )
    }
}
