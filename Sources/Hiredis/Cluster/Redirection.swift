// SPDX-License-Identifier: Apache-2.0

/// What a node of a cluster has answered instead of executing a command: another node does, or one will soon.
enum Redirection: Equatable {
    /// `MOVED`: this node owns the slot now.
    case moved(slot: Int, RedisAddress)
    /// `ASK`: the slot is on its way to this node, and the key is there; only this command, after `ASKING`.
    case ask(slot: Int, RedisAddress)
    /// The same command may succeed soon; with the slots read anew, if they may have changed.
    case later(refreshes: Bool)

    /// Returns nil for an error that concerns the command itself.
    ///
    /// - Parameters:
    ///   - error: The error of the server.
    ///   - node: The address of the node that has replied.
    init?(_ error: RedisError, from node: RedisAddress) {
        switch error.prefix {
        case "MOVED", "ASK":
            let words = (error.serverMessage ?? "").split(separator: " ")
            if words.count >= 3, let slot = Int(words[1]), (0..<HashSlot.count).contains(slot),
                let address = RedisAddress(words[2], announcedBy: node)
            {
                self = error.prefix == "ASK" ? .ask(slot: slot, address) : .moved(slot: slot, address)
            } else {
                self = .later(refreshes: true)
            }
        // Of several keys, some have moved with their slot and some have not.
        case "TRYAGAIN", "LOADING", "NOREPLICAS": self = .later(refreshes: false)
        case "CLUSTERDOWN", "MASTERDOWN", "READONLY": self = .later(refreshes: true)
        default: return nil
        }
    }
}
