// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Hiredis

/// No command of one caller changes or delays what the others of a shared connection receive.
@Suite(.limited) struct SharedUseTests {
    private static func command(_ name: StaticString, bytes: [[UInt8]]) -> RedisCommand {
        var command = RedisCommand(name)
        for argument in bytes { command.append(argument) }
        return command
    }

    private static let refused: [RedisCommand] = [
        // Transactions, alone or with arguments, which Redis refuses without ending anything.
        RedisCommand("MULTI"), RedisCommand("EXEC"), RedisCommand("DISCARD"), RedisCommand("multi"),
        RedisCommand("eXeC"), RedisCommand("discard"), RedisCommand("UNWATCH"), RedisCommand("unwatch"),
        RedisCommand("WATCH", "k"), RedisCommand("watch", "k"),
        // State of the connection.
        RedisCommand("SELECT", "1"), RedisCommand("select", "1"), RedisCommand("AUTH", "x"),
        RedisCommand("HELLO"), RedisCommand("HELLO", "3"), RedisCommand("hello", "2"), RedisCommand("RESET"),
        RedisCommand("reset"), RedisCommand("QUIT"), RedisCommand("quit"), RedisCommand("READONLY"),
        RedisCommand("readwrite"), RedisCommand("ASKING"), RedisCommand("asking"), RedisCommand("SHUTDOWN"),
        RedisCommand("CLIENT", "REPLY", "OFF"), RedisCommand("client", "reply", "skip"),
        RedisCommand("CLIENT", "NO-TOUCH", "ON"), RedisCommand("CLIENT", "no-evict", "on"),
        RedisCommand("CLIENT", "TRACKING", "ON"), RedisCommand("CLIENT", "CACHING", "yes"),
        RedisCommand("CLIENT", "SETNAME", "x"), RedisCommand("CLIENT", "PAUSE", "1000"),
        RedisCommand("SCRIPT", "DEBUG", "YES"), RedisCommand("script", "debug", "sync"),
        command("SCRIPT", bytes: [Array("debug\0".utf8), Array("YES".utf8)]),
        // What is sent without being asked for.
        RedisCommand("SUBSCRIBE", "c"), RedisCommand("PSUBSCRIBE", "c"), RedisCommand("ssubscribe", "c"),
        RedisCommand("UNSUBSCRIBE"), RedisCommand("punsubscribe"), RedisCommand("SUNSUBSCRIBE"),
        RedisCommand("MONITOR"), RedisCommand("monitor"), RedisCommand("SYNC"),
        RedisCommand("PSYNC", "?", "-1"), RedisCommand("REPLCONF", "ACK", "0"),
        // What waits.
        RedisCommand("BLPOP", "k", "0"), RedisCommand("blpop", "k", "0"), RedisCommand("BRPOP", "k", "0"),
        RedisCommand("BLMOVE", "a", "b", "LEFT", "LEFT", "0"), RedisCommand("BRPOPLPUSH", "a", "b", "0"),
        RedisCommand("BLMPOP", "0", "1", "k", "LEFT"), RedisCommand("BZMPOP", "0", "1", "k", "MIN"),
        RedisCommand("bzpopmin", "k", "0"), RedisCommand("BZPOPMAX", "k", "0"),
        RedisCommand("WAIT", "1", "0"), RedisCommand("waitaof", "1", "1", "0"),
        RedisCommand("XREAD", "BLOCK", "0", "STREAMS", "k", "$"),
        RedisCommand("xread", "count", "1", "block", "0", "streams", "k", "$"),
        RedisCommand("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "k", ">"),
        RedisCommand("XREADGROUP", "GROUP", "STREAMS", "STREAMS", "NOACK", "bLoCk", "9", "STREAMS", "k", ">"),
        command("XREAD", bytes: ["BLOCK", "0", "STREAMS", "k", "$"].map { Array($0.utf8) }),
        // Redis compares options as C strings.
        command("XREAD", bytes: ["block\0x", "0", "STREAMS", "k", "$"].map { Array($0.utf8) }),
    ]

    @Test func `commands that affect others are refused alone, among others and in a transaction`()
        async throws
    {
        try await withRedis { redis, _ in
            for command in Self.refused {
                let ping = RedisCommand("PING")
                let alone = await #expect(throws: RedisError.self, "\(command)") {
                    try await redis.send(command)
                }
                #expect(alone?.code == .configuration && alone?.outcome == .notSent, "\(command)")
                var batches = [[command], [ping, command, ping], [command, ping]]
                if command.connectionEffect != .endsTransaction {
                    batches.append([RedisCommand("MULTI"), ping, command, RedisCommand("EXEC")])
                }
                for batch in batches {
                    let error = await #expect(throws: RedisError.self, "\(batch)") {
                        try await redis.send(batch)
                    }
                    #expect(error?.code == .configuration && error?.outcome == .notSent, "\(batch)")
                }
                redis.submit(command)
            }
            #expect(redis.statistics.commands == 0)
            #expect(redis.statistics.submitErrors == Self.refused.count)
        }
    }

    @Test(arguments: [
        [RedisCommand("MULTI"), RedisCommand("GET", "a")],
        [RedisCommand("GET", "a"), RedisCommand("MULTI")],
        [RedisCommand("MULTI"), RedisCommand("MULTI"), RedisCommand("EXEC")],
        [RedisCommand("MULTI"), RedisCommand("MULTI"), RedisCommand("EXEC"), RedisCommand("EXEC")],
        [RedisCommand("MULTI"), RedisCommand("EXEC"), RedisCommand("EXEC")],
        [RedisCommand("MULTI"), RedisCommand("DISCARD"), RedisCommand("EXEC")],
        [RedisCommand("EXEC"), RedisCommand("MULTI")],
        [RedisCommand("DISCARD"), RedisCommand("GET", "a")],
        [RedisCommand("MULTI"), RedisCommand("EXEC"), RedisCommand("MULTI"), RedisCommand("GET", "a")],
        // Redis refuses these for their arguments, and the transaction goes on.
        [RedisCommand("MULTI"), RedisCommand("SET", "a", "1"), RedisCommand("EXEC", "now")],
        [RedisCommand("MULTI"), RedisCommand("SET", "a", "1"), RedisCommand("DISCARD", "")],
        [RedisCommand("MULTI", "x"), RedisCommand("SET", "a", "1"), RedisCommand("EXEC")],
        [RedisCommand("MULTI"), RedisCommand("SET", "a", "1"), RedisCommand("EXECUTE")],
    ])
    func `a transaction that does not end in its batch is refused`(_ batch: [RedisCommand]) async throws {
        try await withRedis { redis, _ in
            let error = await #expect(throws: RedisError.self) { try await redis.send(batch) }
            #expect(error?.code == .configuration && error?.outcome == .notSent)
            #expect(redis.statistics.commands == 0)
            let reply = try await redis.send(RedisCommand("ECHO", "mine"))
            #expect(reply.string == "mine")
        }
    }

    @Test func `transactions that end are allowed, and an aborted one leaves the connection usable`()
        async throws
    {
        try await withRedis { redis, _ in
            let two = try await redis.send([
                RedisCommand("multi"), RedisCommand("INCR", "n"), RedisCommand("exec"),
                RedisCommand("MULTI"), RedisCommand("INCR", "n"), RedisCommand("DISCARD"),
                RedisCommand("GET", "n"),
            ])
            #expect(two[2][0].integer == 1 && two[5].string == "OK" && two[6].integer == 1)
            let aborted = try await redis.send([
                RedisCommand("MULTI"), RedisCommand("NOSUCH"), RedisCommand("INCR", "n"),
                RedisCommand("EXEC"), RedisCommand("GET", "n"),
            ])
            #expect(aborted[3].error?.prefix == "EXECABORT" && aborted[4].integer == 1)
            let reply = try await redis.send(RedisCommand("ECHO", "mine"))
            #expect(reply.string == "mine")
            #expect(redis.statistics.lostConnections == 0)
        }
    }

    @Test(arguments: ["-discard", "-exec", "-multi"])
    func `a transaction that Redis does not end reaches no other caller`(_ right: String) async throws {
        let user = ["--user", "default", "on", "nopass", "~*", "+@all", right]
        try await withRedis(user, configure: { $0.sharedConnections = 1 }) { redis, _ in
            let end = right == "-discard" ? RedisCommand("DISCARD") : RedisCommand("EXEC")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<40 {
                    group.addTask {
                        if caller % 8 == 3 {
                            // Fails when it was sent behind another one that did not end.
                            let replies = try? await redis.send([
                                RedisCommand("MULTI"), RedisCommand("SET", "a", "1"), end,
                            ])
                            #expect(replies == nil || replies!.contains { $0.error != nil })
                        } else {
                            // Fails when its connection was lost twice.
                            let reply = try? await redis.send(RedisCommand("ECHO", "mine", readOnly: true))
                            #expect(reply == nil || reply?.string == "mine", "\(reply!)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let reply = try await redis.send(RedisCommand("ECHO", "mine", readOnly: true))
            #expect(reply.string == "mine")
            if right != "-discard" { #expect(redis.statistics.lostConnections == 0) }
        }
    }

    @Test func `a script in a transaction is executed with it, though Redis has not seen it before`()
        async throws
    {
        try await withRedis { redis, _ in
            let script = RedisScript("return redis.call('INCR', KEYS[1])")
            let replies = try await redis.send([
                RedisCommand("MULTI"), RedisCommand("SET", "n", "4"),
                RedisCommand(script: script, keys: ["n"]), RedisCommand("EXEC"),
            ])
            #expect(replies[3][1].integer == 5)
        }
    }

    @Test func `reading a stream without waiting is allowed, whatever its keys and groups are called`()
        async throws
    {
        try await withRedis { redis, _ in
            _ = try await redis.send(RedisCommand("XADD", "BLOCK", "*", "f", "v"))
            let read = try await redis.send(RedisCommand("XREAD", "COUNT", "1", "STREAMS", "BLOCK", "0"))
            #expect(read.count == 1)
            _ = try await redis.send(RedisCommand("XGROUP", "CREATE", "BLOCK", "BLOCK", "0"))
            let group = try await redis.send(
                RedisCommand("XREADGROUP", "GROUP", "BLOCK", "block", "STREAMS", "BLOCK", ">")
            )
            #expect(group.count == 1)
            // Sent, whatever Redis replies.
            for command in [
                RedisCommand("SCRIPT", "EXISTS", "debug"), RedisCommand("MULTIPLY"), RedisCommand(""),
                RedisCommand("X"), RedisCommand("EXECUTE"), RedisCommand("XREAD"),
                RedisCommand("GET", "MULTI"), RedisCommand("PUBLISH", "c", "m"),
            ] { _ = try await redis.send([command]) }
            #expect(redis.statistics.commands == 12)
        }
    }
}
