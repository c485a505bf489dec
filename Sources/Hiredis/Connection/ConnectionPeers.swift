// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// A connection that can replace itself.
protocol ConnectionPeer: AnyObject, Sendable {
    /// Connects, unless it has begun to.
    func start()
    /// Another connection has reached the server.
    func peerConnected()
    /// Another connection was told by the server that it is the wrong one.
    func peerRefused(_ error: RedisError)
    /// Another connection was lost.
    func peerLost()
}

/// What the connections of one client tell each other: they lead to the same server, but each one learns of its
/// state only from its own replies.
final class ConnectionPeers: Sendable {
    private struct State {
        var members: [any ConnectionPeer] = []
        var main: [any ConnectionPeer] = []
        var dedicated: [ObjectIdentifier: ConnectionRef] = [:]
    }

    private let state = Mutex(State())

    /// Adds connections until they leave; the main ones connect as soon as any of them begins to.
    func joined(all: [any ConnectionPeer], main: [any ConnectionPeer]) {
        state.withLock { ($0.members, $0.main) = (all, main) }
    }

    /// Removes a connection that was shut down; only then can it be freed.
    func leave(_ peer: any ConnectionPeer) {
        // Freed outside of the lock.
        _ = state.withLock { state in
            defer {
                state.members.removeAll { $0 === peer }
                state.main.removeAll { $0 === peer }
            }
            return state.members
        }
    }

    /// Registers a dedicated connection until it is closed.
    func opened(_ connection: ConnectionRef) {
        let id = ObjectIdentifier(connection.channel)
        state.withLock { $0.dedicated[id] = connection }
        connection.channel.closeFuture.whenComplete { _ in self.state.withLock { $0.dedicated[id] = nil } }
    }

    /// How many dedicated connections are open.
    var dedicatedCount: Int { state.withLock(\.dedicated.count) }

    /// Makes the other main connections connect, too: what they are for will come soon.
    func started(by sender: any ConnectionPeer) {
        for peer in state.withLock(\.main) where peer !== sender { peer.start() }
    }

    /// Makes the other connections try again now, if they wait to: an outage ends for all of them together.
    func connected(by sender: any ConnectionPeer) {
        for peer in others(than: sender) { peer.peerConnected() }
    }

    /// Makes the other connections replace themselves, and closes the dedicated ones: those in use are of no
    /// use to their callers either.
    func refused(_ error: RedisError, by sender: (any ConnectionPeer)?) {
        for peer in others(than: sender) { peer.peerRefused(error) }
        for connection in state.withLock({ Array($0.dedicated.values) }) { connection.close() }
    }

    /// Makes the other connections examine themselves.
    func lost(by sender: any ConnectionPeer) { for peer in others(than: sender) { peer.peerLost() } }

    private func others(than sender: (any ConnectionPeer)?) -> [any ConnectionPeer] {
        state.withLock(\.members).filter { $0 !== sender }
    }
}
