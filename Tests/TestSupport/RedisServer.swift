// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Synchronization

/// A private `redis-server` of one test: loopback or unix socket, nothing written to disk, stopped by its
/// pid.
///
/// What the tests assert about Redis is read through `redis-cli`, never through the client under test.
public final class RedisServer: Sendable {
    /// The TCP port; 0 when the server listens on TLS or a unix socket only.
    public let port: Int
    /// The TLS port; nil without TLS.
    public let tlsPort: Int?
    /// The unix socket, always present: the admin connection of the tests uses it.
    public let socketPath: String
    private let arguments: [String]
    private let environment: [String: String]
    private let directory: URL
    private let child: Mutex<ChildProcess>
    private let adminAuth: [String]

    /// `redis://127.0.0.1:PORT`.
    public var url: String { "redis://127.0.0.1:\(port)" }
    /// The port that clients and other servers use: that of TLS, where there is no other one.
    public var mainPort: Int { port == 0 ? tlsPort ?? 0 : port }

    /// Starts a server and waits until it answers.
    ///
    /// - Parameters:
    ///   - extra: further `redis-server` arguments, for example `["--requirepass", "x"]` or `["--user",
    ///     "…"]`.
    ///   - adminAuth: what `redis-cli` needs to get in, for example `["-a", "x", "--no-auth-warning"]`.
    ///   - tls: a folder with `ca.crt`, `server.crt` and `server.key`; opens a TLS port beside the plain one.
    ///   - isTLSOnly: whether it listens on the TLS port only, for other servers, too.
    ///   - isSentinel: whether it is a sentinel, which watches nothing yet.
    ///   - clockOffset: the seconds by which its clock is ahead of the machine's; Linux only.
    /// - Throws: `ChildProcess.Failure` when it does not start, and errors of the file system.
    public init(
        _ extra: [String] = [],
        adminAuth: [String] = [],
        tls: URL? = nil,
        isTLSOnly: Bool = false,
        isSentinel: Bool = false,
        clockOffset: Int = 0
    ) async throws {
        let isInCluster = extra.contains("--cluster-enabled")
        port = try isTLSOnly ? 0 : isInCluster ? freeClusterPort() : freePort()
        directory = try makeTemporaryFolder("redis")
        socketPath = directory.appending(path: "s").path
        var arguments = [
            "--port", "\(port)", "--bind", "127.0.0.1", "--unixsocket", socketPath, "--dir", directory.path,
            "--save", "", "--appendonly", "no", "--daemonize", "no",
        ]
        if let tls {
            let tlsPort = try isInCluster ? freeClusterPort() : freePort()
            self.tlsPort = tlsPort
            arguments += [
                "--tls-port", "\(tlsPort)", "--tls-ca-cert-file", tls.appending(path: "ca.crt").path,
            ]
            arguments += ["--tls-cert-file", tls.appending(path: "server.crt").path]
            arguments += ["--tls-key-file", tls.appending(path: "server.key").path]
        } else {
            tlsPort = nil
        }
        if isTLSOnly {
            arguments += ["--tls-replication", "yes", "--tls-auth-clients", "no"]
            if isInCluster { arguments += ["--tls-cluster", "yes"] }
        }
        if isSentinel {
            // It writes what it learns into its configuration, and does not start without one.
            let configuration = directory.appending(path: "sentinel.conf")
            try Data().write(to: configuration)
            arguments = [configuration.path] + arguments + ["--sentinel"]
        }
        self.arguments = arguments + extra
        self.adminAuth = adminAuth
        environment =
            clockOffset == 0
            ? [:] : try await ServerClock.environment(seconds: clockOffset, folder: directory)
        child = Mutex(try ChildProcess("redis-server", self.arguments, environment: environment))
        try await ready()
    }

    deinit {
        // First the server, which may write files until it is gone.
        child.withLock { $0.end() }
        removeTemporaryFolder(directory)
    }

    /// The server's process id; another one after `restart()`.
    public var pid: pid_t { child.withLock { $0.pid } }

    /// Runs one command through `redis-cli` and returns its output without the last line feed.
    @discardableResult
    public func admin(_ command: String...) async throws -> String { try await admin(command) }

    /// The same for a command that is put together.
    @discardableResult
    public func admin(_ command: [String]) async throws -> String {
        var text = try await run("redis-cli", ["-s", socketPath] + adminAuth + command)
        if text.last == "\n" { text.removeLast() }
        return text
    }

    /// All keys below a prefix.
    ///
    /// Tests may scan; the library never does.
    public func keys(_ prefix: String = "") async throws -> [String] {
        let text = try await run(
            "redis-cli",
            ["-s", socketPath] + adminAuth + ["--scan", "--pattern", "\(prefix)*"]
        )
        return text.split(separator: "\n").map(String.init)
    }

    /// How often each command was called by clients since the last reset, in lower case.
    ///
    /// The commands of this helper are left out.
    public func commandCounts() async throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in try await admin("INFO", "commandstats").split(whereSeparator: \.isNewline)
        where line.hasPrefix("cmdstat_") {
            let parts = line.dropFirst("cmdstat_".count).split(separator: ":", maxSplits: 1)
            let calls = parts[1].split(separator: ",")[0].dropFirst("calls=".count)
            counts[String(parts[0])] = Int(calls)
        }
        for own in ["info", "config|resetstat", "config", "command", "command|docs", "scan"] {
            counts[own] = nil
        }
        return counts
    }

    /// Sets all command counters to zero.
    public func resetCounts() async throws { try await admin("CONFIG", "RESETSTAT") }

    /// A running `MONITOR`; its `text` grows with each command the server gets.
    public func monitor() async throws -> ChildProcess {
        let monitor = try ChildProcess("redis-cli", ["-s", socketPath] + adminAuth + ["MONITOR"])
        guard await poll(seconds: 5, { monitor.text.hasPrefix("OK") }) else {
            throw ChildProcess.Failure(description: "MONITOR did not start")
        }
        return monitor
    }

    /// Freezes the server: connections stay open, nothing answers.
    public func freeze() { child.withLock { $0.send(SIGSTOP) } }

    /// Ends `freeze()`.
    public func thaw() { child.withLock { $0.send(SIGCONT) } }

    /// Kills the server (`SIGKILL`); what it held is gone.
    public func crash() async { await child.withLock { $0 }.stop(SIGKILL) }

    /// Starts an empty server on the same addresses.
    public func restart() async throws {
        await crash()
        try? FileManager.default.removeItem(atPath: socketPath)
        let started = try ChildProcess("redis-server", arguments, environment: environment)
        child.withLock { $0 = started }
        try await ready()
    }

    /// Waits until a replica has all that this primary has executed by now.
    public func replicated(to replica: RedisServer) async throws {
        let offset = try await replicationOffset("master_repl_offset:")
        let isThere = await poll(seconds: 10) {
            (try? await replica.replicationOffset("slave_repl_offset:")) ?? 0 >= offset
        }
        guard isThere else { throw ChildProcess.Failure(description: "the replica does not follow") }
    }

    private func replicationOffset(_ field: String) async throws -> Int {
        let lines = try await admin("INFO", "replication").split(whereSeparator: \.isNewline)
        return lines.first { $0.hasPrefix(field) }.flatMap { Int($0.dropFirst(field.count)) } ?? 0
    }

    private func ready() async throws {
        let answered = await poll(seconds: 10) { (try? await self.admin("PING")) == "PONG" }
        guard answered else {
            throw ChildProcess.Failure(
                description: "redis-server did not start:\n\(child.withLock { $0 }.text.suffix(2000))"
            )
        }
    }
}
