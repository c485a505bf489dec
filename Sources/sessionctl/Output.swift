// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// What is printed: results to standard output, everything else to standard error.
enum Output {
    /// Whether standard error is a terminal.
    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    /// Prints a value as JSON; with `isLine` in one line.
    static func json(_ value: some Encodable, isLine: Bool = false) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if !isLine { encoder.outputFormatting.insert(.prettyPrinted) }
        let text = String(decoding: try encoder.encode(value), as: UTF8.self)
        // The encoder's own line feeds are the only control characters outside of strings, and it escapes those inside.
        line(
            String.UnicodeScalarView(
                text.unicodeScalars.flatMap { scalar in
                    scalar != "\n" && isUnsafe(scalar) ? Array(jsonEscape(scalar).unicodeScalars) : [scalar]
                }
            ).description
        )
    }

    /// Prints a line.
    ///
    /// Not buffered, so that what follows a `watch` through a pipe sees each line at once.
    static func line(_ text: String) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }

    /// Prints a line to standard error.
    static func note(_ text: String) { FileHandle.standardError.write(Data("\(safe(text))\n".utf8)) }

    /// Prints why nothing could be done, and ends the program.
    static func fail(_ message: String) throws -> Never {
        note("sessionctl: \(message)")
        throw ExitCode(2)
    }

    /// Shows how far something has come, in one line of a terminal; elsewhere nothing.
    static func progress(_ done: Int, of total: Int, _ what: String) {
        guard isInteractive, total > 0 else { return }
        let width = 30
        let filled = min(width, done * width / total)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        FileHandle.standardError.write(Data("\r[\(bar)] \(done) of \(total) \(what)".utf8))
    }

    /// Removes the line of `progress`.
    static func endProgress() {
        if isInteractive { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
    }

    /// Prints columns, aligned; the last one is as wide as it needs to be.
    static func table(_ head: [String], _ rows: [[String]]) {
        let rows = [head] + rows.map { $0.map(safe) }
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = row.enumerated().map { column, text in
                column == row.count - 1
                    ? text : text + String(repeating: " ", count: widths[column] - text.count)
            }
            line(cells.joined(separator: "  ").replacing(/\ +$/, with: ""))
        }
    }

    /// Prints names with their values, one a line.
    static func list(_ rows: [(name: String, value: String)]) {
        let width = rows.map(\.name.count).max() ?? 0
        for row in rows {
            let space = String(repeating: " ", count: width - row.name.count)
            line("\(row.name)\(space)  \(safe(row.value))")
        }
    }

    /// Returns the text without anything that a terminal obeys: `\u{1B}` for an escape, for example.
    static func safe(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        return text.unicodeScalars.map { isUnsafe($0) ? "\\u{\(hex($0))}" : String($0) }.joined()
    }

    /// Whether a scalar moves the cursor, begins a command of a terminal, or changes the direction or look of others.
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned, .surrogate:
            true
        default: false
        }
    }

    private static func hex(_ scalar: Unicode.Scalar) -> String {
        String(scalar.value, radix: 16, uppercase: true)
    }

    private static func jsonEscape(_ scalar: Unicode.Scalar) -> String {
        String(scalar).utf16.map { unit in
            "\\u" + String(repeating: "0", count: 4 - String(unit, radix: 16).count) + String(unit, radix: 16)
        }.joined()
    }
}
