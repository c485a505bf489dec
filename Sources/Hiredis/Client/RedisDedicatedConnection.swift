// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A connection with a single user, for commands that block or change the state of the connection.
///
/// Valid only inside `withDedicatedConnection`. A command that fails without a reply closes the connection.
/// Tasks that share it receive their own replies, in the order of their calls; each waits for those before.
public final class RedisDedicatedConnection: Sendable, RequestSender {
    private static let ended = RedisError(.closed, .notSent, "the use of the dedicated connection has ended")

    let connection: ConnectionRef
    let counters: Counters
    let library: ScriptLibrary
    private let connector: Connector
    /// Whether the next user of the connection would observe what was sent.
    let isTainted = Atomic(false)
    /// Set and read on the event loop.
    private let hasEnded = Atomic(false)

    init(_ connection: ConnectionRef, _ connector: Connector) {
        self.connection = connection
        counters = connector.counters
        library = connector.library
        self.connector = connector
    }

    /// Sends a command and returns its reply.
    ///
    /// One round trip.
    ///
    /// - Parameters:
    ///   - command: Any command with one reply; no subscriptions, no `MONITOR`, no RESP3.
    ///   - timeout: Replaces `commandTimeout`; a command that blocks on the server needs more than it blocks.
    /// - Returns: The reply, which is not an error.
    /// - Throws: The error of the server, `timeout` or `cancelled`; after the latter two the connection is
    ///   closed.
    public func send(_ command: RedisCommand, timeout: Duration? = nil) async throws(RedisError) -> RedisReply
    {
        try prepare(command)
        return try await reply(to: command, options(timeout))
    }

    /// Sends several commands in one write and returns their replies.
    ///
    /// One round trip.
    ///
    /// - Parameters:
    ///   - commands: Commands as for `send` of one.
    ///   - timeout: Replaces `commandTimeout`.
    /// - Returns: One reply for each command; error replies are among them.
    /// - Throws: `timeout`, `cancelled` or an error of the connection, which is closed.
    public func send(_ commands: [RedisCommand], timeout: Duration? = nil) async throws(RedisError)
        -> [RedisReply]
    {
        for command in commands { try prepare(command) }
        return try await replies(to: commands, options(timeout))
    }

    // MARK: For the pool

    /// Returns whether the connection is open and has nothing to do.
    func isIdle() async -> Bool {
        let isIdle = try? await connection.channel.eventLoop.submit {
            self.connection.handler.value.isIdle
        }.get()
        return isIdle ?? false
    }

    /// Returns whether the server answers in time.
    func isAnswered(until deadline: NIODeadline, _ cancellation: RedisCancellation) async -> Bool {
        do throws(RedisError) {
            let ping = RedisCommand("PING")
            _ = try await reply(to: ping, SendOptions(deadline: deadline, cancellation: cancellation))
            return true
        } catch { return error.prefix == "NOPERM" }
    }

    /// Ends the use; returns whether the connection can be used again, and closes it otherwise.
    func finish() async -> Bool {
        let isOpen = try? await connection.channel.eventLoop.submit {
            let handler = self.connection.handler.value
            self.hasEnded.store(true, ordering: .relaxed)
            guard !self.isTainted.load(ordering: .acquiring), handler.isIdle else {
                handler.close()
                return false
            }
            return true
        }.get()
        return isOpen ?? false
    }

    // MARK: RequestSender

    func replies(to request: Request, _ options: SendOptions) async throws(RedisError) -> Replies {
        let pending = PendingReply()
        let answer = await pending.wait(options.cancellation) {
            var bytes = ByteBuffer()
            request.encode(into: &bytes)
            let written = PendingRequest(
                target: .caller(pending),
                count: request.count,
                size: bytes.readableBytes,
                deadline: options.deadline
            )
            connection.channel.eventLoop.execute { [self, bytes] in
                // Decided where the use ends: a task that outlives it writes nothing into the next one.
                guard !hasEnded.load(ordering: .relaxed) else {
                    return _ = pending.finish(.failure(Self.ended))
                }
                connection.handler.value.write(bytes, [written])
            }
        }
        if case .failure(let error) = answer, error.code == .cancelled { counters.abandoned.add() }
        let replies = try answer.get()
        for reply in replies.all where reply.isError("REDIRECT ") {
            if let error = reply.error { connector.refused(error) }
        }
        return replies
    }

    /// Refuses a command whose replies cannot be assigned; notes one that the next user would observe.
    private func prepare(_ command: RedisCommand) throws(RedisError) {
        try command.checkDedicated()
        if command.connectionEffect.persists { isTainted.store(true, ordering: .releasing) }
    }

    private func options(_ timeout: Duration?) -> SendOptions {
        SendOptions(
            deadline: .now() + TimeAmount(timeout ?? connector.configuration.commandTimeout),
            cancellation: .abandon
        )
    }
}
