// SPDX-License-Identifier: Apache-2.0

/// Replies that another client has received.
extension RedisReply {
    /// Returns the reply of a string of any bytes.
    public static func string(_ bytes: some Sequence<UInt8>) -> RedisReply { text(.string, Array(bytes)) }

    /// Returns the reply of a short text such as `OK`.
    public static func status(_ text: String) -> RedisReply { Self.text(.status, Array(text.utf8)) }

    /// Returns an error of the server: its whole message, which begins with the error word.
    public static func error(_ message: String) -> RedisReply { text(.error, Array(message.utf8)) }

    /// Returns the reply of a number.
    public static func integer(_ number: Int) -> RedisReply {
        RedisReply(Node(kind: .integer, span: 1, offset: 0, value: number))
    }

    /// The absence of a value.
    public static var null: RedisReply { RedisReply(Node(kind: .null, span: 1, offset: 0, value: 0)) }

    /// Returns a list of replies; a map of the server is the list of its keys and values in turn.
    ///
    /// Copies the elements: linear in their size.
    public static func array(_ elements: [RedisReply]) -> RedisReply {
        let span = elements.reduce(1) { $0 + $1.span }
        var nodes = [Node(kind: .array, span: UInt32(span), offset: 0, value: elements.count)]
        var texts: [UInt8] = []
        for element in elements { element.append(to: &nodes, &texts) }
        return RedisReply(Chunk(nodes, texts), at: 0)
    }

    private static func text(_ kind: Kind, _ bytes: [UInt8]) -> RedisReply {
        RedisReply(Node(kind: kind, span: 1, offset: 0, value: bytes.count), arena: bytes)
    }
}
