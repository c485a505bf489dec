// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import TestSupport

/// One strategy, running: Redis, instances, balancer, and one more instance that can be started later.
///
/// All on loopback, in processes of its own that it stops by their ids. Every cluster has a Redis, also where
/// no instance asks it, so that the plan of faults is the same for all.
final class Cluster: Sendable {
    let strategy: Strategy
    /// The nodes of its Redis.
    let nodes: [RedisServer]
    let balancer: Balancer
    let site: Site
    private let options: FixtureApp.Options
    private let instances: Mutex<[FixtureApp]>
    private let sparePort: Int

    /// Starts everything; throws with the instance's own words when it does not know the strategy.
    init(_ strategy: Strategy, plan: Plan) async throws {
        self.strategy = strategy
        var options = FixtureApp.Options(store: strategy.store)
        if strategy.redisNodes > 1 {
            let cluster = try await RedisCluster(primaries: strategy.redisNodes)
            (nodes, options.redis) = (cluster.nodes, cluster.url)
        } else {
            let redis = try await RedisServer()
            nodes = [redis]
            if strategy.usesRedis { options.redis = redis.url }
        }
        if strategy.usesSealKeys { options.extra = ["--seal-keys", "k1:\(randomBase64URL(bytes: 32))"] }
        self.options = options
        var started: [FixtureApp] = []
        do {
            for number in 1...plan.instances {
                started.append(try await FixtureApp.started(options, instance: "\(number)"))
            }
            sparePort = try freePort()
            balancer = try await Balancer(
                strategy.balancing,
                ports: started.map(\.port) + [sparePort],
                running: started.count
            )
        } catch {
            for instance in started { await instance.kill9() }
            for node in nodes { await node.crash() }
            throw error
        }
        instances = Mutex(started)
        site = Site(port: balancer.port)
    }

    /// The processes of the instances that run.
    var instancePids: [pid_t] { instances.withLock { $0.filter { $0.exitCode == nil }.map(\.pid) } }

    /// Ends the first instance without a word (`SIGKILL`).
    func killOne() { if let first = instances.withLock({ $0.first }) { kill(first.pid, SIGKILL) } }

    /// Starts one more instance, in the place that the balancer has for it; returns without waiting.
    func startSpare() throws {
        let number = instances.withLock { $0.count + 1 }
        let spare = try FixtureApp(options, instance: "\(number)", port: sparePort)
        instances.withLock { $0.append(spare) }
    }

    /// The number of the instance that was added, in `X-Instance`.
    var spareNumber: Int { instances.withLock { $0.count } }
    /// The added instance itself, past the balancer.
    var spare: Site { Site(port: sparePort) }

    /// Stops Redis, every node of it, with its connections open (`SIGSTOP`).
    func freezeRedis() { for node in nodes { node.freeze() } }

    /// Lets Redis go on with what it had.
    func thawRedis() { for node in nodes { node.thaw() } }

    /// Stops all processes.
    func stop() async {
        await balancer.stop()
        for instance in instances.withLock({ $0 }) { await instance.kill9() }
        thawRedis()
        for node in nodes { await node.crash() }
    }
}
