// SPDX-License-Identifier: Apache-2.0

#if Configuration

    public import Configuration
    import ConfigurationSupport
    #if canImport(FoundationEssentials)
        import FoundationEssentials
    #else
        import Foundation
    #endif

    extension RedisConfiguration {
        /// Creates a configuration from a reader of swift-configuration; needs the package trait `Configuration`.
        ///
        /// Reads once; watches nothing but `passwordFile`. The keys, relative to the reader:
        ///
        /// | key | type | default | meaning |
        /// | --- | --- | --- | --- |
        /// | `url` | string, secret | required | All forms of `init(url:)`, `redis-cluster:` and `redis-sentinel:` too |
        /// | `username` | string | that of `url` | The ACL user |
        /// | `password` | string, secret | that of `url` | The user's password |
        /// | `passwordFile` | string | none | A file with the password, read for each new connection; see `credentials` |
        /// | `clientName` | string | none | The name of the connections in `CLIENT LIST` |
        /// | `commandTimeoutMilliseconds` | int, 1 to 3,600,000 | 1000 | See `commandTimeout` |
        /// | `tls.caFile` | string | the system's | A PEM file with the certificate authorities to trust |
        /// | `tls.certificateFile` | string | none | A PEM file with the client's certificate chain |
        /// | `tls.keyFile` | string | none | A PEM file with the client's private key |
        /// | `tls.serverName` | string | host of the address | The name that the server's certificate must carry |
        /// | `sentinel.username` | string | none | The ACL user of the sentinels |
        /// | `sentinel.password` | string, secret | none | The password of the sentinels |
        /// | `sentinel.passwordFile` | string | none | A file with the password of the sentinels, read now |
        ///
        /// `url` decides on TLS: the keys `tls.*` need `rediss:`, `rediss-cluster:` or `rediss-sentinel:`, and concern servers
        /// and sentinels. One line break at the end of a password file is not part of the password.
        ///
        /// - Parameter config: The reader, usually scoped: with `config.scoped(to: "redis")` the URL is `redis.url`, in the
        ///   environment `REDIS_URL`.
        /// - Throws: `configuration` for a value that is missing, of another type, empty, out of range, or that contradicts
        ///   another one, and for a password file that cannot be read; the message names the key and quotes no value.
        public init(config: ConfigReader) throws(RedisError) {
            let values = ConfigValues(config) { RedisError(.configuration, .notSent, $0) }
            guard let url = try values.string("url", isSecret: true) else {
                throw values.wrong("url", "is missing")
            }
            do { try self.init(url: url) } catch { throw values.wrong("url", "is wrong: \(error.reason)") }
            clientName = try values.string("clientName")
            if let limit = try values.integer("commandTimeoutMilliseconds", in: 1...3_600_000) {
                commandTimeout = .milliseconds(limit)
            }
            try readLogin(values)
            try readTLS(values)
            try readSentinelLogin(values)
        }

        private mutating func readLogin(_ values: ConfigValues<RedisError>) throws(RedisError) {
            username = try values.string("username") ?? username
            if let file = try values.string("passwordFile") {
                guard try values.string("password", isSecret: true) == nil else {
                    throw values.wrong("passwordFile", "excludes `password`")
                }
                // A file that is missing now is a mistake in the configuration; later it is an outage.
                _ = try Self.password(in: file, for: "passwordFile", values)
                credentials = { [username] in
                    guard let password = Self.password(in: file) else {
                        throw RedisError(
                            .configuration,
                            .notSent,
                            "the password file cannot be read, or is empty"
                        )
                    }
                    return RedisCredentials(username: username, password: password)
                }
                password = nil
            } else {
                password = try values.string("password", isSecret: true) ?? password
                guard username == nil || password != nil else {
                    throw values.wrong("username", "needs `password` or `passwordFile`")
                }
            }
        }

        private mutating func readTLS(_ values: ConfigValues<RedisError>) throws(RedisError) {
            let keys: [(name: String, path: WritableKeyPath<RedisTLS, String?>)] = [
                ("tls.caFile", \.caFile), ("tls.certificateFile", \.certificateFile),
                ("tls.keyFile", \.keyFile),
                ("tls.serverName", \.serverName),
            ]
            for key in keys {
                guard let value = try values.string(key.name) else { continue }
                guard tls != nil else {
                    throw values.wrong(
                        key.name,
                        "needs a `url` with TLS: rediss, rediss-cluster or rediss-sentinel"
                    )
                }
                tls?[keyPath: key.path] = value
            }
            guard (tls?.certificateFile == nil) == (tls?.keyFile == nil) else {
                throw values.wrong("tls.certificateFile", "and `tls.keyFile` need each other")
            }
            if case .sentinel(var sentinels) = topology {
                sentinels.tls = tls
                topology = .sentinel(sentinels)
            }
        }

        private mutating func readSentinelLogin(_ values: ConfigValues<RedisError>) throws(RedisError) {
            let username = try values.string("sentinel.username")
            var password = try values.string("sentinel.password", isSecret: true)
            if let file = try values.string("sentinel.passwordFile") {
                guard password == nil else {
                    throw values.wrong("sentinel.passwordFile", "excludes `sentinel.password`")
                }
                password = try Self.password(in: file, for: "sentinel.passwordFile", values)
            }
            guard username != nil || password != nil else { return }
            guard case .sentinel(var sentinels) = topology else {
                throw values.wrong(
                    password == nil ? "sentinel.username" : "sentinel.password",
                    "needs a `url` that names sentinels: redis-sentinel or rediss-sentinel"
                )
            }
            guard password != nil else {
                throw values.wrong(
                    "sentinel.username",
                    "needs `sentinel.password` or `sentinel.passwordFile`"
                )
            }
            (sentinels.username, sentinels.password) = (username, password)
            topology = .sentinel(sentinels)
        }

        private static func password(in file: String, for key: String, _ values: ConfigValues<RedisError>)
            throws(RedisError) -> String
        {
            guard let password = password(in: file) else {
                throw values.wrong(key, "names a file that cannot be read, or is empty")
            }
            return password
        }

        private static func password(in file: String) -> String? {
            guard var text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
            // `\r\n` is one character.
            if let last = text.last, last.isNewline { text.removeLast() }
            return text.isEmpty ? nil : text
        }
    }

#endif
