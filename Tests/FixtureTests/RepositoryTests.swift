// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What the documents say about the repository is true: the files, tests and code they show exist.
@Suite struct `The repository's documents` {
    private let repository = Repository()

    @Test func `link to files that exist`() throws {
        let dead = try repository.documents.flatMap { document in
            try repository.links(in: document).filter { !repository.contains($0.path) }
                .map { "\(document): \($0.text)" }
        }
        #expect(dead.isEmpty, "dead links:\n\(dead.joined(separator: "\n"))")
    }

    @Test func `name existing files in CONTRIBUTING`() throws {
        let (paths, suites) = try repository.contributing()
        let missing = paths.filter { !repository.contains($0) } + suites.filter { !repository.hasSuite($0) }
        #expect(!paths.isEmpty && !suites.isEmpty)
        #expect(
            missing.isEmpty,
            "CONTRIBUTING.md names what does not exist (paths are written whole, from the root):\n\(missing.joined(separator: "\n"))"
        )
    }

    /// A folder stands for the files directly in it, not for those of its subfolders.
    @Test func `leave no file of Sources out in CONTRIBUTING`() throws {
        let named = Set(
            try repository.contributing().paths.flatMap { repository.files(matching: $0, isDeep: false) }
        )
        let missing = repository.files.filter {
            $0.hasPrefix("Sources/") && !$0.contains(".docc/") && !named.contains($0)
        }
        #expect(
            missing.isEmpty,
            "CONTRIBUTING.md has no row for \(missing.count) files:\n\(missing.joined(separator: "\n"))"
        )
    }

    @Test func `have a row for each requirement, in order`() throws {
        let rows = try repository.requirements().map(\.number)
        #expect(rows == (1...86).map { $0 < 10 ? "R0\($0)" : "R\($0)" })
    }

    @Test func `cite requirements that have a row`() throws {
        let known = Set(try repository.requirements().map(\.number))
        let unknown = try repository.files.filter { $0.hasPrefix("Sources/") || $0.hasPrefix("Tests/") }
            .flatMap { file in
                try repository.text(file).matches(of: /\bR[0-9]{2}\b/).map { String($0.output) }
                    .filter { !known.contains($0) }.map { "\(file): \($0)" }
            }
        #expect(unknown.isEmpty, "no row in Docs/Requirements.md:\n\(unknown.joined(separator: "\n"))")
    }

    @Test func `name existing files and tests for each requirement`() throws {
        let missing = try repository.requirements().flatMap { row in
            (row.paths.filter { !repository.contains($0) && !repository.contains("Sources/" + $0) }
                + row.suites.filter { !repository.hasSuite($0) }).map { "\(row.number): \($0)" }
        }
        #expect(
            missing.isEmpty,
            "Docs/Requirements.md names what does not exist:\n\(missing.joined(separator: "\n"))"
        )
        for row in try repository.requirements() {
            #expect(!row.suites.isEmpty || row.isOpen, "\(row.number) has neither a test nor a reason")
        }
    }

    @Test func `name existing tests for each class of fault`() throws {
        let rows = try repository.faults()
        #expect(rows.count >= 15)
        let missing = try rows.flatMap { row in
            try row.tests.filter { try !repository.hasTest($0.name, in: $0.file) }.map {
                "\($0.file) \"\($0.name)\""
            }
        }
        #expect(
            missing.isEmpty,
            "Docs/Faults.md names tests that do not exist:\n\(missing.joined(separator: "\n"))"
        )
        for row in rows {
            #expect(!row.source.isEmpty && !row.tests.isEmpty, "\(row.fault): no source or no test")
        }
    }

    /// Blank lines, comments and indentation aside; a line with `…` stands for what was left out.
    @Test func `show code that is compiled`() throws {
        let compiled = try repository.files.filter {
            $0.hasSuffix(".swift")
                && ($0.hasPrefix("Snippets/") || $0.hasPrefix("Samples/")
                    || $0.hasSuffix("/GuideTests.swift") || $0.hasSuffix("/TestClient+Transport.swift"))
        }.map { Repository.lines(try repository.text($0)) }
        #expect(!compiled.isEmpty)
        var strange: [String] = []
        for document in repository.documents where document == "README.md" || document.contains(".docc/") {
            for block in try repository.blocks(in: document) {
                for part in block.split(separator: "…").map(Array.init)
                where !compiled.contains(where: { $0.contains(part) }) {
                    strange.append("\(document):\n    \(part.joined(separator: "\n    "))")
                }
            }
        }
        #expect(
            strange.isEmpty,
            "not in Snippets/ or Samples/:\n\(strange.joined(separator: "\n"))"
        )
    }

    /// The balancers' configurations are tested with the balancers, the tables are what was measured.
    @Test func `show in the guides what is tested and measured`() throws {
        let samples = try repository.files.filter { $0.hasPrefix("Samples/") && !$0.hasSuffix(".swift") }
            .map { Set(try repository.text($0).split(separator: "\n").map(Self.trimmed)) }
        let measured = try ["Docs/Performance.md", "Benchmarks/README.md"]
            .map { try repository.text($0) }
            .joined()
        var (strange, tables) = ([String](), 0)
        for document in repository.documents where document.contains(".docc/") {
            let text = try repository.text(document)
            for match in text.matches(of: /(?ms)^```(\w*)\n(.*?)^```$/) where match.1 != "swift" {
                // For a package that this one does not depend on.
                if match.1 == "text", text.contains("**not compiled here**") { continue }
                let lines = match.2.split(separator: "\n").map(Self.trimmed)
                if !samples.contains(where: { $0.isSuperset(of: lines) }) {
                    strange.append("\(document): \(match.2)")
                }
            }
            guard let start = text.range(of: "\n## Measured\n") else { continue }
            for row in text[start.upperBound...].prefix(while: { $0 != "#" }).split(separator: "\n")
            where row.hasPrefix("|") {
                tables += 1
                if !measured.contains(row) { strange.append("\(document): \(row)") }
            }
        }
        #expect(tables >= 10)
        #expect(
            strange.isEmpty,
            "neither in Samples/ nor measured:\n\(strange.joined(separator: "\n"))"
        )
    }

    private static func trimmed(_ line: Substring) -> String {
        line.trimmingCharacters(in: .whitespaces)
    }

    @Test func `list every guide on the page of guides`() throws {
        let guides = repository.files.filter { $0.hasPrefix("Samples/Guides/") && $0.hasSuffix(".swift") }
        let list = try repository.text("Sources/Sessions/Documentation.docc/Guides.md")
        let listed = list.matches(of: /<doc:(\w+)>/).map { String($0.1) }
        #expect(listed.count == 11)
        for guide in listed {
            let path = "Sources/Sessions/Documentation.docc/\(guide).md"
            let lines = try repository.text(path).split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count <= 121, "\(guide) has \(lines.count) lines")
            #expect(try !repository.blocks(in: path).isEmpty, "\(guide) shows no code")
        }
        #expect(guides.count >= 9)
    }

    @Test func `name each documented library for the package index`() throws {
        let documented = Set(
            repository.files.filter { $0.contains(".docc/") }.map { $0.split(separator: "/")[1] }
        )
        let line = try #require(
            try repository.text(".spi.yml").firstMatch(of: /documentation_targets: \[(.*)\]/)
        )
        #expect(Set(line.1.split(separator: ", ")) == documented)
    }
}

/// The files of this checkout, and what its documents say about them.
private struct Repository {
    /// One row of `Docs/Requirements.md`.
    struct Requirement {
        let number: String
        let paths: [String]
        let suites: [String]
        /// Whether the row says that something is not covered.
        let isOpen: Bool
    }

    private let root: URL
    /// All files, by their path from the root.
    let files: [String]

    init() {
        root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent()
        var files: [String] = []
        if let walker = FileManager.default.enumerator(atPath: root.path) {
            while let path = walker.nextObject() as? String {
                let name = path.split(separator: "/").last ?? ""
                if name.hasPrefix(".build") || name == ".git" || name == ".swiftpm" {
                    walker.skipDescendants()
                } else if walker.fileAttributes?[.type] as? FileAttributeType == .typeRegular {
                    files.append(path)
                }
            }
        }
        self.files = files.sorted()
    }

    var documents: [String] { files.filter { $0.hasSuffix(".md") } }

    func text(_ file: String) throws -> String {
        String(decoding: try Data(contentsOf: root.appending(path: file)), as: UTF8.self)
    }

    /// Whether a path, a folder or a pattern stands for at least one file.
    func contains(_ pattern: String) -> Bool { !files(matching: pattern, isDeep: true).isEmpty }

    /// Whether there is a test file of this name, or a part of the test kit.
    func hasSuite(_ name: String) -> Bool {
        files.contains {
            ($0.hasPrefix("Tests/") || $0.hasPrefix("Sources/SessionsTesting/"))
                && $0.hasSuffix("/\(name).swift")
        }
    }

    /// Whether a test file has a test with exactly this sentence as its name.
    func hasTest(_ name: String, in file: String) throws -> Bool {
        try files.filter { $0.hasPrefix("Tests/") && $0.hasSuffix("/\(file).swift") }
            .contains { try text($0).contains("func `\(name)`(") }
    }

    /// The files that a pattern names: a path, a folder, or either with `*` and `{a,b}`.
    ///
    /// - Parameters:
    ///   - pattern: the path from the root.
    ///   - isDeep: whether a folder stands for the files of its subfolders, too.
    /// - Returns: their paths.
    func files(matching pattern: String, isDeep: Bool) -> [String] {
        var path = pattern.hasSuffix("/") ? String(pattern.dropLast()) : pattern
        guard path.contains(where: "*{".contains) else {
            return files.filter { file in
                file == path
                    || file.hasPrefix(path + "/") && (isDeep || !file.dropFirst(path.count + 1).contains("/"))
            }
        }
        for (text, replacement) in [
            (".", "\\."), ("+", "\\+"), ("*", "[^/]*"), ("{", "(?:"), ("}", ")"), (",", "|"),
        ] { path = path.replacing(text, with: replacement) }
        guard let regex = try? Regex(path + (isDeep ? "(?:/.*)?" : "(?:/[^/]*)?")) else { return [] }
        return files.filter { $0.wholeMatch(of: regex) != nil }
    }

    /// The relative links of a document, and what they are relative to the root.
    func links(in document: String) throws -> [(text: String, path: String)] {
        let folder = document.split(separator: "/").dropLast()
        return try prose(of: document).matches(of: /\]\(([^)\s#:]+)(?:#[^)\s]*)?\)/).map { match in
            var path = Array(folder)
            for part in match.1.split(separator: "/") where part != "." {
                if part == ".." { _ = path.popLast() } else { path.append(part) }
            }
            return (String(match.1), path.joined(separator: "/"))
        }
    }

    /// The paths that CONTRIBUTING's reading order links to or its table names, and the tests of the table.
    func contributing() throws -> (paths: [String], suites: [String]) {
        let text = try prose(of: "CONTRIBUTING.md")
        let start = try #require(text.firstRange(of: "## Reading order"))
        let end = text[start.upperBound...].firstRange(of: "\n## Rules")?.lowerBound ?? text.endIndex
        let part = String(text[start.upperBound..<end])
        var paths = part.matches(of: /\]\(([^)\s#:]+)\)/).map { String($0.1) }
        var suites: [String] = []
        for row in Self.rows(part) where row.count == 3 {
            paths += Self.quoted(row[1]).filter(Self.isPath)
            suites += Self.quoted(row[2]).filter { $0.wholeMatch(of: /[A-Z]\w+(Tests|Contract)/) != nil }
        }
        return (paths, suites)
    }

    func requirements() throws -> [Requirement] {
        Self.rows(try text("Docs/Requirements.md"))
            .filter { $0.count == 5 && $0[0].wholeMatch(of: /R[0-9]{2}/) != nil }
            .map { row in
                Requirement(
                    number: row[0],
                    paths: Self.quoted(row[3]),
                    suites: Self.quoted(row[4]).filter {
                        $0.wholeMatch(of: /[A-Z]\w+(Tests|Contract)/) != nil
                    },
                    isOpen: row[4].contains("not covered")
                )
            }
    }

    /// The rows of `Docs/Faults.md`: the class, where it was reported, and the tests as `File` "sentence", ….
    func faults() throws -> [(fault: String, source: String, tests: [(file: String, name: String)])] {
        Self.rows(try text("Docs/Faults.md")).filter { $0.count == 3 }.dropFirst(2).map { row in
            var (file, tests) = ("", [(file: String, name: String)]())
            for match in row[2].matches(of: /`(\w+)`|"([^"]+)"/) {
                if let name = match.2 {
                    tests.append((file, String(name)))
                } else {
                    file = String(match.1 ?? "")
                }
            }
            return (row[0], row[1], tests)
        }
    }

    /// The Swift blocks of a document, as `lines` gives them, without those that belong into a manifest.
    func blocks(in document: String) throws -> [[String]] {
        try text(document).matches(of: /(?ms)^```swift\n(.*?)^```$/).map { Self.lines(String($0.1)) }
            .filter { lines in
                !lines.allSatisfy { $0.hasPrefix(".package(") || $0.hasPrefix(".product(") }
            }
    }

    /// The lines of Swift code that mean something, without indentation and comments.
    static func lines(_ code: String) -> [String] {
        code.split(whereSeparator: \.isNewline).compactMap { line in
            let text = line.replacing(/(^|\s)\/\/.*/, with: "").trimmingCharacters(in: .whitespaces)
            if line.contains("// …") { return "…" }
            return text.isEmpty ? nil : text
        }
    }

    private func prose(of document: String) throws -> String {
        try text(document).replacing(/(?ms)^```.*?^```$/, with: "")
    }

    /// The cells of the tables in a text.
    private static func rows(_ text: String) -> [[String]] {
        text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("|") }.map { line in
            line.dropFirst().split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    private static func quoted(_ cell: String) -> [String] {
        cell.matches(of: /`([^`]+)`/).map { String($0.1) }
    }

    private static func isPath(_ text: String) -> Bool {
        text.contains("/") || text.contains(/\.(swift|md|lua|h|yaml|cfg|conf|sh)$/)
    }
}
