// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A transport for `Visitor` that speaks HTTP/1.1 to the ports of this machine.
///
/// The request's authority names the port. All transports share one pool of connections, which are kept
/// alive as a balancer does. A request is sent once: a connection that ends under it is an error.
public struct LoopbackHTTP: Sendable {
    /// What went wrong with a request.
    public struct Failure: Error, CustomStringConvertible {
        /// A sentence.
        public let description: String
    }

    private static let pool = ConnectionPool()
    private let source: String?
    private let timeout: TimeAmount

    /// Creates a transport.
    ///
    /// - Parameters:
    ///   - source: the address of this machine to connect from; nil for the usual one.
    ///   - seconds: how long a request may take, its response included.
    public init(source: String? = nil, seconds: Int64 = 30) {
        self.source = source
        timeout = .seconds(seconds)
    }

    /// Sends a request to 127.0.0.1 and reads the whole response.
    ///
    /// - Parameters:
    ///   - request: the request; its authority ends in the port.
    ///   - body: the bytes of its body.
    /// - Returns: the response, its fields in the order of arrival, and the bytes of its body.
    /// - Throws: `Failure` when the time is over or the connection ended early, `CancellationError`, and
    ///   SwiftNIO's errors.
    public func send(_ request: HTTPRequest, _ body: [UInt8]) async throws -> (HTTPResponse, [UInt8]) {
        guard let port = request.authority?.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw Failure(description: "the request names no port")
        }
        let endpoint = ConnectionPool.Endpoint(port: port, source: source)
        let channel = try await Self.pool.connection(to: endpoint)
        let promise = channel.eventLoop.makePromise(of: Answer.self)
        let timer = channel.eventLoop.scheduleTask(in: timeout) {
            promise.fail(Failure(description: "no answer within \(timeout.nanoseconds / 1_000_000_000) s"))
            channel.close(promise: nil)
        }
        let call = Call(head: Self.head(request, body), body: ByteBuffer(bytes: body), promise: promise)
        let answer: Answer
        do {
            defer { timer.cancel() }
            answer = try await withTaskCancellationHandler {
                channel.writeAndFlush(call).whenFailure { promise.fail($0) }
                return try await promise.futureResult.get()
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch {
            try Task.checkCancellation()
            throw error
        }
        // A request that was cancelled has closed its connection, or is about to.
        if answer.isKeepAlive, !Task.isCancelled {
            Self.pool.keep(channel, for: endpoint)
        } else {
            channel.close(promise: nil)
        }
        return (answer.response, Array(buffer: answer.body))
    }

    private static func head(_ request: HTTPRequest, _ body: [UInt8]) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.add(name: "host", value: request.authority ?? "")
        for field in request.headerFields { headers.add(name: field.name.rawName, value: field.value) }
        if !body.isEmpty || [.post, .put, .patch].contains(request.method) {
            headers.replaceOrAdd(name: "content-length", value: "\(body.count)")
        }
        return HTTPRequestHead(
            version: .http1_1,
            method: .init(rawValue: request.method.rawValue),
            uri: request.path ?? "/",
            headers: headers
        )
    }
}

/// A request on its way into a channel.
private struct Call: Sendable {
    var head: HTTPRequestHead
    var body: ByteBuffer
    var promise: EventLoopPromise<Answer>
}

private struct Answer: Sendable {
    var response: HTTPResponse
    var body = ByteBuffer()
    var isKeepAlive: Bool
}

/// Idle connections, by where they lead.
private final class ConnectionPool: Sendable {
    struct Endpoint: Hashable {
        var port: Int
        var source: String?
    }

    private struct Idle {
        let channel: any Channel
        let since = ContinuousClock.now

        /// Not one that is about to be closed: see `IdleStateHandler` below.
        var isUsable: Bool { channel.isActive && since.duration(to: .now) < .seconds(4) }
    }

    private let idle = Mutex<[Endpoint: [Idle]]>([:])

    /// Returns the connection that was used last, or a new one.
    func connection(to endpoint: Endpoint) async throws -> any Channel {
        let kept = idle.withLock { idle -> (any Channel)? in
            while let last = idle[endpoint]?.popLast() { if last.isUsable { return last.channel } }
            return nil
        }
        if let kept { return kept }
        var bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(IdleStateHandler(allTimeout: .seconds(5)))
                    try channel.pipeline.syncOperations.addHandler(CallHandler())
                }
            }
        if let source = endpoint.source {
            bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: source, port: 0))
        }
        return try await bootstrap.connect(host: "127.0.0.1", port: endpoint.port).get()
    }

    func keep(_ channel: any Channel, for endpoint: Endpoint) {
        idle.withLock { idle in
            idle[endpoint, default: []].removeAll { !$0.channel.isActive }
            idle[endpoint, default: []].append(Idle(channel: channel))
        }
    }
}

/// Writes one call at a time and puts its answer together.
private final class CallHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = Call
    typealias OutboundOut = HTTPClientRequestPart

    private var promise: EventLoopPromise<Answer>?
    private var isKeepAlive = true
    private var answer: Answer?

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let call = unwrapOutboundIn(data)
        self.promise = call.promise
        isKeepAlive = call.head.isKeepAlive
        context.write(wrapOutboundOut(.head(call.head)), promise: nil)
        if call.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(.byteBuffer(call.body))), promise: nil)
        }
        context.write(wrapOutboundOut(.end(nil)), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            var response = HTTPResponse(status: .init(code: Int(head.status.code)))
            for (name, value) in head.headers {
                guard let name = HTTPField.Name(name) else { continue }
                response.headerFields.append(HTTPField(name: name, value: value))
            }
            answer = Answer(response: response, isKeepAlive: isKeepAlive && head.isKeepAlive)
        case .body(var part): answer?.body.writeBuffer(&part)
        case .end:
            if let answer { promise?.succeed(answer) }
            promise = nil
            answer = nil
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent, promise == nil { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(LoopbackHTTP.Failure(description: "the connection ended before the answer did"))
        context.fireChannelInactive()
    }

    private func fail(_ error: any Error) {
        promise?.fail(error)
        promise = nil
        answer = nil
    }
}
