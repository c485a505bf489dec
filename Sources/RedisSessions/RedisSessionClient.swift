// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// The client as the stores use it: its errors are `SessionError`s, and its writes have a deadline on the server's clock.
struct RedisSessionClient: Sendable {
    private let redis: RedisClient
    let clock = WriteClock()

    init(_ redis: RedisClient) { self.redis = redis }

    /// Sends a command in one round trip; an error of the server is an error.
    func send(_ command: RedisCommand) async throws(SessionError) -> RedisReply {
        do { return try await redis.send(command, cancellation: .ignore) } catch { throw .unavailable(error) }
    }

    /// Sends commands in one round trip; an error of the server is in its reply.
    func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation = .ignore
    ) async throws(SessionError) -> [RedisReply] {
        do { return try await redis.send(commands, cancellation: cancellation) } catch {
            throw .unavailable(error)
        }
    }

    /// Sends a command that nothing waits for.
    func submit(_ command: RedisCommand) { redis.submit(command) }

    /// Sends a write that the server refuses once this caller has been told that it failed.
    ///
    /// One round trip; one more for the first write of a process, and when the server's clock was set forward.
    ///
    /// - Parameter command: makes the command for the server's time after which it must not happen. Its script
    ///   answers `{'late', the server's time}` then.
    /// - Returns: the reply, never that one.
    /// - Throws: `.storeUnavailable`; the write has not happened then and does not happen later, or its outcome is
    ///   unknown until the client's command timeout is over.
    func write(_ command: (SessionInstant) -> RedisCommand) async throws(SessionError) -> RedisReply {
        try await writeAll { [command($0)] }[0]
    }

    /// Sends several writes that may be repeated; see `write`.
    func writeAll(_ commands: (SessionInstant) -> [RedisCommand]) async throws(SessionError) -> [RedisReply] {
        let start = ContinuousClock.now
        var now = clock.now
        while true {
            let time = if let now { now } else { try await askTime() }
            let patience = redis.configuration.commandTimeout - (ContinuousClock.now - start)
            guard patience > .zero else {
                throw SessionError(.storeUnavailable, "Redis did not carry out the write in time.")
            }
            let replies = try await send(commands(time + patience))
            guard replies.contains(where: { $0.count == 2 && $0[0].string == "late" }) else { return replies }
            // The server was frozen, or its clock was set forward. If there is still time, once more.
            now = nil
        }
    }

    /// Asks for the server's time: one round trip.
    func askTime() async throws(SessionError) -> SessionInstant {
        let reply = try await send(RedisCommand("TIME", readOnly: true))
        guard reply.count == 2, let seconds = reply[0].integer, let microseconds = reply[1].integer else {
            throw SessionError(.storeUnavailable, "Redis did not tell the time.", underlying: reply.error)
        }
        let time = SessionInstant(milliseconds: Int64(seconds) * 1000 + Int64(microseconds) / 1000)
        clock.set(time)
        return time
    }
}

extension SessionError {
    /// The error for a command that Redis did not carry out.
    static func unavailable(_ error: RedisError) -> SessionError {
        SessionError(.storeUnavailable, "\(error)", underlying: error)
    }
}
