// SPDX-License-Identifier: Apache-2.0

public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// A client for one Redis server, shared by the whole process.
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
public final class RedisClient: Service, Sendable, RequestSender {
    package let configuration: RedisConfiguration
    private let logger: Logger
    let counters = Counters()
    let library = ScriptLibrary()
    /// For each event loop, its connections: a caller that runs on it is served without another thread.
    private let lanes: [Lane]
    /// For all other callers: two connections of the lanes, on different event loops if there are several.
    private let main: Lane
    private let pool: DedicatedPool

    /// Creates a client; does no I/O.
    ///
    /// - Parameters:
    ///   - configuration: The settings.
    ///   - logger: Receives lost connections at `info`, at `warning` that callers now fail at once, and at
    ///     `notice` that Redis is available again and that connections are replaced.
    public init(_ configuration: RedisConfiguration, logger: Logger = Logger(label: "hiredis")) {
        self.configuration = configuration
        self.logger = logger
        let group = MultiThreadedEventLoopGroup.singleton
        let connector = Connector(configuration, counters: counters, library: library, logger: logger)
        pool = DedicatedPool(connector, on: group.next())
        let lanes = group.makeIterator().map { eventLoop in
            let connections = [Connector.Purpose.shared, .reads].prefix(configuration.sharedConnections).map {
                SharedConnection(connector, on: eventLoop, for: $0)
            }
            return Lane(eventLoop: eventLoop, writes: connections[0], reads: connections.last!)
        }
        let (first, second) = (group.next(), group.next())
        main = Lane(
            eventLoop: first,
            writes: lanes.first { $0.eventLoop === first }!.writes,
            reads: lanes.first { $0.eventLoop === (configuration.sharedConnections > 1 ? second : first) }!
                .reads
        )
        self.lanes = lanes
        connector.peers.joined(all: lanes.flatMap(\.connections), main: main.connections)
    }

    deinit {
        pool.shutdown()
        for connection in lanes.flatMap(\.connections) { _ = connection.shutdown() }
    }

    /// Connects, then waits for graceful shutdown or cancellation and closes the connections.
    ///
    /// Returns normally also when Redis cannot be reached: the client keeps trying, and its callers receive
    /// the errors.
    public func run() async throws {
        for connection in main.connections { connection.start() }
        try? await gracefulShutdown()
        await shutdown()
    }

    /// Closes all connections after the replies to commands in flight; later commands fail with `closed`.
    public func shutdown() async {
        pool.shutdown()
        for closed in lanes.flatMap(\.connections).map({ $0.shutdown() }) { try? await closed.get() }
    }

    /// Sends a command and returns its reply.
    ///
    /// One round trip. Sent once more, within the deadline: a `readOnly` command when the connection is lost
    /// before the reply, and any command that was refused because the server was demoted or is not ready.
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
        return try await reply(to: command, SendOptions(deadline: deadline, cancellation: cancellation))
    }

    /// Sends several commands in one write on one connection and returns their replies.
    ///
    /// One round trip. No other caller's command comes between them. Scripts that Redis does not have are
    /// sent once more after the other commands have been answered; with a transaction among the commands,
    /// scripts are sent as `EVAL` at once.
    ///
    /// - Parameters:
    ///   - commands: Commands that neither block nor change the state of the connection; transactions, each
    ///     from `MULTI` to `EXEC` or `DISCARD`, may be among them.
    ///   - cancellation: The behaviour when the caller's task is cancelled.
    /// - Returns: One reply for each command; error replies are among them.
    /// - Throws: An error of the connection, which concerns all commands.
    public func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation = .abandon
    ) async throws(RedisError) -> [RedisReply] {
        try commands.checkShared()
        return try await replies(to: commands, SendOptions(deadline: deadline, cancellation: cancellation))
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
    /// event loop.
    ///
    /// - Parameter command: A command that neither blocks nor changes the state of the connection.
    public func submit(_ command: RedisCommand) {
        guard command.connectionEffect == .none else { return counters.submitErrors.add() }
        let request = Request(command)
        pick(request).send(request, for: .ignored(command, .digest), deadline: deadline)
    }

    /// Calls `body` with a connection that has no other user, for commands that block or change its state.
    ///
    /// At most `dedicatedConnections` exist; further callers wait. The wait for a connection, with opening it,
    /// ends at the command timeout. A connection that was idle for a second is pinged first; one whose state
    /// was changed is closed afterwards.
    ///
    /// - Parameter body: Uses the connection; runs in the isolation of the caller.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws, or an error of the connection.
    public func withDedicatedConnection<Value>(
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

    /// The current counters.
    public var statistics: RedisStatistics { counters.snapshot }

    // MARK: Private

    private var deadline: NIODeadline { .now() + TimeAmount(configuration.commandTimeout) }

    /// Returns the connection for a request: `CLIENT PAUSE WRITE` and slow writes do not delay reads.
    private func pick(_ request: Request) -> SharedConnection {
        let own = MultiThreadedEventLoopGroup.currentEventLoop
        let lane = own.flatMap { own in lanes.firstIndex { $0.eventLoop === own } }.map { lanes[$0] } ?? main
        return request.isRead ? lane.reads : lane.writes
    }

    func replies(to request: Request, _ options: SendOptions) async throws(RedisError) -> Replies {
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
                    NIODeadline.now() < options.deadline
                else { return replies }
                isLast = true
            case .failure(let error):
                if error.code == .cancelled { counters.abandoned.add() }
                guard NIODeadline.now() < options.deadline else { throw error }
                if error.isTransient, resends < 3 {
                    resends += 1
                } else if error.outcome == .unknown, error.code == .connection, request.isRepeatable,
                    repeats == 0
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
private struct Lane {
    let eventLoop: any EventLoop
    let writes: SharedConnection
    let reads: SharedConnection

    var connections: [SharedConnection] { reads === writes ? [writes] : [writes, reads] }
}
