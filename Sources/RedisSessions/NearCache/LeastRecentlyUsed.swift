// SPDX-License-Identifier: Apache-2.0

/// A dictionary with a bound in bytes: what was used least recently makes room.
///
/// A doubly linked list in an array, so that each operation takes constant time and a use allocates nothing.
struct LeastRecentlyUsed<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Node: Sendable {
        let key: Key
        /// Nil in a node that is free.
        var value: Value?
        var bytes: Int
        var newer: Int?
        var older: Int?
    }

    private let maximumBytes: Int
    private var nodes: [Node] = []
    private var positions: [Key: Int] = [:]
    private var free: [Int] = []
    private var newest: Int?
    private var oldest: Int?
    /// The size of all values, as it was stated.
    private(set) var bytes = 0

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    var count: Int { positions.count }

    /// Calls `body` with the value of a key, which it may change; that is not a use.
    ///
    /// - Returns: what `body` returns; nil without a value.
    mutating func update<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
        guard let position = positions[key] else { return nil }
        return body(&nodes[position].value!)
    }

    /// Returns the value if `isUsable`, which makes it the one used most recently.
    mutating func use(_ key: Key, if isUsable: (Value) -> Bool) -> Value? {
        guard let position = positions[key], let value = nodes[position].value, isUsable(value) else {
            return nil
        }
        if newest != position {
            unlink(position)
            link(position)
        }
        return value
    }

    /// Stores a value as the one used most recently; one that is larger than the bound is not stored.
    mutating func store(_ value: Value, of key: Key, bytes size: Int) {
        remove(key)
        guard size <= maximumBytes else { return }
        while bytes + size > maximumBytes, let oldest { remove(nodes[oldest].key) }
        let node = Node(key: key, value: value, bytes: size)
        let position: Int
        if let unused = free.popLast() {
            position = unused
            nodes[position] = node
        } else {
            position = nodes.count
            nodes.append(node)
        }
        positions[key] = position
        bytes += size
        link(position)
    }

    mutating func remove(_ key: Key) {
        guard let position = positions.removeValue(forKey: key) else { return }
        unlink(position)
        bytes -= nodes[position].bytes
        nodes[position].value = nil
        free.append(position)
    }

    /// Removes all values that fulfil a condition; takes a time in proportion to the number of values.
    mutating func removeAll(where isRemoved: (Value) -> Bool) {
        for node in nodes where node.value.map(isRemoved) ?? false { remove(node.key) }
    }

    private mutating func link(_ position: Int) {
        nodes[position].newer = nil
        nodes[position].older = newest
        if let newest { nodes[newest].newer = position }
        newest = position
        oldest = oldest ?? position
    }

    private mutating func unlink(_ position: Int) {
        let (newer, older) = (nodes[position].newer, nodes[position].older)
        if let newer { nodes[newer].older = older } else { newest = older }
        if let older { nodes[older].newer = newer } else { oldest = newer }
    }
}
