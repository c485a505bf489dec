// SPDX-License-Identifier: Apache-2.0

import Configuration
import RedisSessions
import Testing

/// 32 bytes that pass for random ones, as base64 with and without the letters of URLs.
private let peppers = (
    plain: "+/8BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=", url: "-_8BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4"
)

@Suite struct `Sessions from a reader` {
    private let redis = RedisClient(RedisConfiguration(address: .unix(path: "/nothing")))

    private func refusal(_ body: () throws -> some Any) throws -> String {
        let error = try #require(throws: SessionError.self) { _ = try body() }
        #expect(error.code == .invalidConfiguration)
        return error.message
    }

    @Test func `have the defaults of the initialisers`() throws {
        let manager = try SessionManager(store: MemorySessionStore(), config: environment([:]))
        #expect(manager.policy == SessionPolicy())
        #expect(manager.cookie == SessionCookie())
        #expect(manager.limits == SessionLimits())
    }

    @Test func `have every key, in the environment too`() throws {
        let manager = try SessionManager(
            store: MemorySessionStore(),
            config: environment([
                "SESSIONS_IDLE_TIMEOUT_SECONDS": "61", "SESSIONS_LIFETIME_SECONDS": "62",
                "SESSIONS_ANONYMOUS_IDLE_TIMEOUT_SECONDS": "63", "SESSIONS_RENEWAL_INTERVAL_SECONDS": "64",
                "SESSIONS_RENEWAL_GRACE_SECONDS": "6", "SESSIONS_ENDS_ON_THEFT": "true",
                "SESSIONS_MAXIMUM_SESSIONS_PER_USER": "7", "SESSIONS_LIMITS_BYTES": "1000",
                "SESSIONS_COOKIE_NAME": "__Secure-shop", "SESSIONS_COOKIE_PATH": "/shop",
                "SESSIONS_COOKIE_DOMAIN": "example.org", "SESSIONS_COOKIE_SAME_SITE": "Strict",
                "SESSIONS_COOKIE_IS_PARTITIONED": "yes", "SESSIONS_COOKIE_IS_PERSISTENT": "1",
                "SESSIONS_COOKIE_HIDES_PAGES_AFTER_SIGN_OUT": "no", "SESSIONS_COOKIE_IS_SECURE": "true",
            ]).scoped(to: "sessions")
        )
        #expect(
            manager.policy
                == SessionPolicy(
                    idleTimeout: .seconds(61),
                    lifetime: .seconds(62),
                    renewalInterval: .seconds(64),
                    renewalGrace: .seconds(6),
                    endsOnTheft: true,
                    anonymousIdleTimeout: .seconds(63),
                    maximumSessionsPerUser: 7
                )
        )
        #expect(
            manager.cookie
                == SessionCookie(
                    name: "__Secure-shop",
                    path: "/shop",
                    domain: "example.org",
                    sameSite: .strict,
                    isPartitioned: true,
                    persistence: .persistent,
                    hidesPagesAfterSignOut: false
                )
        )
        #expect(manager.limits == SessionLimits(bytes: 1000))
    }

    @Test func `know no limit and no renewal as 0, and a cookie without TLS`() throws {
        let policy = try SessionPolicy(
            config: reader(["maximumSessionsPerUser": 0, "renewalIntervalSeconds": 0])
        )
        #expect(policy.maximumSessionsPerUser == nil && policy.renewalInterval == nil)
        #expect(try SessionCookie(config: reader(["isSecure": false])) == .plainHTTP())
    }

    @Test(
        arguments: [
            (["idleTimeoutSeconds": "soon"], "`idleTimeoutSeconds`"),
            (["idleTimeoutSeconds": 0], "idleTimeout is below 1 s"),
            (["lifetimeSeconds": -1], "`lifetimeSeconds`"),
            (["anonymousIdleTimeoutSeconds": true], "`anonymousIdleTimeoutSeconds`"),
            (["renewalIntervalSeconds": 1.5], "`renewalIntervalSeconds`"),
            (["renewalGraceSeconds": "x"], "`renewalGraceSeconds`"),
            (["renewalIntervalSeconds": 20], "renewalInterval must be longer"),
            (["endsOnTheft": "maybe"], "`endsOnTheft`"),
            (["maximumSessionsPerUser": 10_001], "`maximumSessionsPerUser`"),
            (["limits.bytes": 0], "`bytes`"),
            (["cookie.name": ""], "`name` is empty"), (["cookie.name": "a b"], "its name may have only"),
            (["cookie.path": 7], "`path`"), (["cookie.domain": "example.org"], "allows no domain"),
            (["cookie.isSecure": "x"], "`isSecure`"),
            (["cookie.sameSite": "some"], "`sameSite` must be strict, lax or none"),
            (["cookie.isPartitioned": 7], "`isPartitioned`"),
            (["cookie.isPersistent": "x"], "`isPersistent`"),
            (["cookie.hidesPagesAfterSignOut": "x"], "`hidesPagesAfterSignOut`"),
        ] as [([AbsoluteConfigKey: ConfigValue], String)]
    )
    func `name the key that is wrong`(values: [AbsoluteConfigKey: ConfigValue], message: String) throws {
        let text = try refusal { try SessionManager(store: MemorySessionStore(), config: reader(values)) }
        #expect(text.contains(message), "\(text)")
    }

    @Test(
        arguments: [
            ([:], "`application` is missing"), (["application": "a b"], "application"),
            (["peppers": 7], "`peppers` must be a list"), (["peppers": "no base64!"], "number 1"),
            (["peppers": "none,c2hvcnQ"], "number 2: A pepper needs at least 32"),
            (["durability.replicas": 101], "`durability.replicas`"),
            (["durability.onDisk": "x"], "`durability.onDisk`"),
            (["durability.withinMilliseconds": 5], "needs `durability.replicas`"),
            (
                ["durability.replicas": 1, "durability.withinMilliseconds": 5000],
                "less than the client's command timeout"
            ),
            (["reads.replicas": "x"], "`reads.replicas`"),
            (["reads.maximumAgeMilliseconds": 500], "needs `reads.replicas`"),
            (["reads.replicas": true, "reads.maximumAgeMilliseconds": 99], "from 100 to 60000"),
        ] as [([AbsoluteConfigKey: ConfigValue], String)]
    )
    func `in Redis name the key that is wrong`(values: [AbsoluteConfigKey: ConfigValue], message: String)
        throws
    {
        var values = values
        if !values.isEmpty, values["application"] == nil { values["application"] = "shop" }
        if let list = values["peppers"], case .string(let text) = list.content {
            values["peppers"] = ConfigValue(
                .stringArray(text.split(separator: ",").map(String.init)),
                isSecret: false
            )
        }
        let text = try refusal { try RedisSessionStore(redis, config: reader(values)) }
        #expect(text.contains(message), "\(text)")
    }

    /// The options are not public; their types are, and can be compared.
    @Test func `in Redis have durability and reads`() throws {
        func options(_ variables: [String: String]) throws -> (SessionDurability?, SessionReads?) {
            let variables = variables.merging(["APPLICATION": "shop"]) { $1 }
            let mirror = Mirror(reflecting: try RedisSessionStore(redis, config: environment(variables)))
            return (
                mirror.descendant("durability") as? SessionDurability,
                mirror.descendant("reads") as? SessionReads
            )
        }
        #expect(try options([:]) == (.primary, .primary))
        #expect(
            try options(["DURABILITY_REPLICAS": "2", "READS_REPLICAS": "true"])
                == (.replicas(2, within: .milliseconds(200)), .replicas(maximumAge: .seconds(1)))
        )
        #expect(
            try options([
                "DURABILITY_ON_DISK": "true", "DURABILITY_WITHIN_MILLISECONDS": "90",
                "READS_REPLICAS": "true",
                "READS_MAXIMUM_AGE_MILLISECONDS": "500",
            ])
                == (
                    .appendOnlyFiles(replicas: 0, within: .milliseconds(90)),
                    .replicas(maximumAge: .milliseconds(500))
                )
        )
    }

    @Test func `in Redis keep peppers secret`() throws {
        let log = Recorder()
        let wrong = peppers.url.dropLast(20)
        let text = try refusal {
            try RedisSessionStore(
                redis,
                config: reader(
                    [
                        "application": "shop",
                        "peppers": ConfigValue(
                            .stringArray([peppers.plain, String(wrong)]),
                            isSecret: false
                        ),
                    ],
                    reporter: log
                )
            )
        }
        #expect(!text.contains(wrong.prefix(8)) && !text.contains(peppers.plain.prefix(8)))
        #expect(log.secrets.contains("peppers") && !log.plain.contains("peppers"))
    }
}
