// SPDX-License-Identifier: Apache-2.0

extension RedisCommand {
    /// The effect of a command on the connection that carries it.
    enum ConnectionEffect {
        /// None: the command may be sent on a shared connection.
        case none
        /// Begins a transaction: may be sent on a shared connection together with the command that ends it.
        case beginsTransaction
        case endsTransaction
        /// Delays all later commands on the connection.
        case blocking
        /// Changes the meaning of later commands on the connection.
        case stateful
        /// Is not followed by exactly one reply, or changes the protocol.
        case unanswerable

        /// Whether the next user of the connection would observe the effect.
        var persists: Bool { self != .none && self != .blocking }
    }

    /// The effect, by the name and by the arguments that decide it.
    ///
    /// Knows nothing of effects on the whole server, such as those of `CONFIG` and `DEBUG`.
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
            case UInt8(ascii: "C") where starts("CLIENT"):
                return decoded.first?.isWord("REPLY") == true ? .unanswerable : .stateful
            case UInt8(ascii: "D") where name.count == 7 && starts("DISCARD"): return .endsTransaction
            case UInt8(ascii: "E") where name.count == 4 && starts("EXEC"): return .endsTransaction
            case UInt8(ascii: "H") where starts("HELLO"):
                return decoded.first.map { $0.elementsEqual("2".utf8) } ?? true ? .stateful : .unanswerable
            case UInt8(ascii: "M") where name.count == 5 && starts("MULTI"): return .beginsTransaction
            case UInt8(ascii: "M") where starts("MONITOR"): return .unanswerable
            case UInt8(ascii: "P") where starts("PSYNC") || ends("SUBSCRIBE"): return .unanswerable
            case UInt8(ascii: "Q") where starts("QUIT"): return .stateful
            case UInt8(ascii: "R") where starts("REPLCONF"): return .unanswerable
            case UInt8(ascii: "R") where starts("RESET") || starts("READ"): return .stateful
            case UInt8(ascii: "S") where starts("SCRIPT"):
                return decoded.first?.isWord("DEBUG") == true ? .unanswerable : .none
            case UInt8(ascii: "S") where starts("SELECT") || starts("SHUTDOWN"): return .stateful
            case UInt8(ascii: "S") where starts("SYNC") || ends("SUBSCRIBE"): return .unanswerable
            case UInt8(ascii: "U") where starts("UNWATCH"): return .stateful
            case UInt8(ascii: "U") where ends("SUBSCRIBE"): return .unanswerable
            case UInt8(ascii: "W") where starts("WAIT"): return .blocking
            case UInt8(ascii: "W") where starts("WATCH"): return .stateful
            case UInt8(ascii: "X") where starts("XREAD"): return waitsForEntries ? .blocking : .none
            default: return .none
            }
        }
    }

    /// Whether `XREAD` or `XREADGROUP` has the option `BLOCK`; a key, group or consumer may have that name.
    private var waitsForEntries: Bool {
        var rest = decoded[...]
        while let option = rest.popFirst(), !option.isWord("STREAMS") {
            if option.isWord("BLOCK") { return true }
            let values = option.isWord("GROUP") ? 2 : option.isWord("COUNT") || option.isWord("CLAIM") ? 1 : 0
            rest = rest.dropFirst(values)
        }
        return false
    }
}

extension ArraySlice<UInt8> {
    /// Whether an argument is this word for Redis, which ignores its case and compares up to a zero byte.
    fileprivate func isWord(_ word: StaticString) -> Bool {
        let text = prefix { $0 != 0 }
        return word.withUTF8Buffer {
            unsafe text.count == $0.count && zip(text, $0).allSatisfy { $0 & 0xDF == $1 }
        }
    }
}

// MARK: - Who may send it

extension RedisCommand {
    /// Throws when other users of a shared connection would be affected.
    func checkShared() throws(RedisError) {
        guard connectionEffect != .none else { return }
        try checkDedicated()
        throw Self.refused("\(name) needs withDedicatedConnection: it blocks or changes its connection")
    }

    /// Throws when the replies could not be assigned to commands even with a single user.
    func checkDedicated() throws(RedisError) {
        guard connectionEffect == .unanswerable else { return }
        throw Self.refused("\(name) is not supported: it is not followed by exactly one reply in RESP2")
    }

    fileprivate static func refused(_ reason: String) -> RedisError {
        RedisError(.configuration, .notSent, reason)
    }
}

extension [RedisCommand] {
    /// Throws when other users of a shared connection would be affected: each transaction must end among
    /// these commands.
    func checkShared() throws(RedisError) {
        var isInTransaction = false
        for command in self {
            switch command.connectionEffect {
            // With arguments, Redis refuses them and neither begins nor ends a transaction.
            case .beginsTransaction where !isInTransaction && command.decoded.isEmpty: isInTransaction = true
            case .endsTransaction where isInTransaction && command.decoded.isEmpty: isInTransaction = false
            case .beginsTransaction, .endsTransaction:
                throw RedisCommand.refused("\(command.name) does not pair with MULTI or EXEC in its batch")
            default: try command.checkShared()
            }
        }
        if isInTransaction { throw RedisCommand.refused("MULTI without EXEC or DISCARD in its batch") }
    }
}
