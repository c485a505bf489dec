// SPDX-License-Identifier: Apache-2.0

public import Logging
public import NIOCore
public import NIOPosix
public import ServiceLifecycle
import Synchronization

/// A client for one Redis server, shared by everything in the process.
///
/// All callers go through a few multiplexed connections; commands of concurrent callers are written together and answered
/// in order. The first command connects; `run()` is needed only for connecting early and for a graceful end. While Redis is
/// away, callers wait for it no longer than their deadline, and not at all once several attempts have failed.
///
/// Commands that block, or that change the state of a connection, belong on `withDedicatedConnection`.
public final class RedisClient: Service, Sendable {
    /// What the client was made with.
    public let configuration: RedisConfiguration
    private let counters = Counters()
    private let logger: Logger
    private let connections: [SharedConnection]
    private let next = Atomic(0)

    /// A client; does no I/O but reading TLS files.
    public init(
        _ configuration: RedisConfiguration, logger: Logger = Logger(label: "hiredis"),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.configuration = configuration
        self.logger = logger
        let connector = Connector(configuration, counters: counters)
        connections = (0..<configuration.sharedConnections).map { _ in
            SharedConnection(connector, on: eventLoopGroup.next(), logger: logger)
        }
    }

    deinit { for connection in connections { _ = connection.shutdown() } }

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
        for closed in connections.map({ $0.shutdown() }) { try? await closed.get() }
    }

    /// Sends a command and gives its reply. One round trip.
    ///
    /// Throws what the server answered when that is an error. The error's `outcome` says what became of the command; a
    /// `readOnly` command is sent once more, within the deadline, when the connection was lost under it.
    public nonisolated(nonsending) func send(
        _ command: RedisCommand, cancellation: RedisCancellation = .abandon
    ) async throws(RedisError) -> RedisReply {
        let deadline = self.deadline
        var reply = try await first(exchange(Request(command), deadline, cancellation))
        if command.script != nil, reply.isError("NOSCRIPT") {
            counters.retries.add()
            reply = try await first(exchange(Request(command, .source), deadline, cancellation))
        }
        if let error = reply.error { throw error }
        return reply
    }

    /// Sends several commands next to each other on one connection in one write. One round trip; nobody's command comes between.
    ///
    /// Error replies stay in the array; what is thrown concerns all of them. Scripts that Redis does not know are sent once
    /// more after the others were answered.
    public nonisolated(nonsending) func send(
        _ commands: [RedisCommand], cancellation: RedisCancellation = .abandon
    ) async throws(RedisError) -> [RedisReply] {
        guard !commands.isEmpty else { return [] }
        let deadline = self.deadline
        var replies = try await all(exchange(Request(commands), deadline, cancellation))
        let unknown = commands.indices.filter { commands[$0].script != nil && replies[$0].isError("NOSCRIPT") }
        if !unknown.isEmpty {
            counters.retries.add(unknown.count)
            let again = try await all(exchange(Request(unknown.map { commands[$0] }, .source), deadline, cancellation))
            for (index, reply) in zip(unknown, again) { replies[index] = reply }
        }
        return replies
    }

    /// Sends a command whose reply nobody needs.
    ///
    /// Costs no task and no suspension. A failure is counted in `statistics.submitErrors` and reported nowhere else.
    public func submit(_ command: RedisCommand) {
        pick().send(Request(command), for: .nobody(command, .digest), deadline: deadline)
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

    private nonisolated(nonsending) func exchange(
        _ request: Request, _ deadline: NIODeadline, _ cancellation: RedisCancellation
    ) async throws(RedisError) -> Replies {
        var attempts = 0
        while true {
            attempts += 1
            let answer = await Exchange<Replies>.wait(cancellation) { exchange in
                pick().send(request, for: .caller(exchange), deadline: deadline)
            }
            switch answer {
            case .success(let replies): return replies
            case .failure(let error):
                if error.code == .cancelled { counters.abandoned.add() }
                let isSafe = error.isTransient || (error.outcome == .unknown && error.code == .connection && request.isRepeatable)
                guard isSafe, attempts < 3, NIODeadline.now() < deadline else { throw error }
                counters.retries.add()
            }
        }
    }

    private func first(_ replies: Replies) -> RedisReply {
        switch replies {
        case .one(let reply): reply
        case .many(let replies): replies[0]
        }
    }

    private func all(_ replies: Replies) -> [RedisReply] {
        switch replies {
        case .one(let reply): [reply]
        case .many(let replies): replies
        }
    }
}
