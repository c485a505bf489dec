// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// The load generator `wrk`.
struct Wrk: Sendable {
    /// What one run saw.
    struct Result: Sendable, Equatable {
        var requests = 0
        var seconds = 0.0
        /// Latencies in milliseconds.
        var p50 = 0.0
        var p99 = 0.0
        /// Statuses from 400 on, and connections or answers that failed.
        var errors = 0

        var rate: Double { seconds > 0 ? Double(requests) / seconds : 0 }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Where the script and the cookies are written.
    let folder: URL

    init(_ folder: URL) throws {
        self.folder = folder
        try Data(Self.script.utf8).write(to: folder.appending(path: "wrk.lua"))
        try Data().write(to: folder.appending(path: "no-cookies"))
    }

    /// Writes the cookies that requests to a server carry.
    func save(_ cookies: [String], for server: String) throws -> URL {
        let file = folder.appending(path: "cookies-\(server)")
        try Data(cookies.map { $0 + "\n" }.joined().utf8).write(to: file)
        return file
    }

    /// Sends requests for whole seconds.
    ///
    /// A `%d` in the path becomes another number with each request.
    func run(_ route: Route, port: Int, cookies: URL?, connections: Int, seconds: Int) async throws -> Result
    {
        let file = cookies ?? folder.appending(path: "no-cookies")
        let text = try await TestSupport.run(
            "wrk",
            [
                "-t1", "-c\(connections)", "-d\(seconds)s", "--timeout", "10s", "-s",
                folder.appending(path: "wrk.lua").path, "http://127.0.0.1:\(port)/", "--", route.method,
                route.path, file.path,
            ],
            seconds: Double(seconds) + 30
        )
        guard let result = Self.result(text) else {
            throw Failure(description: "wrk printed: \(text.suffix(300))")
        }
        return result
    }

    /// Reads the line that the script prints at the end.
    static func result(_ text: String) -> Result? {
        guard let line = text.split(separator: "\n").last(where: { $0.hasPrefix("wrk-result ") }) else {
            return nil
        }
        let numbers = line.split(separator: " ").dropFirst().compactMap { Double($0) }
        guard numbers.count == 5 else { return nil }
        return Result(
            requests: Int(numbers[0]),
            seconds: numbers[1] / 1e6,
            p50: numbers[2] / 1000,
            p99: numbers[3] / 1000,
            errors: Int(numbers[4])
        )
    }

    /// All requests are made before the run, so that nothing is formatted while it is measured.
    private static let script = """
        local requests, index = {}, 0
        function init(args)
            local method, path, body = args[1], args[2], args[1] == 'POST' and '' or nil
            local cookies = {}
            for line in io.lines(args[3]) do cookies[#cookies + 1] = line end
            local count = path:find('%d', 1, true) and 20000 or math.max(#cookies, 1)
            for number = 1, count do
                local headers = {}
                if #cookies > 0 then headers['Cookie'] = cookies[(number - 1) % #cookies + 1] end
                requests[number] = wrk.format(method, (path:gsub('%%d', tostring(number))), headers, body)
            end
        end
        function request()
            index = index % #requests + 1
            return requests[index]
        end
        function done(summary, latency)
            local errors = summary.errors
            io.write(string.format('wrk-result %d %d %d %d %d\\n', summary.requests, summary.duration, latency:percentile(50),
                latency:percentile(99), errors.connect + errors.read + errors.write + errors.status + errors.timeout))
        end
        """
}
