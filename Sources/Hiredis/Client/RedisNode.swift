// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization

/// All connections to one server: two that callers share for each event loop, and a pool of dedicated ones.
package final class RedisNode: RequestSender {
    private static let count = Atomic(0)

    /// Differs from that of all other nodes of the process.
    package let id = RedisNode.count.wrappingAdd(1, ordering: .relaxed).newValue
    private let connector: Connector
    /// For each event loop, its connections: a caller that runs on it is served without another thread.
    private let lanes: [Lane]
    /// For all other callers: two connections of the lanes, on different event loops if there are several.
    let main: Lane
    let pool: DedicatedPool
    /// Whether the last write that was waited for had too few copies in time.
    let areReplicasBehind = Atomic(false)
    /// Whether a write waits for replicas that were behind.
    let isProbing = Atomic(false)

    var address: RedisAddress { connector.configuration.address }
    /// The address of the server; with sentinels, that of the primary which they named last.
    package var serverAddress: RedisAddress { connector.lastAddress ?? address }
    var counters: Counters { connector.counters }
    var library: ScriptLibrary { connector.library }
    var eventLoop: any EventLoop { main.eventLoop }
    var isInCluster: Bool { connector.observer != nil }
    /// The command timeout.
    var timeout: TimeAmount { TimeAmount(connector.configuration.commandTimeout) }
    /// How often shared connections have been made, before their first command, or lost.
    var connectionChanges: Int { connector.connectionChanges }
    /// Whether callers have failed at once for so long, because the server cannot be reached.
    func isUnavailable(for time: TimeAmount = .zero) -> Bool { connector.isUnavailable(for: time) }
    /// Whether the client was shut down, or the node has left the cluster.
    package var isClosed: Bool { pool.isClosed }

    /// How many connections are open, and how many commands on the shared ones have no reply.
    var usage: (connections: Int, commands: Int) {
        let shared = lanes.flatMap(\.connections).compactMap(\.commandsInFlight)
        return (shared.count + connector.peers.dedicatedCount, shared.reduce(0, +))
    }

    /// Does no I/O; must be closed, because connections refer to each other.
    init(_ connector: Connector) {
        self.connector = connector
        let group = MultiThreadedEventLoopGroup.singleton
        let count = connector.configuration.sharedConnections
        pool = DedicatedPool(connector, on: group.next())
        let lanes = group.makeIterator().map { eventLoop in
            let connections = [Connector.Purpose.shared, .reads].prefix(count).map {
                SharedConnection(connector, on: eventLoop, for: $0)
            }
            return Lane(eventLoop: eventLoop, writes: connections[0], reads: connections.last!)
        }
        let (first, second) = (group.next(), group.next())
        main = Lane(
            eventLoop: first,
            writes: lanes.first { $0.eventLoop === first }!.writes,
            reads: lanes.first { $0.eventLoop === (count > 1 ? second : first) }!.reads
        )
        self.lanes = lanes
        connector.peers.joined(all: lanes.flatMap(\.connections), main: main.connections)
    }

    /// Connects in advance of the first caller.
    func start() {
        for connection in main.connections { connection.start() }
    }

    /// Replaces all connections, if the server is not at this address any more.
    func move(to address: RedisAddress) {
        guard connector.lastAddress != address else { return }
        let error = RedisError(.connection, .notSent, "the sentinels name another primary")
        connector.refused(error)
        connector.peers.refused(error, by: nil)
    }

    /// Closes all connections after the replies to commands in flight; later commands fail with `closed`.
    ///
    /// - Returns: The ends of the shared connections.
    @discardableResult
    func close() -> [EventLoopFuture<Void>] {
        pool.shutdown()
        return lanes.flatMap(\.connections).map { $0.shutdown() }
    }

    /// Sends a command whose reply is ignored.
    func submit(_ command: RedisCommand, _ form: RedisScript.Form = .digest) {
        let request = Request(command, form)
        let deadline = NIODeadline.now() + TimeAmount(connector.configuration.commandTimeout)
        pick(request).send(request, for: .ignored(command, form), deadline: deadline)
    }

    /// Calls `body` with a connection that has no other user; see `RedisClient`.
    package func withDedicatedConnection<Value>(
        _ body: (RedisDedicatedConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await pool.lease()
        do {
            let result = try await body(connection)
            await pool.release(connection)
            return result
        } catch {
            await pool.release(connection)
            throw error
        }
    }

    /// Returns the connection for a request: `CLIENT PAUSE WRITE` and slow writes do not delay reads.
    private func pick(_ request: Request) -> SharedConnection {
        let own = MultiThreadedEventLoopGroup.currentEventLoop
        let lane = own.flatMap { own in lanes.firstIndex { $0.eventLoop === own } }.map { lanes[$0] } ?? main
        return request.isRead ? lane.reads : lane.writes
    }

    /// Sends a request once: what fails is not sent again.
    func replyOnce(to request: Request, _ options: SendOptions) async throws(RedisError) -> Replies {
        let pending = PendingReply()
        return try await pending.wait(options.cancellation) {
            pick(request).send(request, for: .caller(pending), deadline: options.deadline)
        }.get()
    }

    func replies(to request: Request, _ options: SendOptions) async throws(RedisError) -> Replies {
        if let wait = options.wait, !wait.isShort {
            return try await replies(to: request, copied: wait, options)
        }
        let connection = pick(request)
        var resends = 0
        var repeats = 0
        var isLast = false
        while true {
            let replacements = connection.replacements
            let pending = PendingReply()
            let answer = await pending.wait(options.cancellation) {
                connection.send(request, for: .caller(pending), deadline: options.deadline)
            }
            switch answer {
            case .success(let replies):
                guard !isLast, request.isRefused(replies), connection.replacements != replacements,
                    NIODeadline.now() < options.deadline, counters.mayRepeat(request.count)
                else { return replies }
                isLast = true
            case .failure(let error):
                if error.code == .cancelled { counters.abandoned.add() }
                guard NIODeadline.now() < options.deadline else { throw error }
                if error.isTransient, resends < 3 {
                    resends += 1
                } else if error.outcome == .unknown, error.code == .connection, request.isRepeatable,
                    repeats == 0, counters.mayRepeat(request.count)
                {
                    repeats += 1
                } else {
                    throw error
                }
            }
            counters.retries.add()
        }
    }
}

/// Connections that callers share: one for what only reads, one for everything else.
struct Lane {
    let eventLoop: any EventLoop
    let writes: SharedConnection
    let reads: SharedConnection

    var connections: [SharedConnection] { reads === writes ? [writes] : [writes, reads] }
}
