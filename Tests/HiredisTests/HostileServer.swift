// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization

/// A server that answers the login correctly and everything after it with prepared bytes.
final class HostileServer: Sendable {
    /// The reaction to what a client sent.
    enum Reaction: Sendable {
        case bytes(String)
        /// The bytes one by one, each in its own write.
        case dripped(String)
        case hangUp
        case silence
    }

    typealias React = @Sendable (_ connection: Int, _ input: String) -> Reaction

    private let channel: any Channel
    private let accepted: Accepted

    private final class Accepted: Sendable {
        let count = Atomic(0)
    }

    /// The loopback port.
    var port: Int { channel.localAddress?.port ?? 0 }
    /// The number of connections accepted.
    var connections: Int { accepted.count.load(ordering: .relaxed) }

    /// Starts to listen; `react` receives the number of the connection, from 1, and its input.
    init(
        login: @escaping React = { _, input in
            .bytes(String(repeating: "+PONG\r\n", count: input.split(separator: "*").count))
        },
        _ react: @escaping React
    ) async throws {
        let accepted = Accepted()
        self.accepted = accepted
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let number = accepted.count.wrappingAdd(1, ordering: .relaxed).newValue
                    try channel.pipeline.syncOperations.addHandler(Handler(number, login, react))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func close() async { try? await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let number: Int
        private let login: React
        private let react: React
        private var isLoggedIn = false

        init(_ number: Int, _ login: @escaping React, _ react: @escaping React) {
            self.number = number
            self.login = login
            self.react = react
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let input = String(buffer: unwrapInboundIn(data))
            defer { isLoggedIn = true }
            switch (isLoggedIn ? react : login)(number, input) {
            case .bytes(let text): write(text, context)
            case .dripped(let text):
                let bytes = Array(text.utf8)
                drip(bytes[...], context)
            case .hangUp: context.close(promise: nil)
            case .silence: break
            }
        }

        private func drip(_ bytes: ArraySlice<UInt8>, _ context: ChannelHandlerContext) {
            guard let first = bytes.first else { return }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: [first])), promise: nil)
            let context = NIOLoopBound(context, eventLoop: context.eventLoop)
            let handler = NIOLoopBound(self, eventLoop: context.value.eventLoop)
            context.value.eventLoop.execute { handler.value.drip(bytes.dropFirst(), context.value) }
        }

        private func write(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }
    }
}
