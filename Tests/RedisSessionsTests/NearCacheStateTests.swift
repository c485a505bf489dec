// SPDX-License-Identifier: Apache-2.0

import Foundation
import Sessions
import Testing

@testable import RedisSessions

/// What a near cache serves, in all orders of events up to a depth, and in long random ones.
///
/// `NEARCACHE_SEED=7` replays one seed and prints its steps.
@Suite struct `Near cache` {
    private typealias World = NearCacheWorld

    /// Starts that leave the interesting steps to the search: connected, and with a copy.
    private static let connected: [World.Step] = [.connect, .ping, .answerPing, .deliver]
    private static let filled = connected + [.read(client: 0, key: 0), .execute(read: 0), .reply(read: 0)]

    private static func world(_ fault: World.Fault?, after steps: [World.Step]) -> World {
        var world = World(keys: 1, clients: 1, room: 10, fault: fault)
        for step in steps { world.take(step) }
        return world
    }

    /// Searches all orders of steps, and returns the first that breaks a promise, and how many copies were served.
    private static func search(_ world: World, depth: Int, path: [World.Step] = []) -> (
        path: [World.Step]?, hits: Int
    ) {
        if world.violation != nil { return (path, world.hits) }
        guard depth > 0 else { return (nil, world.hits) }
        var hits = 0
        for step in world.possibleSteps(keys: 0..<1, clients: 0..<1) {
            var next = world
            next.take(step)
            let result = search(next, depth: depth - 1, path: path + [step])
            hits += result.hits
            if result.path != nil { return (result.path, hits) }
        }
        return (nil, hits)
    }

    /// Takes random steps; returns the number of copies that were served, and what was broken.
    private static func run(seed: UInt64, steps: Int, fault: World.Fault? = nil, log: Bool = false) -> (
        hits: Int, violation: String?
    ) {
        var random = SplitMix(state: seed)
        // Room for one of two records in every other run.
        var world = World(keys: 2, clients: 2, room: random.next() % 2 == 0 ? 1 : 10, fault: fault)
        for step in connected { world.take(step) }
        for _ in 0..<steps {
            let possible = world.possibleSteps(keys: 0..<2, clients: 0..<2)
            let step = possible[Int(random.next() % UInt64(possible.count))]
            if log { print(step) }
            world.take(step)
            if let violation = world.violation { return (world.hits, violation) }
        }
        return (world.hits, nil)
    }

    @Test(arguments: [connected, filled]) func `keeps its promises in every order of steps`(
        start: [NearCacheWorld.Step]
    ) {
        let (path, hits) = Self.search(Self.world(nil, after: start), depth: 5)
        #expect(path == nil)
        print("HITS", hits)
        #expect(hits > 100)
    }

    @Test func `keeps its promises in long random orders`() {
        if let seed = ProcessInfo.processInfo.environment["NEARCACHE_SEED"].flatMap(UInt64.init) {
            let (_, violation) = Self.run(seed: seed, steps: 40, log: true)
            return #expect(violation == nil)
        }
        var hits = 0
        for seed in 0..<100_000 as Range<UInt64> {
            let (served, violation) = Self.run(seed: seed, steps: 40)
            hits += served
            guard violation == nil else {
                return #expect(violation == nil, "replay with NEARCACHE_SEED=\(seed)")
            }
        }
        print("HITS", hits)
        #expect(hits > 10_000)
    }

    @Test(arguments: NearCacheWorld.Fault.allCases) func `a mistake breaks a promise`(
        fault: NearCacheWorld.Fault
    ) {
        var n = 0
        let broken = (0..<10_000 as Range<UInt64>).first { n += 1; return Self.run(seed: $0, steps: 40, fault: fault).violation != nil }
        print(fault, n, broken.map { Self.run(seed: $0, steps: 40, fault: fault).violation ?? "" } ?? "-")
        #expect(broken != nil)
    }
}
