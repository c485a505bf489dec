// SPDX-License-Identifier: Apache-2.0

/// For near caches: which server has a key, and all servers that have any.
extension RedisClient {
    /// Returns where commands on a key are sent, by what is known.
    ///
    /// No I/O. A reply came from a placement if that is the same before the command is sent and after the reply: commands
    /// that were sent elsewhere change it.
    ///
    /// - Parameter key: The key; looked at in a cluster only.
    /// - Returns: The placement; nil while the slots of a cluster are not known.
    package func placement(of key: @autoclosure () -> String) -> RedisPlacement? {
        switch servers {
        case .one(let node): RedisPlacement(node: node.id, tenure: 0)
        case .cluster(let cluster): cluster.placement(of: HashSlot.of(Array(key().utf8)[...]))
        }
    }

    /// Returns the servers that have keys, and again whenever they have changed.
    ///
    /// A server that leaves the cluster is closed, and is another object when it comes back. In a cluster, ends when the
    /// client is shut down.
    package func primaries() -> AsyncStream<[RedisNode]> {
        switch servers {
        case .cluster(let cluster): return cluster.watch()
        case .one(let node):
            return AsyncStream { $0.yield([node]) }
        }
    }
}
