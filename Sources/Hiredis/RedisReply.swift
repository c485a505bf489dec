// SPDX-License-Identifier: Apache-2.0

/// The reply of Redis to one command.
///
/// A reply is flat, and its elements are views on it, so reading a hash of any size allocates nothing. Replies
/// that arrive together share one piece of memory of up to 64 KiB, which lasts as long as any of them: copy
/// what is to be kept for long.
public struct RedisReply: Sendable {
    /// The type of a reply or of one of its elements.
    public enum Kind: UInt8, Sendable {
        /// A string of any bytes.
        case string
        /// A short text such as `OK`.
        case status
        /// A signed 64-bit number.
        case integer
        /// A list of elements.
        case array
        /// The absence of a value.
        case null
        /// An error of the server; only in arrays and in the result of `send` of several commands, because
        /// `send` of one command throws it.
        case error
    }

    struct Node: Sendable {
        var kind: Kind
        /// Nodes of this subtree, itself included.
        var span: UInt32
        /// The index of the text's first byte.
        var offset: UInt32
        /// The number, the count or the length of the text.
        var value: Int
    }

    private let node: Node
    private let position: Int
    private let chunk: Chunk

    init(_ chunk: Chunk, at position: Int) {
        node = chunk[position]
        self.position = position
        self.chunk = chunk
    }

    /// Creates a reply without elements.
    init(_ node: Node, arena: [UInt8] = []) {
        self.node = node
        position = 0
        chunk = Chunk(text: arena)
    }

    /// The memory in bytes that lasts as long as the reply.
    var keptBytes: Int { chunk.size }

    /// Nodes of the reply, itself included.
    var span: Int { Int(node.span) }

    /// The type of the reply.
    public var kind: Kind { node.kind }

    /// Whether the value is absent.
    public var isNull: Bool { node.kind == .null }

    /// The number of elements; 0 when the reply is not an array.
    public var count: Int { node.kind == .array ? node.value : 0 }

    /// Returns an element as a view.
    ///
    /// Constant time when no element is an array itself, else linear in `index`.
    ///
    /// - Parameter index: From 0 to `count - 1`; traps otherwise.
    public subscript(index: Int) -> RedisReply {
        precondition(index >= 0 && index < count, "index \(index) is outside a reply of \(count) elements")
        var child = position + 1
        if Int(node.span) == node.value + 1 {
            child += index
        } else {
            for _ in 0..<index { child += Int(chunk[child].span) }
        }
        return RedisReply(chunk, at: child)
    }

    /// The number; also of a string in decimal, because scripts and hashes return numbers as text.
    public var integer: Int? {
        switch node.kind {
        case .integer: node.value
        case .string, .status: string.flatMap { Int($0) }
        default: nil
        }
    }

    /// A copy of the bytes of a string or status; nil for any other type.
    public var bytes: [UInt8]? { isText ? Array(text) : nil }

    /// The text of a string or status; invalid UTF-8 is repaired.
    public var string: String? { isText ? String(decoding: text, as: UTF8.self) : nil }

    /// The error of an error reply; its outcome is `rejected`.
    public var error: RedisError? {
        guard node.kind == .error else { return nil }
        return RedisError(serverMessage: String(decoding: text, as: UTF8.self))
    }

    /// Calls `body` with each field and value of a hash, which Redis returns as a flat array of strings.
    ///
    /// Elements that are not strings are passed as empty bytes; an array that is not flat has no pairs.
    /// Copies and allocates nothing.
    ///
    /// - Parameter body: Receives the bytes of a field and of its value, valid during the call only.
    /// - Throws: What `body` throws.
    public func forEachPair(
        _ body: (_ field: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        guard node.kind == .array, Int(node.span) == node.value + 1 else { return }
        try unsafe chunk.withUnsafeTexts { text in
            for index in stride(from: position + 1, to: position + node.value, by: 2) {
                try unsafe body(text(index), text(index + 1))
            }
        }
    }

    /// Appends the nodes of the reply, and their texts, to which the offsets refer then.
    func append(to nodes: inout [Node], _ texts: inout [UInt8]) {
        for index in 0..<span {
            var copy = span == 1 ? node : chunk[position + index]
            let text = chunk.text(copy)
            copy.offset = UInt32(texts.count)
            texts.append(contentsOf: text)
            nodes.append(copy)
        }
    }

    private var isText: Bool { node.kind == .string || node.kind == .status }
    private var text: ArraySlice<UInt8> { chunk.text(node) }

    /// Returns whether this is an error that begins with `prefix`; compares bytes, makes no string.
    func isError(_ prefix: StaticString) -> Bool {
        guard node.kind == .error, node.value >= prefix.utf8CodeUnitCount else { return false }
        return prefix.withUTF8Buffer { unsafe text.prefix($0.count).elementsEqual($0) }
    }
}

extension RedisReply: CustomStringConvertible {
    /// The type and size, without the content.
    public var description: String {
        switch node.kind {
        case .array: "array of \(node.value)"
        case .string, .status: "\(node.kind) of \(node.value) bytes"
        case .integer, .null: "\(node.kind)"
        case .error: error?.description ?? "error"
        }
    }
}

extension RedisReply: CustomReflectable {
    /// The type alone.
    public var customMirror: Mirror { Mirror(self, children: ["kind": node.kind]) }
}
