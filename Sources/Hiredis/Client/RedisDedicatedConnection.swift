// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A connection with a single user, for commands that block or change the state of the connection.
///
/// Valid only inside `withDedicatedConnection`. A command that fails without a reply closes the connection.
public final class RedisDedicatedConnection: Sendable, RequestSender {
    private struct State {
        var failure: RedisError?
        /// Whether the next user of the connection would observe what was sent.
        var isTainted = false
    }

    private static let ended = RedisError(.closed, .notSent, "the use of the dedicated connection has ended")

    let connection: ConnectionRef
    let counters: Counters
    let library: ScriptLibrary
    private let configuration: RedisConfiguration
    private let state = Mutex(State())

    init(_ connection: ConnectionRef, _ connector: Connector) {
        self.connection = connection
        counters = connector.counters
        library = connector.library
        configuration = connector.configuration
    }

    /// Sends a command and returns its reply.
    ///
    /// One round trip.
    ///
    /// - Parameters:
    ///   - command: Any command with one reply.
    ///   - timeout: Replaces `commandTimeout`; a command that blocks on the server needs more than it blocks.
    /// - Returns: The reply, which is not an error.
    /// - Throws: The error of the server, `timeout` or `cancelled`; after the latter two the connection is
    ///   closed.
    public func send(_ command: RedisCommand, timeout: Duration? = nil) async throws(RedisError) -> RedisReply
    {
        if command.connectionEffect.persists { state.withLock { $0.isTainted = true } }
        return try await reply(to: command, options(timeout))
    }

    /// Sends several commands in one write and returns their replies.
    ///
    /// One round trip.
    ///
    /// - Parameters:
    ///   - commands: Any commands with one reply each.
    ///   - timeout: Replaces `commandTimeout`.
    /// - Returns: One reply for each command; error replies are among them.
    /// - Throws: `timeout`, `cancelled` or an error of the connection, which is closed.
    public func send(_ commands: [RedisCommand], timeout: Duration? = nil) async throws(RedisError)
        -> [RedisReply]
    {
        if commands.contains(where: \.connectionEffect.persists) { state.withLock { $0.isTainted = true } }
        return try await replies(to: commands, options(timeout))
    }

    // MARK: For the pool

    /// Makes this object the delegate of the connection.
    func begin() async {
        _ = try? await connection.channel.eventLoop.submit {
            self.connection.handler.value.delegate = self
        }.get()
    }

    /// Returns whether the connection can be used; sends a `PING` when `isPinged`.
    func isAlive(isPinged: Bool) async -> Bool {
        guard state.withLock({ $0.failure }) == nil, connection.channel.isActive else { return false }
        guard isPinged else { return true }
        do throws(RedisError) {
            _ = try await reply(to: RedisCommand("PING"), options(nil))
            return true
        } catch { return error.prefix == "NOPERM" }
    }

    /// Ends the use; returns whether the connection can be used again, and closes it otherwise.
    func finish() async -> Bool {
        let isReusable = state.withLock { state in
            defer { state.failure = state.failure ?? Self.ended }
            return !state.isTainted && state.failure == nil
        }
        let isOpen = try? await connection.channel.eventLoop.submit {
            let handler = self.connection.handler.value
            handler.delegate = nil
            guard isReusable, handler.isIdle else {
                handler.close()
                return false
            }
            return true
        }.get()
        return isOpen ?? false
    }

    // MARK: RequestSender

    func replies(to request: Request, _ options: SendOptions) async throws(RedisError) -> Replies {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        let answer = await PendingReply<Replies>.wait(options.cancellation) { pending in
            var bytes = ByteBuffer()
            request.encode(into: &bytes)
            let written = PendingRequest(
                target: .caller(pending),
                count: request.count,
                size: bytes.readableBytes,
                deadline: options.deadline
            )
            connection.channel.eventLoop.execute { [connection, bytes] in
                connection.handler.value.write(bytes, [written])
            }
        }
        if case .failure(let error) = answer, error.code == .cancelled { counters.abandoned.add() }
        return try answer.get()
    }

    private func options(_ timeout: Duration?) -> SendOptions {
        SendOptions(
            deadline: .now() + TimeAmount(timeout ?? configuration.commandTimeout),
            cancellation: .abandon
        )
    }
}

extension RedisDedicatedConnection: ConnectionDelegate {
    func settled(commands: Int, bytes: Int) {}

    func unknownScript(_ command: RedisCommand) {}

    func lost(_ error: RedisError) {
        state.withLock { $0.failure = $0.failure ?? error }
    }
}
