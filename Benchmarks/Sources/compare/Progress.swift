// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One line per phase: its name when it begins, what came of it when it ends.
struct Progress: Sendable {
    func strategy(_ number: Int, of count: Int, _ strategy: Strategy) {
        write("[\(number)/\(count)] \(strategy.id): \(strategy.summary)\n")
    }

    func phase<Value: Sendable>(_ name: String, _ body: () async throws -> (Value, String)) async rethrows
        -> Value
    {
        write("      \(name) … ")
        do {
            let (value, outcome) = try await body()
            write(outcome.isEmpty ? "done\n" : outcome + "\n")
            return value
        } catch {
            write("failed\n")
            throw error
        }
    }

    func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
