// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Reporting

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Pages: their JSON, the templates, and what the plots draw.
@Suite struct PageTests {
    private static let page: Page = {
        var plots = Page.Section("Plots <1>", "All \"kinds\" & more")
        plots.legend = [Page.Legend("answered", "part-instances")]
        var slice = TimelinePlot.Slice()
        slice.good = 10
        slice.failed = 5
        plots.figures = [
            Figure(
                "Bars",
                "Less is better.",
                bars: [.init(label: "a", style: "own", parts: [2], text: "2 ms")]
            ),
            Figure(
                "Parts",
                "Less is better.",
                legend: [Page.Legend("first", "part-client"), Page.Legend("second", "part-redis")],
                bars: [
                    .init(label: "b", parts: [1, 3], text: "4 ms"),
                    .init(label: "c", parts: [2, -1], text: "2"),
                ]
            ),
            Figure(
                "Lines",
                "More is better.",
                LinePlot(steps: ["1", "2", "3"], series: [.init("one", style: "a", [1, nil, 4])])
            ),
            Figure(
                "Time",
                "It breaks.",
                mark: "backend",
                TimelinePlot(
                    top: 60,
                    sliceSeconds: 0.25,
                    phases: [
                        .init(seconds: 1, slices: [slice], events: [.init(at: 0.5, label: "killed")]),
                        .init(seconds: 1, slices: [], events: []),
                    ]
                )
            ),
        ]
        var tables = Page.Section("Tables", "One of each.")
        tables.tables = [
            Page.Table(
                .verdicts,
                heads: ["strategy", "lost"],
                rows: [Page.Row(name: "redis", cells: [Page.Cell("0", .fine, remark: "nothing is missing")])]
            )
        ]
        var text = TextTable(title: "Numbers", heads: [["name"], ["per", "second"], ["lost"]])
        text.add([.init("redis"), .init("5"), .init("1", isLoss: true)])
        text.add("memory", note: "not available")
        tables.details = [Page.Table(text)]
        tables.sentences = ["A sentence."]
        tables.properties = [.init("build", "test")]
        return Page(
            title: "Title",
            introduction: "Introduction.",
            facts: [.init("× 2", "of what <script>")],
            sections: [plots, Page.Section("Nothing", "has no place."), tables]
        )
    }()

    @Test func `a page is rendered from its JSON alone, well-formed, with nothing from elsewhere`()
        async throws
    {
        let html = try await PageTemplate().html(Self.page.json)
        let document = try XMLDocument(data: Data(html.utf8))
        #expect(document.rootElement()?.name == "html")
        for mark in [
            "http:", "https:", "src=", "href=", "@import", "url(", "<script", "{{", "}}", "Optional(",
        ] {
            #expect(!html.contains(mark), "\(mark)")
        }
        #expect(html.contains("<h2>Plots &lt;1&gt;</h2>") && html.contains("of what &lt;script&gt;"))
        #expect(!html.contains("Nothing"))
        func texts(_ path: String) throws -> [String] {
            try document.nodes(forXPath: path).compactMap(\.stringValue)
        }
        #expect(try texts("//figure//h3") == ["Bars", "Parts", "Lines", "Time"])
        #expect(try texts("//figure[2]/p[@class='legend']/span") == ["first", "second"])
        #expect(try texts("//section[1]/p[@class='legend']/span") == ["answered"])
        #expect(try texts("//figure[1]//rect/@width").count == 1)
        #expect(
            try texts("//figure[2]//rect/@class") == [
                "part-client", "part-redis", "part-client", "part-redis",
            ]
        )
        #expect(try texts("//figure[3]//circle/title") == ["one: 1", "one: 4"])
        #expect(try texts("//figure[4]//i/@class") == ["dot backend"])
        #expect(try texts("//figure[4]//rect/@class") == ["part-instances", "failed"])
        #expect(try texts("//figure[4]//text[@class='event-label']") == ["killed"])
        #expect(
            try texts("//svg/title") == [
                "Bars: a 2 ms", "Parts: b 4 ms, c 2", "Lines: one: 1 1, 3 4", "Time: It breaks.",
            ]
        )
        #expect(try texts("//table[@class='verdicts']//td/@data-head") == ["lost"])
        #expect(try texts("//table[@class='verdicts']//td/small") == ["nothing is missing"])
        #expect(try texts("//details//th[@scope='col']") == ["name", "per second", "lost"])
        #expect(try texts("//details//td[@class='loss']") == ["1"])
        #expect(try texts("//details//td[@colspan='2']") == ["not available"])
        #expect(try texts("//ul[@class='sentences']/li") == ["A sentence."])
        #expect(try texts("//dl/*") == ["build", "test"])
    }

    @Test func `what is drawn stays inside the picture`() throws {
        for figure in Self.page.sections[0].figures {
            let drawing = figure.drawing
            for area in drawing.areas {
                #expect(area.x >= 0 && area.x + area.width <= drawing.width + 0.01, "\(figure.title)")
                #expect(area.width >= 0 && area.height >= 0, "\(figure.title)")
                #expect(area.y >= 0 && area.y + area.height <= drawing.height, "\(figure.title)")
            }
            for dot in drawing.dots { #expect((0...drawing.height).contains(dot.y), "\(figure.title)") }
        }
    }

    @Test func `events that are close together have their labels below each other`() {
        func heights(_ second: Double) -> [Double] {
            TimelinePlot(
                top: 1,
                sliceSeconds: 0.25,
                phases: [
                    .init(
                        seconds: 20,
                        slices: [],
                        events: [.init(at: 1, label: "Redis stopped"), .init(at: second, label: "back")]
                    )
                ]
            ).drawing.labels.filter { $0.style == "event-label" }.map(\.y)
        }
        #expect(heights(7) == [13, 13])
        #expect(heights(2) == [13, 26])
    }

    @Test func `a page with nothing measured has no empty elements`() async throws {
        let html = try await PageTemplate().html(
            Page(title: "Title", introduction: "Nothing ran.", facts: [], sections: []).json
        )
        #expect(throws: Never.self) { try XMLDocument(data: Data(html.utf8)) }
        #expect(!html.contains("<ul") && !html.contains("<section"))
    }

    @Test func `JSON that is not a page's is refused`() async throws {
        let template = try await PageTemplate()
        for text in ["", "{}", "[1]", #"{"title": 1}"#] {
            #expect(throws: DecodingError.self) { try template.html(Data(text.utf8)) }
        }
    }

    @Test(arguments: [(0.0, 1.0), (1, 1), (1.1, 1.2), (17, 20), (222_000, 240_000), (0.034, 0.04)])
    func `an axis ends at a number that four parts divide well`(value: Double, end: Double) {
        #expect(abs(LinePlot.roundUp(value) - end) < 1e-9)
    }
}
