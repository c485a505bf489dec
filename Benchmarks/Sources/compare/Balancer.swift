// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// A private HAProxy in front of the instances, and what it counts.
final class Balancer: Sendable {
    /// Bytes on the wire since the start, as HAProxy's HTTP/1 layer counts them.
    struct Bytes: Sendable {
        /// Between client and balancer, both directions.
        var client = 0
        /// Between balancer and instances, both directions.
        var instances = 0
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let port: Int
    private let statsPort: Int
    private let child: ChildProcess

    /// Starts HAProxy and waits until it knows which of the servers are up.
    ///
    /// - Parameters:
    ///   - balancing: how an instance is chosen.
    ///   - ports: of all servers, those included that are not started yet.
    ///   - running: how many of them run.
    /// - Throws: `Failure` when it does not start, and errors of the file system.
    init(_ balancing: Strategy.Balancing, ports: [Int], running: Int) async throws {
        port = try freePort()
        statsPort = try freePort()
        let file = FileManager.default.temporaryDirectory.appending(
            path: "haproxy-\(UUID().uuidString.prefix(8)).cfg"
        )
        try Self.configuration(balancing, port: port, statsPort: statsPort, ports: ports).write(
            to: file,
            atomically: true,
            encoding: .utf8
        )
        child = try ChildProcess("haproxy", ["-db", "-f", file.path])
        let isReady = await poll(seconds: 10, every: .milliseconds(50)) {
            guard let rows = try? await self.rows() else { return !self.child.isRunning }
            let states = rows.filter { $0["# pxname"] == "instances" && $0["svname"] != "BACKEND" }.map {
                $0["status"] ?? ""
            }
            return states.count { $0.hasPrefix("UP") } == running
                && states.count { $0.hasPrefix("DOWN") } == ports.count - running
        }
        guard isReady, child.isRunning else {
            throw Failure(description: "HAProxy did not start: \(child.text.suffix(1000))")
        }
    }

    /// HAProxy's process id.
    var pid: pid_t { child.pid }

    /// What went over the wire until now.
    func bytes() async throws -> Bytes {
        var bytes = Bytes()
        for row in try await rows() {
            let sum = (Int(row["h1_bytes_in"] ?? "") ?? 0) + (Int(row["h1_bytes_out"] ?? "") ?? 0)
            if row["# pxname"] == "site", row["svname"] == "FRONTEND" { bytes.client = sum }
            if row["# pxname"] == "instances", row["svname"] == "BACKEND" { bytes.instances = sum }
        }
        return bytes
    }

    /// The version of the HAProxy that is installed.
    static func version() async -> String {
        guard let about = try? ChildProcess("haproxy", ["-v"]),
            (try? await about.wait(seconds: 5)) == 0
        else { return "unknown" }
        return about.text.split(separator: " ").dropFirst(2).first.map(String.init) ?? "unknown"
    }

    func stop() async { await child.stop(SIGTERM, seconds: 2) }

    private func rows() async throws -> [[String: String]] {
        let text = try await Browser(seconds: 2).get("/stats;csv", on: Site(port: statsPort)).body
        let lines = text.split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        guard let names = lines.first else { return [] }
        return lines.dropFirst().map { Dictionary(zip(names, $0)) { first, _ in first } }
    }

    /// Checks are bare TCP connections, so that they do not show among the bytes.
    ///
    /// A server that listens serves.
    private static func configuration(
        _ balancing: Strategy.Balancing,
        port: Int,
        statsPort: Int,
        ports: [Int]
    ) -> String {
        var lines = [
            "global", "  maxconn 4000", "  nbthread 1",
            "defaults", "  mode http", "  timeout connect 1s", "  timeout client 30s", "  timeout server 30s",
            "  timeout http-request 10s", "  timeout http-keep-alive 60s",
            "frontend site", "  bind 127.0.0.1:\(port)", "  option forwardfor", "  default_backend instances",
            "frontend stats", "  bind 127.0.0.1:\(statsPort)", "  stats enable", "  stats uri /stats",
            "  stats show-modules",
            "backend instances", "  balance roundrobin",
            // A connection that was refused carried nothing; one that was cut may have carried a change.
            "  retries 3", "  option redispatch 1", "  retry-on conn-failure empty-response",
            "  http-request disable-l7-retry unless { method GET HEAD }",
            "  default-server check inter 200ms fall 2 rise 1",
        ]
        if case .pinned = balancing {
            lines += [
                "  dynamic-cookie-key \(UUID().uuidString)",
                "  cookie __Host-route insert indirect nocache httponly secure attr SameSite=Lax dynamic",
            ]
        }
        for (index, port) in ports.enumerated() { lines.append("  server s\(index + 1) 127.0.0.1:\(port)") }
        return lines.joined(separator: "\n") + "\n"
    }
}
