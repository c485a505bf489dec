// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The user of a connection; called on the event loop.
protocol ConnectionDelegate: AnyObject, Sendable {
    /// The given number of commands and bytes is no longer in flight: replied to, or failed.
    func settled(commands: Int, bytes: Int)
    /// Redis does not have the script of a command whose reply is ignored.
    func unknownScript(_ command: RedisCommand)
    /// The connection is closed.
    func lost(_ error: RedisError)
}

/// One connection: moves bytes between the channel, the parser and the queue of pending requests.
///
/// Used on its event loop only; other threads refer to it by `ConnectionRef`.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let counters: Counters
    private let connectTimeout: TimeAmount
    private let commandTimeout: TimeAmount
    /// A request that blocks on the server cannot be skipped: when one is overdue, the connection is closed.
    private let isDedicated: Bool
    private var context: ChannelHandlerContext?
    private var parser: ReplyParser
    private var queue = ReplyQueue()
    private var handshake: Handshake?
    private var ready: EventLoopPromise<Void>?
    private var lastRead = NIODeadline.now()
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    private var failure: RedisError?
    private var isDraining = false
    weak var delegate: (any ConnectionDelegate)?

    /// Creates a handler that logs in when it is added to a channel, and then succeeds `ready`.
    init(
        _ configuration: RedisConfiguration,
        counters: Counters,
        scripts: [RedisCommand],
        isDedicated: Bool,
        ready: EventLoopPromise<Void>
    ) {
        self.counters = counters
        self.isDedicated = isDedicated
        self.ready = ready
        connectTimeout = TimeAmount(configuration.connectTimeout)
        commandTimeout = TimeAmount(configuration.commandTimeout)
        handshake = Handshake(configuration, scripts: scripts)
        parser = ReplyParser(
            maximumBytes: configuration.replyBytes,
            maximumElements: configuration.limits.replyElements
        )
    }

    // MARK: For users of the connection

    /// Writes requests that are encoded in `bytes`.
    func write(_ bytes: ByteBuffer, _ requests: [PendingRequest]) {
        guard let context, failure == nil, !isDraining else {
            let error = failure ?? RedisError(.closed, .notSent, "the connection is closing")
            for request in requests { settle(request, failure: error, .notSent) }
            return
        }
        queue.sent(requests, at: .now())
        counters.commands.add(requests.reduce(0) { $0 + $1.count })
        counters.batches.add()
        counters.bytesSent.add(bytes.readableBytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        if timer == nil {
            checkDeadlines()
        } else if let earliest = requests.lazy.map(\.deadline).min(), earliest < timerDeadline {
            setTimer(earliest)
        }
    }

    /// Closes at once.
    func close() { fail(RedisError(.closed, .unknown, "the connection was closed")) }

    /// Closes after the reply to the last pending request.
    func closeWhenIdle() {
        isDraining = true
        if queue.isEmpty { close() }
    }

    var isIdle: Bool { failure == nil && queue.isEmpty && handshake == nil }

    // MARK: ChannelInboundHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard context.channel.isActive else {
            return fail(RedisError(.connection, .notSent, "Redis closed the connection"))
        }
        var buffer = context.channel.allocator.buffer(capacity: 512)
        handshake?.encode(into: &buffer)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        setTimer(.now() + connectTimeout)
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
        unsafe buffer.withUnsafeReadableBytes { input in
            do throws(RedisError) {
                try unsafe parser.parse(input) { reply in
                    guard fault == nil else { return }
                    if handshake != nil {
                        fault = handshakeReceived(reply)
                    } else if queue.isEmpty {
                        fault = RedisError(.protocol, .unknown, "Redis sent a reply without a request")
                    } else if let delivery = queue.received(reply) {
                        commands += delivery.request.count
                        bytes += delivery.request.size
                        deliver(delivery.replies, to: delivery.request.target)
                        if delivery.leavesTransaction {
                            fault = RedisError(.connection, .unknown, "Redis did not end a transaction")
                        }
                    }
                }
            } catch { fault = fault ?? error }
        }
        if commands > 0 { delegate?.settled(commands: commands, bytes: bytes) }
        if let fault { return fail(fault) }
        if isDraining, queue.isEmpty { close() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(RedisError(.connection, .unknown, "Redis closed the connection"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(RedisError(transport: error))
    }

    // MARK: Private

    private func handshakeReceived(_ reply: RedisReply) -> RedisError? {
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

    private func deliver(_ replies: Replies, to target: ReplyTarget) {
        switch target {
        case .caller(let pending): pending.finish(.success(replies))
        case .ignored(let command, let form):
            guard case .one(let reply) = replies, reply.kind == .error else { return }
            if form == .digest, command.script != nil, reply.isError("NOSCRIPT") {
                delegate?.unknownScript(command)
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
        var reason = error
        for request in queue.removeAll() {
            settle(request, failure: reason, .unknown)
            // An invalid reply was the reply to the first; for the others the connection was lost.
            if error.code == .protocol {
                reason = RedisError(.connection, .unknown, "the connection was closed for an invalid reply")
            }
        }
        if let ready {
            ready.fail(error)
        } else if error.code != .closed {
            counters.lostConnections.add()
        }
        ready = nil
        context?.close(promise: nil)
        delegate?.lost(error)
    }

    private func settle(_ request: PendingRequest, failure: RedisError, _ outcome: RedisError.Outcome) {
        var error = failure
        error.outcome = outcome
        error.isTransient = outcome == .notSent && failure.code == .connection
        request.target.fail(error)
        delegate?.settled(commands: request.count, bytes: request.size)
    }

    /// Fails what is overdue; one timer per connection, none per command.
    private func checkDeadlines() {
        timer = nil
        guard failure == nil else { return }
        if handshake != nil {
            return fail(RedisError(.connection, .notSent, "Redis did not answer the login in time"))
        }
        let now = NIODeadline.now()
        let check = queue.checkDeadlines(at: now, lastRead: lastRead, timeout: commandTimeout)
        for target in check.overdue
        where target.fail(RedisError(.timeout, .unknown, "Redis did not answer in time")) {
            counters.timeouts.add()
        }
        if isDedicated ? !check.overdue.isEmpty : check.isStalled {
            return fail(RedisError(.connection, .unknown, "Redis stopped answering"))
        }
        if let next = check.next { setTimer(max(next, now + commandTimeout / 32)) }
    }

    private func setTimer(_ deadline: NIODeadline) {
        guard let eventLoop = context?.eventLoop else { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.checkDeadlines()
        }
    }
}

extension TimeAmount {
    fileprivate static func / (amount: TimeAmount, divisor: Int64) -> TimeAmount {
        .nanoseconds(amount.nanoseconds / divisor)
    }
}
