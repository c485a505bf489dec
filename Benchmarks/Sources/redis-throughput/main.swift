// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hiredis
import NIOCore
import NIOPosix

/// Compares this client with `redis-benchmark` in the same run, on a private `redis-server`: concurrent
/// callers, each with one `HGETALL` of a hash of 6 fields (272 bytes) at a time.
///
/// Usage: `redis-throughput [rounds] [seconds per round] [callers,callers...] [pool|loops] [plain|tls]`.
/// `pool` and `loops` say where the callers run: on Swift's thread pool or on NIO's event loops. Medians are
/// printed; nothing is asserted.
let arguments = CommandLine.arguments
let rounds = arguments.dropFirst().first.flatMap { Int($0) } ?? 5
let seconds = arguments.dropFirst(2).first.flatMap { Double($0) } ?? 2
let sizes = arguments.dropFirst(3).first.map { $0.split(separator: ",").compactMap { Int($0) } } ?? [64]
let executors = arguments.dropFirst(4).first == "loops" ? LoopExecutor.all : []
let isTLS = arguments.dropFirst(5).first == "tls"

/// Runs tasks on one event loop.
final class LoopExecutor: TaskExecutor {
    static let all = MultiThreadedEventLoopGroup.singleton.makeIterator().map(LoopExecutor.init)

    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// The processor time of this process in microseconds.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

let folder = FileManager.default.temporaryDirectory.appending(path: "bench-\(UUID().uuidString.prefix(8))")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
let port = 20_000 + Int.random(in: 0..<10_000)
let (certificate, key) = (folder.appending(path: "tls.crt").path, folder.appending(path: "tls.key").path)

/// Starts a program without output.
func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
}

var options = ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
if isTLS {
    try start([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=redis",
        "-addext", "subjectAltName=IP:127.0.0.1",
    ]).waitUntilExit()
    options += ["--tls-port", "\(port + 1)", "--tls-cert-file", certificate, "--tls-key-file", key]
    options += ["--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"]
}
let server = try start(["redis-server", "--dir", folder.path] + options)
defer {
    server.terminate()
    try? FileManager.default.removeItem(at: folder)
}

var configuration = try RedisConfiguration(
    url: isTLS ? "rediss://127.0.0.1:\(port + 1)" : "redis://127.0.0.1:\(port)"
)
if isTLS { configuration.tls = RedisTLS(caFile: certificate) }
let redis = RedisClient(configuration)
for _ in 0..<100 where (try? await redis.send(RedisCommand("PING"))) == nil {
    try await Task.sleep(for: .milliseconds(50))
}
var hash = RedisCommand("HSET", "session")
for (field, size) in [
    ("secret", 43), ("version", 5), ("created", 13), ("deadline", 13), ("principal", 36), ("cart", 124),
] {
    hash.append(field)
    hash.append(String(repeating: "x", count: size))
}
_ = try await redis.send(hash)

/// Sends one command after the other until `end`; returns their number.
@Sendable func call(until end: ContinuousClock.Instant) async throws -> Int {
    var done = 0
    while ContinuousClock.now < end {
        // Looking at the clock is not what is measured.
        for _ in 0..<32 {
            var command = RedisCommand("HGETALL", readOnly: true)
            command.append("session")
            let reply = try await redis.send(command)
            precondition(reply.count == 12)
        }
        done += 32
    }
    return done
}

/// Commands per second of this client, and its processor time in microseconds for each of them.
func measureClient(_ callers: Int) async throws -> (rate: Double, cost: Double) {
    let clock = ContinuousClock()
    let before = processorTime()
    let start = clock.now
    let end = start + .seconds(seconds)
    let count = try await withThrowingTaskGroup(of: Int.self) { group in
        for index in 0..<callers {
            if executors.isEmpty {
                group.addTask { try await call(until: end) }
            } else {
                group.addTask(executorPreference: executors[index % executors.count]) {
                    try await call(until: end)
                }
            }
        }
        return try await group.reduce(0, +)
    }
    let rate = Double(count) / ((clock.now - start) / .seconds(1))
    return (rate, (processorTime() - before) / Double(count))
}

/// Commands per second of `redis-benchmark`, without pipelining.
func measureReference(_ callers: Int) throws -> Double {
    let benchmark = Process()
    let output = Pipe()
    benchmark.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    benchmark.arguments = [
        "redis-benchmark", "-p", "\(port)", "-c", "\(callers)", "-n",
        "\(Int(seconds * (callers == 1 ? 20_000 : 80_000)))",
        "--csv", "HGETALL", "session",
    ]
    benchmark.standardOutput = output
    try benchmark.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    benchmark.waitUntilExit()
    let fields = (text.split(separator: "\n").last ?? "").split(separator: ",").map {
        $0.trimmingCharacters(in: ["\""])
    }
    return fields.count > 1 ? Double(fields[1]) ?? 0 : 0
}

extension [Double] {
    var median: Double { sorted()[count / 2] }
}

_ = try await measureClient(64)
for callers in sizes {
    var reference: [Double] = []
    var ours: [Double] = []
    var costs: [Double] = []
    let before = redis.statistics
    for _ in 0..<rounds {
        reference.append(try measureReference(callers))
        let (rate, cost) = try await measureClient(callers)
        ours.append(rate)
        costs.append(cost)
    }
    let statistics = redis.statistics
    let batch = Double(statistics.commands - before.commands) / Double(statistics.batches - before.batches)
    print(
        "callers \(callers): redis-benchmark \(Int(reference.median)),",
        "this client \(Int(ours.median)) commands/s,",
        "ratio \((ours.median / reference.median * 100).rounded() / 100),",
        "\((costs.median * 100).rounded() / 100) µs per command, \((batch * 10).rounded() / 10) commands per write"
    )
}
await redis.shutdown()
