// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

/// A value of the Redis protocol, version 2.
public indirect enum RESPValue: Sendable, Equatable {
    case text([UInt8]), status(String), error(String), number(Int), list([RESPValue]), null
}

/// A plain Redis client, for tests of what another client than the package's own can do.
///
/// One connection, no timeout, no retry. Shares no code with the package.
public final class RESPConnection: Sendable {
    private let channel: any Channel

    /// Connects.
    public init(port: Int) async throws {
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler())
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    /// Sends commands in one write, and returns their replies.
    public func send(_ commands: [[[UInt8]]]) async throws -> [RESPValue] {
        var bytes = channel.allocator.buffer(capacity: 1024)
        for words in commands {
            bytes.writeString("*\(words.count)\r\n")
            for word in words {
                bytes.writeString("$\(word.count)\r\n")
                bytes.writeBytes(word)
                bytes.writeString("\r\n")
            }
        }
        let promise = channel.eventLoop.makePromise(of: [RESPValue].self)
        let question = Question(bytes: bytes, count: commands.count, promise: promise)
        channel.writeAndFlush(question).cascadeFailure(to: promise)
        return try await promise.futureResult.get()
    }

    /// Closes the connection; what waits for replies fails.
    public func close() async { try? await channel.close() }

    private struct Question: Sendable {
        let bytes: ByteBuffer
        let count: Int
        let promise: EventLoopPromise<[RESPValue]>
    }

    private struct Closed: Error {}

    private final class Handler: ChannelDuplexHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundIn = Question
        typealias OutboundOut = ByteBuffer

        private var waiting: [(question: Question, replies: [RESPValue])] = []
        private var received = ByteBuffer()

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            let question = unwrapOutboundIn(data)
            waiting.append((question, []))
            context.write(wrapOutboundOut(question.bytes), promise: promise)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received.writeImmutableBuffer(unwrapInboundIn(data))
            while !waiting.isEmpty {
                var rest = received
                guard let value = Self.value(&rest) else { return }
                received = rest
                waiting[0].replies.append(value)
                if waiting[0].replies.count == waiting[0].question.count {
                    let (question, replies) = waiting.removeFirst()
                    question.promise.succeed(replies)
                }
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            for (question, _) in waiting { question.promise.fail(Closed()) }
            waiting = []
        }

        /// Reads one value; nil when it has not arrived whole.
        private static func value(_ bytes: inout ByteBuffer) -> RESPValue? {
            guard let end = bytes.readableBytesView.firstIndex(of: 13), bytes.writerIndex > end + 1,
                let line = bytes.readString(length: end - bytes.readerIndex)
            else { return nil }
            bytes.moveReaderIndex(forwardBy: 2)
            let rest = String(line.dropFirst())
            switch line.first {
            case "+": return .status(rest)
            case "-": return .error(rest)
            case ":": return .number(Int(rest) ?? 0)
            case "$":
                guard let count = Int(rest), count >= 0 else { return .null }
                guard bytes.readableBytes >= count + 2, let text = bytes.readBytes(length: count) else {
                    return nil
                }
                bytes.moveReaderIndex(forwardBy: 2)
                return .text(text)
            default:
                guard let count = Int(rest), count >= 0 else { return .null }
                var list: [RESPValue] = []
                for _ in 0..<count {
                    guard let element = value(&bytes) else { return nil }
                    list.append(element)
                }
                return .list(list)
            }
        }
    }
}
