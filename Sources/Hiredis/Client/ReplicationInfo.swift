// SPDX-License-Identifier: Apache-2.0

/// What a server says of its part in the replication: the reply to `INFO replication`.
struct ReplicationInfo: Sendable, Equatable {
    /// The command.
    static let question = RedisCommand("INFO", "replication", readOnly: true)

    /// The name of a history of changes; another one after a failover.
    let history: String
    /// How many bytes of that history the server has executed.
    let offset: Int
    /// Of a primary, the replicas that follow it; nil for a replica.
    let replicas: Set<RedisAddress>?

    /// Reads a reply.
    ///
    /// - Parameters:
    ///   - reply: The reply; nil is returned for one of another form, and for a replica that has lost its primary.
    ///   - server: The address of the server that has replied.
    init?(_ reply: RedisReply, from server: RedisAddress) {
        var fields: [Substring: Substring] = [:]
        for line in (reply.string ?? "").split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...]
        }
        let isPrimary = fields["role"] == "master"
        guard isPrimary || fields["role"] == "slave" && fields["master_link_status"] == "up",
            let history = fields["master_replid"],
            let offset = fields[isPrimary ? "master_repl_offset" : "slave_repl_offset"].flatMap({ Int($0) })
        else { return nil }
        self.history = String(history)
        self.offset = offset
        let count = fields["connected_slaves"].flatMap { Int($0) } ?? 0
        let replicas = (0..<max(0, count)).compactMap { number in
            fields["slave\(number)"].flatMap { RedisAddress(follower: $0, of: server) }
        }
        self.replicas = isPrimary ? Set(replicas) : nil
    }
}

extension RedisAddress {
    /// Reads `ip=HOST,port=PORT,state=online,…`; nil for a replica that still copies what the primary had.
    fileprivate init?(follower text: Substring, of primary: RedisAddress) {
        var host = ""
        var port = 0
        var isOnline = false
        for part in text.split(separator: ",") {
            guard let equals = part.firstIndex(of: "=") else { continue }
            let value = part[part.index(after: equals)...]
            switch part[..<equals] {
            case "ip": host = String(value)
            case "port": port = Int(value) ?? 0
            case "state": isOnline = value == "online"
            default: break
            }
        }
        guard isOnline else { return nil }
        self.init(host: host, port: port, announcedBy: primary)
    }
}
