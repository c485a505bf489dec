// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import Synchronization
import TestSupport
import Testing

/// The stores that the scenarios run against; each scenario is one list of steps for all of them.
enum Store: String, CaseIterable, CustomTestStringConvertible {
    /// Three instances that share a Redis.
    case redis
    /// The same with a near cache in each.
    case cached = "redis-cached"
    /// One instance that keeps sessions in its own memory.
    case memory
    /// Three instances that each hold all sessions and follow one log in Redis.
    case replicated
    /// Three instances that keep everything in the browser's cookie.
    case sealed
    /// The same with a list in Redis of what was revoked.
    case revocable = "sealed-revocable"
    /// Visitors in the cookie, users in Redis.
    case tiered = "sealed-tiered"

    /// Those that keep sessions on servers: old tickets die, parallel writes all count, tickets have a
    /// session ID and a secret.
    static let onServers: [Store] = [.redis, .memory, .replicated]

    var testDescription: String { rawValue }

    /// Whether instances answer from copies that may be behind.
    var hasLocalCopies: Bool { [.cached, .replicated].contains(self) }

    /// Whether it needs a Redis.
    var hasRedis: Bool { ![.memory, .sealed].contains(self) }
}

/// Several running instances that tests share: what one test stores is separated from the others' by its
/// cookies.
final class Fleet: Sendable {
    let redis: RedisServer
    let prefix = "fleet"
    /// Three instances over one Redis.
    let servers: [FixtureApp]
    /// One instance without Redis.
    let memory: FixtureApp
    /// Three instances of each other kind.
    private let others: [Store: [FixtureApp]]
    private let issued = Mutex<Set<String>>([])
    private let users = Mutex<Set<String>>([])

    @TaskLocal static var current: Fleet?

    /// The fleet of the running suite.
    static var shared: Fleet {
        guard let current else { preconditionFailure("this test belongs into a suite with the .fleet trait") }
        return current
    }

    init() async throws {
        redis = try await RedisServer()
        let options = FixtureApp.Options(redis: redis.url, prefix: prefix)
        async let one = FixtureApp.started(options, instance: "a")
        async let two = FixtureApp.started(options, instance: "b")
        async let three = FixtureApp.started(options, instance: "c")
        async let four = FixtureApp.started(FixtureApp.Options(store: "memory"), instance: "m")
        servers = try await [one, two, three]
        memory = try await four
        let keys = sealKey("fleet")
        others = try await withThrowingTaskGroup { [redis] group in
            for (index, store) in [Store.cached, .replicated, .sealed, .revocable, .tiered].enumerated() {
                var options = FixtureApp.Options(
                    store: store.rawValue,
                    redis: redis.url,
                    prefix: "fleet-\(store)"
                )
                if !store.hasLocalCopies { options.extra = ["--seal-keys", keys] }
                for place in 0..<3 {
                    group.addTask { [options] in
                        (store, try await FixtureApp.started(options, instance: "\(index)\(place)"))
                    }
                }
            }
            return try await group.reduce(into: [:]) { $0[$1.0, default: []].append($1.1) }
        }
    }

    /// Three places to send a request to; with one process, three times the same.
    func servers(_ store: Store) -> [FixtureApp] {
        switch store {
        case .redis: servers
        case .memory: [memory, memory, memory]
        default: others[store] ?? []
        }
    }

    /// Waits until every instance has heard of everything so far: copies may be up to a second behind for
    /// others than the doer.
    func spread(_ store: Store) async throws {
        guard store.hasLocalCopies else { return }
        for server in servers(store) { #expect(try await Browser().get("/readyz", on: server).status == 200) }
    }

    private var all: [FixtureApp] { servers + others.values.joined() + [memory] }

    /// A visitor whose tickets are remembered, so that the end of the suite can look for them where they must
    /// not be.
    func browser() -> Browser { Browser { ticket in self.issued.withLock { _ = $0.insert(ticket) } } }

    /// A user name that no other test uses.
    func user(_ name: String = "user") -> String {
        let unique = "\(name)-\(UUID().uuidString.prefix(12).lowercased())"
        users.withLock { _ = $0.insert(unique) }
        return unique
    }

    /// What holds after everything else has happened; then stops all processes.
    func finish() async throws {
        let immortal = try await redis.keysWithoutDeadline()
        #expect(immortal == [], "every key has a deadline")
        let needles =
            issued.withLock { $0.shuffled().prefix(400) }.flatMap(secretForms) + users.withLock { Array($0) }
        #expect(try await redis.findings(of: needles) == [], "Redis holds no credential and no user name")
        let logs = all.map(\.output).joined()
        #expect(needles.filter(logs.contains) == [], "logs hold no credential and no user name")
        for app in all { await app.terminate() }
        await redis.crash()
    }
}

/// The whole ticket and its secret part.
func secretForms(_ ticket: String) -> [String] {
    [ticket] + ticket.split(separator: ".").dropFirst().filter { $0.count >= 40 }.map(String.init)
}

/// Starts a fleet before a suite and examines and stops it afterwards.
struct FleetTrait: SuiteTrait, TestScoping {
    let isRecursive = false

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        let fleet = try await Fleet()
        try await Fleet.$current.withValue(fleet) { try await function() }
        try await fleet.finish()
    }
}

extension Trait where Self == FleetTrait {
    /// One Redis, three instances on it, one on memory.
    static var fleet: Self { FleetTrait() }
}

/// The scenarios that can share instances, because cookies keep them apart.
///
/// One after the other: most of them keep all cores busy by themselves, and other suites with deadlines run
/// beside them.
@Suite(.fleet, .serialized, .timeLimit(.minutes(10))) enum SharedFleet {}

extension RedisServer {
    /// Keys that would stay forever.
    func keysWithoutDeadline() async throws -> [String] {
        let script = """
            local found = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
              if redis.call('PTTL', key) < 0 then found[#found + 1] = key end
            end
            return found
            """
        return try await admin("EVAL", script, "0").split(separator: "\n").map(String.init)
    }

    /// Which of the texts occur in any key, field or value, as they are or base64url-decoded.
    func findings(of needles: [String]) async throws -> [String] {
        let script = """
            local parts = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
              parts[#parts + 1] = key
              local kind = redis.call('TYPE', key).ok
              local values = {}
              if kind == 'hash' then values = redis.call('HGETALL', key)
              elseif kind == 'zset' then values = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
              elseif kind == 'set' then values = redis.call('SMEMBERS', key)
              elseif kind == 'list' then values = redis.call('LRANGE', key, 0, -1)
              elseif kind == 'string' then values = {redis.call('GET', key)}
              elseif kind == 'stream' then
                for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
                  for _, value in ipairs(entry[2]) do values[#values + 1] = value end
                end
              end
              for _, value in ipairs(values) do parts[#parts + 1] = value end
            end
            local all = table.concat(parts, ' ')
            local found = {}
            for _, needle in ipairs(ARGV) do
              local bytes = needle:gsub('%x%x', function(pair) return string.char(tonumber(pair, 16)) end)
              if all:find(bytes, 1, true) then found[#found + 1] = needle end
            end
            return found
            """
        var forms: [String: String] = [:]
        for needle in needles {
            forms[hex(Array(needle.utf8))] = needle
            if let raw = base64URLDecoded(needle), raw.count >= 32 { forms[hex(raw)] = needle }
        }
        var found: Set<String> = []
        let all = Array(forms.keys)
        for start in stride(from: 0, to: all.count, by: 500) {
            let chunk = Array(all[start..<min(start + 500, all.count)])
            let text = try await run("redis-cli", ["-s", socketPath, "EVAL", script, "0"] + chunk)
            found.formUnion(text.split(separator: "\n").compactMap { forms[String($0)] })
        }
        return found.sorted()
    }

    /// Runs `steps` and returns the commands that clients sent meanwhile over TCP, in order, as MONITOR shows
    /// them.
    ///
    /// What a script calls inside the server is not in it, nor what these tests ask over the unix socket.
    func commands(during steps: () async throws -> Void) async throws -> [String] {
        let monitor = try await monitor()
        try await steps()
        let mark = UUID().uuidString
        try await admin("ECHO", mark)
        try #require(await poll(seconds: 10) { monitor.text.contains(mark) }, "MONITOR fell behind")
        await monitor.stop(SIGKILL)
        return monitor.text.split(separator: "\n").map(String.init).filter { $0.contains(" [0 127.0.0.1:") }
    }

    /// How often clients sent each command during `steps`, names in lower case.
    func commandNames(during steps: () async throws -> Void) async throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in try await commands(during: steps) {
            guard let name = line.split(separator: "\"", maxSplits: 2).dropFirst().first else { continue }
            counts[name.lowercased(), default: 0] += 1
        }
        return counts
    }
}

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Random text in the alphabet of tickets.
func randomTicketText(bytes: Int) -> String { randomBase64URL(bytes: bytes) }

/// A well-formed ticket that no server ever made.
func madeUpTicket(id: String? = nil) -> String {
    "\(id ?? randomTicketText(bytes: 16)).\(randomTicketText(bytes: 32))"
}

/// Runs the body `count` times, at most `width` at once.
func concurrently<Value: Sendable>(
    _ count: Int,
    width: Int = 32,
    _ body: @escaping @Sendable (Int) async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        var values: [Value] = []
        for index in 0..<count {
            if index >= width, let value = try await group.next() { values.append(value) }
            group.addTask { try await body(index) }
        }
        for try await value in group { values.append(value) }
        return values
    }
}

/// Numbers that parallel steps count up.
final class Tally: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    subscript(name: String) -> Int { counts.withLock { $0[name, default: 0] } }

    func count(_ name: String) { counts.withLock { $0[name, default: 0] += 1 } }
}

/// Tries an interleaving with ever slower requests, until one was really under way while something else
/// happened.
///
/// - Parameter attempt: gets how long the slow request takes in milliseconds; returns false when it was over
///   too early.
/// - Throws: what `attempt` throws.
func untilUnderWay(_ attempt: (Int) async throws -> Bool) async throws {
    for milliseconds in [400, 1000, 2500, 6000] where try await attempt(milliseconds) { return }
    Issue.record("the slow request was never under way")
}

extension Reply {
    /// Itself, after counting that it has come.
    func counted(_ name: String, in tally: Tally) -> Reply {
        tally.count(name)
        return self
    }
}

/// Waits until a handler of an instance pauses in the middle of its work; not for longer than a few seconds.
func untilPausing(_ server: FixtureApp) async {
    _ = await poll(seconds: 3) {
        guard let count = try? await Browser().get("/pausing", on: server).json["count"] else { return false }
        return count != .number(0)
    }
}
