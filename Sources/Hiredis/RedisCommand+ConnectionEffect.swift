// SPDX-License-Identifier: Apache-2.0

extension RedisCommand {
    /// The effect of a command on the connection that carries it.
    enum ConnectionEffect {
        /// None: the command may be sent on a shared connection.
        case none
        /// Begins a transaction: may be sent on a shared connection together with the command that ends it.
        case transaction
        /// Delays all later commands on the connection.
        case blocking
        /// Changes the meaning of later commands on the connection, or what the connection receives.
        case stateful

        /// Whether the next user of the connection would observe the effect.
        var persists: Bool { self == .transaction || self == .stateful }
    }

    /// The effect, by the name alone; that of `XREAD` with `BLOCK` is not detected.
    var connectionEffect: ConnectionEffect {
        name.withUTF8Buffer { name in
            func starts(_ text: StaticString) -> Bool {
                text.withUTF8Buffer { text in
                    unsafe name.count >= text.count && zip(name, text).allSatisfy { $0 & 0xDF == $1 }
                }
            }
            func ends(_ text: StaticString) -> Bool {
                text.withUTF8Buffer { text in
                    unsafe name.count >= text.count
                        && zip(name.suffix(text.count), text).allSatisfy { $0 & 0xDF == $1 }
                }
            }
            // By the first letter first, because this runs for every command.
            switch unsafe (name.first ?? 0) & 0xDF {
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
            default: return .none
            }
        }
    }
}
