// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Hiredis

/// Leasing a connection: what it waits for, and what it leaves behind.
@Suite(.limited) struct DedicatedPoolTests {
    private func pool(
        _ server: HostileServer,
        _ counters: Counters,
        configure: (inout RedisConfiguration) -> Void = { _ in }
    ) -> DedicatedPool {
        var configuration = RedisConfiguration(address: .tcp(host: "127.0.0.1", port: server.port))
        configuration.dedicatedConnections = 1
        configure(&configuration)
        let connector = Connector(
            configuration,
            counters: counters,
            library: ScriptLibrary(),
            logger: Logger(label: "test")
        )
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        return DedicatedPool(connector, on: eventLoop, pingedAfter: .zero)
    }

    @Test func `a connection that has gone silent is replaced within the command timeout`() async throws {
        let server = try await HostileServer { number, _ in number == 1 ? .silence : .bytes("+PONG\r\n") }
        let counters = Counters()
        let pool = pool(server, counters) { $0.commandTimeout = .seconds(2) }
        await pool.release(try await pool.lease())
        let second = try await pool.lease()
        #expect(server.connections == 2)
        let reply = try await second.send(RedisCommand("PING"))
        #expect(reply.string == "PONG")
        await pool.release(second)
        await pool.release(try await pool.lease())
        #expect(counters.snapshot.connects == 2)
        pool.shutdown()
        await server.close()
    }

    @Test(.timeLimit(.minutes(10)))
    func `a wait that has ended leaves no timer`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let late = RedisError(.timeout, .notSent, "late")
        // A timer that stays would keep what it would finish until its deadline.
        weak var kept: PendingValue<Int>?
        let answer = await PendingValue<Int>.wait(until: .now() + .hours(1), on: loop, orFail: late) {
            pending in
            kept = pending
            loop.scheduleTask(in: .milliseconds(1)) { pending.finish(.success(7)) }
        }
        #expect(try answer.get() == 7)
        #expect(await poll(seconds: 5) { kept == nil })
        let overdue = await PendingValue<Int>.wait(until: .now(), on: loop, orFail: late) { _ in }
        #expect(throws: late) { try overdue.get() }
    }
}
