// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A bounded pool of dedicated connections; opened on demand, reused when nothing of their last use remains.
final class DedicatedPool: Sendable {
    typealias Grant = DedicatedPoolState.Grant

    private let connector: Connector
    private let eventLoop: any EventLoop
    private let pingedAfter: TimeAmount
    private let state: Mutex<DedicatedPoolState>

    /// Creates a pool; a connection that was idle for `pingedAfter` is pinged before it is used again.
    init(_ connector: Connector, on eventLoop: any EventLoop, pingedAfter: TimeAmount = .seconds(1)) {
        self.connector = connector
        self.eventLoop = eventLoop
        self.pingedAfter = pingedAfter
        let configuration = connector.configuration
        state = Mutex(
            DedicatedPoolState(
                maximum: configuration.dedicatedConnections,
                maximumWaiters: configuration.limits.waiters
            )
        )
    }

    /// Returns an open connection by a deadline, opening and pinging included; without one, in the command timeout.
    func lease(until deadline: NIODeadline? = nil, _ cancellation: RedisCancellation = .abandon)
        async throws(RedisError) -> RedisDedicatedConnection
    {
        let deadline = deadline ?? .now() + TimeAmount(connector.configuration.commandTimeout)
        guard case .connection(let idle, let since) = try await grant(until: deadline, cancellation) else {
            return try await connect(until: deadline, cancellation)
        }
        let connection = RedisDedicatedConnection(idle, connector)
        if await connection.isIdle() {
            let started = NIODeadline.now()
            // Half of the time left, so that a connection that has gone silent can still be replaced.
            let half = TimeAmount.nanoseconds((deadline - started).nanoseconds / 2)
            if started - since < pingedAfter { return connection }
            if await connection.isAnswered(until: started + half, cancellation) { return connection }
        }
        connection.connection.close()
        return try await connect(until: deadline, cancellation)
    }

    /// Takes a connection back: kept when nothing of its use remains, closed otherwise.
    func release(_ connection: RedisDedicatedConnection) async {
        let isOpen = await connection.finish()
        giveBack(isOpen ? .connection(connection.connection, idleSince: .now()) : .permit)
    }

    /// Whether it was shut down.
    var isClosed: Bool { state.withLock(\.isClosed) }

    /// Closes the idle connections, and those in use when they are released.
    func shutdown() {
        let (idle, waiters) = state.withLock { $0.closed() }
        for waiter in waiters {
            waiter.finish(.failure(RedisError(.closed, .notSent, "the client was shut down")))
        }
        for connection in idle { connection.close() }
    }

    private func grant(until deadline: NIODeadline, _ cancellation: RedisCancellation)
        async throws(RedisError) -> Grant
    {
        let late = RedisError(.timeout, .notSent, "all dedicated connections are in use")
        let answer = await PendingValue<Grant>.wait(
            until: deadline,
            on: eventLoop,
            orFail: late,
            cancellation
        ) { waiter in
            if let answer = state.withLock({ $0.requested(waiter) }) {
                if !waiter.finish(answer), case .success(let grant) = answer { giveBack(grant) }
            } else {
                waiter.park()
            }
        }
        if case .failure(let error) = answer, error.code == .overloaded {
            connector.counters.overloaded.add()
        }
        return try answer.get()
    }

    /// Opens a connection with a permit; one that is opened too late for its caller goes to the next.
    private func connect(until deadline: NIODeadline, _ cancellation: RedisCancellation)
        async throws(RedisError) -> RedisDedicatedConnection
    {
        var isOpening = false
        let late = RedisError(.timeout, .notSent, "no dedicated connection was opened in time")
        let answer = await PendingValue<ConnectionRef>.wait(
            until: deadline,
            on: eventLoop,
            orFail: late,
            cancellation
        ) { waiter in
            isOpening = true
            waiter.park()
            connector.connect(on: eventLoop, for: .dedicated).whenComplete { [self] result in
                switch result {
                case .success(let opened):
                    connector.counters.connects.add()
                    if waiter.finish(.success(opened)) { return }
                    giveBack(.connection(opened, idleSince: .now()))
                case .failure(let failure):
                    connector.counters.failedConnects.add()
                    giveBack(.permit)
                    var error = RedisError(transport: failure)
                    error.outcome = .notSent
                    waiter.finish(.failure(error))
                }
            }
        }
        if !isOpening { giveBack(.permit) }
        return RedisDedicatedConnection(try answer.get(), connector)
    }

    private func giveBack(_ grant: Grant) {
        while let waiter = state.withLock({ $0.returned(grant) }) {
            if waiter.finish(.success(grant)) { return }
        }
        if case .connection(let connection, _) = grant, state.withLock(\.isClosed) { connection.close() }
    }
}
