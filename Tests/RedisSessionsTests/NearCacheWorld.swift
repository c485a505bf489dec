// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

@testable import RedisSessions

/// A process with a near cache, its clients, Redis and everybody else, one step at a time.
///
/// Redis has one node or two, between which keys move. Each answers reads and sends news in the order of its own steps;
/// replies overtake each other and the invalidations. All that a test sees of the cache is what it serves, which must keep the promises in `check`.
struct NearCacheWorld {
    /// A mistake that a process could make, to see that the promises notice it.
    enum Fault: CaseIterable {
        case keepsRepliesWithoutPlaceholder, missesDisconnection, ignoresLease, acknowledgesBeforeDropping,
            endsBeforeDropping, ignoresVersions, ignoresDeadlines
        /// Those that need two nodes.
        case ignoresMoves, pingsWithoutQuestion, sharesLeases
    }

    enum Step: Hashable {
        /// A client asks; the process looks its copy up, and asks Redis otherwise.
        case read(client: Int, key: Int)
        /// Redis executes the read, and its reply arrives.
        case execute(read: Int), reply(read: Int)
        /// Redis executes a write or an end of this process, and its reply arrives.
        case write(client: Int, key: Int), end(key: Int), acknowledge(write: Int)
        /// Redis executes a write or an end of another process.
        case foreignWrite(key: Int), foreignEnd(key: Int)
        case touch(key: Int)
        /// The connection breaks and the process does not know; it knows; it has connected again.
        case sever(node: Int), notice(node: Int), connect(node: Int)
        /// The process asks a node about a key that it has, and sends a `PING` if it is answered.
        case ping(node: Int), answerPing(node: Int)
        /// The next news of a node arrive.
        case deliver(node: Int)
        /// A key moves with its slot; alone, and its slot later; the process reads the slots.
        case move(key: Int), begin(key: Int), finish(key: Int), learn(key: Int)
        /// The other node takes all keys of one that is cut off, and says nothing; that one learns of it.
        case takeOver(node: Int), heal(node: Int)
        /// An expired record is removed.
        case expire(key: Int)
        case tick
    }

    /// The lease, in ticks of a millisecond.
    static let lease: Int64 = 2

    private enum News { case invalidation(Int), pong(sent: Int64), flush }
    private enum Reply { case absent, found(version: Int, remaining: Int64) }

    private struct Record {
        var version = 1
        var isEnded = false
        var deadline: Int64
        /// When each version stopped to be the current one; the first one is of version 1.
        var replaced: [Int64] = []
        func isAlive(at now: Int64) -> Bool { !isEnded && now < deadline }
    }

    private struct PendingRead {
        let client: Int
        let key: Int
        let read: NearCacheState<Int, Int>.Read?
        var reply: Reply?
    }

    private struct Node {
        var isTracked = false
        var isConnected = false
        var isCutOff = false
        var news: [News] = []
        var ping: Int64?
    }

    /// The slot of one key: who owns it, who has the key, and what the process knows.
    private struct Slot {
        var owner = 0
        var home = 0
        var known = RedisPlacement(node: 0, tenure: 0)
    }

    private struct PendingWrite {
        let client: Int
        let key: Int
        let version: Int
        let isEnd: Bool
    }

    private let fault: Fault?
    /// How long a record lives without a change or a touch, in ticks.
    private let idleTimeout: Int64
    private var cache: NearCacheState<Int, Int>
    private var now: Int64 = 0
    private var records: [Record]
    private var nodes: [Node]
    private var slots: [Slot]
    /// Whether keys have moved without news.
    private var wasTakenOver = false
    private var reads: [PendingRead] = []
    private var writes: [PendingWrite] = []
    /// The version that each client has seen of each record.
    private var seen: [[Int]]
    /// What the process has acknowledged.
    private var written: [Int]
    private var ended: [Bool]
    /// How often a copy was served.
    private(set) var hits = 0
    /// The first promise that was broken.
    private(set) var violation: String?

    init(
        keys: Int,
        clients: Int,
        room: Int,
        idleTimeout: Int64,
        nodes: Int = 1,
        fault: Fault? = nil
    ) {
        self.fault = fault
        self.idleTimeout = idleTimeout
        cache = NearCacheState(lease: .milliseconds(Self.lease), maximumBytes: room)
        self.nodes = Array(repeating: Node(), count: nodes)
        slots = Array(repeating: Slot(), count: keys)
        records = Array(repeating: Record(deadline: idleTimeout), count: keys)
        seen = Array(repeating: Array(repeating: 1, count: keys), count: clients)
        written = Array(repeating: 1, count: keys)
        ended = Array(repeating: false, count: keys)
    }

    private var instant: SessionInstant { SessionInstant(milliseconds: now) }

    // MARK: Promises

    private mutating func check(_ version: Int, of key: Int, for client: Int) {
        let record = records[key]
        hits += 1
        func promise(_ isKept: Bool, _ text: String) { if !isKept, violation == nil { violation = text } }
        let isCurrent = version == record.version && !record.isEnded
        if !isCurrent {
            promise(
                record.replaced[version - 1] > now - Self.lease,
                "older than the lease: \(version) of \(record.version)"
            )
        }
        promise(
            isCurrent || wasTakenOver || nodes.contains { !$0.isTracked || !$0.news.isEmpty },
            "all news were heard, and not minded"
        )
        promise(version >= seen[client][key], "older than what the client has seen")
        promise(version >= written[key], "older than a write of this process")
        promise(!ended[key], "after an end of this process")
        promise(now < record.deadline, "after the deadline")
    }

    // MARK: Steps

    /// All steps that could be next.
    func possibleSteps(keys: Range<Int>, clients: Range<Int>) -> [Step] {
        var steps: [Step] = [.tick]
        for key in keys {
            for client in clients { steps.append(.read(client: client, key: key)) }
            guard records[key].isAlive(at: now) else {
                if !records[key].isEnded { steps.append(.expire(key: key)) }
                continue
            }
            for client in clients { steps.append(.write(client: client, key: key)) }
            steps += [.end(key: key), .foreignWrite(key: key), .foreignEnd(key: key), .touch(key: key)]
        }
        for index in reads.indices {
            steps.append(reads[index].reply == nil ? .execute(read: index) : .reply(read: index))
        }
        steps += writes.indices.map { .acknowledge(write: $0) }
        for (index, node) in nodes.enumerated() {
            if node.isTracked {
                steps.append(.sever(node: index))
                steps.append(node.ping == nil ? .ping(node: index) : .answerPing(node: index))
                if !node.news.isEmpty { steps.append(.deliver(node: index)) }
            } else {
                steps.append(.connect(node: index))
                if node.isConnected { steps.append(.notice(node: index)) }
            }
        }
        if nodes.count > 1 { steps += possibleMoves(of: keys) }
        return steps
    }

    private func possibleMoves(of keys: Range<Int>) -> [Step] {
        var steps: [Step] = []
        for key in keys {
            let slot = slots[key]
            if slot.known.node != slot.owner { steps.append(.learn(key: key)) }
            guard !nodes.contains(where: \.isCutOff) else { continue }
            steps += slot.home == slot.owner ? [.move(key: key), .begin(key: key)] : [.finish(key: key)]
        }
        for index in nodes.indices {
            if nodes[index].isCutOff {
                steps.append(.heal(node: index))
            } else if !nodes.contains(where: \.isCutOff) {
                steps.append(.takeOver(node: index))
            }
        }
        return steps
    }

    mutating func take(_ step: Step) {
        switch step {
        case .read(let client, let key): read(key, for: client)
        case .execute(let index):
            // A beginning may name a read that was served from a copy.
            guard reads.indices.contains(index) else { break }
            route(reads[index].key)
            let record = records[reads[index].key]
            reads[index].reply =
                record.isAlive(at: now)
                ? .found(version: record.version, remaining: record.deadline - now) : .absent
        case .reply(let index): if reads.indices.contains(index) { reply(reads.remove(at: index)) }
        case .write(let client, let key):
            route(key)
            let version = records[key].version + 1
            writes.append(PendingWrite(client: client, key: key, version: version, isEnd: false))
            change(key)
        case .end(let key):
            route(key)
            writes.append(PendingWrite(client: 0, key: key, version: 0, isEnd: true))
            end(key)
        case .acknowledge(let index): acknowledge(writes.remove(at: index))
        case .foreignWrite(let key): change(key)
        case .foreignEnd(let key): end(key)
        case .touch(let key):
            guard cache.touchRequested(key, at: instant) else { break }
            records[key].deadline = now + idleTimeout
            tell(key)
        case .expire(let key): tell(key)
        case .tick:
            now += 1
            if fault == .ignoresLease { cache.pingAnswered(by: 0, sent: instant) }
        case .move(let key): move(key, isAlone: false)
        case .begin(let key): move(key, isAlone: true)
        case .finish(let key): slots[key].owner = slots[key].home
        case .learn(let key): route(key, isRead: false)
        case .takeOver(let index):
            nodes[index].isCutOff = true
            wasTakenOver = true
            for key in slots.indices where slots[key].owner == index || slots[key].home == index {
                (slots[key].owner, slots[key].home) = (1 - index, 1 - index)
            }
        case .heal(let index):
            nodes[index].isCutOff = false
            if nodes[index].isTracked { nodes[index].news.append(.flush) }
        case .sever(let index), .notice(let index), .connect(let index), .ping(let index),
            .answerPing(let index), .deliver(let index):
            take(step, of: index)
        }
    }

    /// A step of the invalidation connection to a node.
    private mutating func take(_ step: Step, of index: Int) {
        var node: Node {
            get { nodes[index] }
            set { nodes[index] = newValue }
        }
        switch step {
        case .sever: (node.isTracked, node.news, node.ping) = (false, [], nil)
        case .notice:
            if fault != .missesDisconnection { cache.disconnected(from: index) }
            node.isConnected = false
        case .connect:
            if node.isConnected, fault != .missesDisconnection { cache.disconnected(from: index) }
            cache.connected(to: index)
            (node.isTracked, node.isConnected) = (true, true)
        case .ping: if fault == .pingsWithoutQuestion || isServing(index) { node.ping = now }
        case .answerPing:
            if let sent = node.ping { node.news.append(.pong(sent: sent)) }
            node.ping = nil
        default:
            switch node.news.removeFirst() {
            case .invalidation(let key): cache.invalidated(key)
            case .flush: cache.flushed(index)
            case .pong(let sent):
                for other in nodes.indices where other == index || fault == .sharesLeases {
                    cache.pingAnswered(by: other, sent: SessionInstant(milliseconds: sent))
                }
            }
        }
    }

    // MARK: Slots

    private func place(of key: Int) -> RedisPlacement {
        fault == .ignoresMoves
            ? RedisPlacement(node: slots[key].known.node, tenure: 0) : slots[key].known
    }

    /// The process sends a command to where it believes the key to be, and is sent elsewhere; or reads the slots.
    private mutating func route(_ key: Int, isRead: Bool = true) {
        let slot = slots[key]
        var tenure = slot.known.tenure
        if slot.known.node != slot.owner { tenure += 1 }
        if isRead, slot.home != slot.owner { tenure += 1 }
        slots[key].known = RedisPlacement(node: slot.owner, tenure: tenure)
    }

    /// Whether a node answers a question about the first of the keys that the process believes it to have, or about
    /// another one.
    private mutating func isServing(_ index: Int) -> Bool {
        guard !nodes[index].isCutOff else { return false }
        guard let key = slots.indices.first(where: { slots[$0].known.node == index }) else { return true }
        let place = place(of: key)
        route(key)
        return self.place(of: key) == place
    }

    private mutating func move(_ key: Int, isAlone: Bool) {
        tell(key)
        slots[key].home = 1 - slots[key].home
        tell(key)
        if !isAlone { slots[key].owner = slots[key].home }
    }

    private mutating func read(_ key: Int, for client: Int) {
        let versions = fault == .ignoresVersions ? Array(1...records[key].version) : [seen[client][key]]
        var missed: NearCacheState<Int, Int>.Read?
        for version in versions {
            switch cache.lookedUp(key, in: place(of: key), seen: version, at: instant) {
            case .hit(let version, _):
                check(version, of: key, for: client)
                return seen[client][key] = max(version, seen[client][key])
            case .miss(let read): missed = read
            }
        }
        reads.append(PendingRead(client: client, key: key, read: missed))
    }

    private mutating func reply(_ pending: PendingRead) {
        var read = pending.read
        if fault == .keepsRepliesWithoutPlaceholder,
            case .miss(let fresh) = cache.lookedUp(
                pending.key,
                in: place(of: pending.key),
                seen: nil,
                at: instant
            )
        {
            read = fresh
        }
        switch pending.reply {
        case .found(let version, let remaining):
            seen[pending.client][pending.key] = max(version, seen[pending.client][pending.key])
            guard let read else { return }
            let lasts = fault == .ignoresDeadlines ? 1000 : remaining
            cache.found(
                version,
                version: version,
                bytes: 1,
                by: read,
                remaining: .milliseconds(lasts)
            )
        case .absent, nil: if let read { cache.abandoned(read) }
        }
    }

    private mutating func acknowledge(_ write: PendingWrite) {
        let isForgotten = write.isEnd ? fault == .endsBeforeDropping : fault == .acknowledgesBeforeDropping
        if !isForgotten { cache.changed(write.key) }
        if write.isEnd {
            ended[write.key] = true
        } else {
            written[write.key] = max(write.version, written[write.key])
            seen[write.client][write.key] = max(write.version, seen[write.client][write.key])
        }
    }

    // MARK: Redis

    private mutating func change(_ key: Int) {
        records[key].replaced.append(now)
        records[key].version += 1
        records[key].deadline = now + idleTimeout
        tell(key)
    }

    private mutating func end(_ key: Int) {
        records[key].replaced.append(now)
        records[key].isEnded = true
        tell(key)
    }

    private mutating func tell(_ key: Int) {
        let home = slots[key].home
        if nodes[home].isTracked { nodes[home].news.append(.invalidation(key)) }
    }
}
