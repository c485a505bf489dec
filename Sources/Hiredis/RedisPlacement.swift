// SPDX-License-Identifier: Apache-2.0

/// Where a client finds a key: in a cluster it changes when the slot of the key has moved, or is moving.
///
/// What was read from one placement says nothing of what another one has.
package struct RedisPlacement: Hashable, Sendable {
    /// The server: the `id` of its `RedisNode`.
    package let node: Int
    /// Grows with each change of the slot's owner that is known, and with each read that was sent elsewhere (`ASK`).
    package let tenure: UInt32

    /// Creates a placement; for the client, and for tests.
    package init(node: Int, tenure: UInt32) { (self.node, self.tenure) = (node, tenure) }
}
