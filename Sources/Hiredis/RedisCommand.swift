// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One command with its arguments, already encoded.
///
/// Arguments are binary safe and only ever arguments: nothing in them can become another command.
/// Encoding happens where the command is built, so that the lock of a connection is held for one copy only.
public struct RedisCommand: Sendable {
    /// The command's name; `EVALSHA` for a script.
    public let name: StaticString
    /// Whether repeating the command changes nothing, so that it may be sent once more after an unknown
    /// outcome.
    public let readOnly: Bool
    let script: RedisScript?
    private var count: Int
    private var arguments: [UInt8]

    /// A command of the given name, for example `RedisCommand("HGET", "key", "field", readOnly: true)`.
    public init(_ name: StaticString, _ arguments: String..., readOnly: Bool = false) {
        self.init(name: name, script: nil, readOnly: readOnly)
        name.withUTF8Buffer { append($0) }
        for argument in arguments { append(argument) }
    }

    /// A call of `script`; further arguments are appended.
    ///
    /// Sent as `EVALSHA`; when Redis does not know the script, it is sent once more as `EVAL`, which teaches
    /// it. `readOnly` says that repeating it is harmless; it does not change how it is sent.
    public init(script: RedisScript, keys: [String] = [], readOnly: Bool = false) {
        self.init(name: "EVALSHA", script: script, readOnly: readOnly)
        append(keys.count)
        for key in keys { append(key) }
    }

    private init(name: StaticString, script: RedisScript?, readOnly: Bool) {
        self.name = name
        self.script = script
        self.readOnly = readOnly
        count = 0
        arguments = []
        arguments.reserveCapacity(160)
    }

    /// Appends text as UTF-8.
    public mutating func append(_ argument: String) {
        begin(argument.utf8.count)
        arguments.append(contentsOf: argument.utf8)
        end()
    }

    /// Appends bytes of any content.
    public mutating func append(_ argument: [UInt8]) {
        begin(argument.count)
        arguments.append(contentsOf: argument)
        end()
    }

    /// Appends bytes of any content; an array is faster.
    public mutating func append(_ argument: some Collection<UInt8>) {
        begin(argument.count)
        arguments.append(contentsOf: argument)
        end()
    }

    /// Appends a number in decimal.
    public mutating func append(_ argument: Int) {
        append(String(argument))
    }

    private mutating func begin(_ length: Int) {
        count += 1
        arguments.append(UInt8(ascii: "$"))
        arguments.appendDecimal(length)
        arguments.append(13)
        arguments.append(10)
    }

    private mutating func end() {
        arguments.append(13)
        arguments.append(10)
    }
}

// MARK: - On the wire

extension RedisCommand {
    /// How a script is named.
    enum ScriptForm {
        case digest
        case source
    }

    /// An upper bound of the encoded size, for the limits.
    func size(_ form: ScriptForm = .digest) -> Int { 12 + (script?.head(form).count ?? 0) + arguments.count }

    /// Writes the command in the Redis protocol.
    func encode(into buffer: inout ByteBuffer, _ form: ScriptForm = .digest) {
        buffer.reserveCapacity(minimumWritableBytes: size(form))
        buffer.writeInteger(UInt8(ascii: "*"))
        buffer.writeDecimal(script == nil ? count : count + 2)
        buffer.writeInteger(UInt16(0x0D0A))
        if let script { buffer.writeBytes(script.head(form)) }
        buffer.writeBytes(arguments)
    }
}

extension [UInt8] {
    /// Appends a number in decimal, without a string in between for the short ones.
    mutating func appendDecimal(_ number: Int) {
        switch number {
        case 0...9: append(48 + UInt8(number))
        case 10...99: append(48 + UInt8(number / 10)); append(48 + UInt8(number % 10))
        default: append(contentsOf: String(number).utf8)
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeDecimal(_ number: Int) {
        switch number {
        case 0...9: writeInteger(48 + UInt8(number))
        case 10...99: writeInteger(UInt16(48 + number / 10) << 8 | UInt16(48 + number % 10))
        default: writeString(String(number))
        }
    }
}

extension RedisCommand: CustomStringConvertible {
    /// The name and the number of arguments, never their content.
    public var description: String { "\(name) with \(script == nil ? count - 1 : count) arguments" }
}

extension RedisCommand: CustomReflectable {
    /// Shows no more than `description` does.
    public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}
