// SPDX-License-Identifier: Apache-2.0

internal import CHiredisParser

/// The boundary to C: bytes in, replies out.
///
/// Not thread-safe; used on the event loop of its connection. Cannot be used after it has thrown.
@safe struct ReplyParser: ~Copyable {
    /// The most memory in bytes that replies share: what a reply that is kept may keep of others.
    private static let sharedSize = 65536

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
    /// The replies share their memory, up to 64 KiB of it: one allocation instead of one for each.
    ///
    /// - Parameters:
    ///   - input: The bytes of the read.
    ///   - deliver: Receives the replies, also those that were complete before an error.
    /// - Throws: `protocol` when the bytes are not RESP2 or exceed a limit.
    mutating func parse(_ input: UnsafeRawBufferPointer, deliver: (RedisReply) -> Void) throws(RedisError) {
        let batch = unsafe reply_parser_parse(parser, input.baseAddress, input.count)
        let nodes = unsafe UnsafeBufferPointer(start: batch.nodes, count: batch.node_count)
        let bytes = unsafe UnsafeRawBufferPointer(start: batch.bytes, count: batch.byte_count)
        /// Where the text of the reply begins whose root has this index.
        func text(_ index: Int) -> Int {
            unsafe index < nodes.count ? Int(nodes[index].offset) : bytes.count
        }
        var index = 0
        while index < nodes.count {
            let first = index
            index = unsafe first + Int(nodes[first].span)
            while index < nodes.count {
                let next = unsafe index + Int(nodes[index].span)
                let size = RedisReply.Chunk.size(nodes: next - first, bytes: text(next) - text(first))
                guard size <= Self.sharedSize else { break }
                index = next
            }
            let chunk = unsafe RedisReply.Chunk(nodes[first..<index], bytes[text(first)..<text(index)])
            var position = 0
            while position < index - first {
                let reply = RedisReply(chunk, at: position)
                position += reply.span
                deliver(reply)
            }
        }
        unsafe reply_parser_discard(parser)
        let fault = unsafe batch.fault
        if fault != REPLY_OK { throw RedisError(.protocol, .unknown, Self.reason(fault)) }
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
