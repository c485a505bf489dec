// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// Redis' own `redis-benchmark`.
enum RedisBenchmark {
    /// What the clients are started with.
    struct Endpoint: Sendable {
        var port: Int
        /// The authority's certificate; nil without TLS.
        var authority: String?
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Sends `count` commands and returns how many there were in a second.
    static func run(
        _ command: [[UInt8]],
        to endpoint: Endpoint,
        callers: Int,
        pipeline: Int,
        count: Int
    ) async throws -> Double {
        var words = [
            "redis-benchmark", "-h", "127.0.0.1", "-p", "\(endpoint.port)", "-c", "\(callers)", "-n",
            "\(count)", "-P", "\(pipeline)", "--csv",
        ]
        if let authority = endpoint.authority { words += ["--tls", "--cacert", authority] }
        // Arguments with any bytes go through a shell's quotes: `Process` takes text only.
        let line =
            "exec " + (words.map { quoted(Array($0.utf8)) } + command.map(quoted)).joined(separator: " ")
        let text = try await TestSupport.run("bash", ["-c", line], seconds: 60)
        guard let rate = rate(text) else {
            throw Failure(description: "redis-benchmark printed: \(text.suffix(300))")
        }
        return rate
    }

    /// The requests per second in the output of `--csv`: the last line has the name of the test, which may hold
    /// anything, the rate, and six latencies.
    static func rate(_ text: String) -> Double? {
        guard let line = text.split(separator: "\n").last(where: { $0.hasPrefix("\"") || $0.hasSuffix("\"") })
        else { return nil }
        let fields = line.split(separator: ",").map { $0.trimmingCharacters(in: ["\"", "\r", " "]) }
        guard fields.count >= 8 else { return nil }
        return Double(fields[fields.count - 7])
    }

    /// A word for bash; NUL cannot be in one.
    static func quoted(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        let isPlain = !bytes.isEmpty && bytes.allSatisfy { plain.contains($0) }
        if isPlain { return String(decoding: bytes, as: UTF8.self) }
        return "$'"
            + bytes.map { byte in
                plain.contains(byte)
                    ? String(UnicodeScalar(byte)) : "\\x\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }.joined() + "'"
    }

    private static let plain = Set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@".utf8
    )
}
