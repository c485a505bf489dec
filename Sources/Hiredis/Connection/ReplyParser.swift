// SPDX-License-Identifier: Apache-2.0

internal import CHiredisParser

/// The boundary to C: bytes in, replies out.
///
/// Not thread-safe; used on the event loop of its connection. Cannot be used after it has thrown.
@safe struct ReplyParser: ~Copyable {
    private let parser: OpaquePointer

    /// Creates a parser; both limits are those of one reply.
    init(maximumBytes: Int, maximumElements: Int) {
        guard let created = unsafe reply_parser_create(maximumBytes, maximumElements) else {
            fatalError("no memory for a reply parser")
        }
        unsafe parser = created
    }

    deinit { unsafe reply_parser_free(parser) }

    /// Parses one read and passes each reply that it completes to `deliver`, in order.
    ///
    /// - Parameters:
    ///   - input: The bytes of the read.
    ///   - deliver: Receives the replies, also those that were complete before an error.
    /// - Throws: `protocol` when the bytes are not RESP2 or exceed a limit.
    mutating func parse(_ input: UnsafeRawBufferPointer, deliver: (RedisReply) -> Void) throws(RedisError) {
        let batch = unsafe reply_parser_parse(parser, input.baseAddress, input.count)
        let nodes = unsafe UnsafeBufferPointer(start: batch.nodes, count: batch.node_count)
        let bytes = unsafe UnsafeRawBufferPointer(start: batch.bytes, count: batch.byte_count)
        var index = 0
        while index < nodes.count {
            let end = unsafe index + Int(nodes[index].span)
            let first = unsafe Int(nodes[index].offset)
            let last = unsafe end < nodes.count ? Int(nodes[end].offset) : bytes.count
            let text = unsafe Array(UnsafeRawBufferPointer(rebasing: bytes[first..<last]))
            deliver(unsafe Self.reply(nodes[index..<end], text: text))
            index = end
        }
        unsafe reply_parser_discard(parser)
        let fault = unsafe batch.fault
        if fault != REPLY_OK { throw RedisError(.protocol, .unknown, Self.reason(fault)) }
    }

    private static func reply(_ nodes: Slice<UnsafeBufferPointer<reply_node>>, text: [UInt8]) -> RedisReply {
        let root = unsafe nodes[nodes.startIndex]
        guard root.type == REPLY_ARRAY else { return RedisReply(node(root, in: root), arena: text) }
        return unsafe RedisReply(nodes: nodes.map { node($0, in: root) }, arena: text)
    }

    private static func node(_ node: reply_node, in root: reply_node) -> RedisReply.Node {
        let kind: RedisReply.Kind =
            switch node.type {
            case REPLY_STRING: .string
            case REPLY_STATUS: .status
            case REPLY_INTEGER: .integer
            case REPLY_ARRAY: .array
            case REPLY_NULL: .null
            default: .error
            }
        return RedisReply.Node(
            kind: kind,
            span: node.span,
            offset: node.offset - root.offset,
            value: Int(node.value)
        )
    }

    private static func reason(_ fault: reply_fault) -> String {
        switch fault {
        case REPLY_TOO_DEEP: "a reply is nested deeper than allowed"
        case REPLY_TOO_MANY: "a reply has more elements than allowed"
        case REPLY_TOO_LONG: "a reply is longer than allowed"
        case REPLY_NO_MEMORY: "no memory for a reply"
        default: "the peer does not speak the Redis protocol"
        }
    }
}
