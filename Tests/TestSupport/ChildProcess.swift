// SPDX-License-Identifier: Apache-2.0

public import Foundation
import NIOCore
import Synchronization

/// One program that a test starts and stops by its own process id.
///
/// Output goes to a file, so that a full pipe never stalls the child. The child is killed when the object
/// goes away, or the process ends.
public final class ChildProcess: Sendable {
    /// What went wrong while starting or watching a child.
    public struct Failure: Error, CustomStringConvertible {
        /// A sentence, with the tail of the child's output where there is one.
        public let description: String
    }

    /// The exit status, once `waitpid` has told it.
    private let status = Mutex<Int32?>(nil)
    private let output: URL
    /// The operating system's process id.
    public let pid: pid_t

    /// Starts `program`: a path, or a name that is looked up in `PATH` and in `/usr/sbin`, where Debian has HAProxy and nginx.
    ///
    /// Not with Foundation's `Process`, which reads past its buffer in a process with some 1,300 open files.
    public init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        directory: URL? = nil
    ) throws {
        output = FileManager.default.temporaryDirectory.appending(path: "child-\(UUID().uuidString).out")
        Leftovers.add(output)
        do {
            pid = try spawn(
                [program] + arguments,
                environment: ProcessInfo.processInfo.environment.merging(environment) { $1 },
                directory: directory?.path,
                output: output.path
            )
        } catch {
            Leftovers.remove(output)
            throw error
        }
        Leftovers.add(child: pid)
    }

    deinit {
        end()
        Leftovers.remove(output)
    }

    /// Kills the child and waits until it is gone.
    func end() {
        status.withLock { status in
            guard status == nil else { return }
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            Leftovers.remove(child: pid)
            status = SIGKILL
        }
    }

    /// Whether the child has not exited yet.
    public var isRunning: Bool { exitCode == nil }

    /// The exit status, or the number of the signal that ended the child; nil while it runs.
    public var exitCode: Int32? {
        status.withLock { status in
            var word: Int32 = 0
            guard status == nil, waitpid(pid, &word, WNOHANG) == pid else { return status }
            Leftovers.remove(child: pid)
            status = word & 0x7F == 0 ? (word >> 8) & 0xFF : word & 0x7F
            return status
        }
    }

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

#if !canImport(Darwin)
    // Swift's module of glibc leaves these out.
    @_silgen_name("posix_spawn_file_actions_addchdir_np")
    private func posix_spawn_file_actions_addchdir_np(
        _ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>,
        _ path: UnsafePointer<CChar>
    ) -> Int32
    @_silgen_name("posix_spawn_file_actions_addclosefrom_np")
    private func posix_spawn_file_actions_addclosefrom_np(
        _ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>,
        _ from: Int32
    ) -> Int32
#endif

/// Starts a program that inherits nothing but its output: no open files, no input, no blocked signals.
private func spawn(
    _ command: [String],
    environment: [String: String],
    directory: String?,
    output: String
) throws -> pid_t {
    #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
    #else
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    if let directory { _ = posix_spawn_file_actions_addchdir_np(&actions, directory) }
    // Worker threads of this process block all signals: a child that inherits that never sees a SIGTERM.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    #if canImport(Darwin)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_CLOEXEC_DEFAULT))
    #else
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        _ = posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    #endif
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
    defer { for text in arguments + variables { free(text) } }
    var pid: pid_t = 0
    var error = posix_spawnp(&pid, command[0], &actions, &attributes, &arguments, &variables)
    if error == ENOENT, !command[0].contains("/") {
        error = posix_spawn(&pid, "/usr/sbin/\(command[0])", &actions, &attributes, &arguments, &variables)
    }
    guard error == 0 else {
        throw ChildProcess.Failure(description: "\(command[0]): \(String(cString: strerror(error)))")
    }
    return pid
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

/// Returns a port for a node of a cluster: its bus has to be 10,000 above it, the only place before Redis 7.
func freeClusterPort() throws -> Int {
    for _ in 0..<1000 {
        let port = Int.random(in: 10_000..<22_000)
        let ports = [port, port + 10_000]
        let areNew = givenPorts.withLock { given in
            guard given.isDisjoint(with: ports) else { return false }
            given.formUnion(ports)
            return true
        }
        if areNew, try ports.allSatisfy(isFree) { return port }
    }
    throw ChildProcess.Failure(description: "no free loopback ports")
}

private func isFree(_ port: Int) throws -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    return try SocketAddress(ipAddress: "127.0.0.1", port: port).withSockAddr { address, size in
        bind(descriptor, address, socklen_t(size)) == 0
    }
}
