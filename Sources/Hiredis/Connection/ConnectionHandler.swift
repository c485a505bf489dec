// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOSSL

/// Whoever uses a connection and wants to hear from it; called on the event loop.
protocol ConnectionOwner: AnyObject, Sendable {
    /// Replies came, or never will: so many commands and bytes are no longer in flight.
    func settled(commands: Int, bytes: Int)
    /// Redis did not know the script of a command that nobody waits for.
    func unknownScript(_ command: RedisCommand)
    /// A reply came that belongs to no command. False when that is an error of the protocol.
    func pushed(_ reply: RedisReply) -> Bool
    /// The connection is gone.
    func lost(_ error: RedisError)
}

/// One connection: moves bytes between the channel, the parser and the queue of expected replies.
///
/// Lives on its event loop; other threads reach it through `Link`.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let configuration: RedisConfiguration
    private let library: ScriptLibrary
    private let counters: Counters
    private let patience: TimeAmount
    /// On a dedicated connection a late reply means that the connection is closed.
    private let closesWhenOverdue: Bool
    private var context: ChannelHandlerContext?
    private var parser: ReplyParser
    private var queue = ReplyQueue()
    private var handshake: Handshake?
    private var ready: EventLoopPromise<Void>?
    private var lastRead = NIODeadline.now()
    private var timer: Scheduled<Void>?
    /// When the timer fires.
    private var wakeUp = NIODeadline.distantFuture
    private var failure: RedisError?
    private var isDraining = false
    weak var owner: (any ConnectionOwner)?

    init(_ connector: Connector, isDedicated: Bool, ready: EventLoopPromise<Void>) {
        configuration = connector.configuration
        counters = connector.counters
        library = connector.library
        self.ready = ready
        closesWhenOverdue = isDedicated
        patience = TimeAmount(configuration.commandTimeout)
        parser = ReplyParser(limits: configuration.limits)
    }

    // MARK: What owners ask for

    /// Writes requests that are encoded in `bytes`.
    func write(_ bytes: ByteBuffer, _ expected: [Expected]) {
        guard let context, failure == nil, !isDraining else {
            let error = failure ?? RedisError(.closed, .notSent, "the connection is closing")
            for entry in expected { settle(entry, failure: error, .notSent) }
            return
        }
        queue.sent(expected, at: .now())
        counters.commands.add(expected.reduce(0) { $0 + $1.count })
        counters.batches.add()
        counters.bytesSent.add(bytes.readableBytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        if timer == nil {
            review()
        } else if let earliest = expected.lazy.map(\.deadline).min(), earliest < wakeUp {
            arm(earliest)
        }
    }

    /// Closes at once.
    func close() { fail(RedisError(.closed, .unknown, "the connection was closed")) }

    /// Closes after the last expected reply.
    func closeWhenIdle() {
        isDraining = true
        if queue.isEmpty { close() }
    }

    var isHealthy: Bool { failure == nil && queue.isEmpty && handshake == nil }

    // MARK: What the channel says

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard context.channel.isActive else {
            return fail(RedisError(.connection, .notSent, "Redis closed the connection"))
        }
        let handshake = Handshake(configuration, scripts: library.loads)
        self.handshake = handshake
        var buffer = context.channel.allocator.buffer(capacity: 512)
        handshake.encode(into: &buffer)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        arm(.now() + TimeAmount(configuration.connectTimeout))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        channelInactive(context: context)
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        guard failure == nil else { return }
        lastRead = .now()
        counters.bytesReceived.add(buffer.readableBytes)
        var commands = 0
        var bytes = 0
        var fault: RedisError?
        buffer.withUnsafeReadableBytes { input in
            do throws(RedisError) {
                try parser.parse(input) { reply in
                    guard fault == nil else { return }
                    if handshake != nil {
                        fault = loggedIn(reply)
                    } else if queue.isEmpty {
                        if owner?.pushed(reply) != true {
                            fault = RedisError(.protocol, .unknown, "a reply came that nobody asked for")
                        }
                    } else if let delivery = queue.received(reply) {
                        commands += delivery.count
                        bytes += delivery.size
                        deliver(delivery)
                    }
                }
            } catch { fault = fault ?? error }
        }
        if commands > 0 { owner?.settled(commands: commands, bytes: bytes) }
        if let fault { return fail(fault) }
        if isDraining, queue.isEmpty { close() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(RedisError(.connection, .unknown, "Redis closed the connection"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(Connector.error(error))
    }

    // MARK: Private

    /// A reply of the handshake came.
    private func loggedIn(_ reply: RedisReply) -> RedisError? {
        switch handshake?.received(reply) {
        case .failed(let error): return error
        case .ready:
            handshake = nil
            timer?.cancel()
            timer = nil
            ready?.succeed()
            ready = nil
        case .pending, nil: break
        }
        return nil
    }

    private func deliver(_ delivery: ReplyQueue.Delivery) {
        switch delivery.receiver {
        case .caller(let exchange): exchange.finish(.success(delivery.replies))
        case .nobody(let command, let form):
            guard case .one(let reply) = delivery.replies, reply.kind == .error else { return }
            if form == .digest, command.script != nil, reply.isError("NOSCRIPT") {
                owner?.unknownScript(command)
            } else {
                counters.submitErrors.add()
            }
        }
    }

    private func fail(_ error: RedisError) {
        guard failure == nil else { return }
        failure = error
        timer?.cancel()
        timer = nil
        for entry in queue.lost() { settle(entry, failure: error, .unknown) }
        if let ready {
            ready.fail(error)
        } else if error.code != .closed {
            counters.lostConnections.add()
        }
        ready = nil
        context?.close(promise: nil)
        owner?.lost(error)
    }

    private func settle(_ entry: Expected, failure: RedisError, _ outcome: RedisError.Outcome) {
        var error = failure
        error.outcome = outcome
        error.isTransient = outcome == .notSent && failure.code == .connection
        entry.receiver.fail(error)
        owner?.settled(commands: entry.count, bytes: entry.size)
    }

    /// Looks after deadlines: one timer per connection, none per command.
    private func review() {
        timer = nil
        guard failure == nil else { return }
        if handshake != nil {
            return fail(RedisError(.connection, .notSent, "Redis did not answer the login in time"))
        }
        let now = NIODeadline.now()
        let review = queue.reviewed(at: now, lastRead: lastRead, patience: patience)
        for receiver in review.overdue {
            guard receiver.fail(RedisError(.timeout, .unknown, "Redis did not answer in time")) else {
                continue
            }
            counters.timeouts.add()
        }
        if closesWhenOverdue ? !review.overdue.isEmpty : review.isStalled {
            return fail(RedisError(.connection, .unknown, "Redis stopped answering"))
        }
        if let next = review.next { arm(max(next, now + patience / 32)) }
    }

    private func arm(_ deadline: NIODeadline) {
        guard let eventLoop = context?.eventLoop else { return }
        timer?.cancel()
        wakeUp = deadline
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in self?.review() }
    }
}

extension TimeAmount {
    static func / (amount: TimeAmount, divisor: Int64) -> TimeAmount {
        .nanoseconds(amount.nanoseconds / divisor)
    }
}
