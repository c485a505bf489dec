// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// Subscriptions, for the stores: what the server sends unasked.
extension RedisDedicatedConnection {
    /// Subscribes to a channel; from now on the connection carries messages and `ping` only.
    ///
    /// No other command may be under way, and none may follow.
    ///
    /// - Parameter channel: The name of the channel.
    /// - Returns: Everything that the server sends from now on, in order: the confirmation or refusal, which is an
    ///   error reply, messages, and replies to `ping`. Ends with the error that closes the connection.
    package func subscribe(to channel: String) -> AsyncThrowingStream<RedisReply, any Error> {
        let (messages, continuation) = AsyncThrowingStream.makeStream(of: RedisReply.self)
        isTainted.store(true, ordering: .releasing)
        onEventLoop { $0.deliver(to: continuation) }
        write(RedisCommand("SUBSCRIBE", channel))
        return messages
    }

    /// Sends a `PING` that is answered among the messages: `pong` and the text.
    package func ping(_ text: String) { write(RedisCommand("PING", text)) }

    private func write(_ command: RedisCommand) {
        onEventLoop { handler in
            var bytes = ByteBuffer()
            command.encode(into: &bytes)
            handler.write(bytes)
        }
    }

    private func onEventLoop(_ body: @escaping @Sendable (ConnectionHandler) -> Void) {
        connection.channel.eventLoop.execute { [connection] in body(connection.handler.value) }
    }
}
