// SPDX-License-Identifier: Apache-2.0

extension RedisConfiguration {
    /// Creates a configuration from a URL.
    ///
    /// `redis://[user[:password]@]host[:port][/db]`, `rediss://…` with TLS, or `unix:///path?db=N`. Reserved
    /// characters of user name and password are percent-encoded; a password may contain `:` and `@` as they
    /// are.
    ///
    /// A cluster: `redis-cluster://[user[:password]@]host[:port][,host[:port]…]`, or `rediss-cluster://…`.
    ///
    /// A primary that sentinels watch: `redis-sentinel://[user[:password]@]host[:port][,host[:port]…]/NAME[/db]`, or
    /// `rediss-sentinel://…` with TLS to sentinels and servers. Hosts and ports are those of the sentinels (26379 where
    /// there is no port), `NAME` is the primary's, user name and password are those of the servers; those of the
    /// sentinels are set in `topology`.
    ///
    /// - Parameter url: The URL.
    /// - Throws: `configuration`; the message names the wrong part and quotes nothing, because it could be the
    ///   password.
    public init(url: String) throws(RedisError) {
        guard let colon = url.firstRange(of: "://") else {
            throw Self.wrong(
                "must begin with redis://, rediss://, redis-cluster://, redis-sentinel:// or unix://"
            )
        }
        let scheme = url[..<colon.lowerBound].lowercased()
        var rest = url[colon.upperBound...]
        if scheme.hasPrefix("redis"), !scheme.contains("unix"), let at = rest.lastIndex(of: "@"),
            rest[..<at].contains(where: { "/?".contains($0) })
        {
            throw Self.wrong(
                "has a user name or password with a `/` or `?` that is not percent-encoded (%2F, %3F)"
            )
        }
        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        var path: Substring = ""
        if let slash = rest.firstIndex(of: "/") {
            path = rest[slash...]
            rest = rest[..<slash]
        }
        var username: String?
        var password: String?
        if let at = rest.lastIndex(of: "@") {
            let login = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            rest = rest[rest.index(after: at)...]
            username = login[0].isEmpty ? nil : try Self.decoded(login[0], "user name")
            if login.count == 2, !login[1].isEmpty { password = try Self.decoded(login[1], "password") }
            guard username == nil || password != nil else {
                throw Self.wrong("has a user name but no password")
            }
        }
        switch scheme {
        case "redis", "rediss":
            self.init(address: try Self.hostAndPort(rest))
            if scheme == "rediss" { tls = RedisTLS() }
            guard query.isEmpty else { throw Self.wrong("has a query, which only unix: accepts") }
            if path.count > 1 { database = try Self.number(path.dropFirst(), "database", in: 0...65535) }
        case "redis-cluster", "rediss-cluster":
            self.init(cluster: try Self.hostsAndPorts(rest, or: 6379))
            if scheme.hasPrefix("rediss") { tls = RedisTLS() }
            guard query.isEmpty else { throw Self.wrong("has a query, which only unix: accepts") }
            guard path.count <= 1 else { throw Self.wrong("has a database, but a cluster has only one") }
        case "redis-sentinel", "rediss-sentinel":
            let parts = path.dropFirst().split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first, !name.isEmpty else {
                throw Self.wrong("needs the name of the primary: redis-sentinel://host:port/NAME")
            }
            guard query.isEmpty else { throw Self.wrong("has a query, which only unix: accepts") }
            var sentinels = RedisSentinels(
                addresses: try Self.hostsAndPorts(rest, or: 26379),
                primaryName: try Self.decoded(name, "name of the primary")
            )
            if scheme.hasPrefix("rediss") { sentinels.tls = RedisTLS() }
            self.init(sentinels: sentinels)
            tls = sentinels.tls
            if parts.count > 1, !parts[1].isEmpty {
                database = try Self.number(parts[1], "database", in: 0...65535)
            }
        case "unix", "redis+unix":
            guard rest.isEmpty, path.count > 1 else { throw Self.wrong("needs a path: unix:///path") }
            self.init(address: .unix(path: try Self.decoded(path, "path")))
            if !query.isEmpty {
                guard query.hasPrefix("db=") else {
                    throw Self.wrong("has an unknown query; only db=N is known")
                }
                database = try Self.number(query.dropFirst(3), "database", in: 0...65535)
            }
        default:
            throw Self.wrong(
                "has an unknown scheme; redis, rediss, redis-cluster, redis-sentinel and unix are known"
            )
        }
        (self.username, self.password) = (username, password)
    }

    private static func hostsAndPorts(_ text: Substring, or port: Int) throws(RedisError) -> [RedisAddress] {
        var addresses: [RedisAddress] = []
        for host in text.split(separator: ",", omittingEmptySubsequences: false) {
            addresses.append(try hostAndPort(host, or: port))
        }
        return addresses
    }

    private static func hostAndPort(_ text: Substring, or usual: Int = 6379) throws(RedisError)
        -> RedisAddress
    {
        var host = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw wrong("has an unfinished IPv6 address") }
            host = text[text.index(after: text.startIndex)..<end]
            let tail = text[text.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw wrong("has a malformed port") }
            port = tail.isEmpty ? nil : tail.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !host.isEmpty else { throw wrong("has no host") }
        return .tcp(
            host: String(host),
            port: try port.map { (port) throws(RedisError) in try number(port, "port", in: 1...65535) }
                ?? usual
        )
    }

    private static func number(_ text: Substring, _ part: String, in range: ClosedRange<Int>)
        throws(RedisError) -> Int
    {
        guard text.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(text), range.contains(number)
        else {
            throw wrong("has a \(part) that is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func decoded(_ text: Substring, _ part: String) throws(RedisError) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(), high != 43, high != 45,
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { throw wrong("has a malformed percent-encoding in the \(part)") }
            bytes.append(value)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw wrong("has a \(part) that is not UTF-8")
        }
        return text
    }

    private static func wrong(_ what: String) -> RedisError {
        RedisError(.configuration, .notSent, "the Redis URL \(what)")
    }
}
