// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hiredis

/// Compares this client with `redis-benchmark` in the same run, on a private `redis-server`: 64 concurrent
/// callers, each with one `HGETALL` of a hash of 6 fields (272 bytes) at a time.
///
/// Usage: `redis-throughput [rounds] [seconds per round]`. Medians are printed; nothing is asserted.
let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 5
let seconds = CommandLine.arguments.dropFirst(2).first.flatMap { Double($0) } ?? 2
let callers = 64

let folder = FileManager.default.temporaryDirectory.appending(path: "bench-\(UUID().uuidString.prefix(8))")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
let port = 20_000 + Int.random(in: 0..<10_000)
let server = Process()
server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
server.arguments = [
    "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder.path, "--save", "",
    "--appendonly", "no",
]
server.standardOutput = FileHandle.nullDevice
try server.run()
defer {
    server.terminate()
    try? FileManager.default.removeItem(at: folder)
}

let redis = RedisClient(try RedisConfiguration(url: "redis://127.0.0.1:\(port)"))
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

/// Commands per second of this client.
func measureClient() async throws -> Double {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    let start = clock.now
    let count = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<callers {
            group.addTask {
                var done = 0
                while clock.now < end {
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
        }
        return try await group.reduce(0, +)
    }
    return Double(count) / ((clock.now - start) / .seconds(1))
}

/// Commands per second of `redis-benchmark`, without pipelining.
func measureReference() throws -> Double {
    let benchmark = Process()
    let output = Pipe()
    benchmark.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    benchmark.arguments = [
        "redis-benchmark", "-p", "\(port)", "-c", "\(callers)", "-n", "\(Int(seconds * 100_000))", "--csv",
        "HGETALL", "session",
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

var ours: [Double] = []
var reference: [Double] = []
_ = try await measureClient()
for round in 1...rounds {
    reference.append(try measureReference())
    ours.append(try await measureClient())
    print(
        "round \(round): redis-benchmark \(Int(reference[round - 1])), this client \(Int(ours[round - 1])) commands/s"
    )
}
let (median, base) = (ours.sorted()[rounds / 2], reference.sorted()[rounds / 2])
let statistics = redis.statistics
print(
    "median: redis-benchmark \(Int(base)), this client \(Int(median)) commands/s: ratio \((median / base * 100).rounded() / 100)"
)
print("commands per write: \(statistics.commands / max(statistics.batches, 1))")
await redis.shutdown()
