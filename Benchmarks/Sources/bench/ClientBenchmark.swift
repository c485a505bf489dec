// SPDX-License-Identifier: Apache-2.0

import CAllocationCount
import Foundation
import Hiredis
import NIOCore
import NIOPosix
import Reporting
import TestSupport

/// Part a: the Redis client beside `redis-benchmark`, on one private server, plain and over TLS.
struct ClientBenchmark: Sendable {
    let plan: BenchPlan
    let progress: RunProgress

    func run(in folder: URL) async throws -> [Measured<ClientCase, ClientSample>] {
        let certificates = try await Certificates.make(in: folder)
        let redis = try await RedisServer(["--tls-auth-clients", "no"], tls: certificates)
        let result: [Measured<ClientCase, ClientSample>]
        do {
            result = try await measure(redis, authority: certificates.appending(path: "ca.crt").path)
        } catch {
            await redis.crash()
            throw error
        }
        await redis.crash()
        return result
    }

    /// How long all of it takes on two cores.
    static func seconds(_ plan: BenchPlan) -> Double {
        Double(plan.clientCases.count * plan.clientRounds) * 4 / 3 * caseSeconds(plan)
    }

    /// How long one measurement takes, its warm-up included.
    private static func caseSeconds(_ plan: BenchPlan) -> Double { plan.clientSeconds * 1.3 + 0.1 }

    private func measure(
        _ redis: RedisServer,
        authority: String
    ) async throws -> [Measured<ClientCase, ClientSample>] {
        let plain = RedisClient(try RedisConfiguration(url: redis.url))
        var secure = try RedisConfiguration(url: "rediss://127.0.0.1:\(redis.tlsPort ?? 0)")
        secure.tls = RedisTLS(caFile: authority)
        let overTLS = RedisClient(secure)
        let workloads = try await Workloads(redis, plain)
        var counts: [ClientCase: Int] = [:]
        let cases = plan.clientCases
        let measured = await interleaved(
            cases,
            rounds: plan.clientRounds,
            "client",
            progress,
            seconds: { _ in Self.caseSeconds(plan) }
        ) { item in
            let seconds = plan.clientSeconds
            switch item.runner {
            case .reference, .pipelined:
                let endpoint = RedisBenchmark.Endpoint(
                    port: item.isTLS ? redis.tlsPort ?? 0 : redis.port,
                    authority: item.isTLS ? authority : nil
                )
                // The first run is the warm-up, and says how many commands fill the time.
                let known = counts[item]
                let sample = try await Self.reference(item, endpoint, workloads, count: known ?? 20_000)
                guard known == nil else { return sample }
                let count = min(max(Int(sample.rate * seconds), 5_000), 2_000_000)
                counts[item] = count
                return try await Self.reference(item, endpoint, workloads, count: count)
            case .pool, .loops:
                let load = ClientLoad(
                    redis: item.isTLS ? overTLS : plain,
                    workloads: workloads,
                    item: item
                )
                _ = try await load.run(seconds: seconds / 4)
                return try await load.sample(seconds: seconds)
            }
        }
        await plain.shutdown()
        await overTLS.shutdown()
        return measured
    }

    private static func reference(
        _ item: ClientCase,
        _ endpoint: RedisBenchmark.Endpoint,
        _ workloads: Workloads,
        count: Int
    ) async throws -> ClientSample {
        let before = ProcessUsage.children()
        let rate = try await RedisBenchmark.run(
            workloads.words(item.command),
            to: endpoint,
            callers: item.callers,
            pipeline: item.runner == .pipelined ? 16 : 1,
            count: count
        )
        let used = ProcessUsage.children() - before
        return ClientSample(
            rate: rate,
            processor: used.processorSeconds * 1e6 / Double(count),
            switches: used.switches / Double(count)
        )
    }
}

/// Concurrent callers of the client, each with one command at a time.
struct ClientLoad: Sendable {
    let redis: RedisClient
    let workloads: Workloads
    let item: ClientCase

    /// One measured run, and a short one after it in which allocations are counted.
    func sample(seconds: Double) async throws -> ClientSample {
        let (before, batches) = (ProcessUsage.own(), redis.statistics.batches)
        let (count, elapsed) = try await run(seconds: seconds)
        let used = ProcessUsage.own() - before
        let written = Double(redis.statistics.batches - batches)
        allocation_count_start()
        let counted = try await run(seconds: seconds / 8)
        let allocations = allocation_count_stop()
        let commands = Double(max(count, 1))
        return ClientSample(
            rate: commands / elapsed,
            processor: used.processorSeconds * 1e6 / commands,
            switches: used.switches / commands,
            socketWrites: written / commands,
            wakeUps: max(0, used.writes - written) / commands,
            reads: used.reads / commands,
            allocations: Double(allocations) / Double(max(counted.count, 1))
        )
    }

    /// Returns the number of commands and the time they took.
    func run(seconds: Double) async throws -> (count: Int, seconds: Double) {
        let clock = ContinuousClock()
        let start = clock.now
        let end = start + .seconds(seconds)
        let executors = item.runner == .loops ? Self.executors : []
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for caller in 0..<item.callers {
                let executor: (any TaskExecutor)? =
                    executors.isEmpty ? nil : executors[caller % executors.count]
                group.addTask(executorPreference: executor) {
                    var done = 0
                    while clock.now < end {
                        // Looking at the clock is not what is measured.
                        for _ in 0..<16 {
                            let reply = try await redis.send(workloads.command(item.command, of: caller))
                            guard workloads.isRight(reply, item.command) else {
                                throw RedisBenchmark.Failure(description: "wrong reply to \(item)")
                            }
                        }
                        done += 16
                    }
                    return done
                }
            }
            return try await group.reduce(0, +)
        }
        return (count, (clock.now - start) / .seconds(1))
    }

    /// One for each of the event loops that the client works on, too.
    private static let executors: [LoopExecutor] = MultiThreadedEventLoopGroup.singleton.makeIterator().map {
        LoopExecutor($0)
    }
}
