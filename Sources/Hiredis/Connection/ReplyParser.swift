// SPDX-License-Identifier: Apache-2.0

import CHiredis

/// The boundary to C: bytes in, replies out.
///
/// Owns one hiredis reader. Not thread-safe; lives on the event loop of its connection. After it has thrown
/// it is dead, and so is the stream it was reading.
struct ReplyParser: ~Copyable {
    private let parser: UnsafeMutablePointer<chiredis_parser>

    init(limits: RedisLimits) {
        let created = chiredis_create(Int32(limits.replyDepth), limits.replyBytes, limits.replyElements)
        guard let created else { fatalError("no memory for a reply parser") }
        parser = created
    }

    deinit { chiredis_free(parser) }

    /// Parses one read and hands over each reply that it completes, in order.
    ///
    /// Replies that were complete before a fault are handed over before it is thrown.
    mutating func parse(_ input: UnsafeRawBufferPointer, deliver: (RedisReply) -> Void) throws(RedisError) {
        let fault = chiredis_parse(parser, input.baseAddress, input.count)
        let ready = parser.pointee.ready_nodes
        var index = 0
        while index < ready {
            deliver(reply(at: index, ready: ready))
            index += Int(parser.pointee.nodes[index].span)
        }
        chiredis_consume(parser)
        if fault != 0 { throw RedisError(.protocol, .unknown, Self.reason(fault)) }
    }

    private func reply(at index: Int, ready: Int) -> RedisReply {
        let root = parser.pointee.nodes[index]
        let end = index + Int(root.span)
        let first = Int(root.offset)
        let last = end < ready ? Int(parser.pointee.nodes[end].offset) : parser.pointee.ready_bytes
        let arena =
            last > first
            ? Array(UnsafeRawBufferPointer(start: parser.pointee.bytes + first, count: last - first)) : []
        guard root.type == REDIS_REPLY_ARRAY else {
            return RedisReply(Self.node(root, base: root.offset), arena: arena)
        }
        let nodes = [RedisReply.Node](unsafeUninitializedCapacity: end - index) { buffer, count in
            for offset in 0..<(end - index) {
                buffer.initializeElement(
                    at: offset,
                    to: Self.node(parser.pointee.nodes[index + offset], base: root.offset)
                )
            }
            count = end - index
        }
        return RedisReply(nodes: nodes, arena: arena)
    }

    private static func node(_ node: chiredis_node, base: UInt32) -> RedisReply.Node {
        let kind: RedisReply.Kind =
            switch node.type {
            case REDIS_REPLY_STRING: .string
            case REDIS_REPLY_STATUS: .status
            case REDIS_REPLY_INTEGER: .integer
            case REDIS_REPLY_ARRAY: .array
            case REDIS_REPLY_NIL: .null
            default: .error
            }
        return RedisReply.Node(
            kind: kind,
            span: node.span,
            offset: node.offset - base,
            value: Int(node.value)
        )
    }

    private static func reason(_ fault: Int32) -> String {
        switch UInt32(fault) {
        case CHIREDIS_TOO_DEEP.rawValue: "a reply is nested deeper than allowed"
        case CHIREDIS_TOO_MANY.rawValue: "a reply has more elements than allowed"
        case CHIREDIS_TOO_LONG.rawValue: "a reply is longer than allowed"
        case CHIREDIS_NO_MEMORY.rawValue: "no memory for a reply"
        default: "the peer does not speak the Redis protocol"
        }
    }
}
