// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import Reporting
import TestSupport

/// Part d: what grows with the number of sessions, with their size, with the number of instances and of attributes.
struct GrowthBenchmark: Sendable {
    let plan: BenchPlan
    let wrk: Wrk
    let progress: RunProgress
    let arguments: [String]

    /// Redis with so many sessions in it.
    struct Population: Sendable {
        var sessions: Int
        /// Redis' memory for each session, all overhead included, and what `MEMORY USAGE` says of one key.
        var bytes: Double
        var usage: Double
        var read: HTTPSample
        var write: HTTPSample
    }

    /// Sessions with one attribute of this size.
    struct Payload: Sendable {
        var bytes: Int
        var usage: Double
        /// The growth of one instance with the memory store for each session; nil when it was not measured.
        var copy: Double?
        var read: HTTPSample
        var write: HTTPSample
    }

    /// So many instances on one Redis; the rates of all together.
    struct Fleet: Sendable {
        var instances: Int
        var read: HTTPSample
        var write: HTTPSample
    }

    /// Sessions with so many attributes of 40 bytes.
    struct Attributes: Sendable {
        var attributes: Int
        /// Microseconds that Redis works on one commit, and on the read before it.
        var commit: Double
        var read: Double
    }

    struct Result: Sendable {
        var populations: [Population] = []
        var payloads: [Payload] = []
        var fleets: [Fleet] = []
        var attributes: [Attributes] = []
        /// What failed, in words.
        var failures: [String] = []
    }

    func run() async -> Result {
        var result = Result()
        let lengths = Self.lengths(plan)
        await part("attributes", &result, seconds: lengths.attributes) {
            $0.attributes = try await attributes()
        }
        await part("sizes", &result, seconds: lengths.payloads) { try await payloads(&$0) }
        await part("instances", &result, seconds: lengths.fleets) {
            try await fleets(&$0)
        }
        await part("sessions in Redis", &result, seconds: lengths.populations) {
            try await populations(&$0)
        }
        return result
    }

    /// How long all of it takes on two cores.
    static func seconds(_ plan: BenchPlan) -> Double {
        let lengths = lengths(plan)
        return lengths.attributes + lengths.payloads + lengths.fleets + lengths.populations
    }

    private static func lengths(
        _ plan: BenchPlan
    ) -> (attributes: Double, payloads: Double, fleets: Double, populations: Double) {
        (
            attributes: Double(plan.attributeCounts.count), payloads: Double(plan.payloads.count) * 6,
            fleets: Double(plan.instanceCounts.count) * 5,
            populations: Double(plan.sessionCounts.max() ?? 0) / 12_000 + Double(plan.sessionCounts.count) * 5
        )
    }

    private func part(
        _ name: String,
        _ result: inout Result,
        seconds: Double,
        _ body: (inout Result) async throws -> Void
    ) async {
        do {
            try await progress.step(name, seconds: seconds) { try await body(&result) }
        } catch {
            result.failures.append("\(name): \("\(error)".prefix(300))")
            progress.write("      \(name) failed: \("\(error)".prefix(300))")
        }
    }

    /// Starts a Redis for the time of `body`.
    private func withRedis<Value>(_ body: (RedisServer) async throws -> Value) async throws -> Value {
        let redis = try await RedisServer()
        do {
            let value = try await body(redis)
            await redis.crash()
            return value
        } catch {
            await redis.crash()
            throw error
        }
    }

    private func attributes() async throws -> [Attributes] {
        try await withRedis { redis in
            let client = RedisClient(try RedisConfiguration(url: redis.url))
            let store = try RedisSessionStore(client, application: "growth")
            var rows: [Attributes] = []
            for count in plan.attributeCounts {
                let session = try await SampleSession.create(in: store, attributes: count)
                for _ in 0..<20 { _ = try await session.commit(in: store) }
                try await redis.resetCounts()
                for _ in 0..<plan.commits { _ = try await session.commit(in: store) }
                let stats = try await CommandStats.read(redis)
                rows.append(
                    Attributes(
                        attributes: count,
                        commit: stats.microsecondsPerCall(["evalsha", "eval", "fcall"]) ?? 0,
                        read: stats.microsecondsPerCall(["hgetall", "hmget"]) ?? 0
                    )
                )
                progress.write(
                    "      \(count) attributes: \(Text.microseconds(rows[rows.count - 1].commit)) a commit"
                )
            }
            await client.shutdown()
            return rows
        }
    }

    private func payloads(_ result: inout Result) async throws {
        for bytes in plan.payloads {
            let extra = [Route.post("/big?k=blob&bytes=\(bytes)")]
            let row = try await withRedis { redis in
                let app = try await Fixture.start("redis", redis: redis, arguments: arguments)
                do {
                    let ready = try await app.prepared(sessions: 50, extra: extra, wrk)
                    let row = Payload(
                        bytes: bytes,
                        usage: try await largest(redis),
                        read: try await measure(ready, .read),
                        write: try await measure(ready, .write)
                    )
                    await app.stopProcesses()
                    return row
                } catch {
                    await app.stopProcesses()
                    throw error
                }
            }
            result.payloads.append(row)
            result.payloads[result.payloads.count - 1].copy = try await copy(bytes, extra)
            progress.write(
                "      sessions of \(Text.bytes(Double(bytes))): \(Text.number(row.read.rate)) reads/s"
            )
        }
    }

    /// What one more session takes in an instance that keeps its sessions itself.
    private func copy(_ bytes: Int, _ extra: [Route]) async throws -> Double {
        let app = try await Fixture.start("memory", arguments: arguments)
        do {
            _ = try await app.signIn(count: 100, extra: extra)
            let before = app.pids.reduce(0) { $0 + ProcessProbe.residentBytes($1) }
            _ = try await app.signIn(count: plan.copies, extra: extra)
            let after = app.pids.reduce(0) { $0 + ProcessProbe.residentBytes($1) }
            await app.stop()
            return Double(after - before) / Double(plan.copies)
        } catch {
            await app.stop()
            throw error
        }
    }

    private func fleets(_ result: inout Result) async throws {
        for count in plan.instanceCounts {
            let fleet = try await withRedis { redis in
                var apps: [Application] = []
                do {
                    for _ in 0..<count {
                        let app = try await Fixture.start("redis", redis: redis, arguments: arguments)
                        apps.append(app)
                        apps[apps.count - 1] = try await app.prepared(sessions: 50, wrk)
                    }
                    let fleet = Fleet(
                        instances: count,
                        read: try await together(apps, .read),
                        write: try await together(apps, .write)
                    )
                    for app in apps { await app.stopProcesses() }
                    return fleet
                } catch {
                    for app in apps { await app.stopProcesses() }
                    throw error
                }
            }
            result.fleets.append(fleet)
            progress.write("      \(count) instances: \(Text.number(fleet.read.rate)) reads/s together")
        }
    }

    private func populations(_ result: inout Result) async throws {
        let rows = try await withRedis { redis in
            let app = try await Fixture.start("redis", redis: redis, arguments: arguments)
            do {
                let ready = try await app.prepared(sessions: plan.sessions, wrk)
                let rows = try await populations(redis, ready)
                await app.stopProcesses()
                return rows
            } catch {
                await app.stopProcesses()
                throw error
            }
        }
        result.populations = rows
    }

    private func populations(_ redis: RedisServer, _ app: Application) async throws -> [Population] {
        let client = RedisClient(try RedisConfiguration(url: redis.url))
        let store = try RedisSessionStore(client, application: "growth")
        let empty = try await memory(redis)
        var created = 0
        var rows: [Population] = []
        for count in plan.sessionCounts {
            let missing = count - created
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<64 {
                    group.addTask {
                        for _ in stride(from: task, to: missing, by: 64) {
                            _ = try await SampleSession.create(in: store, attributes: 5)
                        }
                    }
                }
                try await group.waitForAll()
            }
            created = count
            rows.append(
                Population(
                    sessions: count,
                    bytes: (try await memory(redis) - empty) / Double(count),
                    usage: try await usage(redis, try await anyKey(redis)),
                    read: try await measure(app, .read),
                    write: try await measure(app, .write)
                )
            )
            progress.write(
                "      \(count) sessions in Redis: \(Text.bytes(rows[rows.count - 1].bytes)) each (\(progress.elapsed))"
            )
        }
        await client.shutdown()
        return rows
    }

    private func measure(_ app: Application, _ route: HTTPRoute) async throws -> HTTPSample {
        try await app.measure(route, connections: 64, seconds: plan.wrkSeconds, wrk)
    }

    /// All instances under load at the same time, with 64 connections in all.
    private func together(_ apps: [Application], _ route: HTTPRoute) async throws -> HTTPSample {
        let samples = try await withThrowingTaskGroup(of: HTTPSample.self) { group in
            for app in apps {
                group.addTask {
                    try await app.measure(
                        route,
                        connections: 64 / apps.count,
                        seconds: plan.wrkSeconds,
                        wrk
                    )
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let rate = samples.reduce(0) { $0 + $1.rate }
        func mean(_ value: (HTTPSample) -> Double) -> Double {
            samples.reduce(0) { $0 + value($1) } / Double(max(samples.count, 1))
        }
        return HTTPSample(
            rate: rate,
            p50: mean(\.p50),
            p99: samples.map(\.p99).max() ?? 0,
            errors: samples.reduce(0) { $0 + $1.errors },
            server: mean(\.server),
            // Each saw the commands of all in its own requests' share.
            redis: mean(\.redis) / Double(apps.count),
            executed: mean(\.executed) / Double(apps.count)
        )
    }

    private func memory(_ redis: RedisServer) async throws -> Double {
        let text = try await redis.admin("INFO", "memory")
        return text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("used_memory:") }
            .flatMap { Double($0.dropFirst("used_memory:".count)) } ?? 0
    }

    private func usage(_ redis: RedisServer, _ key: String) async throws -> Double {
        Double(try await redis.admin("MEMORY", "USAGE", key, "SAMPLES", "0")) ?? 0
    }

    private func largest(_ redis: RedisServer) async throws -> Double {
        var most = 0.0
        for key in try await redis.keys().prefix(40) { most = max(most, try await usage(redis, key)) }
        return most
    }

    /// A key of a session of the many.
    private func anyKey(_ redis: RedisServer) async throws -> String {
        for _ in 0..<50 {
            let key = try await redis.admin("RANDOMKEY")
            if key.hasPrefix("growth") { return key }
        }
        return ""
    }
}
