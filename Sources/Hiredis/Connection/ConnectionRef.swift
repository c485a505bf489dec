// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A connection that has logged in, as other threads refer to it.
struct ConnectionRef: Sendable {
    let channel: any Channel
    let handler: NIOLoopBound<ConnectionHandler>

    /// Closes at once; callable from any thread.
    func close() {
        channel.eventLoop.execute { handler.value.close() }
    }
}
