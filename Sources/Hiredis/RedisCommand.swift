// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A command with its arguments, already encoded.
///
/// Arguments are binary-safe and cannot become other commands. Encoding happens where the command is built,
/// so that the lock of a connection is held for one copy only.
public struct RedisCommand: Sendable {
    /// The name; `EVALSHA` for a script.
    let name: StaticString
    /// Whether the command may be repeated after an unknown outcome.
    public let readOnly: Bool
    let script: RedisScript?
    private var count: Int
    private var arguments: [UInt8]

    /// Creates a command, for example `RedisCommand("HGET", "key", "field", readOnly: true)`.
    ///
    /// - Parameters:
    ///   - name: The name of the command.
    ///   - arguments: Its arguments, sent as UTF-8; more are appended by `append`.
    ///   - readOnly: Whether repeating the command changes nothing, so that it may be sent once more after an
    ///     unknown outcome.
    public init(_ name: StaticString, _ arguments: String..., readOnly: Bool = false) {
        self.init(name: name, script: nil, readOnly: readOnly)
        begin(name.utf8CodeUnitCount)
        name.withUTF8Buffer { unsafe self.arguments.append(contentsOf: $0) }
        end()
        for argument in arguments { append(argument) }
    }

    /// Creates a call of a script; its arguments are appended by `append`.
    ///
    /// Sent as `EVALSHA`. When Redis does not have the script, it is sent once more as `EVAL`, which loads
    /// it.
    ///
    /// - Parameters:
    ///   - script: The script.
    ///   - keys: Its `KEYS`.
    ///   - readOnly: Whether repeating the call changes nothing. Does not change how the call is sent.
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

    /// Appends an argument as UTF-8.
    ///
    /// - Parameter argument: The text.
    public mutating func append(_ argument: String) {
        begin(argument.utf8.count)
        arguments.append(contentsOf: argument.utf8)
        end()
    }

    /// Appends an argument of any bytes.
    ///
    /// - Parameter argument: The bytes.
    public mutating func append(_ argument: [UInt8]) {
        begin(argument.count)
        arguments.append(contentsOf: argument)
        end()
    }

    /// Appends a number in decimal.
    ///
    /// - Parameter argument: The number.
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
    /// The arguments after the name, decoded from what is sent.
    var decoded: [ArraySlice<UInt8>] {
        var texts: [ArraySlice<UInt8>] = []
        var rest = arguments[...]
        while let end = rest.firstIndex(of: 13) {
            let length = rest[..<end].dropFirst().reduce(0) { $0 * 10 + Int($1) - 48 }
            texts.append(rest[(end + 2)...].prefix(length))
            rest = rest[(end + 2)...].dropFirst(length + 2)
        }
        return script == nil ? Array(texts.dropFirst()) : texts
    }

    /// An argument after the name, decoded from what is sent; nil when there are fewer.
    func argument(_ position: Int) -> ArraySlice<UInt8>? {
        var skipped = script == nil ? position + 1 : position
        var start = arguments.startIndex
        while start < arguments.endIndex {
            var end = start + 1
            var length = 0
            while arguments[end] != 13 {
                length = length * 10 + Int(arguments[end]) - 48
                end += 1
            }
            start = end + 2
            if skipped == 0 { return arguments[start..<start + length] }
            skipped -= 1
            start += length + 2
        }
        return nil
    }

    /// The encoded size in bytes, rounded up.
    func size(_ form: RedisScript.Form = .digest) -> Int {
        12 + (script?.head(form).count ?? 0) + arguments.count
    }

    /// Encodes the command in the Redis protocol.
    func encode(into buffer: inout ByteBuffer, _ form: RedisScript.Form = .digest) {
        buffer.reserveCapacity(minimumWritableBytes: size(form))
        buffer.writeInteger(UInt8(ascii: "*"))
        buffer.writeDecimal(script == nil ? count : count + 2)
        buffer.writeInteger(UInt16(0x0D0A))
        if let script { buffer.writeBytes(script.head(form)) }
        buffer.writeBytes(arguments)
    }
}

extension [UInt8] {
    /// Appends a number in decimal; short ones without making a string.
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
    /// The name and the number of arguments, without their content.
    public var description: String { "\(name) with \(script == nil ? count - 1 : count) arguments" }
}

extension RedisCommand: CustomReflectable {
    /// The name alone.
    public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}
