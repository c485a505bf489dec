// SPDX-License-Identifier: Apache-2.0

/// The parts that all pages have.
extension HTML {
    /// A whole page in one file, which loads nothing.
    package static func page(title: String, style: String = "", body: [String]) -> String {
        let head = element(
            "head",
            [:],
            element("meta", ["charset": "utf-8"], []),
            element("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"], []),
            element("title", [:], text(title)),
            element("style", [:], PageStyle.style + style)
        )
        return "<!DOCTYPE html>\n" + element("html", ["lang": "en"], head, element("body", [:], body)) + "\n"
    }

    /// The title and a sentence, and a warning when the numbers compare nothing.
    package static func header(title: String, _ introduction: String) -> String {
        element(
            "header",
            [:],
            element("h1", [:], text(title)),
            element("p", [:], text(introduction)),
            Machine.isDebugBuild
                ? element("p", ["class": "warning"], "This was a debug build: the numbers compare nothing.")
                : ""
        )
    }

    package static func section(_ title: String, _ introduction: String, _ content: String) -> String {
        element(
            "section",
            [:],
            element("h2", [:], text(title)),
            element("p", [:], text(introduction)),
            content
        )
    }

    /// The few numbers that one would tell a colleague.
    package static func summary(_ facts: [(number: String, meaning: String)]) -> String {
        // A list without content would close itself, which browsers take for one that stays open.
        guard !facts.isEmpty else { return "" }
        return element(
            "ul",
            ["class": "short"],
            facts.map {
                element("li", [:], element("b", [:], text($0.number)), element("span", [:], text($0.meaning)))
            }
        )
    }

    package static func sentences(_ sentences: [String]) -> String {
        element("ul", ["class": "method"], sentences.map { element("li", [:], text($0)) })
    }

    /// Names and values.
    package static func facts(_ facts: [(String, String)]) -> String {
        element("dl", [:], facts.map { element("dt", [:], text($0.0)) + element("dd", [:], text($0.1)) })
    }

    /// Tables of a terminal, each closed until it is asked for.
    package static func details(_ tables: [TextTable]) -> String {
        tables.map { table in
            let rows = table.rows.map { row in
                let cells = row.cells.map { cell in
                    cell.isLoss ? element("td", ["class": "loss"], text(cell.text)) : text(cell.text)
                }
                return row.note.map {
                    cells + [element("td", ["colspan": "\(table.heads.count - 1)"], text($0))]
                } ?? cells
            }
            return element(
                "details",
                [:],
                element("summary", [:], text(table.title)),
                HTML.table(
                    heads: table.heads.map { text($0.filter { !$0.isEmpty }.joined(separator: " ")) },
                    rows: rows,
                    style: "numbers"
                )
            )
        }.joined()
    }
}
