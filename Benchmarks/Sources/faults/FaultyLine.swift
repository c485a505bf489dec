// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization
import TestSupport

/// A line to one server, as a TCP proxy on a loopback port that can be broken: in each direction by itself.
final class FaultyLine: Sendable {
    /// Seen from the client.
    enum Direction: Hashable, Sendable { case there, back }

    private struct State {
        var target: Int
        /// How much later than it comes something is passed on; nil: not until this changes.
        var delays: [Direction: TimeAmount?] = [:]
        var relays: [ObjectIdentifier: Relay] = [:]
    }

    private let state: Mutex<State>
    private let listener: Mutex<(any Channel)?> = Mutex(nil)

    var port: Int { listener.withLock { $0?.localAddress?.port } ?? 0 }

    /// Starts to listen; connections lead to `target`, a loopback port.
    init(to target: Int) async throws {
        state = Mutex(State(target: target))
        let channel = try await TCPProxy.listening { [weak self] client in
            self?.connect(client) ?? client.eventLoop.makeSucceededVoidFuture()
        }
        listener.withLock { $0 = channel }
    }

    /// Leads connections from now on to another port; those that exist stay where they are.
    func lead(to target: Int) { state.withLock { $0.target = target } }

    /// Passes on what comes in one direction later; nil: holds it back.
    func delay(_ direction: Direction, by amount: Duration?) {
        state.withLock { $0.delays[direction] = .some(amount.map { TimeAmount($0) }) }
        each { $0.pump() }
    }

    /// Resets all connections.
    func reset() { each { $0.reset() } }

    /// Resets each connection in the middle of the next reply.
    func resetInReply() { each { $0.resetsInRead = true } }

    func close() async {
        try? await listener.withLock { $0 }?.close()
        reset()
    }

    private func each(_ body: @escaping @Sendable (Relay) -> Void) {
        for relay in state.withLock({ Array($0.relays.values) }) { relay.loop.execute { body(relay) } }
    }

    fileprivate func delay(_ direction: Direction) -> TimeAmount? {
        state.withLock { $0.delays[direction] ?? .zero }
    }

    private func connect(_ client: any Channel) -> EventLoopFuture<Void> {
        ClientBootstrap(group: client.eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: "127.0.0.1", port: state.withLock { $0.target })
            .flatMapThrowing { server in
                for (from, to, direction) in [(client, server, Direction.there), (server, client, .back)] {
                    let relay = Relay(self, from: from, to: to, direction)
                    let id = ObjectIdentifier(relay)
                    self.state.withLock { $0.relays[id] = relay }
                    from.closeFuture.whenComplete { _ in
                        self.state.withLock { $0.relays[id] = nil }
                        to.close(promise: nil)
                    }
                    try from.pipeline.syncOperations.addHandler(relay)
                }
                _ = client.setOption(.autoRead, value: true)
            }
    }

    /// One direction of one connection; used on its event loop only.
    fileprivate final class Relay: ChannelInboundHandler, @unchecked Sendable {
        typealias InboundIn = ByteBuffer

        let loop: any EventLoop
        var resetsInRead = false
        private let line: FaultyLine
        private let from: any Channel
        private let to: any Channel
        private let direction: Direction
        /// In order; a delay that becomes shorter lets nothing overtake.
        private var waiting: [(bytes: ByteBuffer, since: NIODeadline)] = []

        init(_ line: FaultyLine, from: any Channel, to: any Channel, _ direction: Direction) {
            (self.line, self.from, self.to, self.direction) = (line, from, to, direction)
            loop = from.eventLoop
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            waiting.append((unwrapInboundIn(data), .now()))
            pump()
        }

        func pump() {
            guard let delay = line.delay(direction) else { return }
            while let first = waiting.first {
                let due = first.since + delay
                guard due <= .now() else {
                    loop.scheduleTask(deadline: due) { [self] in pump() }
                    return
                }
                waiting.removeFirst()
                if direction == .back, resetsInRead, first.bytes.readableBytes > 1 {
                    let half = first.bytes.getSlice(
                        at: first.bytes.readerIndex,
                        length: first.bytes.readableBytes / 2
                    )
                    to.writeAndFlush(half!).whenComplete { [self] _ in reset() }
                    waiting = []
                    return
                }
                to.writeAndFlush(first.bytes, promise: nil)
            }
        }

        /// Ends the connection without an orderly close, so that the client's system hears of a reset.
        func reset() {
            let client = direction == .there ? from : to
            guard let options = client as? any SocketOptionProvider else { return client.close(promise: nil) }
            options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in
                client.close(promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
