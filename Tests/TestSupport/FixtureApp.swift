// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Synchronization

/// One running `fixture-app`: its own process on its own loopback port, stopped by its own pid.
public final class FixtureApp: Listener {
    /// What the instance is started with; each becomes a flag of the program.
    public struct Options: Sendable {
        /// The kind of store.
        public var store = "redis"
        /// Where Redis listens; nil for stores without one.
        public var redis: String?
        /// The key prefix.
        public var prefix: String?
        /// `--idle-seconds`.
        public var idleSeconds: Int?
        /// `--lifetime-seconds`.
        public var lifetimeSeconds: Int?
        /// `--notice-seconds`: how long it serves on, unhealthy, when it is told to stop.
        public var noticeSeconds: Int?
        /// Whether the cookie is plain `session` instead of `__Host-session`.
        public var isPlainHTTP = false
        /// Further arguments, as they are.
        public var extra: [String] = []
        /// Environment variables of the process.
        public var environment: [String: String] = [:]
        /// Whether `environment` alone says everything, without any flag.
        public var isEnvironmentOnly = false

        /// The defaults of the program, with a store.
        public init(store: String = "redis", redis: String? = nil, prefix: String? = nil) {
            self.store = store
            self.redis = redis
            self.prefix = prefix
        }

        func arguments(instance: String, port: Int) -> [String] {
            if isEnvironmentOnly { return [] }
            var list = ["--host", "127.0.0.1", "--port", "\(port)", "--instance", instance, "--store", store]
            if let redis { list += ["--redis", redis] }
            if let prefix { list += ["--prefix", prefix] }
            if let idleSeconds { list += ["--idle-seconds", "\(idleSeconds)"] }
            if let lifetimeSeconds { list += ["--lifetime-seconds", "\(lifetimeSeconds)"] }
            if let noticeSeconds { list += ["--notice-seconds", "\(noticeSeconds)"] }
            if isPlainHTTP { list.append("--plain-http") }
            return list + extra
        }
    }

    /// The name in `X-Instance`.
    public let instance: String
    /// The loopback port, kept over restarts.
    public let port: Int
    /// What it was started with.
    public let options: Options
    private let state: Mutex<(child: ChildProcess, earlierOutput: String)>

    /// Starts the program without waiting for it.
    public init(_ options: Options, instance: String = "one", port: Int? = nil) throws {
        self.instance = instance
        self.options = options
        self.port = try port ?? freePort()
        let child = try ChildProcess(
            Self.executable,
            options.arguments(instance: instance, port: self.port),
            environment: options.environment
        )
        state = Mutex((child, ""))
    }

    /// Starts the program and waits until it serves requests.
    public static func started(_ options: Options, instance: String = "one", port: Int? = nil) async throws
        -> FixtureApp
    {
        let app = try FixtureApp(options, instance: instance, port: port)
        try await app.healthy()
        return app
    }

    /// The process id; another one after `restart()`.
    public var pid: pid_t { child.pid }

    /// The exit status; nil while it runs.
    public var exitCode: Int32? { child.exitCode }

    /// Everything this instance has printed, earlier lives included.
    public var output: String { state.withLock { $0.earlierOutput + $0.child.text } }

    /// Asks it to end (`SIGTERM`) and waits; after `seconds` it is killed.
    public func terminate(seconds: Double = 5) async { await child.stop(SIGTERM, seconds: seconds) }

    /// Ends it at once (`SIGKILL`).
    public func kill9() async { await child.stop(SIGKILL) }

    /// Waits until it has ended by itself.
    public func wait(seconds: Double) async throws -> Int32 { try await child.wait(seconds: seconds) }

    /// Starts it again on the same port; the earlier process must have ended.
    public func restart() async throws {
        let started = try ChildProcess(
            Self.executable,
            options.arguments(instance: instance, port: port),
            environment: options.environment
        )
        state.withLock {
            $0.earlierOutput += $0.child.text
            $0.child = started
        }
        try await healthy()
    }

    private var child: ChildProcess { state.withLock { $0.child } }

    private func healthy() async throws {
        let isHealthy = await poll(seconds: 20, every: .milliseconds(20)) {
            guard self.exitCode == nil else { return true }
            let reply = try? await Browser(seconds: 2).send(
                "GET",
                "/healthz",
                on: self,
                headers: ["Connection": "close"]
            )
            return reply?.status == 200
        }
        guard isHealthy, exitCode == nil else {
            throw ChildProcess.Failure(
                description: "fixture-app \(instance) does not serve:\n\(output.suffix(2000))"
            )
        }
    }

    private static let executable =
        ProcessInfo.processInfo.environment["FIXTURE_APP"] ?? builtProduct("fixture-app")
}

/// Returns the path of a program of this repository: beside the running one, or in the root package's build
/// folder of the same configuration.
public func builtProduct(_ name: String) -> String {
    let program = URL(fileURLWithPath: CommandLine.arguments[0])
    let beside = program.deletingLastPathComponent().appending(path: name)
    if FileManager.default.isExecutableFile(atPath: beside.path) { return beside.path }
    // `Tests/TestSupport`, or the link to it in `Benchmarks`: two folders below the root.
    var root = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { root.deleteLastPathComponent() }
    #if DEBUG
        return root.appending(path: ".build/debug/\(name)").path
    #else
        return root.appending(path: ".build/release/\(name)").path
    #endif
}
