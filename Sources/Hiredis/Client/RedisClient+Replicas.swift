// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore

/// Reads that may be answered by a replica.
extension RedisClient {
    /// Sends commands that only read to a replica of the server that has their keys, if one is known to be current.
    ///
    /// One round trip. The replica has all that its primary had at some time in the last `age`, whatever its link, its primary
    /// or the client's network did since. In the background, four times in that time at most, or in a second while there is
    /// none, the primary is asked how much it has executed (`INFO replication`), and then each replica. The first read of a client finds none.
    ///
    /// The replicas are those that the primary names, and in a cluster those of the slot map. Their connections have the
    /// settings of the client and a quarter of its command timeout, so that a replica that is silent leaves time for the
    /// primary. One that has failed is left alone for a second.
    ///
    /// - Parameters:
    ///   - commands: Commands with `readOnly`, all on keys of one slot.
    ///   - age: How long ago the time may be; positive.
    ///   - cancellation: The behaviour when the caller's task is cancelled.
    /// - Returns: One reply for each command, none of them an error; nil when the primary has to be asked: because no
    ///   replica is current, or this one did not answer, or the task was cancelled.
    package func sendToReplica(
        _ commands: [RedisCommand],
        within age: Duration,
        cancellation: RedisCancellation = .abandon
    ) async -> [RedisReply]? {
        let group: ReplicaGroup? =
            switch servers {
            case .one: replicas
            case .cluster(let cluster): commands.first?.slot.flatMap { cluster.replicas(of: $0) }
            }
        return await group?.replies(to: commands, within: TimeAmount(age), cancellation)
    }
}

extension RedisNode {
    /// Creates the connections to a replica: one for each event loop, and less time for each command.
    convenience init(
        replica address: RedisAddress,
        _ configuration: RedisConfiguration,
        counters: Counters,
        logger: Logger
    ) {
        var configuration = configuration
        configuration.address = address
        configuration.sharedConnections = 1
        configuration.commandTimeout = configuration.commandTimeout / 4
        self.init(
            Connector(
                configuration,
                counters: counters,
                library: ScriptLibrary(),
                logger: logger,
                isReplica: true
            )
        )
    }
}
