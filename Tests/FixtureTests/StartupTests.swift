// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// A wrong configuration is told at the start, in a sentence and without secrets (R39, R46).
@Suite(.serialized, .timeLimit(.minutes(10))) struct StartupTests {
    /// The program ends by itself, not with success, and says why.
    private func expectRefusal(
        _ options: FixtureApp.Options,
        mentions word: String,
        silentAbout secret: String? = nil
    ) async throws {
        let app = try FixtureApp(options)
        let code = try await app.wait(seconds: 20)
        #expect(code != 0)
        #expect(app.output.lowercased().contains(word.lowercased()), "\(app.output)")
        #expect(!app.output.contains("Fatal error"), "a sentence, not a crash: \(app.output)")
        if let secret { #expect(!app.output.contains(secret)) }
    }

    @Test(arguments: [
        "nonsense", "http://127.0.0.1:6379", "redis://", "redis://127.0.0.1:99999", "redis://127.0.0.1:x",
        "redis://127.0.0.1/x", "",
        "redis://:hunter2@127.0.0.1:99999", "redis:/127.0.0.1", "redis://:hunter2/x@127.0.0.1",
        "redis://:x?hunter2@127.0.0.1",
    ]) func `an address that is none is refused`(url: String) async throws {
        try await expectRefusal(.init(redis: url), mentions: "redis", silentAbout: "hunter2")
    }

    @Test func `an unknown store is refused`() async throws {
        try await expectRefusal(.init(store: "floppy"), mentions: "floppy")
    }

    @Test func `a store in the browser needs keys`() async throws {
        try await expectRefusal(.init(store: "sealed"), mentions: "sealed")
        var short = FixtureApp.Options(store: "sealed")
        short.extra = ["--seal-keys", "one:c2hvcnQ"]
        try await expectRefusal(short, mentions: "seal", silentAbout: "c2hvcnQ")
    }

    @Test(arguments: [-1, 0]) func `times that are none are refused`(seconds: Int) async throws {
        var idle = FixtureApp.Options(store: "memory")
        idle.extra = ["--idle-seconds=\(seconds)"]
        try await expectRefusal(idle, mentions: "idle")
        var lifetime = FixtureApp.Options(store: "memory")
        lifetime.extra = ["--lifetime-seconds=\(seconds)"]
        try await expectRefusal(lifetime, mentions: "lifetime")
    }

    @Test(arguments: ["bad prefix\n", "a{b}", "*"]) func `a key prefix with special characters is refused`(
        prefix: String
    ) async throws {
        let redis = try await RedisServer()
        try await expectRefusal(.init(redis: redis.url, prefix: prefix), mentions: "prefix")
        await redis.crash()
    }

    @Test func `one limit alone is enough; the nearer one wins`() async throws {
        var options = FixtureApp.Options(store: "memory")
        options.lifetimeSeconds = 5
        let app = try await FixtureApp.started(options)
        #expect(try await Browser().post("/set", ["k": "k", "v": "v"], on: app).status == 200)
        await app.terminate()
    }

    @Test func `a wrong password is told, or answered with 503, and never shown`() async throws {
        let redis = try await RedisServer(
            ["--requirepass", "right-password"],
            adminAuth: ["-a", "right-password", "--no-auth-warning"]
        )
        let app = try FixtureApp(.init(redis: "redis://:wrong-password@127.0.0.1:\(redis.port)"))
        try await expectUnready(app)
        #expect(!app.output.contains("wrong-password"))
        await app.terminate()
        let right = try await FixtureApp.started(
            .init(redis: "redis://:right-password@127.0.0.1:\(redis.port)")
        )
        #expect(try await Browser().post("/set", ["k": "k", "v": "v"], on: right).status == 200)
        #expect(!right.output.contains("right-password"))
        await right.terminate()
        await redis.crash()
    }

    @Test func `an unreachable Redis is told, or answered with 503 until it can be reached`() async throws {
        let port = try freePort()
        let app = try FixtureApp(.init(redis: "redis://127.0.0.1:\(port)"))
        try await expectUnready(app)
        #expect(await poll(seconds: 20) { app.output.contains("Redis is unavailable") })
        #expect(app.output.contains("127.0.0.1:\(port)") && app.output.contains("refused"))
        #expect(!app.output.contains("errno"))
        await app.terminate()
    }

    /// Either it ended with a sentence, or it serves and is honest.
    private func expectUnready(_ app: FixtureApp) async throws {
        let isUp = await poll(seconds: 20, every: .milliseconds(50)) {
            if app.exitCode != nil { return true }
            return (try? await Browser().get("/healthz", on: app).status) == 200
        }
        #expect(isUp, "it ends or it serves: \(app.output)")
        if let code = app.exitCode {
            #expect(code != 0 && !app.output.isEmpty)
            return
        }
        let start = ContinuousClock.now
        #expect(try await Browser().get("/readyz", on: app).status == 503)
        let reply = try await Browser().post("/set", ["k": "k", "v": "v"], on: app)
        #expect(reply.status == 503 && reply["retry-after"] != nil && reply.setCookies == [])
        #expect(ContinuousClock.now - start < .seconds(10), "two answers of at most five seconds")
    }

    @Test func `every flag is an environment variable, too`() async throws {
        let redis = try await RedisServer()
        let port = try freePort()
        var options = FixtureApp.Options(store: "memory")
        options.environment = [
            "SESSIONS_STORE": "redis", "SESSIONS_REDIS": redis.url, "SESSIONS_PREFIX": "environment",
            "SESSIONS_INSTANCE": "named",
            "SESSIONS_HOST": "127.0.0.1", "SESSIONS_PORT": "\(port)", "SESSIONS_IDLE_SECONDS": "100",
            "SESSIONS_LIFETIME_SECONDS": "100",
            "SESSIONS_PLAIN_HTTP": "true",
        ]
        options.isEnvironmentOnly = true
        let app = try await FixtureApp.started(options, instance: "named", port: port)
        let browser = Browser(cookieName: "session", isSecure: false)
        let reply = try await browser.post("/set", ["k": "k", "v": "v"], on: app)
        #expect(reply.status == 200 && reply["x-instance"] == "named" && browser.ticket != nil)
        let keys = try await redis.keys()
        #expect(keys.count == 1 && keys.allSatisfy { $0.hasPrefix("environment:") })
        let left = Int(try await redis.admin("PTTL", keys.first ?? ""))
        #expect((1...100_000).contains(left ?? 0))
        await app.terminate()
        await redis.crash()
    }
}
