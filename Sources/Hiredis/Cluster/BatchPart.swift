// SPDX-License-Identifier: Apache-2.0

/// The commands of a batch that stay together when it is split by the nodes of a cluster: one command, or a
/// transaction.
struct BatchPart: Sendable, Equatable {
    /// Where a part is sent.
    enum Route: Sendable, Hashable {
        /// To the node that owns the slot by the map.
        case owner
        /// To the node that another one has named; `asking` after an `ASK`.
        case node(RedisAddress, asking: Bool)
    }

    /// The positions of the commands in the batch.
    let positions: Range<Int>
    /// The slot of their keys; nil for any primary.
    let slot: Int?
    var route = Route.owner

    /// Splits a batch.
    ///
    /// Commands without a key go where the first command with a key goes: its node is asked anyway, and `TIME` is that
    /// node's.
    ///
    /// - Throws: `configuration` for a transaction on several slots.
    static func parts(of commands: [RedisCommand]) throws(RedisError) -> [BatchPart] {
        let slots = commands.map(\.slot)
        let first = slots.lazy.compactMap(\.self).first
        var parts: [BatchPart] = []
        var start = 0
        var isInTransaction = false
        for (position, command) in commands.enumerated() {
            switch command.connectionEffect {
            case .beginsTransaction: isInTransaction = true
            case .endsTransaction: isInTransaction = false
            default: break
            }
            if isInTransaction { continue }
            let positions = start..<position + 1
            start = position + 1
            let own = Set(slots[positions].compactMap(\.self))
            guard own.count <= 1 else {
                throw RedisError(
                    .configuration,
                    .notSent,
                    "the keys of a transaction must be in one slot of the cluster: give them the same {hash tag}"
                )
            }
            parts.append(BatchPart(positions: positions, slot: own.first ?? first))
        }
        return parts
    }
}
