// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A bounded pool of dedicated connections; opened on demand, reused when nothing of their last use remains.
final class DedicatedPool: Sendable {
    typealias Grant = DedicatedPoolState.Grant

    /// A connection that was idle for this long is pinged before it is used again.
    private static let pingedAfter = TimeAmount.seconds(1)

    private let connector: Connector
    private let eventLoop: any EventLoop
    private let state: Mutex<DedicatedPoolState>

    init(_ connector: Connector, on eventLoop: any EventLoop) {
        self.connector = connector
        self.eventLoop = eventLoop
        let configuration = connector.configuration
        state = Mutex(
            DedicatedPoolState(
                maximum: configuration.dedicatedConnections,
                maximumWaiters: configuration.limits.waiters
            )
        )
    }

    /// Returns an open connection; waits for a free one no longer than the command timeout.
    func lease() async throws(RedisError) -> RedisDedicatedConnection {
        let deadline = NIODeadline.now() + TimeAmount(connector.configuration.commandTimeout)
        while true {
            switch try await grant(until: deadline) {
            case .permit: return try await connect()
            case .connection(let idle, let since):
                let connection = await begin(idle)
                if await connection.isAlive(isPinged: NIODeadline.now() - since >= Self.pingedAfter) {
                    return connection
                }
                await release(connection)
            }
        }
    }

    /// Takes a connection back: kept when nothing of its use remains, closed otherwise.
    func release(_ connection: RedisDedicatedConnection) async {
        let isOpen = await connection.finish()
        giveBack(isOpen ? .connection(connection.connection, idleSince: .now()) : .permit)
    }

    /// Closes the idle connections, and those in use when they are released.
    func shutdown() {
        let (idle, waiters) = state.withLock { $0.closed() }
        for waiter in waiters {
            waiter.finish(.failure(RedisError(.closed, .notSent, "the client was shut down")))
        }
        for connection in idle { connection.close() }
    }

    private func grant(until deadline: NIODeadline) async throws(RedisError) -> Grant {
        let answer = await PendingReply<Grant>.wait(.abandon) { waiter in
            if let answer = state.withLock({ $0.requested(waiter) }) {
                if !waiter.finish(answer), case .success(let grant) = answer { giveBack(grant) }
                return
            }
            waiter.park()
            // A timer for each: few callers ever wait here.
            eventLoop.scheduleTask(deadline: deadline) {
                waiter.finish(
                    .failure(RedisError(.timeout, .notSent, "all dedicated connections are in use"))
                )
            }
        }
        if case .failure(let error) = answer, error.code == .overloaded {
            connector.counters.overloaded.add()
        }
        return try answer.get()
    }

    private func connect() async throws(RedisError) -> RedisDedicatedConnection {
        do {
            let opened = try await connector.connect(on: eventLoop, for: .dedicated).get()
            connector.counters.connects.add()
            return await begin(opened)
        } catch {
            connector.counters.failedConnects.add()
            giveBack(.permit)
            throw RedisError(transport: error)
        }
    }

    private func begin(_ opened: ConnectionRef) async -> RedisDedicatedConnection {
        let connection = RedisDedicatedConnection(opened, connector)
        await connection.begin()
        return connection
    }

    private func giveBack(_ grant: Grant) {
        while let waiter = state.withLock({ $0.returned(grant) }) {
            if waiter.finish(.success(grant)) { return }
        }
        if case .connection(let connection, _) = grant, state.withLock(\.isClosed) { connection.close() }
    }
}
