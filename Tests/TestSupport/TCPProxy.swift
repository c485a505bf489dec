// SPDX-License-Identifier: Apache-2.0

public import NIOCore
import NIOPosix
import Synchronization

/// A TCP proxy on a loopback port: leads new connections elsewhere, forgets the flows of old ones in silence, and
/// closes connections on words that it does not like, or delays what comes back after one.
public final class TCPProxy: Sendable {
    private struct State {
        var target: Int
        var refused: [String] = []
        var flows: [Flow] = []
    }

    /// One connection through the proxy.
    private final class Flow: Sendable {
        let isForgotten = Atomic(false)
        let isDelayed = Atomic(false)
        let client: any Channel

        init(_ client: any Channel) { self.client = client }
    }

    private let delay: (word: String, by: TimeAmount)?
    private let state: Mutex<State>
    private let listener: Mutex<(any Channel)?>

    /// The loopback port.
    public var port: Int { listener.withLock { $0?.localAddress?.port } ?? 0 }

    /// How many connections it has accepted.
    public var connections: Int { state.withLock { $0.flows.count } }

    /// Starts to listen; connections are led to `target`, a loopback port.
    ///
    /// A connection whose client sends one of the `refused` words is closed, without what the word came with. What
    /// the server sends on one whose client sends the word of `delay` comes later from then on, in order.
    public init(
        to target: Int,
        refusing refused: [String] = [],
        delaying delay: (word: String, by: Duration)? = nil
    ) async throws {
        self.delay = delay.map { ($0.word, TimeAmount($0.by)) }
        state = Mutex(State(target: target, refused: refused))
        listener = Mutex(nil)
        let channel = try await Self.listening { [weak self] client in
            self?.connect(client) ?? client.eventLoop.makeSucceededVoidFuture()
        }
        listener.withLock { $0 = channel }
    }

    /// Listens on a free loopback port; accepted connections are read once `autoRead` is set.
    public static func listening(
        _ accepted: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer(accepted)
            .bind(host: "127.0.0.1", port: 0).get()
    }

    /// Leads connections from now on to another port; those that exist stay where they are.
    public func lead(to target: Int) { state.withLock { $0.target = target } }

    /// Drops whatever comes through the connections that exist, and leaves them open.
    public func forget() {
        for flow in state.withLock({ $0.flows }) { flow.isForgotten.store(true, ordering: .relaxed) }
    }

    /// Stops listening and closes all connections.
    public func close() async {
        try? await listener.withLock { $0 }?.close()
        for flow in state.withLock({ $0.flows }) { flow.client.close(promise: nil) }
    }

    private func connect(_ client: any Channel) -> EventLoopFuture<Void> {
        let flow = Flow(client)
        let delay = delay
        let (target, refused) = state.withLock { state in
            state.flows.append(flow)
            return (state.target, state.refused)
        }
        return ClientBootstrap(group: client.eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: "127.0.0.1", port: target)
            .flatMapThrowing { server in
                try server.pipeline.syncOperations.addHandler(Relay(to: client, flow, refusing: [], delay))
                try client.pipeline.syncOperations.addHandler(
                    Relay(to: server, flow, refusing: refused, delay)
                )
                _ = client.setOption(.autoRead, value: true)
                client.closeFuture.whenComplete { _ in server.close(promise: nil) }
            }
    }

    private final class Relay: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let other: any Channel
        private let flow: Flow
        private let refused: [String]
        private let delay: (word: String, by: TimeAmount)?
        /// Whether it carries what the client sends.
        private let isFromClient: Bool

        init(
            to other: any Channel,
            _ flow: Flow,
            refusing refused: [String],
            _ delay: (word: String, by: TimeAmount)?
        ) {
            self.other = other
            self.flow = flow
            self.refused = refused
            self.delay = delay
            isFromClient = other !== flow.client
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !flow.isForgotten.load(ordering: .relaxed) else { return }
            let buffer = unwrapInboundIn(data)
            let text = refused.isEmpty && delay == nil ? "" : String(buffer: buffer)
            if refused.contains(where: text.contains) { return context.close(promise: nil) }
            if let delay, isFromClient, text.contains(delay.word) {
                flow.isDelayed.store(true, ordering: .relaxed)
            }
            guard let delay, !isFromClient, flow.isDelayed.load(ordering: .relaxed) else {
                return other.writeAndFlush(buffer, promise: nil)
            }
            other.eventLoop.scheduleTask(in: delay.by) { [other] in
                other.writeAndFlush(buffer, promise: nil)
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            if !flow.isForgotten.load(ordering: .relaxed) { other.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
