// SPDX-License-Identifier: Apache-2.0

/// The shapes of a plot, each kind above the ones before it; y grows downwards.
struct Drawing: Sendable {
    let width: Double
    let height: Double
    /// In words what it shows.
    var description = ""
    var grid: [Line] = []
    var areas: [Area] = []
    var curves: [Curve] = []
    var dots: [Dot] = []
    var marks: [Line] = []
    var labels: [Label] = []

    init(width: Double, height: Double) {
        self.width = width
        self.height = height
    }

    /// Two decimals at most, which is finer than a screen.
    static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    struct Line: Sendable {
        let x1, x2, y1, y2: Double
        let style: String

        init(x: ClosedRange<Double>, y: Double, style: String) {
            (x1, x2) = (Drawing.rounded(x.lowerBound), Drawing.rounded(x.upperBound))
            (y1, y2) = (Drawing.rounded(y), Drawing.rounded(y))
            self.style = style
        }

        init(x: Double, y: ClosedRange<Double>, style: String) {
            (x1, x2) = (Drawing.rounded(x), Drawing.rounded(x))
            (y1, y2) = (Drawing.rounded(y.lowerBound), Drawing.rounded(y.upperBound))
            self.style = style
        }
    }

    struct Area: Sendable {
        let x, y, width, height: Double
        /// Of its corners.
        let radius: Double
        let style: String

        init(x: Double, y: Double, width: Double, height: Double, radius: Double = 0, style: String) {
            (self.x, self.y) = (Drawing.rounded(x), Drawing.rounded(y))
            (self.width, self.height) = (Drawing.rounded(width), Drawing.rounded(height))
            self.radius = radius
            self.style = style
        }
    }

    struct Curve: Sendable {
        let points: String
        let style: String

        init(_ points: [(x: Double, y: Double)], style: String) {
            self.points = points.map { "\(Drawing.rounded($0.x)),\(Drawing.rounded($0.y))" }
                .joined(separator: " ")
            self.style = style
        }
    }

    struct Dot: Sendable {
        let x, y: Double
        let style: String
        /// Shown when the pointer is over it.
        let tip: String

        init(x: Double, y: Double, style: String, tip: String) {
            (self.x, self.y) = (Drawing.rounded(x), Drawing.rounded(y))
            self.style = style
            self.tip = tip
        }
    }

    struct Label: Sendable {
        enum Anchor: String {
            case start, middle, end
        }

        let x, y: Double
        let anchor: String
        let style: String
        let text: String

        init(_ text: String, x: Double, y: Double, _ anchor: Anchor, style: String = "tick") {
            (self.x, self.y) = (Drawing.rounded(x), Drawing.rounded(y))
            self.anchor = anchor.rawValue
            self.style = style
            self.text = text
        }
    }
}
