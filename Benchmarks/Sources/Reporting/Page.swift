// SPDX-License-Identifier: Apache-2.0

/// What a program of this package shows of a run: the JSON file beside its page, and all that the page is made of.
///
/// Numbers that are read are written out already; those that are drawn are numbers.
package struct Page: Codable, Sendable {
    package var title: String
    package var introduction: String
    /// What must be known before anything is read; empty when there is nothing.
    package var warning: String
    /// The few numbers that one would tell a colleague.
    package var facts: [Fact]
    package var sections: [Section]

    /// Makes a page without those sections that have no content.
    package init(title: String, introduction: String, facts: [Fact], sections: [Section]) {
        self.title = title
        self.introduction = introduction
        self.facts = facts
        self.sections = sections.filter { !$0.isEmpty }
        warning = Machine.isDebugBuild ? "This was a debug build: the numbers compare nothing." : ""
    }

    package struct Fact: Codable, Sendable {
        var number: String
        var meaning: String

        package init(_ number: String, _ meaning: String) {
            self.number = number
            self.meaning = meaning
        }
    }

    /// A heading and what stands below it, in the order of the members.
    package struct Section: Codable, Sendable {
        package var title: String
        package var introduction: String
        /// Of all figures together.
        package var legend: [Legend] = []
        package var figures: [Figure] = []
        package var tables: [Table] = []
        /// Tables that are closed until they are asked for.
        package var details: [Table] = []
        package var sentences: [String] = []
        package var properties: [Property] = []

        package init(_ title: String, _ introduction: String) {
            self.title = title
            self.introduction = introduction
        }

        var isEmpty: Bool {
            figures.isEmpty && tables.isEmpty && details.isEmpty && sentences.isEmpty && properties.isEmpty
        }

        /// How many figures are beside each other on a wide screen, as the style sheet names it: four make two rows of two.
        var grid: String { figures.count == 4 || figures.contains { $0.timeline != nil } ? "wide" : "narrow" }
    }

    /// A name and what it stands for.
    package struct Property: Codable, Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package struct Table: Codable, Sendable {
        /// How it looks and folds on a narrow screen.
        package enum Look: String, Codable, Sendable {
            /// Columns of numbers.
            case numbers
            /// Coloured cells.
            case verdicts
            /// Cells with sentences.
            case texts
        }

        package var title: String
        package var look: Look
        package var heads: [String]
        package var rows: [Row]

        package init(_ look: Look, title: String = "", heads: [String], rows: [Row]) {
            self.title = title
            self.look = look
            self.heads = heads
            self.rows = rows
            guard look == .verdicts else { return }
            for row in rows.indices {
                for cell in rows[row].cells.indices { self.rows[row].cells[cell].head = heads[cell + 1] }
            }
        }

        /// A table of a terminal.
        package init(_ table: TextTable) {
            self.init(
                .numbers,
                title: table.title,
                heads: table.heads.map { $0.filter { !$0.isEmpty }.joined(separator: " ") },
                rows: table.rows.map { row in
                    var cells = row.cells.dropFirst().map { Cell($0.text, $0.isLoss ? .loss : .plain) }
                    if let note = row.note {
                        cells.append(Cell(note, columns: table.heads.count - row.cells.count))
                    }
                    return Row(name: row.cells.first?.text ?? "", cells: cells)
                }
            )
        }
    }

    package struct Row: Codable, Sendable {
        package var name: String
        package var cells: [Cell]

        package init(name: String, cells: [Cell]) {
            self.name = name
            self.cells = cells
        }
    }

    package struct Cell: Codable, Sendable {
        package enum Verdict: String, Codable, Sendable {
            case plain, fine, wary, loss
        }

        package var text: String
        package var verdict: Verdict
        /// Smaller, below the text; may be empty.
        package var remark: String
        package var columns: Int
        /// The head of its column where a narrow screen shows it beside the cell.
        fileprivate(set) var head = ""

        package init(_ text: String, _ verdict: Verdict = .plain, remark: String = "", columns: Int = 1) {
            self.text = text
            self.verdict = verdict
            self.remark = remark
            self.columns = columns
        }
    }

    /// What a colour stands for.
    package struct Legend: Codable, Sendable {
        package var name: String
        /// A class of the style sheet.
        package var style: String

        package init(_ name: String, _ style: String) {
            self.name = name
            self.style = style
        }
    }
}
