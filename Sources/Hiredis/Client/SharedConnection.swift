// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Synchronization

/// One connection that all callers share, through all its reconnects.
///
/// Callers put their bytes into one batch under a lock; the first of a batch schedules one drain on the event
/// loop, which writes everything that has come by then at once. No timers and no holding back: both were
/// measured and gained nothing. Decisions are in `SharedConnectionState`; here is only what they lead to.
final class SharedConnection: ConnectionOwner {
    let eventLoop: any EventLoop
    private let connector: Connector
    private let logger: Logger
    private let state: Mutex<SharedConnectionState>
    private let settledCommands = Atomic(0)
    private let settledBytes = Atomic(0)
    private let isReviewing = Atomic(false)

    init(_ connector: Connector, on eventLoop: any EventLoop, logger: Logger) {
        self.connector = connector
        self.eventLoop = eventLoop
        self.logger = logger
        state = Mutex(SharedConnectionState(limits: connector.configuration.limits))
    }

    var isReady: Bool { state.withLock(\.isReady) }

    /// Sends a request; its receiver hears of everything that goes wrong, too.
    func send(_ request: Request, for receiver: Receiver, deadline: NIODeadline) {
        let settled = (
            commands: settledCommands.load(ordering: .relaxed), bytes: settledBytes.load(ordering: .relaxed)
        )
        let action = state.withLock {
            $0.requested(request, for: receiver, deadline: deadline, settled: settled)
        }
        switch action {
        case .nothing: break
        case .drain: eventLoop.execute { self.drain() }
        case .park(let connect):
            if connect { eventLoop.execute { self.connect() } }
            review(at: deadline)
        case .reject(let error): reject(receiver, error)
        }
    }

    /// Connects without waiting for a caller.
    func start() {
        eventLoop.execute { if self.state.withLock({ $0.started() }) { self.connect() } }
    }

    /// Lets replies in flight come in, closes, and refuses everything from now on.
    func shutdown() -> EventLoopFuture<Void> {
        let (rejected, last) = state.withLock { $0.closed() }
        for receiver in rejected {
            reject(receiver, RedisError(.closed, .notSent, "the client was shut down"))
        }
        guard let last else { return eventLoop.makeSucceededVoidFuture() }
        eventLoop.execute {
            let handler = last.link.handler.value
            if !last.expected.isEmpty { handler.write(last.bytes, last.expected) }
            handler.closeWhenIdle()
        }
        return last.link.channel.closeFuture
    }

    // MARK: On the event loop

    private func drain() {
        guard let (link, bytes, expected) = state.withLock({ $0.drained() }) else { return }
        link.handler.value.write(bytes, expected)
    }

    private func connect() {
        connector.connect(on: eventLoop, isDedicated: false).whenComplete { [weak self] result in
            switch result {
            case .success(let link):
                guard let self else { return link.handler.value.close() }
                connected(link)
            case .failure(let error): self?.connectFailed(Connector.error(error))
            }
        }
    }

    private func connected(_ link: Link) {
        let handler = link.handler.value
        settledCommands.store(0, ordering: .relaxed)
        settledBytes.store(0, ordering: .relaxed)
        let (isWanted, hasWork) = state.withLock { state in
            let hasWork = state.connected(link, at: .now())
            return (state.isReady, hasWork)
        }
        guard isWanted else { return handler.close() }
        connector.counters.connects.add()
        logger.debug("connected to Redis")
        handler.owner = self
        if hasWork { drain() }
    }

    private func connectFailed(_ error: RedisError) {
        connector.counters.failedConnects.add()
        recover(state.withLock { $0.connectFailed(error, at: .now(), jitter: .random(in: 0...1)) })
    }

    func lost(_ error: RedisError) {
        let recovery = state.withLock { $0.lost(error, at: .now(), jitter: .random(in: 0...1)) }
        if recovery.pause != nil {
            logger.info("lost a connection to Redis", metadata: ["error": "\(error)"])
        }
        recover(recovery)
    }

    private func recover(_ recovery: SharedConnectionState.Recovery) {
        if recovery.hasOpened {
            logger.warning("Redis is unavailable", metadata: ["error": "\(recovery.error)"])
        }
        for receiver in recovery.rejected { reject(receiver, recovery.error) }
        guard let pause = recovery.pause else { return }
        eventLoop.scheduleTask(in: pause) { [weak self] in
            if let self, self.state.withLock({ $0.retried() }) { self.connect() }
        }
    }

    /// Watches the deadlines of callers that wait for the connection: one timer for all of them.
    private func review(at deadline: NIODeadline) {
        guard isReviewing.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
            return
        }
        let pause = max(deadline, .now() + .milliseconds(5))
        eventLoop.scheduleTask(deadline: pause) { [weak self] in
            guard let self else { return }
            isReviewing.store(false, ordering: .relaxed)
            let (overdue, error, next) = state.withLock { $0.reviewed(at: .now()) }
            for receiver in overdue { reject(receiver, error) }
            if let next { review(at: next) }
        }
    }

    private func reject(_ receiver: Receiver, _ error: RedisError) {
        let counters = connector.counters
        switch error.code {
        case .overloaded: counters.overloaded.add()
        case .timeout: counters.timeouts.add()
        default: break
        }
        if case .nobody = receiver { counters.submitErrors.add() }
        receiver.fail(error)
    }

    // MARK: ConnectionOwner

    func settled(commands: Int, bytes: Int) {
        settledCommands.add(commands)
        settledBytes.add(bytes)
    }

    func unknownScript(_ command: RedisCommand) {
        connector.counters.retries.add()
        let deadline = NIODeadline.now() + TimeAmount(connector.configuration.commandTimeout)
        send(Request(command, .source), for: .nobody(command, .source), deadline: deadline)
    }

    func pushed(_ reply: RedisReply) -> Bool { false }
}
