// SPDX-License-Identifier: Apache-2.0

/// Which commands may go over a connection that others share.
extension RedisCommand {
    /// What a command does to the connection it travels on.
    enum Scope {
        /// Nothing: fit for a shared connection.
        case shared
        /// Opens a transaction: fit for a shared connection when it is sent together with what ends it.
        case transaction
        /// Holds up everything behind it on the connection.
        case blocking
        /// Changes what later commands on the connection mean, or what it receives.
        case stateful

        /// Whether the next user of the connection would notice.
        var leavesTraces: Bool { self == .transaction || self == .stateful }
    }

    /// Judged by the name alone; `XREAD` with `BLOCK` is for the caller to keep off.
    var scope: Scope {
        name.withUTF8Buffer { name in
            func starts(_ text: StaticString) -> Bool {
                text.withUTF8Buffer { text in
                    name.count >= text.count && zip(name, text).allSatisfy { $0 & 0xDF == $1 }
                }
            }
            func ends(_ text: StaticString) -> Bool {
                text.withUTF8Buffer { text in
                    name.count >= text.count
                        && zip(name.suffix(text.count), text).allSatisfy { $0 & 0xDF == $1 }
                }
            }
            // By the first letter, because this runs for every command.
            switch (name.first ?? 0) & 0xDF {
            case UInt8(ascii: "A") where starts("AUTH") || starts("ASKING"): return .stateful
            case UInt8(ascii: "B") where starts("BL") || starts("BR") || starts("BZ"): return .blocking
            case UInt8(ascii: "C") where starts("CLIENT"): return .stateful
            case UInt8(ascii: "H") where starts("HELLO"): return .stateful
            case UInt8(ascii: "M") where starts("MONITOR"): return .stateful
            case UInt8(ascii: "M") where name.count == 5 && starts("MULTI"): return .transaction
            case UInt8(ascii: "P") where starts("PSYNC") || ends("SUBSCRIBE"): return .stateful
            case UInt8(ascii: "Q") where starts("QUIT"): return .stateful
            case UInt8(ascii: "R") where starts("RESET") || starts("READ") || starts("REPLCONF"):
                return .stateful
            case UInt8(ascii: "S") where starts("SELECT") || starts("SYNC") || ends("SUBSCRIBE"):
                return .stateful
            case UInt8(ascii: "U") where ends("SUBSCRIBE"): return .stateful
            case UInt8(ascii: "W") where starts("WAIT"): return .blocking
            case UInt8(ascii: "W") where starts("WATCH"): return .stateful
            default: return .shared
            }
        }
    }
}
