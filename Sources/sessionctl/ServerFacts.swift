// SPDX-License-Identifier: Apache-2.0

/// What a server says of itself (`INFO`), and what that means for sessions.
struct ServerFacts {
    private var values: [Substring: Substring] = [:]

    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            values[line[..<colon]] = line[line.index(after: colon)...]
        }
    }

    subscript(name: String) -> String? { values[name[...]].map(String.init) }

    private func number(_ name: String) -> Int? { self[name].flatMap { Int($0) } }

    func findings(server: String) -> [Finding] {
        [version(server), eviction(server), memory(server), persistence(server)] + replication(server)
    }

    private func version(_ server: String) -> Finding {
        let (product, version) =
            if let valkey = self["valkey_version"] { ("Valkey", valkey) } else {
                ("Redis", self["redis_version"] ?? "unknown")
            }
        guard version.split(separator: ".").first.flatMap({ Int($0) }) ?? 0 >= 6 else {
            return Finding(
                "version",
                .problem,
                "\(product) \(version)",
                server: server,
                "Redis 6 or later is needed."
            )
        }
        return Finding("version", .ok, "\(product) \(version)", server: server)
    }

    private func eviction(_ server: String) -> Finding {
        let policy = self["maxmemory_policy"] ?? "unknown"
        guard policy != "noeviction" else {
            return Finding("eviction", .ok, "maxmemory-policy noeviction", server: server)
        }
        return Finding(
            "eviction",
            .problem,
            "maxmemory-policy \(policy): a full server ends sessions early and forgets users' lists",
            server: server,
            "CONFIG SET maxmemory-policy noeviction, and in the configuration file."
        )
    }

    private func memory(_ server: String) -> Finding {
        let used = number("used_memory") ?? 0
        guard let limit = number("maxmemory"), limit > 0 else {
            return Finding(
                "memory",
                .warning,
                "\(Self.megabytes(used)) used, no maxmemory",
                server: server,
                "Set maxmemory: without it the limit is the machine's memory, and the kernel ends a process there."
            )
        }
        let percent = used * 100 / limit
        let text = "\(Self.megabytes(used)) of \(Self.megabytes(limit)) used, \(percent) %"
        guard percent >= 80 else { return Finding("memory", .ok, text, server: server) }
        return Finding(
            "memory",
            percent >= 95 ? .problem : .warning,
            text,
            server: server,
            "Raise maxmemory or add nodes: a full server refuses new sessions."
        )
    }

    private func persistence(_ server: String) -> Finding {
        let hasLog = self["aof_enabled"] == "1"
        if hasLog, self["aof_last_write_status"].map({ $0 != "ok" }) ?? false {
            return Finding(
                "persistence",
                .problem,
                "the append-only file cannot be written",
                server: server,
                "See the server's log: disk full, or no rights."
            )
        }
        if self["rdb_last_bgsave_status"].map({ $0 != "ok" }) ?? false {
            return Finding(
                "persistence",
                .problem,
                "the last snapshot failed",
                server: server,
                "See the server's log; with stop-writes-on-bgsave-error all writes are refused meanwhile."
            )
        }
        if hasLog { return Finding("persistence", .ok, "append-only file", server: server) }
        return Finding(
            "persistence",
            .warning,
            "no append-only file: a restart loses what came after the last snapshot, or everything",
            server: server,
            "appendonly yes with appendfsync everysec, unless a restart may sign everybody out."
        )
    }

    private func replication(_ server: String) -> [Finding] {
        let count = number("connected_slaves") ?? 0
        guard count > 0 else {
            return [
                Finding(
                    "replicas",
                    .warning,
                    "none",
                    server: server,
                    "One replica and sentinels, or a cluster with replicas, keep sessions when this server dies."
                )
            ]
        }
        let offset = number("master_repl_offset") ?? 0
        return (0..<count).compactMap { index in
            guard let line = self["slave\(index)"] else { return nil }
            var parts: [Substring: Substring] = [:]
            for part in line.split(separator: ",") {
                guard let equals = part.firstIndex(of: "=") else { continue }
                parts[part[..<equals]] = part[part.index(after: equals)...]
            }
            let behind = max(0, offset - (parts["offset"].flatMap { Int($0) } ?? 0))
            let lag = parts["lag"].flatMap { Int($0) } ?? -1
            let text =
                "\(parts["ip"] ?? "?"):\(parts["port"] ?? "?") \(parts["state"] ?? "?"), "
                + "\(behind) bytes behind, last heard \(lag) s ago"
            let isWell = parts["state"] == "online" && (0...10).contains(lag) && behind < 16 << 20
            return Finding(
                "replicas",
                isWell ? .ok : .warning,
                text,
                server: server,
                isWell
                    ? nil : "What the replica has not yet is lost in a failover: see its log and the network."
            )
        }
    }

    private static func megabytes(_ bytes: Int) -> String {
        bytes >= 10 << 20 ? "\(bytes >> 20) MiB" : "\(bytes >> 10) KiB"
    }
}
