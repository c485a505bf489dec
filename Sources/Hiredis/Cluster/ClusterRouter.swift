// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization

/// The nodes of a cluster and what is known of their slots.
///
/// The slots are read when the first command needs them, when a node sends a command elsewhere, and when a
/// connection is lost or cannot be made: one reading at a time, and a pause between them. No timers.
final class ClusterRouter: NodeObserver {
    private struct State {
        var map = SlotMap()
        /// Parallel to the primaries of `map`.
        var primaries: [RedisNode] = []
        /// All nodes with connections.
        var nodes: [RedisAddress: RedisNode] = [:]
        /// For each primary whose replicas were asked for, those.
        var replicas: [RedisAddress: ReplicaGroup] = [:]
        /// Nodes that could not be reached since the slots were read.
        var suspects: Set<RedisAddress> = []
        /// Whether connections are opened in advance.
        var isStarted = false
        var isClosed = false
        var isReading = false
        var lastReading: NIODeadline?
        var waiters: [PendingValue<Void>] = []
        /// Receive the primaries whenever they have changed.
        var watchers: [AsyncStream<[RedisNode]>.Continuation] = []

        /// Passes the primaries on, in the order of their changes, and forgets those who listen no more.
        ///
        /// A handler of their end would wait for the lock under which this is called, while this waits for its task.
        mutating func tellWatchers() {
            watchers.removeAll { if case .terminated = $0.yield(primaries) { true } else { false } }
        }

        func owner(of slot: Int?) -> RedisNode? {
            guard let slot else { return primaries.randomElement() }
            return map.owner(of: slot).map { primaries[$0] }
        }
    }

    /// The least time between the end of one reading of the slots and the next.
    private static let distance = TimeAmount.milliseconds(250)

    let configuration: RedisConfiguration
    let counters: Counters
    let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
    private let seeds: [RedisAddress]
    private let library: ScriptLibrary
    private let logger: Logger
    private let state = Mutex(State())

    init(
        _ configuration: RedisConfiguration,
        seeds: [RedisAddress],
        counters: Counters,
        library: ScriptLibrary,
        logger: Logger
    ) {
        self.configuration = configuration
        self.seeds = seeds
        self.counters = counters
        self.library = library
        self.logger = logger
    }

    /// Reads the slots and connects to all primaries, in advance of the first caller.
    func start() {
        state.withLock { $0.isStarted = true }
        refresh()
    }

    /// Closes all connections after the replies to commands in flight; later commands fail with `closed`.
    ///
    /// - Returns: The ends of the shared connections.
    @discardableResult
    func close() -> [EventLoopFuture<Void>] {
        let (nodes, replicas, waiters, watchers) = state.withLock { state in
            let old = (state.nodes.values, state.replicas.values, state.waiters, state.watchers)
            state = State()
            state.isClosed = true
            return old
        }
        for group in replicas { group.close() }
        for watcher in watchers { watcher.finish() }
        for waiter in waiters { waiter.finish(.failure(Self.closed)) }
        return nodes.flatMap { $0.close() }
    }

    static let closed = RedisError(.closed, .notSent, "the client was shut down")
    private static let unserved = RedisError(.connection, .notSent, "no node of the cluster serves this key")

    // MARK: Nodes

    var isClosed: Bool { state.withLock(\.isClosed) }
    /// How many nodes cannot be reached.
    var unavailableNodes: Int { state.withLock { $0.nodes.values.count { $0.isUnavailable() } } }

    /// All nodes that there are connections to, or may be.
    var nodes: [RedisNode] {
        let (primaries, groups) = state.withLock { (Array($0.nodes.values), Array($0.replicas.values)) }
        return primaries + groups.flatMap(\.nodes)
    }

    /// Returns the node that owns a slot, or any primary without one; nil while it is not known.
    func owner(of slot: Int?) -> RedisNode? { state.withLock { $0.owner(of: slot) } }

    /// Returns where the keys of a slot are, by what is known; nil when nothing is.
    func placement(of slot: Int) -> RedisPlacement? {
        state.withLock { state in
            state.map.owner(of: slot).map {
                RedisPlacement(node: state.primaries[$0].id, tenure: state.map.tenures[slot])
            }
        }
    }

    /// Returns the replicas of the node that owns a slot; nil while it is not known.
    func replicas(of slot: Int) -> ReplicaGroup? {
        state.withLock { state -> ReplicaGroup? in
            guard let owner = state.map.owner(of: slot) else { return nil }
            let address = state.map.primaries[owner]
            if let known = state.replicas[address] { return known }
            // Refers to the router until the group is closed.
            let places = ReplicaGroup.Places(addresses: state.map.groups[address] ?? []) { self.refresh() }
            let group = ReplicaGroup(of: state.primaries[owner], at: places) {
                [configuration, counters, logger] in
                RedisNode(replica: $0, configuration, counters: counters, logger: logger)
            }
            state.replicas[address] = group
            return group
        }
    }

    /// Returns the primaries, and again whenever they have changed; reads the slots if they are not known.
    func watch() -> AsyncStream<[RedisNode]> {
        let (changes, watcher) = AsyncStream.makeStream(
            of: [RedisNode].self,
            bufferingPolicy: .bufferingNewest(1)
        )
        let isKnown = state.withLock { state in
            guard !state.isClosed else {
                watcher.finish()
                return true
            }
            state.watchers.append(watcher)
            watcher.yield(state.primaries)
            return !state.primaries.isEmpty
        }
        if !isKnown { refresh() }
        return changes
    }

    /// Returns the node of a route, when the slots have been read if it has to be.
    func node(_ route: BatchPart.Route, slot: Int?, _ options: SendOptions) async throws(RedisError)
        -> RedisNode
    {
        if case .node(let address, _) = route {
            guard let node = node(at: address) else { throw Self.closed }
            return node
        }
        var failure = Self.unserved
        while true {
            if let node = owner(of: slot) { return node }
            guard !isClosed else { throw Self.closed }
            guard NIODeadline.now() < options.deadline else { throw failure }
            do throws(RedisError) { try await refreshed(options) } catch {
                failure = error
                if error.code != .connection { throw error }
            }
        }
    }

    /// Returns the node at an address, also one that is new; nil when the client was shut down.
    private func node(at address: RedisAddress) -> RedisNode? {
        state.withLock { $0.isClosed ? nil : node(at: address, in: &$0) }
    }

    private func node(at address: RedisAddress, in state: inout State) -> RedisNode {
        if let node = state.nodes[address] { return node }
        let node = RedisNode(connector(to: address, counters, observer: self))
        state.nodes[address] = node
        return node
    }

    private func connector(to address: RedisAddress, _ counters: Counters, observer: (any NodeObserver)?)
        -> Connector
    {
        var configuration = configuration
        configuration.address = address
        return Connector(
            configuration,
            counters: counters,
            library: library,
            logger: logger,
            observer: observer
        )
    }

    // MARK: What nodes tell

    /// Notes that a slot has moved, and reads the others again.
    func moved(_ slot: Int, to address: RedisAddress) {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.map.move(slot, to: address)
            if state.map.primaries.count > state.primaries.count {
                state.primaries.append(node(at: address, in: &state))
                state.tellWatchers()
            }
        }
        refresh()
    }

    /// Notes that a node has sent a command on one key elsewhere, and keeps the slot.
    func asked(_ slot: Int) { state.withLock { $0.map.disturb(slot) } }

    func unreachable(_ node: RedisAddress) {
        let isUsed = state.withLock { state in
            guard state.nodes[node] != nil else { return false }
            state.suspects.insert(node)
            return true
        }
        if isUsed { refresh() }
    }

    /// Sends a command once more whose reply is ignored.
    func redirected(_ command: RedisCommand, _ error: RedisError, by node: RedisAddress) {
        counters.redirects.add()
        switch Redirection(error, from: node) {
        case .moved(let slot, let address):
            moved(slot, to: address)
            self.node(at: address)?.submit(command, .source)
        // One that needs `ASKING` before it is not worth a path of its own.
        default: counters.submitErrors.add()
        }
    }

    // MARK: Reading the slots

    /// Reads the slots soon, unless that is under way; returns at once.
    func refresh() {
        let last = state.withLock { state -> NIODeadline?? in
            guard !state.isReading, !state.isClosed else { return nil }
            state.isReading = true
            return .some(state.lastReading)
        }
        guard let last else { return }
        // Not the task of the caller that has noticed: it has been told where to go, or has a deadline.
        Task { await read(notBefore: last.map { $0 + Self.distance } ?? .now()) }
    }

    /// Waits until the slots have been read.
    ///
    /// - Parameters:
    ///   - options: The deadline and the cancellation.
    ///   - isFailover: Whether a node cannot be reached. Only half of those who may wait do so for that: the others are for
    ///     callers of the nodes that can.
    /// - Throws: The error of the reading, `timeout`, `overloaded` or `cancelled`.
    func refreshed(_ options: SendOptions, isFailover: Bool = false) async throws(RedisError) {
        let limit = configuration.limits.waiters / (isFailover ? 2 : 1)
        let answer = await PendingValue<Void>.wait(
            until: options.deadline,
            on: eventLoop,
            orFail: RedisError(.connection, .notSent, "the nodes of the cluster did not answer in time"),
            options.cancellation
        ) { waiter in
            waiter.park()
            let failure = state.withLock { state -> RedisError? in
                if state.isClosed { return Self.closed }
                state.waiters.removeAll(where: \.isFinished)
                guard state.waiters.count < limit else {
                    counters.overloaded.add()
                    return RedisError(.overloaded, .notSent, "too many callers wait for the cluster")
                }
                state.waiters.append(waiter)
                return nil
            }
            if let failure { waiter.finish(.failure(failure)) } else { refresh() }
        }
        try answer.get()
    }

    private func read(notBefore start: NIODeadline) async {
        let pause = start - .now()
        if pause > .zero { try? await Task.sleep(for: .nanoseconds(pause.nanoseconds)) }
        var failure = Self.unserved
        for address in candidates() {
            do throws(RedisError) {
                let connector = connector(to: address, Counters(), observer: nil)
                let connection = try await connector.open()
                defer { connection.close() }
                let reply = try await connector.ask(RedisCommand("CLUSTER", "SLOTS"), connection)
                if let map = SlotMap(reply, from: address), !map.primaries.isEmpty {
                    counters.slotRefreshes.add()
                    return finish(.success(map))
                }
            } catch { failure = Self.explained(error) }
        }
        finish(.failure(failure))
    }

    /// The nodes to ask, those that answer first; in random order, because one may be cut off from the others.
    private func candidates() -> [RedisAddress] {
        let (known, suspects) = state.withLock { ($0.map.primaries + $0.map.replicas, $0.suspects) }
        let order = known.filter { !suspects.contains($0) }.shuffled() + known.filter(suspects.contains)
        return order + seeds.filter { !known.contains($0) }
    }

    private func finish(_ result: Result<SlotMap, RedisError>) {
        let (waiters, leaving, groups, new) = state.withLock {
            state -> ([PendingValue<Void>], [RedisNode], [ReplicaGroup], [RedisNode]) in
            (state.isReading, state.lastReading) = (false, .now())
            defer { state.waiters = [] }
            guard case .success(var map) = result, !state.isClosed else { return (state.waiters, [], [], []) }
            let before = state.nodes
            state.nodes = [:]
            map.replace(state.map)
            let known = state.primaries
            (state.map, state.suspects) = (map, [])
            state.primaries = map.primaries.map { address in
                state.nodes[address] = before[address]
                return node(at: address, in: &state)
            }
            if !known.elementsEqual(state.primaries, by: ===) {
                state.tellWatchers()
            }
            let leaving = before.filter { state.nodes[$0.key] == nil }.map(\.value)
            let groups = state.replicas.filter { address, group in
                state.nodes[address] !== group.primary || group.places?.addresses != map.groups[address] ?? []
            }
            for address in groups.keys { state.replicas[address] = nil }
            return (state.waiters, leaving, Array(groups.values), state.isStarted ? state.primaries : [])
        }
        for node in leaving { node.close() }
        for group in groups { group.close() }
        for node in new { node.start() }
        for waiter in waiters { waiter.finish(result.map { _ in }) }
    }

    private static func explained(_ error: RedisError) -> RedisError {
        var error = error
        if error.serverMessage?.contains("cluster support disabled") == true {
            error = RedisError(.configuration, .notSent, "the server is not a node of a cluster")
        }
        error.outcome = .notSent
        return error
    }
}
