// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A connection that one caller has for itself, for commands that block, hold state, or receive what others
/// publish.
///
/// Valid only inside `withDedicatedConnection`. A command that fails for lack of an answer ends the
/// connection.
public final class RedisDedicatedConnection: Sendable, RequestSender {
    private struct State {
        var inbox = CircularBuffer<RedisReply>()
        var receiver: Exchange<RedisReply>?
        var failure: RedisError?
        /// Something was done to the connection that the next user must not inherit.
        var isTainted = false
        var isPosting = false
    }

    /// Replies that may wait for `receive`; one more closes the connection.
    private static let inboxBound = 4096

    let link: Link
    let counters: Counters
    let library: ScriptLibrary
    private let configuration: RedisConfiguration
    private let state = Mutex(State())

    init(_ link: Link, _ connector: Connector) {
        self.link = link
        counters = connector.counters
        library = connector.library
        configuration = connector.configuration
    }

    /// Sends a command and gives its reply.
    ///
    /// `timeout` replaces the configured one: a command that blocks on the server needs longer than the
    /// server blocks. When it passes, or the caller is cancelled, the connection is of no more use.
    public nonisolated(nonsending) func send(_ command: RedisCommand, timeout: Duration? = nil)
        async throws(RedisError) -> RedisReply
    {
        if command.scope.leavesTraces { state.withLock { $0.isTainted = true } }
        return try await reply(to: command, terms(timeout))
    }

    /// Sends several commands in one write and gives their replies, errors among them.
    public nonisolated(nonsending) func send(_ commands: [RedisCommand], timeout: Duration? = nil)
        async throws(RedisError) -> [RedisReply]
    {
        if commands.contains(where: \.scope.leavesTraces) { state.withLock { $0.isTainted = true } }
        return try await replies(to: commands, terms(timeout))
    }

    /// Sends a command whose replies, however many, are read with `receive`: `SUBSCRIBE`, and `PING` while
    /// subscribed.
    ///
    /// From then on `send` is refused on this connection, because replies could no longer be told apart.
    public func post(_ command: RedisCommand) throws(RedisError) {
        let failure = state.withLock { state in
            (state.isTainted, state.isPosting) = (true, true)
            return state.failure
        }
        if let failure { throw failure }
        var bytes = ByteBuffer()
        command.encode(into: &bytes)
        write(bytes, [])
    }

    /// The next reply that belongs to no `send`: a message, an invalidation, the answer to a `post`.
    ///
    /// Waits for ever without a `timeout`. Neither a timeout nor a cancellation loses a reply or harms the
    /// connection. One caller at a time.
    public nonisolated(nonsending) func receive(timeout: Duration? = nil) async throws(RedisError)
        -> RedisReply
    {
        try await Exchange<RedisReply>.wait(.abandon) { exchange in
            let answer: Result<RedisReply, RedisError>? = state.withLock { state in
                if let failure = state.failure { return .failure(failure) }
                if let first = state.inbox.popFirst() { return .success(first) }
                guard state.receiver?.isFinished ?? true else {
                    return .failure(
                        RedisError(.configuration, .notSent, "two callers receive on one connection")
                    )
                }
                state.receiver = exchange
                return nil
            }
            if let answer {
                // A caller that has left meanwhile must not take the reply with it.
                if !exchange.finish(answer), case .success(let reply) = answer {
                    state.withLock { $0.inbox.prepend(reply) }
                }
            } else if let timeout {
                link.channel.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
                    exchange.finish(.failure(RedisError(.timeout, .notSent, "nothing was received in time")))
                }
            }
        }.get()
    }

    // MARK: For the pool

    /// Connects the handler to this lease.
    nonisolated(nonsending) func begin() async {
        _ = try? await link.channel.eventLoop.submit { self.link.handler.value.owner = self }.get()
    }

    /// Whether the connection can be lent; asks the server when told to.
    nonisolated(nonsending) func isAlive(checking: Bool) async -> Bool {
        guard state.withLock({ $0.failure }) == nil, link.channel.isActive else { return false }
        guard checking else { return true }
        do throws(RedisError) {
            _ = try await reply(to: RedisCommand("PING"), terms(nil))
            return true
        } catch { return error.prefix == "NOPERM" }
    }

    /// The lease is over; true when the connection is clean, otherwise it is closed.
    nonisolated(nonsending) func end() async -> Bool {
        let receiver = state.withLock { state in
            defer {
                state.failure =
                    state.failure ?? RedisError(.closed, .notSent, "the lease of the connection is over")
            }
            return (state.receiver, state.isTainted || state.failure != nil || !state.inbox.isEmpty)
        }
        receiver.0?.finish(.failure(RedisError(.closed, .notSent, "the lease of the connection is over")))
        let isClean = try? await link.channel.eventLoop.submit {
            let handler = self.link.handler.value
            handler.owner = nil
            guard !receiver.1, handler.isHealthy else {
                handler.close()
                return false
            }
            return true
        }.get()
        return isClean ?? false
    }

    // MARK: RequestSender

    nonisolated(nonsending) func exchange(_ request: Request, _ terms: Terms) async throws(RedisError)
        -> Replies
    {
        let (failure, isPosting) = state.withLock { ($0.failure, $0.isPosting) }
        if let failure { throw failure }
        guard !isPosting else {
            throw RedisError(
                .configuration,
                .notSent,
                "this connection receives; it cannot send and wait any more"
            )
        }
        let answer = await Exchange<Replies>.wait(terms.cancellation) { exchange in
            var bytes = ByteBuffer()
            request.encode(into: &bytes)
            let size = bytes.readableBytes
            write(
                bytes,
                [
                    Expected(
                        receiver: .caller(exchange),
                        count: request.count,
                        size: size,
                        deadline: terms.deadline
                    )
                ]
            )
        }
        if case .failure(let error) = answer, error.code == .cancelled { counters.abandoned.add() }
        return try answer.get()
    }

    private func write(_ bytes: ByteBuffer, _ expected: [Expected]) {
        link.channel.eventLoop.execute { self.link.handler.value.write(bytes, expected) }
    }

    private func terms(_ timeout: Duration?) -> Terms {
        Terms(deadline: .now() + TimeAmount(timeout ?? configuration.commandTimeout), cancellation: .abandon)
    }
}

extension RedisDedicatedConnection: ConnectionOwner {
    func settled(commands: Int, bytes: Int) {}

    func unknownScript(_ command: RedisCommand) {}

    func pushed(_ reply: RedisReply) -> Bool {
        state.withLock { state in
            let receiver = state.receiver
            state.receiver = nil
            if let receiver, receiver.finish(.success(reply)) { return true }
            guard state.isPosting, state.inbox.count < Self.inboxBound else { return false }
            state.inbox.append(reply)
            return true
        }
    }

    func lost(_ error: RedisError) {
        let receiver = state.withLock { state in
            state.failure = state.failure ?? error
            return state.receiver
        }
        receiver?.finish(.failure(error))
    }
}
