// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Mustache

/// Renders pages with the templates and the style sheet in `Templates`: one file, with its plots inside, that loads nothing.
package struct PageTemplate: Sendable {
    private let library: MustacheLibrary
    private let style: String

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// - Throws: if a template is missing or malformed.
    package init() async throws {
        guard let folder = Bundle.module.url(forResource: "Templates", withExtension: nil) else {
            throw Failure(description: "The templates of pages are not beside the program.")
        }
        library = try await MustacheLibrary(directory: folder.path)
        style = try String(contentsOf: folder.appending(path: "style.css"), encoding: .utf8)
    }

    /// Renders the JSON that `Page.json` has written.
    ///
    /// - Throws: `DecodingError` if it is not that of a page.
    package func html(_ json: Data) throws -> String {
        let page = try JSONDecoder().decode(Page.self, from: json)
        guard
            let html = library.render(["page": page, "style": style] as [String: Any], withTemplate: "page")
        else { throw Failure(description: "There is no template for pages.") }
        return html
    }

    /// Renders the JSON file at `path` into `file`.
    ///
    /// - Throws: `Failure` if that is not the JSON of a page.
    package func write(_ path: String, to file: URL) throws {
        let html: String
        do {
            html = try self.html(Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw Failure(description: "--from: \(path) cannot be read, or is not the JSON of a page.")
        }
        try html.write(to: file, atomically: true, encoding: .utf8)
    }

    /// Renders a page into `file`, and writes its JSON beside it.
    ///
    /// - Returns: the JSON's file.
    package func write(_ page: Page, to file: URL) throws -> URL {
        let json = try page.json
        let jsonFile = file.deletingPathExtension().appendingPathExtension("json")
        try json.write(to: jsonFile, options: .atomic)
        try html(json).write(to: file, atomically: true, encoding: .utf8)
        return jsonFile
    }
}

extension Page {
    /// The page as JSON, with its members in alphabetical order.
    package var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            return try encoder.encode(self)
        }
    }
}

// A template sees stored members; these are computed.
extension Page.Section: MustacheParent {
    package func child(named name: String) -> Any? {
        name == "grid" ? grid : Mirror(reflecting: self).descendant(name)
    }
}

extension Figure: MustacheParent {
    package func child(named name: String) -> Any? {
        name == "drawing" ? drawing : Mirror(reflecting: self).descendant(name)
    }
}
