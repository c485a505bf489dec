// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The decisions about the replicas of one primary: which of them is asked, and when all of them are examined.
///
/// Reads no clock and does no I/O. An examination asks the primary how much it has executed, and then each replica. One that
/// has executed as much is *current as of* the time at which the primary was asked: whatever it answers from then on is no
/// older than what the primary had at that time. That holds for connections that were open before the replica was asked; a server
/// that is reached by a later one may have lost its data.
struct ReplicaGroupState<Node: AnyObject & Sendable>: Sendable {
    struct Member: Sendable {
        let address: RedisAddress
        let node: Node
        /// The time as of which it is current; nil while that is not known.
        fileprivate(set) var current: NIODeadline?
        /// How often connections to it had been made or lost when it was examined.
        fileprivate(set) var connections = 0
        /// The time until which it is left alone after a failure.
        fileprivate var rest: NIODeadline?
    }

    /// What the primary had executed at a time.
    private struct Sample: Sendable {
        let time: NIODeadline
        let history: String
        let offset: Int
    }

    /// So many examinations are made while a replica is current enough, if it is asked for as often.
    private static var examinations: Int64 { 4 }
    /// A replica that lags is compared with as many earlier examinations.
    private static var keptSamples: Int { 4 * Int(examinations) }
    /// The longest time between examinations while none is current enough.
    private static var impatience: TimeAmount { .milliseconds(250) }
    /// How long a replica is left alone after a failure.
    static var pause: TimeAmount { .seconds(1) }

    /// How long others than the known replicas are not looked for again.
    static var searchPause: TimeAmount { .seconds(5) }

    private(set) var members: [Member] = []
    /// Whether the client was shut down, or the primary has left.
    private(set) var isClosed = false
    private var samples: [Sample] = []
    private var isExamining = false
    private var lastExamination: NIODeadline?
    private var lastSearch: NIODeadline?

    /// Chooses a replica for commands that only read.
    ///
    /// - Parameters:
    ///   - age: How long ago the time may be as of which it is current.
    ///   - now: The time.
    ///   - start: Any number; callers with different ones are given different replicas.
    ///   - connections: Returns how often connections to a node have been made or lost.
    /// - Returns: The replica; nil when the primary has to be asked. And whether the caller must examine all of them.
    mutating func requested(
        within age: TimeAmount,
        at now: NIODeadline,
        from start: Int,
        connections: (Node) -> Int
    ) -> (member: Member?, examines: Bool) {
        guard !isClosed else { return (nil, false) }
        let chosen = members.indices.lazy.map { [members] in members[($0 + start) % members.count] }.first {
            guard let current = $0.current else { return false }
            return now - current < age && $0.connections == connections($0.node)
        }
        let pause = age / Self.examinations
        let isDue = lastExamination.map { now - $0 >= (chosen == nil ? min(pause, Self.impatience) : pause) }
        guard isDue ?? true, !isExamining else { return (chosen, false) }
        (isExamining, lastExamination) = (true, now)
        return (chosen, true)
    }

    /// Notes what the primary has answered to a question of that time.
    mutating func primaryAnswered(_ info: ReplicationInfo, asked time: NIODeadline) {
        samples.append(Sample(time: time, history: info.history, offset: info.offset))
        if samples.count > Self.keptSamples { samples.removeFirst() }
    }

    /// Takes the present addresses of the replicas; returns those nodes that have left, to be closed.
    mutating func found(_ addresses: Set<RedisAddress>, _ make: (RedisAddress) -> Node) -> [Node] {
        guard !isClosed else { return [] }
        let leaving = members.filter { !addresses.contains($0.address) }.map(\.node)
        members.removeAll { !addresses.contains($0.address) }
        for address in addresses where !members.contains(where: { $0.address == address }) {
            members.append(Member(address: address, node: make(address)))
        }
        return leaving
    }

    /// Returns whether to look for other replicas, because the primary has another number of them than are known.
    mutating func isIncomplete(of count: Int, at now: NIODeadline) -> Bool {
        guard count != members.count, lastSearch.map({ now - $0 >= Self.searchPause }) ?? true else {
            return false
        }
        lastSearch = now
        return true
    }

    /// Returns the replicas to examine.
    func due(at now: NIODeadline) -> [Node] {
        members.filter { member in member.rest.map { $0 <= now } ?? true }.map(\.node)
    }

    /// Notes what a replica has answered, and how often connections to it had been made or lost before it was asked.
    mutating func answered(_ node: Node, _ info: ReplicationInfo, connections: Int) {
        guard let index = members.firstIndex(where: { $0.node === node }) else { return }
        let sample = samples.last { $0.history == info.history && $0.offset <= info.offset }
        members[index].current = info.replicas == nil ? sample?.time : nil
        members[index].connections = connections
    }

    /// Notes that a replica did not answer, or refused to, and leaves it alone for a while.
    mutating func failed(_ node: Node, at now: NIODeadline) {
        guard let index = members.firstIndex(where: { $0.node === node }) else { return }
        (members[index].current, members[index].rest) = (nil, now + Self.pause)
    }

    /// Ends an examination.
    mutating func examined() { isExamining = false }

    /// Ends the use of all replicas; returns the nodes to close.
    mutating func closed() -> [Node] {
        defer { (isClosed, members) = (true, []) }
        return members.map(\.node)
    }
}
