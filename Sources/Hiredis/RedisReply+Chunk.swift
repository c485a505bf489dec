// SPDX-License-Identifier: Apache-2.0

internal import CHiredisParser

extension RedisReply {
    /// The memory of replies: the nodes of the parser, and behind them all texts.
    struct Chunk: Sendable {
        private static let nodeSize = MemoryLayout<reply_node>.stride

        private let memory: [UInt8]

        var size: Int { memory.count }

        /// The memory in bytes that this many nodes and bytes of text need.
        static func size(nodes: Int, bytes: Int) -> Int { nodes * nodeSize + bytes }

        /// Copies whole replies; the offsets in `nodes` count from the first byte of the parser's texts.
        init(_ nodes: Slice<UnsafeBufferPointer<reply_node>>, _ texts: Slice<UnsafeRawBufferPointer>) {
            let count = unsafe nodes.count
            let size = count * Self.nodeSize
            let first = unsafe texts.startIndex
            memory = unsafe [UInt8](unsafeUninitializedCapacity: size + texts.count) { target, used in
                let target = UnsafeMutableRawBufferPointer(target)
                for index in 0..<count {
                    var node = unsafe nodes[nodes.startIndex + index]
                    node.offset = UInt32(size + Int(node.offset) - first)
                    unsafe target.storeBytes(
                        of: node,
                        toByteOffset: index * Self.nodeSize,
                        as: reply_node.self
                    )
                }
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[size...]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: texts)
                )
                used = target.count
            }
        }

        /// Copies one reply; the offsets in `nodes` count from the first byte of `texts`.
        init(_ nodes: [Node], _ texts: [UInt8]) {
            let size = nodes.count * Self.nodeSize
            memory = unsafe [UInt8](unsafeUninitializedCapacity: size + texts.count) { target, used in
                let target = UnsafeMutableRawBufferPointer(target)
                for (index, node) in nodes.enumerated() {
                    var node = reply_node(node)
                    node.offset += UInt32(size)
                    unsafe target.storeBytes(
                        of: node,
                        toByteOffset: index * Self.nodeSize,
                        as: reply_node.self
                    )
                }
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[size...]).copyBytes(from: texts)
                used = target.count
            }
        }

        /// Creates a chunk without nodes.
        init(text: [UInt8]) { memory = text }

        subscript(position: Int) -> Node {
            let start = position * Self.nodeSize
            precondition(position >= 0 && start + Self.nodeSize <= memory.count)
            return unsafe memory.withUnsafeBytes {
                unsafe Node($0.load(fromByteOffset: start, as: reply_node.self))
            }
        }

        /// The text of a node; empty for one without text.
        func text(_ node: Node) -> ArraySlice<UInt8> { memory[range(node)] }

        /// Calls `body` with a function that returns the text of the node at a position, without a copy.
        func withUnsafeTexts<Result>(
            _ body: ((_ position: Int) -> UnsafeRawBufferPointer) throws -> Result
        ) rethrows -> Result {
            try unsafe memory.withUnsafeBytes { bytes in
                try unsafe body { unsafe UnsafeRawBufferPointer(rebasing: bytes[range(self[$0])]) }
            }
        }

        private func range(_ node: Node) -> Range<Int> {
            switch node.kind {
            case .string, .status, .error: Int(node.offset)..<Int(node.offset) + node.value
            default: 0..<0
            }
        }
    }
}

extension RedisReply.Node {
    fileprivate init(_ node: reply_node) {
        kind =
            switch node.type {
            case REPLY_STRING: .string
            case REPLY_STATUS: .status
            case REPLY_INTEGER: .integer
            case REPLY_ARRAY: .array
            case REPLY_NULL: .null
            default: .error
            }
        span = node.span
        offset = node.offset
        value = Int(node.value)
    }
}

extension reply_node {
    fileprivate init(_ node: RedisReply.Node) {
        let type =
            switch node.kind {
            case .string: REPLY_STRING
            case .status: REPLY_STATUS
            case .integer: REPLY_INTEGER
            case .array: REPLY_ARRAY
            case .null: REPLY_NULL
            case .error: REPLY_ERROR
            }
        self.init(value: Int64(node.value), offset: node.offset, span: node.span, type: type)
    }
}
