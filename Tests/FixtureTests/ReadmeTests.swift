// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The README's program is a sample that compiles, and its transcript is what that program answers.
@Suite struct `README` {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent()
    private let text: String

    init() throws { text = try String(contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8) }

    /// The first fenced block of a language.
    private func block(_ language: String) throws -> String {
        let start = try #require(text.range(of: "```\(language)\n"))
        let end = try #require(text[start.upperBound...].range(of: "```"))
        return String(text[start.upperBound..<end.lowerBound])
    }

    @Test func `is short, and the program starts early`() throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count <= 151)
        #expect(try #require(lines.firstIndex(of: "```swift")) < 12)
    }

    @Test func `shows pictures that exist and load quickly`() throws {
        let pictures = text.matches(of: /<img src="([^"]+)"[^>]* alt="[^"]+"/).map { String($0.1) }
        #expect(!pictures.isEmpty && pictures.count == text.matches(of: /<img\s/).count)
        for picture in pictures {
            let bytes = try Data(contentsOf: Self.root.appending(path: picture)).count
            #expect(bytes < 150_000, "\(picture) has \(bytes) bytes")
        }
    }

    @Test func `shows Samples Hello as it is`() throws {
        let hello = try String(
            contentsOf: Self.root.appending(path: "Samples/Hello/main.swift"),
            encoding: .utf8
        )
        #expect(hello == "// SPDX-License-Identifier: Apache-2.0\n\n" + (try block("swift")))
        #expect(hello.split(separator: "\n", omittingEmptySubsequences: false).count <= 41)
    }

    /// Runs in a network of its own, where the program's well-known ports are free whatever else this machine
    /// does.
    @Test func `shows a transcript that happens`() async throws {
        let transcript = try block("console")
        let commands = transcript.split(separator: "\n").filter { $0.hasPrefix("$ ") }.map { $0.dropFirst(2) }
        let hello = builtProduct("Hello")
        let script = """
            ip link set lo up
            cd "$(mktemp -d)"
            redis-server --port 6379 --bind 127.0.0.1 --save '' >/dev/null & redis=$!
            '\(hello)' >/dev/null 2>&1 & hello=$!
            trap 'kill $redis $hello; rm -rf "$PWD"' EXIT
            for _ in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8080/cart && break; sleep 0.1; done
            \(commands.map { "echo '$ \($0)'; \($0)" }.joined(separator: "\n"))
            """
        let output = try await run(
            "unshare",
            ["--net", "--map-root-user", "bash", "-c", script],
            seconds: 60
        )
        #expect(normalized(output) == normalized(transcript))
    }

    /// What differs from visit to visit becomes `…`.
    private func normalized(_ text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).map(String.init).map { line in
            line.replacing(/^Date: .*/, with: "Date: …").replacing(/session=[^;]*/, with: "session=…")
        }
    }
}
