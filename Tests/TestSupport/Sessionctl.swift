// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One run of `sessionctl`.
public struct Sessionctl: Sendable {
    /// How it ended.
    public let exitCode: Int32
    /// Its standard output.
    public let output: String
    /// Its standard error.
    public let errors: String

    /// Runs the program to its end.
    ///
    /// - Parameters:
    ///   - arguments: of the program.
    ///   - environment: more variables.
    /// - Throws: `ChildProcess.Failure` when it does not start or end, and errors of the file system.
    public init(_ arguments: [String], environment: [String: String] = [:]) async throws {
        let folder = try makeTemporaryFolder("sessionctl")
        defer { removeTemporaryFolder(folder) }
        let errors = folder.appending(path: "errors")
        let child = try ChildProcess(
            "/bin/sh",
            ["-c", "exec \"$0\" \"$@\" 2>'\(errors.path)'", builtProduct("sessionctl")] + arguments,
            environment: environment
        )
        exitCode = try await child.wait(seconds: 60)
        output = child.text
        self.errors = try String(contentsOf: errors, encoding: .utf8)
    }

    /// The output as JSON.
    public var json: JSON { get throws { try JSONDecoder().decode(JSON.self, from: Data(output.utf8)) } }

    /// The lines of the output.
    public var lines: [String] {
        output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}
