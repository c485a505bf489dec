// SPDX-License-Identifier: Apache-2.0

public import Logging
import NIOCore
public import ServiceLifecycle

/// A client for one Redis server, the primary that sentinels name, or a Redis Cluster; shared by the whole process.
///
/// All callers share two connections, one for what only reads and one for everything else; commands of
/// concurrent callers are written together and answered in order. Callers that run on an event loop of NIO's
/// singleton group share two of that event loop, opened when first needed. The first command connects; `run()` is needed
/// only to connect in advance and to close gracefully. While Redis is unreachable, callers wait until their
/// deadline; after several failed attempts they fail at once. Uses the singleton event loop group of NIO, which
/// is never shut down.
///
/// A server that answers as a demoted or unready one does (`READONLY`, `MASTERDOWN`, `LOADING` and similar) has
/// its connections replaced: host name, TLS files and credentials are looked up anew, with growing pauses up to
/// two seconds while the answer stays the same. Idle connections are sent a `PING` every 15 seconds.
///
/// Commands that block, or that change the state of a connection, need `withDedicatedConnection`.
///
/// In a cluster, all this holds for each of its primaries. A command is sent to the node that owns its first key, and
/// again where a node says (`MOVED`, `ASK`, `TRYAGAIN`, `CLUSTERDOWN`) or when the node has left, until its deadline. Callers of
/// a node that has been unreachable for longer than a failover takes fail at once.
/// Commands without a key go to any primary. With sentinels, the primary is looked up for each new connection.
public final class RedisClient: Service, Sendable {
    /// What commands are sent to.
    enum Servers {
        case one(RedisNode)
        case cluster(ClusterRouter)
    }

    package let configuration: RedisConfiguration
    private let logger: Logger
    let counters: Counters
    private let library = ScriptLibrary()
    let servers: Servers
    /// Those of the one primary; nil in a cluster.
    let replicas: ReplicaGroup?
    private let discovery: SentinelDiscovery?

    /// Creates a client; does no I/O.
    ///
    /// - Parameters:
    ///   - configuration: The settings.
    ///   - logger: Receives lost connections at `info`, at `warning` that callers now fail at once, and at
    ///     `notice` that Redis is available again and that connections are replaced.
    public init(_ configuration: RedisConfiguration, logger: Logger = Logger(label: "hiredis")) {
        self.configuration = configuration
        self.logger = logger
        counters = Counters(configuration.limits)
        switch configuration.topology {
        case .standalone:
            servers = .one(
                RedisNode(Connector(configuration, counters: counters, library: library, logger: logger))
            )
            discovery = nil
        case .cluster(let seeds):
            servers = .cluster(
                ClusterRouter(
                    configuration,
                    seeds: seeds,
                    counters: counters,
                    library: library,
                    logger: logger
                )
            )
            discovery = nil
        case .sentinel(let sentinels):
            let discovery = SentinelDiscovery(sentinels, configuration, logger: logger)
            self.discovery = discovery
            servers = .one(
                RedisNode(
                    Connector(
                        configuration,
                        counters: counters,
                        library: library,
                        logger: logger,
                        findPrimary: { () async throws(RedisError) in try await discovery.primary() }
                    )
                )
            )
        }
        guard case .one(let primary) = servers else {
            replicas = nil
            return
        }
        replicas = ReplicaGroup(of: primary) { [counters] in
            RedisNode(replica: $0, configuration, counters: counters, logger: logger)
        }
    }

    deinit { close() }

    /// Connects, then waits for graceful shutdown or cancellation and closes the connections.
    ///
    /// Returns normally also when Redis cannot be reached: the client keeps trying, and its callers receive
    /// the errors.
    public func run() async throws {
        switch servers {
        case .one(let node):
            node.start()
            await withTaskGroup { tasks in
                if let discovery { tasks.addTask { await discovery.watch { node.move(to: $0) } } }
                try? await gracefulShutdown()
                tasks.cancelAll()
            }
        case .cluster(let cluster):
            cluster.start()
            try? await gracefulShutdown()
        }
        await shutdown()
    }

    /// Closes all connections after the replies to commands in flight; later commands fail with `closed`.
    public func shutdown() async {
        for closed in close() { try? await closed.get() }
    }

    @discardableResult
    private func close() -> [EventLoopFuture<Void>] {
        replicas?.close()
        return switch servers {
        case .one(let node): node.close()
        case .cluster(let cluster): cluster.close()
        }
    }

    /// Sends a command and returns its reply.
    ///
    /// One round trip. Sent once more, within the deadline: a `readOnly` command when the connection is lost
    /// before the reply, and any command that was refused because the server was demoted or is not ready.
    ///
    /// Callers who send equal `readOnly` commands before the first of them was written share its reply.
    ///
    /// A command that changes something and finds its connection silent for 5 s is sent when the server has
    /// answered a `PING`: one round trip more, and no unknown outcome on a connection that was cut unnoticed.
    ///
    /// - Parameters:
    ///   - command: A command that neither blocks nor changes the state of the connection.
    ///   - cancellation: The behaviour when the caller's task is cancelled.
    /// - Returns: The reply, which is not an error.
    /// - Throws: The error of the server, or that of the connection; `outcome` says whether the command was
    ///   executed.
    public func send(
        _ command: RedisCommand,
        cancellation: RedisCancellation = .abandon
    ) async throws(RedisError) -> RedisReply {
        try command.checkShared()
        let options = SendOptions(deadline: deadline, cancellation: cancellation)
        switch servers {
        case .one(let node): return try await node.reply(to: command, options)
        case .cluster(let cluster): return try await cluster.reply(to: command, options)
        }
    }

    /// Sends several commands in one write on one connection and returns their replies.
    ///
    /// One round trip. No other caller's command comes between them. In a cluster, they are split by node and sent at the
    /// same time; commands without a key go where the first one with a key goes. Scripts that Redis does not have are
    /// sent once more after the other commands have been answered; with a transaction among the commands,
    /// scripts are sent as `EVAL` at once.
    ///
    /// - Parameters:
    ///   - commands: Commands that neither block nor change the state of the connection; transactions, each
    ///     from `MULTI` to `EXEC` or `DISCARD`, may be among them.
    ///   - cancellation: The behaviour when the caller's task is cancelled.
    /// - Returns: One reply for each command; error replies are among them.
    /// - Throws: An error of the connection, which concerns all commands; in a cluster with the outcome `unknown` if some
    ///   of them may have been executed. `configuration` for a transaction on several slots of a cluster.
    public func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation = .abandon
    ) async throws(RedisError) -> [RedisReply] {
        try commands.checkShared()
        let options = SendOptions(deadline: deadline, cancellation: cancellation)
        switch servers {
        case .one(let node): return try await node.replies(to: commands, options)
        case .cluster(let cluster): return try await cluster.replies(to: commands, options)
        }
    }

    /// Sends commands as `send` does and waits until copies have what they wrote.
    ///
    /// One round trip for each node, with `WAIT` behind the commands, on dedicated connections.
    ///
    /// - Parameters:
    ///   - commands: See `send`.
    ///   - cancellation: See `send`.
    ///   - wait: The copies; is told how many have acknowledged.
    /// - Returns: One reply for each command; error replies are among them.
    /// - Throws: See `send`. Too few copies are no error.
    package func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation,
        copied wait: RedisReplicaWait
    ) async throws(RedisError) -> [RedisReply] {
        try commands.checkShared()
        let options = SendOptions(deadline: deadline, cancellation: cancellation, wait: wait)
        switch servers {
        case .one(let node): return try await node.replies(to: commands, options)
        case .cluster(let cluster): return try await cluster.replies(to: commands, options)
        }
    }

    /// Registers scripts that are loaded on each new connection before callers use it.
    ///
    /// Without registration, the first call of a script costs a second round trip. A user without permission
    /// to load scripts can still connect.
    ///
    /// - Parameter scripts: The scripts, in the order in which they are loaded.
    public func preload(_ scripts: [RedisScript]) { library.add(scripts) }

    /// Writes a warning to the client's log.
    package func warn(_ message: String) { logger.warning("\(message)") }

    /// Sends a command and ignores its reply.
    ///
    /// Returns at once, without a task or suspension. A failure is counted in `statistics.submitErrors` and
    /// reported nowhere else. Later commands of the caller may overtake it, once its task has changed to another
    /// event loop. In a cluster it follows its slot once; what is on its way to another node (`ASK`) fails.
    ///
    /// - Parameter command: A command that neither blocks nor changes the state of the connection.
    public func submit(_ command: RedisCommand) {
        guard command.connectionEffect == .none else { return counters.submitErrors.add() }
        switch servers {
        case .one(let node): node.submit(command)
        case .cluster(let cluster): cluster.submit(command)
        }
    }

    /// Calls `body` with a connection that has no other user, for commands that block or change its state.
    ///
    /// At most `dedicatedConnections` exist; further callers wait. The wait for a connection, with opening it,
    /// ends at the command timeout. A connection that was idle for a second is pinged first; one whose state
    /// was changed is closed afterwards.
    ///
    /// - Parameters:
    ///   - key: Any key that `body` will use: in a cluster, the connection leads to the node that owns it, and its
    ///     commands are not sent elsewhere when that changes. Required in a cluster, else ignored.
    ///   - body: Uses the connection; runs in the isolation of the caller.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws, or an error of the connection.
    public func withDedicatedConnection<Value>(
        for key: String? = nil,
        _ body: (RedisDedicatedConnection) async throws -> Value
    ) async throws -> Value {
        switch servers {
        case .one(let node): return try await node.withDedicatedConnection(body)
        case .cluster(let cluster): return try await cluster.withDedicatedConnection(for: key, body)
        }
    }

    /// The current counters; locks each connection for a moment.
    public var statistics: RedisStatistics {
        var statistics = counters.snapshot
        let nodes: [RedisNode]
        switch servers {
        case .one(let node):
            statistics.unavailableServers = node.isUnavailable() ? 1 : 0
            nodes = [node] + (replicas?.nodes ?? [])
        case .cluster(let cluster):
            statistics.unavailableServers = cluster.unavailableNodes
            nodes = cluster.nodes
        }
        for usage in nodes.map(\.usage) {
            statistics.connections += usage.connections
            statistics.commandsInFlight += usage.commands
        }
        return statistics
    }

    /// The address of the server, with sentinels that of the primary which they named last; nil in a cluster.
    package var serverAddress: RedisAddress? {
        if case .one(let node) = servers { node.serverAddress } else { nil }
    }

    private var deadline: NIODeadline { .now() + TimeAmount(configuration.commandTimeout) }
}
