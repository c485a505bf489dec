// SPDX-License-Identifier: Apache-2.0

/// Which node of a cluster owns which slot, as one node sees it.
struct SlotMap: Sendable {
    private static let unowned = UInt16.max

    /// The nodes that own slots.
    private(set) var primaries: [RedisAddress] = []
    private(set) var replicas: [RedisAddress] = []
    /// The replicas of each primary that has any.
    private(set) var groups: [RedisAddress: Set<RedisAddress>] = [:]
    /// For each slot, the position of its owner in `primaries`.
    private var owners = [UInt16](repeating: unowned, count: HashSlot.count)
    /// For each slot, how often its owner has changed; see `RedisPlacement`.
    private(set) var tenures = [UInt32](repeating: 0, count: HashSlot.count)

    /// Creates a map without nodes.
    init() {}

    /// Reads the reply to `CLUSTER SLOTS`: ranges of slots, each with its primary and its replicas.
    ///
    /// `CLUSTER SHARDS` would add nothing but the ports of the other transport. A node without a host is on the
    /// host that was asked; one with the host `?` is left out, because the asked one does not know it.
    ///
    /// - Parameters:
    ///   - reply: The reply; nil is returned for one of another form.
    ///   - asked: The address of the node that has replied.
    init?(_ reply: RedisReply, from asked: RedisAddress) {
        guard reply.kind == .array else { return nil }
        for index in 0..<reply.count {
            let range = reply[index]
            guard range.count >= 3, let first = range[0].integer, let last = range[1].integer,
                first >= 0, first <= last, last < HashSlot.count
            else { return nil }
            let primary = RedisAddress(announced: range[2], by: asked)
            if let primary { for slot in first...last { move(slot, to: primary) } }
            for position in 3..<max(3, range.count) {
                guard let address = RedisAddress(announced: range[position], by: asked),
                    !replicas.contains(address)
                else { continue }
                replicas.append(address)
                if let primary { groups[primary, default: []].insert(address) }
            }
        }
    }

    /// The position in `primaries` of the node that owns a slot; nil when there is none.
    func owner(of slot: Int) -> Int? {
        let owner = owners[slot]
        return owner == Self.unowned ? nil : Int(owner)
    }

    /// Notes that a node owns a slot; appends it to `primaries` if it is new there.
    mutating func move(_ slot: Int, to address: RedisAddress) {
        if let owner = owner(of: slot), primaries[owner] == address { return }
        // The last one first: slots come in ranges.
        let known = primaries.last == address ? primaries.count - 1 : primaries.firstIndex(of: address)
        if known == nil { primaries.append(address) }
        owners[slot] = UInt16(known ?? primaries.count - 1)
        disturb(slot)
    }

    /// Notes that a key of a slot was not where the slot is.
    mutating func disturb(_ slot: Int) { tenures[slot] &+= 1 }

    /// Takes the place of an earlier map: the tenure ends of those slots that have another owner now.
    mutating func replace(_ earlier: SlotMap) {
        let positions = earlier.primaries.map { primaries.firstIndex(of: $0) }
        tenures = earlier.tenures
        for slot in owners.indices where earlier.owner(of: slot).flatMap({ positions[$0] }) != owner(of: slot)
        {
            disturb(slot)
        }
    }
}

extension RedisAddress {
    /// Reads a node of `CLUSTER SLOTS`: host, port, and what does not matter here.
    fileprivate init?(announced node: RedisReply, by asked: RedisAddress) {
        guard node.count >= 2, let port = node[1].integer else { return nil }
        self.init(host: node[0].string ?? "", port: port, announcedBy: asked)
    }

    /// Creates the address of a node that another one has named.
    init?(host: String, port: Int, announcedBy asked: RedisAddress) {
        guard (1...65535).contains(port), host != "?" else { return nil }
        if !host.isEmpty {
            self = .tcp(host: host, port: port)
        } else if case .tcp(let askedHost, _) = asked {
            self = .tcp(host: askedHost, port: port)
        } else {
            return nil
        }
    }

    /// Reads `host:port` as servers write it in errors: the port is what follows the last colon.
    init?(_ text: Substring, announcedBy asked: RedisAddress) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]) else {
            return nil
        }
        self.init(host: String(text[..<colon]), port: port, announcedBy: asked)
    }
}
