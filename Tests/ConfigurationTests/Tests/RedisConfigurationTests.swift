// SPDX-License-Identifier: Apache-2.0

import Configuration
import Foundation
import RedisSessions
import Testing

/// Reads values as a provider with types has them.
func reader(_ values: [AbsoluteConfigKey: ConfigValue], reporter: (any AccessReporter)? = nil) -> ConfigReader
{
    ConfigReader(provider: InMemoryProvider(values: values), accessReporter: reporter)
}

/// A text as a provider has it.
func text(_ value: String) -> ConfigValue { ConfigValue(.string(value), isSecret: false) }

/// Reads values as the environment has them.
func environment(_ values: [String: String]) -> ConfigReader {
    ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: values))
}

/// A file with a text, removed at the end.
final class TemporaryFile: Sendable {
    let path: String

    init(_ text: String) throws {
        path = FileManager.default.temporaryDirectory.appending(path: "conf-\(UUID().uuidString)").path
        try write(text)
    }

    func write(_ text: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct `The Redis configuration from a reader` {
    /// Returns what the error says.
    private func refusal(_ values: [AbsoluteConfigKey: ConfigValue]) throws -> String {
        let error = try #require(throws: RedisError.self) { try RedisConfiguration(config: reader(values)) }
        #expect(error.code == .configuration)
        return "\(error)"
    }

    @Test func `needs the URL alone`() throws {
        let configuration = try RedisConfiguration(config: environment(["URL": "redis://db.example:7000/3"]))
        #expect(configuration.address == .tcp(host: "db.example", port: 7000))
        #expect(configuration.database == 3)
        #expect(configuration.commandTimeout == .seconds(1))
        #expect(configuration.clientName == nil && configuration.tls == nil && configuration.username == nil)
        #expect(configuration.password == nil && configuration.credentials == nil)
    }

    @Test func `has every key, in the environment too`() throws {
        let configuration = try RedisConfiguration(
            config: environment([
                "REDIS_URL": "rediss-sentinel://a,b:27000/main/2", "REDIS_USERNAME": "shop",
                "REDIS_PASSWORD": "p1",
                "REDIS_CLIENT_NAME": "shop-1", "REDIS_COMMAND_TIMEOUT_MILLISECONDS": "250",
                "REDIS_TLS_CA_FILE": "/ca", "REDIS_TLS_CERTIFICATE_FILE": "/crt",
                "REDIS_TLS_KEY_FILE": "/key",
                "REDIS_TLS_SERVER_NAME": "redis.example", "REDIS_SENTINEL_USERNAME": "watch",
                "REDIS_SENTINEL_PASSWORD": "p2",
            ]).scoped(to: "redis")
        )
        let tls = RedisTLS(
            caFile: "/ca",
            certificateFile: "/crt",
            keyFile: "/key",
            serverName: "redis.example"
        )
        var sentinels = RedisSentinels(
            addresses: [.tcp(host: "a", port: 26379), .tcp(host: "b", port: 27000)],
            primaryName: "main"
        )
        (sentinels.username, sentinels.password, sentinels.tls) = ("watch", "p2", tls)
        #expect(configuration.topology == .sentinel(sentinels))
        #expect(configuration.tls == tls && configuration.database == 2)
        #expect(configuration.username == "shop" && configuration.password == "p1")
        #expect(configuration.clientName == "shop-1" && configuration.commandTimeout == .milliseconds(250))
    }

    @Test func `takes typed values and a cluster`() throws {
        let configuration = try RedisConfiguration(
            config: reader(["url": "redis-cluster://u:p@a,b:7001", "commandTimeoutMilliseconds": 90])
        )
        #expect(
            configuration.topology
                == .cluster(seeds: [.tcp(host: "a", port: 6379), .tcp(host: "b", port: 7001)])
        )
        #expect(configuration.username == "u" && configuration.password == "p")
        #expect(configuration.commandTimeout == .milliseconds(90))
    }

    @Test func `reads a password file for each connection, and that of sentinels once`() async throws {
        let file = try TemporaryFile("first\n")
        let sentinel = try TemporaryFile("second")
        let configuration = try RedisConfiguration(
            config: reader([
                "url": "redis-sentinel://u:old@a/main", "passwordFile": text(file.path),
                "sentinel.passwordFile": text(sentinel.path),
            ])
        )
        let credentials = try #require(configuration.credentials)
        #expect(configuration.password == nil)
        #expect(try await credentials().username == "u")
        #expect(try await credentials().password == "first")
        try file.write("rotated\r\n")
        #expect(try await credentials().password == "rotated")
        try file.write("")
        await #expect(throws: RedisError.self) { try await credentials() }
        guard case .sentinel(let sentinels) = configuration.topology else { throw CancellationError() }
        #expect(sentinels.password == "second")
    }

    @Test(
        arguments: [
            ([:], "`url` is missing"),
            (["url": 7], "`url` must be a text"),
            (["url": ""], "`url` is empty"),
            (["url": "http://a"], "`url` is wrong: the Redis URL has an unknown scheme"),
            (
                ["url": "redis://a", "commandTimeoutMilliseconds": "soon"],
                "`commandTimeoutMilliseconds` must be a whole"
            ),
            (["url": "redis://a", "commandTimeoutMilliseconds": 0], "from 1 to 3600000"),
            (
                ["url": "redis://a", "commandTimeoutMilliseconds": 1.5],
                "`commandTimeoutMilliseconds` must be a whole"
            ),
            (["url": "redis://a", "password": 7], "`password` must be a text"),
            (["url": "redis://a", "password": ""], "`password` is empty"),
            (["url": "redis://a", "password": true], "`password` must be a text"),
            (["url": "redis://a", "username": "u"], "`username` needs `password` or `passwordFile`"),
            (
                ["url": "redis://a", "password": "p", "passwordFile": "/f"],
                "`passwordFile` excludes `password`"
            ),
            (
                ["url": "redis://a", "passwordFile": "/no/such/file"],
                "`passwordFile` names a file that cannot be read"
            ),
            (["url": "redis://a", "tls.caFile": "/ca"], "`tls.caFile` needs a `url` with TLS"),
            (
                ["url": "rediss://a", "tls.keyFile": "/key"],
                "`tls.certificateFile` and `tls.keyFile` need each other"
            ),
            (
                ["url": "redis://a", "sentinel.password": "p"],
                "`sentinel.password` needs a `url` that names sentinels"
            ),
            (
                ["url": "redis-sentinel://a/m", "sentinel.username": "u"],
                "`sentinel.username` needs `sentinel.password`"
            ),
            (
                ["url": "redis-sentinel://a/m", "sentinel.password": "p", "sentinel.passwordFile": "/f"],
                "`sentinel.passwordFile` excludes"
            ),
        ] as [([AbsoluteConfigKey: ConfigValue], String)]
    )
    func `names the key that is wrong`(values: [AbsoluteConfigKey: ConfigValue], message: String) throws {
        let refusal = try refusal(values)
        #expect(refusal.contains(message), "\(refusal)")
    }

    @Test func `shows no secret in errors, descriptions and access reports`() throws {
        let secret = "hunter2hunter2"
        let log = Recorder()
        let wrong: [[AbsoluteConfigKey: ConfigValue]] = [
            ["url": text("redis://u:\(secret)")], ["url": text("redis://:\(secret)@a:port")],
            ["url": "redis://a", "password": text(secret), "commandTimeoutMilliseconds": text(secret)],
            ["url": "redis://a", "sentinel.password": text(secret)],
            ["url": "redis://a", "password": ConfigValue(.stringArray([secret]), isSecret: false)],
        ]
        for values in wrong {
            let error = try #require(throws: RedisError.self) {
                try RedisConfiguration(config: reader(values, reporter: log))
            }
            var dumped = "\(error)"
            dump(error, to: &dumped)
            #expect(!dumped.contains(secret), "\(dumped)")
        }
        let right = try RedisConfiguration(
            config: reader(
                [
                    "url": text("redis-sentinel://u:\(secret)@a/m"), "password": text(secret),
                    "sentinel.password": text(secret),
                ],
                reporter: log
            )
        )
        var dumped = "\(right)"
        dump(right, to: &dumped)
        #expect(!dumped.contains(secret))
        #expect(log.secrets.isSuperset(of: ["url", "password", "sentinel.password"]))
        #expect(!log.plain.contains { ["url", "password", "sentinel.password"].contains($0) })
    }
}
