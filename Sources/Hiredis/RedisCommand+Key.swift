// SPDX-License-Identifier: Apache-2.0

extension RedisCommand {
    /// Where a command has its first key, which decides the node of a cluster that executes it.
    private enum KeyPosition {
        /// The command has no key: any primary executes it.
        case none
        case argument(Int)
        /// Behind the number of keys, which is this argument.
        case behindCount(Int)
        /// Behind the word `STREAMS`.
        case behindStreams
    }

    /// The exceptions from the rule that the first argument is the first key.
    private static let keyPositions: [String: KeyPosition] = {
        let exceptions: [(names: String, position: KeyPosition)] = [
            ("PING ECHO TIME INFO ROLE DBSIZE KEYS SCAN RANDOMKEY FLUSHALL FLUSHDB SWAPDB", .none),
            ("SCRIPT FUNCTION CONFIG CLIENT CLUSTER COMMAND ACL MODULE DEBUG SLOWLOG LATENCY LOLWUT", .none),
            ("SAVE BGSAVE BGREWRITEAOF LASTSAVE SHUTDOWN REPLICAOF SLAVEOF FAILOVER SENTINEL", .none),
            ("MULTI EXEC DISCARD UNWATCH WAIT WAITAOF PUBLISH PUBSUB", .none),
            ("AUTH HELLO SELECT QUIT RESET ASKING READONLY READWRITE", .none),
            ("OBJECT MEMORY XINFO XGROUP BITOP", .argument(1)),
            ("MIGRATE", .argument(2)),
            ("LMPOP ZMPOP SINTERCARD ZINTERCARD ZUNION ZINTER ZDIFF", .behindCount(0)),
            ("EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO BLMPOP BZMPOP", .behindCount(1)),
            ("XREAD XREADGROUP", .behindStreams),
        ]
        return Dictionary(
            uniqueKeysWithValues: exceptions.flatMap { entry in
                entry.names.split(separator: " ").map { (String($0), entry.position) }
            }
        )
    }()

    /// The first key; nil for a command without one.
    ///
    /// Of several keys only the first is looked at: the server refuses those of different slots.
    var firstKey: ArraySlice<UInt8>? {
        if script != nil { return key(behindCount: 0) }
        switch Self.keyPositions[name.description.uppercased()] ?? .argument(0) {
        case .none: return nil
        case .argument(let position): return argument(position)
        case .behindCount(let position): return key(behindCount: position)
        case .behindStreams:
            let words = decoded
            let streams = words.firstIndex {
                $0.count == 7 && $0.map { $0 & 0xDF }.elementsEqual("STREAMS".utf8)
            }
            return streams.flatMap { words.dropFirst($0 + 1).first }
        }
    }

    /// The slot of the first key in a cluster; nil for a command without a key.
    var slot: Int? { firstKey.map(HashSlot.of) }

    private func key(behindCount position: Int) -> ArraySlice<UInt8>? {
        guard let count = argument(position), !count.elementsEqual("0".utf8) else { return nil }
        return argument(position + 1)
    }
}

extension [RedisCommand] {
    /// The slot of all keys; nil when they are in several slots, or when there is no key.
    var onlySlot: Int? {
        var only: Int?
        for slot in lazy.compactMap(\.slot) {
            guard only == nil || only == slot else { return nil }
            only = slot
        }
        return only
    }
}
