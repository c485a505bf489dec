// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The user of a connection; called on the event loop.
protocol ConnectionDelegate: AnyObject, Sendable {
    /// The given number of commands and bytes is no longer in flight: replied to, or failed.
    func settled(commands: Int, bytes: Int)
    /// Redis does not have the script of a command whose reply is ignored.
    func unknownScript(_ command: RedisCommand)
    /// A node of a cluster has sent a command elsewhere whose reply is ignored.
    func redirected(_ command: RedisCommand, _ error: RedisError)
    /// The server does not serve this client now; another one may.
    func refused(_ error: RedisError)
    /// The connection is closed.
    func lost(_ error: RedisError)
}

extension ConnectionDelegate {
    func refused(_ error: RedisError) {}
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
    private let heartbeat: TimeAmount
    private let silence: TimeAmount
    /// A request that blocks on the server cannot be skipped: when one is overdue, the connection is closed.
    private let isDedicated: Bool
    private let isInCluster: Bool
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
    /// Whether the server has said that another one may serve this client.
    private var isRefused = false
    /// Whether a `PING` of this handler has no reply yet.
    private var isProbing = false
    /// What waits for the reply to that `PING`.
    private var held: [(bytes: ByteBuffer, requests: [PendingRequest])] = []
    /// Receives what arrives without a request, once the connection carries messages.
    private var messages: AsyncThrowingStream<RedisReply, any Error>.Continuation?
    /// Cleared when the connection has ended: the delegate refers to the connection, too.
    var delegate: (any ConnectionDelegate)?

    /// Creates a handler that logs in when it is added to a channel, and then succeeds `ready`.
    init(
        _ configuration: RedisConfiguration,
        _ handshake: Handshake,
        counters: Counters,
        isDedicated: Bool,
        ready: EventLoopPromise<Void>
    ) {
        self.counters = counters
        self.isDedicated = isDedicated
        isInCluster = configuration.topology.isCluster
        self.ready = ready
        connectTimeout = TimeAmount(configuration.connectTimeout)
        commandTimeout = TimeAmount(configuration.commandTimeout)
        heartbeat = TimeAmount(configuration.heartbeat)
        silence = TimeAmount(configuration.silence)
        self.handshake = handshake
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
        let now = NIODeadline.now()
        if isProbing || (queue.isEmpty && now - lastRead >= silence), !isDedicated,
            !requests.allSatisfy(\.isRepeatable)
        {
            held.append((bytes, requests))
            return probe()
        }
        send(bytes, requests, context, at: now)
    }

    private func send(
        _ bytes: ByteBuffer,
        _ requests: [PendingRequest],
        _ context: ChannelHandlerContext,
        at now: NIODeadline
    ) {
        queue.sent(requests, at: now)
        counters.commands.add(requests.reduce(0) { $0 + $1.count })
        counters.batches.add()
        counters.bytesSent.add(bytes.readableBytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        // Half of the timeout: as long as the server may be silent when everything can be repeated.
        let due = requests.reduce(now + commandTimeout / 2) { min($0, $1.deadline) }
        if timer == nil || due < timerDeadline { setTimer(due) }
    }

    /// Asks the server whether it still answers, unless something is under way that will tell.
    ///
    /// When it does not answer in half of the timeout, the connection is closed.
    func probe() {
        guard let context, failure == nil, !isDraining, handshake == nil, queue.isEmpty else { return }
        let now = NIODeadline.now()
        isProbing = true
        queue.sent(
            [PendingRequest(target: .probe, count: 1, size: 0, deadline: .distantFuture, isRepeatable: true)],
            at: now
        )
        var bytes = context.channel.allocator.buffer(capacity: 32)
        RedisCommand("PING").encode(into: &bytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        setTimer(now + commandTimeout / 2)
    }

    /// Passes whatever arrives from now on to `messages`, which ends with the connection; nothing may be pending.
    func deliver(to messages: AsyncThrowingStream<RedisReply, any Error>.Continuation) {
        if let failure { return messages.finish(throwing: failure) }
        self.messages = messages
    }

    /// Writes a command that is answered among the messages.
    func write(_ bytes: ByteBuffer) {
        guard let context, failure == nil else { return }
        counters.bytesSent.add(bytes.readableBytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    /// Gives the connection up for another one: closes after the replies to what was written; what was not
    /// is sent by its callers again.
    func retire() {
        delegate = nil
        let error = RedisError(.connection, .notSent, "the connection is being replaced")
        for request in held.flatMap(\.requests) { settle(request, failure: error, .notSent) }
        held = []
        closeWhenIdle()
    }

    /// Closes at once.
    func close() { fail(RedisError(.closed, .unknown, "the connection was closed")) }

    /// Closes after the reply to the last pending request.
    func closeWhenIdle() {
        isDraining = true
        if queue.isEmpty { close() }
    }

    /// Whether the connection can be used by somebody else.
    var isIdle: Bool { failure == nil && !isRefused && queue.isEmpty && handshake == nil }

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
                        if messages?.yield(reply) != nil { return }
                        fault = RedisError(.protocol, .unknown, "Redis sent a reply without a request")
                    } else {
                        // First: a caller that repeats its command must find the connection being replaced.
                        if reply.kind == .error { examine(reply) }
                        guard let delivery = queue.received(reply) else { return }
                        if case .probe = delivery.request.target { return probeAnswered() }
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
        ended(RedisError(.connection, .unknown, "Redis closed the connection"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        ended(RedisError(transport: error))
    }

    // MARK: Private

    private func handshakeReceived(_ reply: RedisReply) -> RedisError? {
        switch handshake?.received(reply) {
        case .failed(let error): return error
        case .ready:
            handshake = nil
            timer?.cancel()
            timer = nil
            if !isDedicated { setTimer(lastRead + heartbeat) }
            ready?.succeed()
            ready = nil
        case .pending, nil: break
        }
        return nil
    }

    private func deliver(_ replies: Replies, to target: ReplyTarget) {
        switch target {
        case .probe: break
        case .caller(let pending): pending.finish(.success(replies))
        case .callers(let all): for pending in all { pending.finish(.success(replies)) }
        case .ignored(let command, let form):
            guard case .one(let reply) = replies, reply.kind == .error else { return }
            if form == .digest, command.script != nil, reply.isError("NOSCRIPT") {
                delegate?.unknownScript(command)
            } else if form == .digest, isInCluster, reply.isError("MOVED ") || reply.isError("ASK "),
                let delegate, let error = reply.error
            {
                delegate.redirected(command, error)
            } else {
                counters.submitErrors.add()
            }
        }
    }

    /// Notes an error reply that concerns the connection.
    ///
    /// The nodes of a cluster tell where a command belongs, and a new connection would not change that.
    private func examine(_ reply: RedisReply) {
        guard isInCluster ? reply.isError("NOAUTH ") : reply.isFromWrongServer, let error = reply.error else {
            return
        }
        isRefused = true
        delegate?.refused(error)
    }

    private func probeAnswered() {
        isProbing = false
        guard let context else { return }
        let waiting = held
        held = []
        for (bytes, requests) in waiting { send(bytes, requests, context, at: .now()) }
    }

    /// Notes that the peer has closed the connection.
    private func ended(_ error: RedisError) {
        if let handshake, handshake.hasOptionalSteps, error.code == .connection, failure == nil {
            ready?.fail(ClosedDuringHandshake(error: error))
            ready = nil
        }
        fail(error)
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
        for request in held.flatMap(\.requests) { settle(request, failure: error, .notSent) }
        held = []
        if let ready {
            ready.fail(error)
        } else if error.code != .closed, handshake == nil {
            counters.lostConnections.add()
        }
        ready = nil
        messages?.finish(throwing: error)
        messages = nil
        context?.close(promise: nil)
        let owner = delegate
        delegate = nil
        owner?.lost(error)
    }

    private func settle(_ request: PendingRequest, failure: RedisError, _ outcome: RedisError.Outcome) {
        var error = failure
        error.outcome = outcome
        error.isTransient = outcome == .notSent && failure.code != .closed
        request.target.fail(error)
        if case .probe = request.target { return }
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
        if let next = check.next {
            setTimer(max(next, now + commandTimeout / 32))
        } else if !isDedicated, !isDraining {
            if now - lastRead >= heartbeat { probe() } else { setTimer(lastRead + heartbeat) }
        }
    }

    private func setTimer(_ deadline: NIODeadline) {
        guard let eventLoop = context?.eventLoop else { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            checkDeadlines()
        }
    }
}
