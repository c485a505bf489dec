// SPDX-License-Identifier: Apache-2.0

public import Logging
public import NIOCore
public import NIOPosix
public import ServiceLifecycle
import Synchronization

/// A client for one Redis server, shared by everything in the process.
///
/// All callers go through a few multiplexed connections; commands of concurrent callers are written together
/// and answered in order. The first command connects; `run()` is needed only for connecting early and for a
/// graceful end. While Redis is away, callers wait for it no longer than their deadline, and not at all once
/// several attempts have failed.
///
/// Commands that block, or that change the state of a connection, belong on `withDedicatedConnection`.
public final class RedisClient: Service, Sendable, RequestSender {
    /// What the client was made with.
    public let configuration: RedisConfiguration
    let counters = Counters()
    let library = ScriptLibrary()
    private let logger: Logger
    private let connections: [SharedConnection]
    private let pool: DedicatedPool
    private let next = Atomic(0)

    /// A client; does no I/O but reading TLS files.
    public init(
        _ configuration: RedisConfiguration,
        logger: Logger = Logger(label: "hiredis"),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.configuration = configuration
        self.logger = logger
        let connector = Connector(configuration, counters: counters, library: library)
        pool = DedicatedPool(connector, on: eventLoopGroup.next())
        connections = (0..<configuration.sharedConnections).map { _ in
            SharedConnection(connector, on: eventLoopGroup.next(), logger: logger)
        }
    }

    deinit {
        pool.shutdown()
        for connection in connections { _ = connection.shutdown() }
    }

    /// Connects, then waits for graceful shutdown or cancellation and closes the connections.
    ///
    /// An unreachable Redis is no error here: the client keeps trying, and its callers hear of it.
    public func run() async throws {
        for connection in connections { connection.start() }
        try? await gracefulShutdown()
        await shutdown()
    }

    /// Closes all connections once their replies are in; every later command fails with `closed`.
    public func shutdown() async {
        pool.shutdown()
        for closed in connections.map({ $0.shutdown() }) { try? await closed.get() }
    }

    /// Sends a command and gives its reply.
    ///
    /// One round trip.
    ///
    /// Throws what the server answered when that is an error. The error's `outcome` says what became of the
    /// command; a `readOnly` command is sent once more, within the deadline, when the connection was lost
    /// under it.
    public nonisolated(nonsending) func send(
        _ command: RedisCommand,
        cancellation: RedisCancellation = .abandon
    ) async throws(RedisError) -> RedisReply {
        try Self.check(command)
        return try await reply(to: command, Terms(deadline: deadline, cancellation: cancellation))
    }

    /// Sends several commands next to each other on one connection in one write.
    ///
    /// One round trip; nobody's command comes between.
    ///
    /// Error replies stay in the array; what is thrown concerns all of them. Scripts that Redis does not know
    /// are sent once more after the others were answered.
    public nonisolated(nonsending) func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation = .abandon
    ) async throws(RedisError) -> [RedisReply] {
        if commands.count == 1 { try Self.check(commands[0]) }
        guard !commands.contains(where: { $0.scope == .blocking || $0.scope == .stateful }) else {
            throw Self.misplaced
        }
        return try await replies(to: commands, Terms(deadline: deadline, cancellation: cancellation))
    }

    /// Registers scripts that new connections load before callers are let in.
    ///
    /// Scripts work without it, at the price of a second round trip the first time. That the user may not
    /// load them is tolerated: an operator then does.
    public func preload(_ scripts: [RedisScript]) { library.add(scripts) }

    /// Sends a command whose reply nobody needs.
    ///
    /// Costs no task and no suspension. A failure is counted in `statistics.submitErrors` and reported
    /// nowhere else.
    public func submit(_ command: RedisCommand) {
        guard command.scope == .shared else { return counters.submitErrors.add() }
        pick().send(Request(command), for: .nobody(command, .digest), deadline: deadline)
    }

    /// Lends a connection that nobody else uses, for commands that block, hold state or receive messages.
    ///
    /// At most `dedicatedConnections` exist; callers beyond them wait until their deadline. A connection that
    /// was not used for a second is asked whether it is alive before it is lent; one with anything left of
    /// its use is closed afterwards.
    public nonisolated(nonsending) func withDedicatedConnection<Value>(
        _ body: nonisolated(nonsending) (RedisDedicatedConnection) async throws -> Value
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

    /// What the client has done so far.
    public var statistics: RedisStatistics { counters.snapshot }

    // MARK: Private

    private var deadline: NIODeadline { .now() + TimeAmount(configuration.commandTimeout) }

    /// Takes turns; passes over a connection that is down while another one is up.
    private func pick() -> SharedConnection {
        guard connections.count > 1 else { return connections[0] }
        let start = next.wrappingAdd(1, ordering: .relaxed).oldValue & Int.max
        for offset in connections.indices {
            let candidate = connections[(start + offset) % connections.count]
            if candidate.isReady { return candidate }
        }
        return connections[start % connections.count]
    }

    nonisolated(nonsending) func exchange(_ request: Request, _ terms: Terms) async throws(RedisError)
        -> Replies
    {
        var resends = 0
        var repeats = 0
        while true {
            let answer = await Exchange<Replies>.wait(terms.cancellation) { exchange in
                pick().send(request, for: .caller(exchange), deadline: terms.deadline)
            }
            guard case .failure(let error) = answer else { return try answer.get() }
            if error.code == .cancelled { counters.abandoned.add() }
            guard NIODeadline.now() < terms.deadline else { throw error }
            if error.isTransient, resends < 3 {
                resends += 1
            } else if error.outcome == .unknown, error.code == .connection, request.isRepeatable, repeats == 0
            {
                repeats += 1
            } else {
                throw error
            }
            counters.retries.add()
        }
    }

    private static func check(_ command: RedisCommand) throws(RedisError) {
        if command.scope != .shared { throw misplaced }
    }

    private static let misplaced = RedisError(
        .configuration,
        .notSent,
        "a command that blocks or changes its connection needs withDedicatedConnection"
    )
}
