// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A connection that all callers share, with its reconnections.
///
/// Callers append their bytes to one batch under a lock. The first caller of a batch schedules a write on the
/// event loop, which sends everything that was appended by then. No timers and no delay: both were measured
/// and gained nothing. Decides nothing: performs the actions that `SharedConnectionState` returns.
///
/// Lives until `shutdown`, and no reference to it is weak: one would make each of the others slower.
final class SharedConnection: ConnectionDelegate, ConnectionPeer {
    private let eventLoop: any EventLoop
    private let connector: Connector
    private let purpose: Connector.Purpose
    private let state: Mutex<SharedConnectionState>
    private let settledCommands = Atomic(0)
    private let settledBytes = Atomic(0)
    private let isWatching = Atomic(false)
    private let replaced = Atomic(0)

    init(_ connector: Connector, on eventLoop: any EventLoop, for purpose: Connector.Purpose) {
        self.connector = connector
        self.eventLoop = eventLoop
        self.purpose = purpose
        state = Mutex(SharedConnectionState(limits: connector.configuration.limits))
    }

    /// How often it was replaced because its server was the wrong one.
    var replacements: Int { replaced.load(ordering: .relaxed) }

    /// The commands without a reply; nil while there is no connection.
    var commandsInFlight: Int? {
        state.withLock { state in
            state.isReady ? max(0, state.accepted - settledCommands.load(ordering: .relaxed)) : nil
        }
    }

    /// Sends a request; its target also receives all failures.
    func send(_ request: Request, for target: ReplyTarget, deadline: NIODeadline) {
        let action = state.withLock {
            $0.requested(
                request,
                for: target,
                deadline: deadline,
                settled: (
                    settledCommands.load(ordering: .relaxed), settledBytes.load(ordering: .relaxed)
                )
            )
        }
        switch action {
        case .nothing: break
        case .drain: eventLoop.execute { self.drain() }
        case .park(let connect):
            if connect {
                eventLoop.execute { self.connect() }
                connector.peers.started(by: self)
            }
            watchParked(until: deadline)
        case .reject(let error): reject(target, error)
        }
    }

    /// Connects in advance of the first caller.
    func start() {
        eventLoop.execute { if self.state.withLock({ $0.started() }) { self.connect() } }
    }

    /// Refuses new requests; closes after the replies to those in flight.
    func shutdown() -> EventLoopFuture<Void> {
        connector.peers.leave(self)
        let (rejected, last) = state.withLock { $0.closed() }
        for target in rejected {
            reject(target, RedisError(.closed, .notSent, "the client was shut down"))
        }
        guard let last else { return eventLoop.makeSucceededVoidFuture() }
        eventLoop.execute {
            let handler = last.connection.handler.value
            if !last.requests.isEmpty { handler.write(last.bytes, last.requests) }
            handler.closeWhenIdle()
        }
        return last.connection.channel.closeFuture
    }

    // MARK: On the event loop

    private func drain() {
        guard let (connection, bytes, requests) = state.withLock({ $0.drained() }) else { return }
        connection.handler.value.write(bytes, requests)
    }

    private func connect() {
        connector.connect(on: eventLoop, for: purpose).whenComplete { [self] result in
            switch result {
            case .success(let connection): connected(connection)
            case .failure(let error): connectFailed(RedisError(transport: error))
            }
        }
    }

    private func connected(_ connection: ConnectionRef) {
        let handler = connection.handler.value
        let (isWanted, hasWork) = state.withLock { state in
            settledCommands.store(0, ordering: .relaxed)
            settledBytes.store(0, ordering: .relaxed)
            let hasWork = state.connected(connection, at: .now())
            return (state.isReady, hasWork)
        }
        guard isWanted else { return handler.close() }
        connector.counters.connects.add()
        connector.succeeded()
        handler.delegate = self
        connector.peers.connected(by: self)
        if hasWork { drain() }
    }

    private func connectFailed(_ error: RedisError) {
        connector.counters.failedConnects.add()
        recover(state.withLock { $0.connectFailed(error, at: .now(), jitter: .random(in: 0...1)) })
    }

    func lost(_ error: RedisError) {
        let recovery = state.withLock { $0.lost(error, at: .now(), jitter: .random(in: 0...1)) }
        if recovery.pause != nil {
            connector.lost(error)
            connector.peers.lost(by: self)
        }
        recover(recovery)
    }

    func refused(_ error: RedisError) {
        connector.refused(error)
        guard let replacement = replace(error) else { return }
        connector.replaced(error, isFirst: replacement.isFirst)
        connector.peers.refused(error, by: self)
    }

    /// Gives the connection up and connects anew; returns nil when it is too early for that.
    @discardableResult
    private func replace(_ error: RedisError) -> SharedConnectionState.Replacement? {
        guard let replacement = state.withLock({ $0.refused(at: .now()) }) else { return nil }
        replaced.add()
        var error = error
        (error.outcome, error.isTransient) = (.notSent, true)
        replacement.connection.handler.value.retire()
        for target in replacement.rejected { reject(target, error) }
        connect()
        return replacement
    }

    // MARK: ConnectionPeer

    func peerConnected() {
        // At once, and not on the event loop: callers are told to wait before any learns that Redis is back.
        guard state.withLock({ $0.peerConnected() }) else { return }
        eventLoop.execute { self.connect() }
    }

    func peerRefused(_ error: RedisError) { eventLoop.execute { self.replace(error) } }

    func peerLost() {
        eventLoop.execute { self.state.withLock(\.connection)?.handler.value.probe() }
    }

    // MARK: Recovery

    private func recover(_ recovery: SharedConnectionState.Recovery) {
        if recovery.hasOpened { connector.failed(recovery.error) }
        for target in recovery.rejected { reject(target, recovery.error) }
        guard let pause = recovery.pause else { return }
        eventLoop.scheduleTask(in: pause) { [self] in
            if state.withLock({ $0.retried() }) { connect() }
        }
    }

    /// Fails callers whose deadline passes while they wait for the connection; one timer for all of them.
    private func watchParked(until deadline: NIODeadline) {
        guard isWatching.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
            return
        }
        let pause = max(deadline, .now() + .milliseconds(5))
        eventLoop.scheduleTask(deadline: pause) { [self] in
            isWatching.store(false, ordering: .relaxed)
            let (overdue, error, next) = state.withLock { $0.checkDeadlines(at: .now()) }
            for target in overdue { reject(target, error) }
            if let next { watchParked(until: next) }
        }
    }

    private func reject(_ target: ReplyTarget, _ error: RedisError) {
        let counters = connector.counters
        switch error.code {
        case .overloaded: counters.overloaded.add()
        case .timeout: counters.timeouts.add()
        default: break
        }
        if case .ignored = target { counters.submitErrors.add() }
        target.fail(error)
    }

    // MARK: ConnectionDelegate

    func settled(commands: Int, bytes: Int) {
        settledCommands.add(commands)
        settledBytes.add(bytes)
    }

    func unknownScript(_ command: RedisCommand) {
        connector.counters.retries.add()
        let deadline = NIODeadline.now() + TimeAmount(connector.configuration.commandTimeout)
        send(Request(command, .source), for: .ignored(command, .source), deadline: deadline)
    }

    func redirected(_ command: RedisCommand, _ error: RedisError) {
        connector.observer?.redirected(command, error, by: connector.configuration.address)
    }
}
