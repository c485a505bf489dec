// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions

/// What it costs to hold every session on every instance: bytes per change, memory, replay, and how late the
/// others are.
///
/// Usage: `replicated-costs [sessions to replay]`, 100,000 by default. Starts a private `redis-server`;
/// instances are stores of this process with connections of their own. Numbers are printed; nothing is
/// asserted.
let replayed = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 100_000

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

/// One instance: a store, its client, and the task that keeps it running.
struct Instance {
    let client: RedisClient
    let store: ReplicatedSessionStore
    let running: Task<Void, Never>

    init(prefix: String) throws {
        var configuration = try RedisConfiguration(url: "redis://127.0.0.1:\(port)")
        configuration.commandTimeout = .seconds(10)
        let client = RedisClient(configuration)
        let store = try ReplicatedSessionStore(
            client,
            application: prefix,
            newLogDelay: .zero,
            maximumSessions: 1_000_000,
            maximumBytes: 1 << 30
        )
        self.client = client
        self.store = store
        running = Task { try? await store.run() }
    }

    func ready() async throws {
        while (try? await store.check()) == nil { try await Task.sleep(for: .milliseconds(1)) }
    }
}

let policy = SessionPolicy()
/// A signed-in user's session of 232 bytes in three attributes.
let attributes = [
    "cart": [UInt8](repeating: 120, count: 150), "locale": Array("\"de\"".utf8),
    "csrf": [UInt8](repeating: 121, count: 64),
]

@discardableResult
func make(_ store: ReplicatedSessionStore, _ number: Int) async throws -> SessionCredential {
    let draft = SessionDraft(attributes: attributes, principal: "user-\(number)", policy: policy)
    guard case .committed(_, _, let credential?, _) = try await store.create(draft) else {
        fatalError("not created")
    }
    return credential
}

func record(_ credential: SessionCredential, _ store: ReplicatedSessionStore) async throws -> SessionRecord? {
    if case .found(let record) = try await store.load(credential) { record } else { nil }
}

/// The memory that this process really uses, in bytes.
func memory() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
}

func make(_ count: Int, _ store: ReplicatedSessionStore) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<64 {
            group.addTask {
                for number in stride(from: worker, to: count, by: 64) { try await make(store, number) }
            }
        }
        try await group.waitForAll()
    }
}

func milliseconds(_ duration: Duration) -> String {
    "\((duration / .milliseconds(1) * 100).rounded() / 100) ms"
}

// MARK: One change

let writer = try Instance(prefix: "a")
let other = try Instance(prefix: "a")
try await writer.ready()
try await other.ready()
let credential = try await make(writer.store, 0)
guard var current = try await record(credential, writer.store) else { fatalError("not found") }

func cost(_ title: String, _ body: () async throws -> Void) async throws {
    let before = (writer.store.statistics, writer.client.statistics, other.client.statistics)
    try await body()
    let log = writer.store.statistics
    try await other.store.check()
    let (sent, received) = (writer.client.statistics.bytesSent, other.client.statistics.bytesReceived)
    print(
        "\(title): \(log.appended - before.0.appended) appends, \(log.bytesAppended - before.0.bytesAppended) bytes in the log;",
        "about \(sent - before.1.bytesSent) bytes sent, \(received - before.2.bytesReceived) received by each other instance"
    )
}

try await cost("100 reads") { for _ in 0..<100 { _ = try await record(credential, writer.store) } }
try await cost("a new session of 232 bytes") { try await make(writer.store, 1) }
try await cost("a counter that grows") {
    _ = try await writer.store.commit(
        SessionChange(operations: ["n": .increment(1)], policy: policy),
        to: current
    )
}
try await cost("100 bytes set") {
    let change = SessionChange(operations: ["note": .set([UInt8](repeating: 1, count: 100))], policy: policy)
    _ = try await writer.store.commit(change, to: current)
}
try await cost("a touch") { _ = try await writer.store.touch(current, isDue: true) }

// MARK: Staleness

var acknowledged: [Duration] = []
var late: [Duration] = []
let clock = ContinuousClock()
for number in 0..<1000 {
    let start = clock.now
    let change = SessionChange(operations: ["n": .set(Array("\(number)".utf8))], policy: policy)
    guard case .committed(_, let version, _, _) = try await writer.store.commit(change, to: current) else {
        fatalError("gone")
    }
    let done = clock.now
    // With the old ticket: nothing makes the other instance wait for the news.
    while try await record(credential, other.store)?.version ?? 0 < version { await Task.yield() }
    acknowledged.append(done - start)
    late.append(clock.now - done)
}
acknowledged.sort()
late.sort()
print(
    "a change is acknowledged after: median \(milliseconds(acknowledged[500])), 99 % within \(milliseconds(acknowledged[990]))"
)
print(
    "the others see it later by: median \(milliseconds(late[500])), 99 % within \(milliseconds(late[990])),",
    "at most \(milliseconds(late[999]))"
)
_ = try await writer.store.end(current)

// MARK: Memory

let before = memory()
try await make(10_000, writer.store)
try await other.store.check()
print(
    "10,000 sessions of 232 bytes: \((memory() - before) / 2 / 1024) KiB on each instance (two were measured together)"
)

// MARK: Replay

let filler = try Instance(prefix: "b")
try await filler.ready()
let filling = clock.now
try await make(replayed, filler.store)
print("\(replayed) sessions made in \(milliseconds(clock.now - filling))")
let joining = clock.now
let joiner = try Instance(prefix: "b")
while joiner.store.statistics.sessions < replayed { try await Task.sleep(for: .milliseconds(1)) }
try await joiner.ready()
print("\(replayed) sessions replayed in \(milliseconds(clock.now - joining))")
for instance in [writer, other, filler, joiner] { instance.running.cancel() }
