// SPDX-License-Identifier: Apache-2.0

/// What Redis answered to one command.
///
/// A reply is flat: one array of nodes and one array of bytes for everything below the root; elements are
/// views on both, so walking a hash of any size allocates nothing.
public struct RedisReply: Sendable {
    /// The shape of a reply or of one of its elements.
    public enum Kind: UInt8, Sendable {
        /// A byte string of any content.
        case string
        /// A short text such as `OK`.
        case status
        /// A signed 64-bit number.
        case integer
        /// A list of elements.
        case array
        /// Nothing there.
        case null
        /// The server's refusal; only in arrays and in `send` of several commands, for `send` of one throws
        /// it.
        case error
    }

    struct Node: Sendable {
        var kind: Kind
        /// Nodes of this subtree, itself included.
        var span: UInt32
        /// Where the text starts.
        var offset: UInt32
        /// The number, the count or the length of the text.
        var value: Int
    }

    private let node: Node
    private let position: Int
    /// Empty when the root is no array.
    private let nodes: [Node]
    private let arena: [UInt8]

    init(nodes: [Node], arena: [UInt8], position: Int = 0) {
        self.init(node: nodes[position], position: position, nodes: nodes, arena: arena)
    }

    /// A reply without elements.
    init(_ node: Node, arena: [UInt8] = []) {
        self.init(node: node, position: 0, nodes: [], arena: arena)
    }

    private init(node: Node, position: Int, nodes: [Node], arena: [UInt8]) {
        self.node = node
        self.position = position
        self.nodes = nodes
        self.arena = arena
    }

    /// What this reply is.
    public var kind: Kind { node.kind }

    /// Whether Redis answered that there is nothing.
    public var isNull: Bool { node.kind == .null }

    /// The number of elements; 0 for everything that is no array.
    public var count: Int { node.kind == .array ? node.value : 0 }

    /// The element at `index`, as a view.
    ///
    /// Constant time when no element is an array itself, else linear in `index`.
    public subscript(index: Int) -> RedisReply {
        precondition(index >= 0 && index < count, "index \(index) is outside a reply of \(count) elements")
        var child = position + 1
        if Int(node.span) == node.value + 1 {
            child += index
        } else {
            for _ in 0..<index { child += Int(nodes[child].span) }
        }
        return RedisReply(node: nodes[child], position: child, nodes: nodes, arena: arena)
    }

    /// The number; also of a string that spells one, for scripts and hashes return numbers as text.
    public var integer: Int? {
        switch node.kind {
        case .integer: node.value
        case .string, .status: string.flatMap { Int($0) }
        default: nil
        }
    }

    /// The bytes of a string or status, as a copy.
    public var bytes: [UInt8]? {
        withUnsafeBytes { Array($0) }
    }

    /// The text of a string or status; bytes that are no UTF-8 are repaired.
    public var string: String? {
        withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// The refusal, when this is one; its outcome is `rejected`.
    public var error: RedisError? {
        guard node.kind == .error else { return nil }
        return RedisError(serverMessage: String(decoding: text, as: UTF8.self))
    }

    /// Lends the bytes of a string or status without copying; nil for any other kind.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result?
    {
        guard node.kind == .string || node.kind == .status else { return nil }
        return try arena.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// Lends the elements of a flat array of strings two by two, as a hash answers: field, value.
    ///
    /// Elements that are no strings are lent as empty bytes. Copies and allocates nothing.
    public func forEachPair(
        _ body: (_ field: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        guard node.kind == .array, Int(node.span) == node.value + 1 else { return }
        try arena.withUnsafeBytes { bytes in
            for index in stride(from: position + 1, to: position + node.value, by: 2) {
                let field = UnsafeRawBufferPointer(rebasing: bytes[nodes[index].range])
                try body(field, UnsafeRawBufferPointer(rebasing: bytes[nodes[index + 1].range]))
            }
        }
    }

    private var range: Range<Int> { node.range }
    private var text: ArraySlice<UInt8> { arena[range] }

    /// Whether this is an error that starts with `prefix`; compares bytes, makes no string.
    func isError(_ prefix: StaticString) -> Bool {
        guard node.kind == .error, node.value >= prefix.utf8CodeUnitCount else { return false }
        return prefix.withUTF8Buffer { text.prefix($0.count).elementsEqual($0) }
    }
}

extension RedisReply.Node {
    /// Where the text lies; empty for nodes without text.
    var range: Range<Int> {
        switch kind {
        case .string, .status, .error: Int(offset)..<Int(offset) + value
        default: 0..<0
        }
    }
}

extension RedisReply: CustomStringConvertible {
    /// The kind and size, never the content.
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
    /// Shows no more than `description` does.
    public var customMirror: Mirror { Mirror(self, children: ["kind": node.kind]) }
}
