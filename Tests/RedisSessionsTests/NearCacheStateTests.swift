// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hiredis
import Sessions
import Testing

@testable import RedisSessions

/// What a near cache serves, in all orders of events up to a depth, and in long random ones.
///
/// `NEARCACHE_SEED=7` replays one seed and prints its steps.
@Suite struct `Near cache` {
    private typealias World = NearCacheWorld
    private typealias Step = NearCacheWorld.Step

    /// Beginnings that leave the interesting steps to the search: connected, with a copy, and with a reply to a read
    /// that began without a connection.
    private static let connected = connected(to: 0)
    private static let filled = connected + [.read(client: 0, key: 0), .execute(read: 0), .reply(read: 0)]
    private static let lost =
        filled + [
            .sever(node: 0), .notice(node: 0), .read(client: 0, key: 0), .execute(read: 0), .reply(read: 0),
        ]

    /// With two nodes: a copy whose slot has moved; a reply from elsewhere than the slot, and a change there; a change
    /// on a node that took over; one on a node that is not heard any more, while the other one is.
    private static let moved =
        filled + connected(to: 1) + [.move(key: 0), .deliver(node: 0), .read(client: 0, key: 0)]
    private static let moving: [Step] =
        connected + [.begin(key: 0), .deliver(node: 0), .read(client: 0, key: 0), .execute(read: 0)]
        + [.reply(read: 0), .foreignWrite(key: 0), .tick]
    private static let replaced = filled + [.takeOver(node: 0), .foreignWrite(key: 0), .tick]
    private static let silent =
        filled + connected(to: 1) + [.sever(node: 0), .foreignWrite(key: 0), .tick]

    private static func connected(to node: Int) -> [Step] {
        [.connect(node: node), .ping(node: node), .answerPing(node: node), .deliver(node: node)]
    }

    private static func world(after steps: [Step], nodes: Int, fault: World.Fault? = nil) -> World {
        var world = World(keys: 1, clients: 1, room: 10, idleTimeout: 30, nodes: nodes, fault: fault)
        for step in steps { world.take(step) }
        return world
    }

    /// Searches all orders of steps, and returns the first that breaks a promise, and how many copies were served.
    private static func search(_ world: World, depth: Int, path: [Step] = []) -> (
        path: [Step]?, hits: Int
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
    private static func run(
        seed: UInt64,
        steps: Int,
        nodes: Int,
        fault: World.Fault? = nil,
        log: Bool = false
    ) -> (hits: Int, violation: String?) {
        var random = SplitMix(state: seed)
        // Room for one of two records in every other run; records that are quick to expire, and others.
        var world = World(
            keys: 2,
            clients: 2,
            room: seed % 2 == 0 ? 1 : 10,
            idleTimeout: seed % 4 < 2 ? 3 : 30,
            nodes: nodes,
            fault: fault
        )
        for node in 0..<nodes { for step in connected(to: node) { world.take(step) } }
        for _ in 0..<steps {
            let possible = world.possibleSteps(keys: 0..<2, clients: 0..<2)
            var step = Step.tick
            repeat {
                step = possible[Int(random.next() % UInt64(possible.count))]
            } while random.next() % 8 >= step.weight
            if log { print(step) }
            world.take(step)
            if let violation = world.violation { return (world.hits, violation) }
        }
        return (world.hits, nil)
    }

    @Test(arguments: [connected, filled, lost]) func `keeps its promises in every order of steps`(
        start: [NearCacheWorld.Step]
    ) {
        let (path, hits) = Self.search(Self.world(after: start, nodes: 1), depth: 6)
        #expect(path == nil)
        #expect(hits > 500 || start == Self.lost)
    }

    @Test(arguments: [moved, moving, replaced, silent])
    func `keeps its promises in every order of steps while slots move`(start: [NearCacheWorld.Step]) {
        let (path, hits) = Self.search(Self.world(after: start, nodes: 2), depth: 5)
        #expect(path == nil)
        #expect(hits > 0 || start == Self.moving, "\(hits)")
    }

    @Test(arguments: [1, 2]) func `keeps its promises in long random orders`(nodes: Int) {
        if let seed = ProcessInfo.processInfo.environment["NEARCACHE_SEED"].flatMap(UInt64.init) {
            let (_, violation) = Self.run(seed: seed, steps: 40, nodes: nodes, log: true)
            return #expect(violation == nil)
        }
        var hits = 0
        for seed in 0..<UInt64(100_000 / nodes) {
            let (served, violation) = Self.run(seed: seed, steps: 40, nodes: nodes)
            hits += served
            guard violation == nil else {
                return #expect(violation == nil, "replay with NEARCACHE_SEED=\(seed)")
            }
        }
        #expect(hits > (nodes == 1 ? 100_000 : 20_000), "\(hits)")
    }

    @Test(arguments: NearCacheWorld.Fault.allCases) func `a mistake breaks a promise`(
        fault: NearCacheWorld.Fault
    ) {
        let start: [Step]? =
            switch fault {
            case .ignoresMoves: Self.moving
            case .pingsWithoutQuestion: Self.replaced
            case .sharesLeases: Self.silent
            default: nil
            }
        if let start {
            let found = Self.search(Self.world(after: start, nodes: 2, fault: fault), depth: 5)
            return #expect(found.path != nil)
        }
        let seeds = 0..<20_000 as Range<UInt64>
        let broken = seeds.first {
            Self.run(seed: $0, steps: 40, nodes: 1, fault: fault).violation != nil
        }
        #expect(broken != nil)
    }

    @Test func `a touch that was lost is repeated, one that was sent is not`() {
        var cache = NearCacheState<Int, Int>(lease: .seconds(1), maximumBytes: 10)
        func at(_ milliseconds: Int64) -> SessionInstant { SessionInstant(milliseconds: milliseconds) }
        let here = RedisPlacement(node: 0, tenure: 0)
        cache.connected(to: 0)
        cache.pingAnswered(by: 0, sent: at(0))
        func isSent(at time: Int64) -> Bool { cache.touchRequested(1, at: at(time)) }
        #expect(isSent(at: 0), "without a copy nothing is known")
        guard case .miss(let read?) = cache.lookedUp(1, in: here, seen: 1, at: at(0)) else {
            return #expect(Bool(false), "a copy of nothing")
        }
        cache.found(7, version: 1, bytes: 1, by: read, remaining: .seconds(60))
        #expect(isSent(at: 100))
        #expect(!isSent(at: 200))
        cache.pingAnswered(by: 0, sent: at(1050))
        guard case .hit(7, let age) = cache.lookedUp(1, in: here, seen: 1, at: at(1099)) else {
            return #expect(Bool(false), "the copy is not served while the touch is on its way")
        }
        #expect(age == .milliseconds(1099))
        guard case .miss = cache.lookedUp(1, in: here, seen: 1, at: at(1100)) else {
            return #expect(Bool(false), "the copy outlives the lease of its touch")
        }
        #expect(isSent(at: 1100))
    }

    @Test func `what was used least recently makes room, as in a list`() {
        var random = SplitMix(state: 1)
        var subject = LeastRecentlyUsed<Int, Int>(maximumBytes: 20)
        var model: [(key: Int, bytes: Int)] = []
        for _ in 0..<20_000 {
            let key = Int(random.next() % 12)
            switch random.next() % 8 {
            case 0 where random.next() % 8 == 0:
                subject.removeAll { $0 % 3 == key % 3 }
                model.removeAll { $0.key % 3 == key % 3 }
            case 0:
                subject.remove(key)
                model.removeAll { $0.key == key }
            case 1...3:
                let bytes = Int(random.next() % 22)
                subject.store(key, of: key, bytes: bytes)
                model.removeAll { $0.key == key }
                guard bytes <= 20 else { break }
                while model.reduce(bytes, { $0 + $1.bytes }) > 20 { model.removeFirst() }
                model.append((key, bytes))
            default:
                let isThere = model.contains { $0.key == key }
                let refused = subject.use(key) { _ in false }
                let used = subject.use(key) { $0 == key }
                #expect(refused == nil && used == (isThere ? key : nil))
                if let position = model.firstIndex(where: { $0.key == key }) {
                    model.append(model.remove(at: position))
                }
            }
            #expect(subject.count == model.count && subject.bytes == model.reduce(0) { $0 + $1.bytes })
        }
    }
}

extension NearCacheWorld.Step {
    /// How likely the step is, in eighths: most of them lead to copies that are served.
    fileprivate var weight: UInt64 {
        switch self {
        case .end, .foreignEnd, .sever, .takeOver, .move, .begin: 1
        case .write, .foreignWrite, .expire, .tick: 2
        case .touch: 4
        default: 8
        }
    }
}
