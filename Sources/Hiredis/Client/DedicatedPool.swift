// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A few connections that one caller at a time has for itself; made when needed, kept when clean.
final class DedicatedPool: Sendable {
    typealias Grant = DedicatedPoolState.Grant

    /// A connection that was idle for this long is asked whether it is alive before it is lent.
    static let trustFor = TimeAmount.seconds(1)

    private let connector: Connector
    private let eventLoop: any EventLoop
    private let state: Mutex<DedicatedPoolState>

    init(_ connector: Connector, on eventLoop: any EventLoop) {
        self.connector = connector
        self.eventLoop = eventLoop
        let configuration = connector.configuration
        state = Mutex(
            DedicatedPoolState(
                bound: configuration.dedicatedConnections,
                maximumWaiters: configuration.limits.waiters
            )
        )
    }

    /// Lends a healthy connection; waits for one no longer than the command timeout.
    nonisolated(nonsending) func lease() async throws(RedisError) -> RedisDedicatedConnection {
        let deadline = NIODeadline.now() + TimeAmount(connector.configuration.commandTimeout)
        while true {
            switch try await grant(until: deadline) {
            case .permit: return try await connect()
            case .connection(let link, let since):
                let connection = await adopt(link)
                if await connection.isAlive(checking: NIODeadline.now() - since >= Self.trustFor) {
                    return connection
                }
                await release(connection)
            }
        }
    }

    /// Takes a connection back: kept when nothing is left of its use, closed otherwise.
    nonisolated(nonsending) func release(_ connection: RedisDedicatedConnection) async {
        if await connection.end() {
            give(back: .connection(connection.link, idleSince: .now()))
        } else {
            give(back: .permit)
        }
    }

    /// Closes what is idle; what is lent is closed when it comes back.
    func shutdown() {
        let (idle, waiters) = state.withLock { $0.closed() }
        for waiter in waiters {
            waiter.finish(.failure(RedisError(.closed, .notSent, "the client was shut down")))
        }
        for link in idle { link.close() }
    }

    private nonisolated(nonsending) func grant(until deadline: NIODeadline) async throws(RedisError) -> Grant
    {
        let answer = await Exchange<Grant>.wait(.abandon) { waiter in
            if let answer = state.withLock({ $0.requested(waiter) }) {
                if !waiter.finish(answer), case .success(let grant) = answer { give(back: grant) }
                return
            }
            waiter.park()
            // A timer of its own: few callers ever wait here.
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

    private nonisolated(nonsending) func connect() async throws(RedisError) -> RedisDedicatedConnection {
        do {
            let link = try await connector.connect(on: eventLoop, isDedicated: true).get()
            connector.counters.connects.add()
            return await adopt(link)
        } catch {
            connector.counters.failedConnects.add()
            give(back: .permit)
            throw Connector.error(error)
        }
    }

    private nonisolated(nonsending) func adopt(_ link: Link) async -> RedisDedicatedConnection {
        let connection = RedisDedicatedConnection(link, connector)
        await connection.begin()
        return connection
    }

    private func give(back grant: Grant) {
        while let waiter = state.withLock({ $0.returned(grant) }) {
            if waiter.finish(.success(grant)) { return }
        }
        if case .connection(let link, _) = grant, state.withLock(\.isOver) { link.close() }
    }
}

extension Link {
    /// Closes at once, from any thread.
    func close() {
        channel.eventLoop.execute { handler.value.close() }
    }
}
