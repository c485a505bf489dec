// SPDX-License-Identifier: Apache-2.0

public import Foundation
import NIOCore
import Synchronization

/// The children that run now.
///
/// Whatever is left when the test process ends, ends with it.
private let running: Mutex<Set<pid_t>> = {
    atexit { running.withLock { for pid in $0 { kill(pid, SIGKILL) } } }
    return Mutex([])
}()

/// One program that a test starts and stops by its own process id.
///
/// Output goes to a file, so that a full pipe never stalls the child. The child is killed when the object
/// goes away.
public final class ChildProcess: Sendable {
    /// What went wrong while starting or watching a child.
    public struct Failure: Error, CustomStringConvertible {
        /// A sentence, with the tail of the child's output where there is one.
        public let description: String
    }

    private let process: Mutex<Process>
    private let output: URL
    /// The operating system's process id.
    public let pid: pid_t

    /// Starts `program` (a path, or a name looked up in `PATH`).
    public init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        directory: URL? = nil
    ) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.currentDirectoryURL = directory
        process.standardInput = FileHandle.nullDevice
        output = FileManager.default.temporaryDirectory.appending(path: "child-\(UUID().uuidString).out")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        let id = try FileHandle(forWritingTo: output)
        process.standardOutput = id
        process.standardError = id
        // Worker threads of this process block all signals, and a child inherits that: it would never see a
        // SIGTERM.
        var none = sigset_t()
        var mask = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &mask)
        defer { pthread_sigmask(SIG_SETMASK, &mask, nil) }
        try process.run()
        // The child has its own. Foundation's `Process` reads past its buffer in a process with some 1,300 open files.
        try id.close()
        let pid = process.processIdentifier
        self.pid = pid
        running.withLock { _ = $0.insert(pid) }
        process.terminationHandler = { _ in running.withLock { _ = $0.remove(pid) } }
        self.process = Mutex(process)
    }

    deinit {
        if isRunning { kill(pid, SIGKILL) }
        try? FileManager.default.removeItem(at: output)
    }

    /// Whether the child has not exited yet.
    public var isRunning: Bool { process.withLock { $0.isRunning } }

    /// The exit status; nil while it runs.
    public var exitCode: Int32? { process.withLock { $0.isRunning ? nil : $0.terminationStatus } }

    /// Everything the child has printed so far.
    public var text: String { String(decoding: (try? Data(contentsOf: output)) ?? Data(), as: UTF8.self) }

    /// Sends a signal to the child alone.
    public func send(_ signal: Int32) { kill(pid, signal) }

    /// Sends `signal` and waits until the child is gone; after `seconds` it is killed.
    public func stop(_ signal: Int32 = SIGTERM, seconds: Double = 5) async {
        guard isRunning else { return }
        send(signal)
        if await !poll(seconds: seconds, { !self.isRunning }) {
            send(SIGKILL)
            _ = await poll(seconds: 5) { !self.isRunning }
        }
    }

    /// Waits for the child to end by itself and gives its exit status.
    public func wait(seconds: Double) async throws -> Int32 {
        guard await poll(seconds: seconds, { !self.isRunning }), let exitCode else {
            throw Failure(description: "still running after \(seconds) s:\n\(text.suffix(2000))")
        }
        return exitCode
    }
}

/// Runs a program to its end and returns what it printed.
///
/// Throws when it fails or takes longer than `seconds`.
@discardableResult
public func run(_ program: String, _ arguments: [String], directory: URL? = nil, seconds: Double = 30)
    async throws -> String
{
    let child = try ChildProcess(program, arguments, directory: directory)
    let status = try await child.wait(seconds: seconds)
    guard status == 0 else {
        throw ChildProcess.Failure(description: "\(program) exited \(status):\n\(child.text.suffix(2000))")
    }
    return child.text
}

/// Asks again and again, for the outside world gives no other notice, until `condition` holds.
///
/// False when the time is over.
public func poll(seconds: Double, every pause: Duration = .milliseconds(10), _ condition: () async -> Bool)
    async -> Bool
{
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end {
        if await condition() { return true }
        try? await Task.sleep(for: pause)
    }
    return await condition()
}

/// The ports that `freePort` has returned: what will listen there may not have started yet.
private let givenPorts = Mutex<Set<Int>>([])

/// Returns a loopback port that was free a moment ago, a different one with each call.
///
/// Below the ports that systems give to outgoing connections, of which any could take it in the meantime.
public func freePort() throws -> Int {
    for _ in 0..<1000 {
        let port = Int.random(in: 10_000..<32_000)
        guard givenPorts.withLock({ $0.insert(port).inserted }), try isFree(port) else { continue }
        return port
    }
    throw ChildProcess.Failure(description: "no free loopback port")
}

private func isFree(_ port: Int) throws -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    return try SocketAddress(ipAddress: "127.0.0.1", port: port).withSockAddr { address, size in
        bind(descriptor, address, socklen_t(size)) == 0
    }
}
