// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Writes HTML and SVG that is also well-formed XML.
package enum HTML {
    /// An element with ready-made content; one without content closes itself.
    package static func element(
        _ name: String,
        _ attributes: KeyValuePairs<String, String> = [:],
        _ content: String...
    ) -> String {
        element(name, attributes, content)
    }

    /// An element with ready-made pieces of content.
    package static func element(
        _ name: String,
        _ attributes: KeyValuePairs<String, String> = [:],
        _ content: [String]
    ) -> String {
        let list = attributes.map { " \($0)=\"\(text($1))\"" }.joined()
        return content.isEmpty ? "<\(name)\(list)/>" : "<\(name)\(list)>\(content.joined())</\(name)>"
    }

    /// Text in which nothing is markup.
    package static func text(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
    }

    /// A coordinate: two decimals at most.
    package static func coordinate(_ value: Double) -> String {
        let rounded = (value * 100).rounded() / 100
        return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
    }

    /// A table that can be scrolled sideways on a small screen.
    package static func table(heads: [String], rows: [[String]], style: String = "") -> String {
        let head = element(
            "thead",
            [:],
            element("tr", [:], heads.map { element("th", ["scope": "col"], $0) })
        )
        let body = rows.map { cells in
            element(
                "tr",
                [:],
                cells.enumerated().map {
                    $0 == 0
                        ? element("th", ["scope": "row"], $1)
                        : $1.hasPrefix("<td") ? $1 : element("td", [:], $1)
                }
            )
        }
        return element(
            "div",
            ["class": "scroll"],
            element("table", ["class": style], head, element("tbody", [:], body))
        )
    }
}
