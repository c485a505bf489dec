// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport
import Testing

@testable import Hiredis

/// A Redis that freezes, crashes, restarts or refuses the client.
@Suite(.limited) struct FailureTests {
    @Test(arguments: [
        (
            "ERR Error running script (call to f_a3): @user_script:1: WRONGTYPE Operation against a key",
            "WRONGTYPE"
        ),
        ("ERR Error running script (call to f_87): @user_script:1: @user_script: 1: -OOM command not", "OOM"),
        ("@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("@user_script: 1: The user executing the script can't run this command or subcommand", "NOPERM"),
        ("ERR Error running script (call to f_12): @user_script:7: my own words", nil),
        ("WRONGTYPE Operation against a key, script: a3, on @user_script:1.", "WRONGTYPE"),
        ("ERR value is not an integer", "ERR"),
    ])
    func `the error of a command in a script is recognised as servers before Redis 7 wrap it`(
        message: String,
        prefix: String?
    ) {
        #expect(RedisError(serverMessage: message).prefix == prefix)
    }

    /// Runs callers that send and check until `disturb` has returned; returns their failures.
    private func underLoad(
        _ redis: RedisClient,
        callers: Int = 16,
        _ disturb: () async throws -> Void
    ) async throws -> (sent: Int, failures: [RedisError]) {
        let over = Tally()
        let failures = Failures()
        let sent = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<callers {
                group.addTask {
                    while over.value == 0 {
                        let text = "\(caller)/\(sent.add())"
                        do throws(RedisError) {
                            let reply = try await redis.send(RedisCommand("ECHO", text))
                            #expect(reply.string == text)
                        } catch {
                            failures.all.withLock { $0.append(error) }
                            // Refusals come in microseconds; the test need not collect millions of them.
                            await Task.yield()
                        }
                    }
                }
            }
            do { try await disturb() } catch {
                over.add()
                throw error
            }
            over.add()
            try await group.waitForAll()
        }
        return (sent.value, failures.all.withLock { $0 })
    }

    private func answers(_ redis: RedisClient) async -> Bool {
        (try? await redis.send(RedisCommand("PING"))) != nil
    }

    @Test func `the client recovers from a crash and restart under load`() async throws {
        try await withRedis { redis, server in
            let (sent, failures) = try await underLoad(redis) {
                #expect(await poll(seconds: 5) { redis.statistics.commands > 100 })
                await server.crash()
                // Long enough for callers to fail at once.
                #expect(await poll(seconds: 10) { redis.statistics.failedConnects >= 10 })
                try await server.restart()
                let connects = redis.statistics.connects
                #expect(await poll(seconds: 10) { redis.statistics.connects > connects })
                #expect(await poll(seconds: 5) { await answers(redis) })
            }
            #expect(sent > 100)
            #expect(
                failures.allSatisfy { [.connection, .timeout].contains($0.code) },
                "\(Set(failures.map(\.code)))"
            )
            #expect(failures.contains { $0.outcome == .notSent })
            #expect(redis.statistics.lostConnections == redis.configuration.sharedConnections)
        }
    }

    @Test func `a frozen Redis costs each caller its deadline and the connection is replaced`() async throws {
        try await withRedis(configure: { $0.commandTimeout = .milliseconds(200) }) { redis, server in
            let (_, failures) = try await underLoad(redis) {
                #expect(await poll(seconds: 5) { redis.statistics.commands > 100 })
                server.freeze()
                #expect(await poll(seconds: 10) { redis.statistics.lostConnections >= 1 })
                server.thaw()
                let connects = redis.statistics.connects
                #expect(await poll(seconds: 10) { redis.statistics.connects > connects })
                #expect(await poll(seconds: 5) { await answers(redis) })
            }
            #expect(failures.contains { $0.code == .timeout && $0.outcome == .unknown })
            #expect(failures.allSatisfy { [.connection, .timeout].contains($0.code) })
        }
    }

    @Test func `a short stall delays replies and does not mix them`() async throws {
        try await withRedis { redis, server in
            let (_, failures) = try await underLoad(redis) {
                for _ in 0..<5 {
                    let commands = redis.statistics.commands
                    #expect(await poll(seconds: 5) { redis.statistics.commands > commands + 100 })
                    server.freeze()
                    try await Task.sleep(for: .milliseconds(30))
                    server.thaw()
                }
            }
            #expect(failures.isEmpty)
            #expect(redis.statistics.lostConnections == 0)
        }
    }

    @Test
    func `read-only commands are repeated when the connection is lost before the reply, others are not`()
        async throws
    {
        try await withRedis { redis, server in
            // On both connections: a frozen server accepts no new one.
            _ = try await redis.send(RedisCommand("SET", "k", "v"))
            _ = try await redis.send(RedisCommand("GET", "k", readOnly: true))
            server.freeze()
            let read = Task { try await redis.send(RedisCommand("GET", "k", readOnly: true)) }
            let write = Task { try await redis.send(RedisCommand("INCR", "n")) }
            #expect(await poll(seconds: 5) { redis.statistics.commands == 4 })
            // Closes the connections without executing what they have received.
            await server.crash()
            try await server.restart()
            let unknown = await #expect(throws: RedisError.self) { try await write.value }
            #expect(unknown?.code == .connection && unknown?.outcome == .unknown)
            let reply = try? await read.value
            #expect(reply?.isNull == true)
            #expect(redis.statistics.retries >= 1)
        }
    }

    @Test func `a wrong password fails at once with an error that does not contain it`() async throws {
        let server = try await RedisServer(
            ["--requirepass", "right"],
            adminAuth: ["-a", "right", "--no-auth-warning"]
        )
        for login in [":wrong-secret@", "unknown:wrong-secret@", ""] {
            let redis = RedisClient(try RedisConfiguration(url: "redis://\(login)127.0.0.1:\(server.port)"))
            for _ in 0..<3 {
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("GET", "k"))
                }
                #expect(error?.code == .authentication)
                #expect(error?.outcome == .notSent)
                #expect(error?.description.contains("secret") == false)
                #expect(error?.serverMessage == nil)
            }
            await redis.shutdown()
        }
        let redis = RedisClient(try RedisConfiguration(url: "redis://:right@127.0.0.1:\(server.port)"))
        #expect(await answers(redis))
        await redis.shutdown()
    }

    @Test func `the same client connects when its password becomes valid`() async throws {
        let server = try await RedisServer(
            ["--requirepass", "old"],
            adminAuth: ["-a", "old", "--no-auth-warning"]
        )
        let redis = RedisClient(try RedisConfiguration(url: "redis://:new@127.0.0.1:\(server.port)"))
        let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
        #expect(error?.code == .authentication)
        try await server.admin("CONFIG", "SET", "requirepass", "new")
        #expect(await poll(seconds: 10) { await answers(redis) })
        await redis.shutdown()
    }

    @Test func `a user without permission for CLIENT and SCRIPT can still connect`() async throws {
        let server = try await RedisServer([
            "--user", "app", "on", ">pw", "~*", "-@all", "+get", "+evalsha", "+eval",
        ])
        var configuration = try RedisConfiguration(url: "redis://app:pw@127.0.0.1:\(server.port)")
        configuration.clientName = "x"
        let redis = RedisClient(configuration)
        redis.preload([RedisScript("return 7")])
        #expect(try await redis.send(RedisCommand("GET", "k")).isNull)
        let reply = try await redis.send(RedisCommand(script: RedisScript("return 7")))
        #expect(reply.integer == 7)
        let error = await #expect(throws: RedisError.self) {
            try await redis.send(RedisCommand("SET", "k", "v"))
        }
        #expect(error?.prefix == "NOPERM" && error?.code == .server)
        await redis.shutdown()
    }

    @Test func `without a server callers wait for their deadline, and later fail at once`() async throws {
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: try freePort()))
        configuration.commandTimeout = .milliseconds(100)
        let redis = RedisClient(configuration)
        let first = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
        #expect(first?.outcome == .notSent)
        #expect(await poll(seconds: 10) { redis.statistics.failedConnects >= 5 })
        let clock = ContinuousClock()
        let times = await (0..<100).asyncMap { _ in await clock.measure { _ = await answers(redis) } }
        print("refused in \(times.sorted()[50])")
        #expect(times.sorted()[50] < .milliseconds(100), "callers still wait")
        await redis.shutdown()
    }

    @Test func `callers are refused at the limits on commands and bytes`() async throws {
        try await withRedis(configure: {
            $0.limits.commandsInFlight = 10
            $0.limits.bytesInFlight = 10_000
        }) { redis, server in
            _ = try await redis.send(RedisCommand("PING"))
            server.freeze()
            for _ in 0..<10 { redis.submit(RedisCommand("INCR", "n")) }
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
            #expect(error?.code == .overloaded && error?.outcome == .notSent)
            server.thaw()
            #expect(await poll(seconds: 5) { await answers(redis) })
            let large = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("SET", "k", String(repeating: "x", count: 10_000)))
            }
            #expect(large?.code == .overloaded)
            #expect(redis.statistics.overloaded >= 2)
            #expect(try await server.admin("GET", "n") == "10")
        }
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ transform: (Element) async -> Value) async -> [Value] {
        var values: [Value] = []
        for element in self { values.append(await transform(element)) }
        return values
    }
}

private final class Failures: Sendable {
    let all = Mutex<[RedisError]>([])
}
