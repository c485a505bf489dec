// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// A process with a near cache, its clients, Redis and everybody else, one step at a time.
///
/// Redis answers reads and sends news in the order of its own steps; replies overtake each other and the news. All
/// that a test sees of the cache is what it serves, which must keep the promises in `check`.
struct NearCacheWorld {
    /// A mistake that a process could make, to see that the promises notice it.
    enum Fault: CaseIterable {
        case keepsRepliesWithoutPlaceholder, missesDisconnection, ignoresLease, acknowledgesBeforeDropping,
            endsBeforeDropping, ignoresVersions, ignoresDeadlines
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
        case sever, notice, connect
        case ping, answerPing
        /// The next news arrive.
        case deliver
        /// An expired record is removed.
        case expire(key: Int)
        case tick
    }

    /// The lease, in ticks of a millisecond.
    static let lease: Int64 = 2

    private enum News { case invalidation(Int), pong(sent: Int64) }
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
    private var isTracked = false
    private var isConnected = false
    private var news: [News] = []
    private var ping: Int64?
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

    init(keys: Int, clients: Int, room: Int, idleTimeout: Int64, fault: Fault? = nil) {
        self.fault = fault
        self.idleTimeout = idleTimeout
        cache = NearCacheState(lease: .milliseconds(Self.lease), maximumBytes: room)
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
        promise(isCurrent || !isTracked || !news.isEmpty, "all news were heard, and not minded")
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
        if isTracked {
            steps.append(.sever)
            steps.append(ping == nil ? .ping : .answerPing)
            if !news.isEmpty { steps.append(.deliver) }
        } else {
            steps.append(.connect)
            if isConnected { steps.append(.notice) }
        }
        return steps
    }

    mutating func take(_ step: Step) {
        switch step {
        case .read(let client, let key): read(key, for: client)
        case .execute(let index):
            // A beginning may name a read that was served from a copy.
            guard reads.indices.contains(index) else { break }
            let record = records[reads[index].key]
            reads[index].reply =
                record.isAlive(at: now)
                ? .found(version: record.version, remaining: record.deadline - now) : .absent
        case .reply(let index): if reads.indices.contains(index) { reply(reads.remove(at: index)) }
        case .write(let client, let key):
            let version = records[key].version + 1
            writes.append(PendingWrite(client: client, key: key, version: version, isEnd: false))
            change(key)
        case .end(let key):
            writes.append(PendingWrite(client: 0, key: key, version: 0, isEnd: true))
            end(key)
        case .acknowledge(let index): acknowledge(writes.remove(at: index))
        case .foreignWrite(let key): change(key)
        case .foreignEnd(let key): end(key)
        case .touch(let key):
            guard cache.touchRequested(key, at: instant) else { break }
            records[key].deadline = now + idleTimeout
            tell(key)
        case .sever:
            (isTracked, news, ping) = (false, [], nil)
        case .notice:
            if fault != .missesDisconnection { cache.disconnected() }
            isConnected = false
        case .connect:
            if isConnected, fault != .missesDisconnection { cache.disconnected() }
            cache.connected()
            (isTracked, isConnected) = (true, true)
        case .ping: ping = now
        case .answerPing:
            if let sent = ping { news.append(.pong(sent: sent)) }
            ping = nil
        case .deliver:
            switch news.removeFirst() {
            case .invalidation(let key): cache.invalidated(key)
            case .pong(let sent): cache.pingAnswered(sent: SessionInstant(milliseconds: sent))
            }
        case .expire(let key): tell(key)
        case .tick:
            now += 1
            if fault == .ignoresLease { cache.pingAnswered(sent: instant) }
        }
    }

    private mutating func read(_ key: Int, for client: Int) {
        let versions = fault == .ignoresVersions ? Array(1...records[key].version) : [seen[client][key]]
        var missed: NearCacheState<Int, Int>.Read?
        for version in versions {
            switch cache.lookedUp(key, seen: version, at: instant) {
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
            case .miss(let fresh) = cache.lookedUp(pending.key, seen: nil, at: instant)
        {
            read = fresh
        }
        switch pending.reply {
        case .found(let version, let remaining):
            seen[pending.client][pending.key] = max(version, seen[pending.client][pending.key])
            guard let read else { return }
            let lasts = fault == .ignoresDeadlines ? 1000 : remaining
            cache.found(version, version: version, bytes: 1, by: read, remaining: .milliseconds(lasts))
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

    private mutating func tell(_ key: Int) { if isTracked { news.append(.invalidation(key)) } }
}
