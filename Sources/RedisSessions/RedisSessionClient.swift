// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions
import Synchronization

/// The client as the stores use it: its errors are `SessionError`s, and its writes have a deadline on the server's clock.
struct RedisSessionClient: Sendable {
    /// What commands are sent with; the client of this package without an existential on the way.
    private enum Sender {
        case client(RedisClient)
        case other(any RedisCommandSender)
    }

    private let sender: Sender
    let clock = WriteClock()
    private let notices = Notices()

    init(_ redis: RedisClient) { sender = .client(redis) }

    init(_ other: any RedisCommandSender) { sender = .other(other) }

    /// The client of this package; nil where the application has brought another one.
    var redis: RedisClient? {
        if case .client(let redis) = sender { redis } else { nil }
    }

    /// The client of this package, for what only it can do.
    ///
    /// - Throws: `.unsupported` where the application has brought another one.
    func required() throws(SessionError) -> RedisClient {
        if let redis { return redis }
        throw SessionError(.unsupported, "This needs a store that was made with a RedisClient.")
    }

    /// Sends a command in one round trip; an error of the server is an error.
    func send(_ command: RedisCommand) async throws(SessionError) -> RedisReply {
        switch sender {
        case .client(let redis):
            do { return try await redis.send(command, cancellation: .ignore) } catch {
                throw .unavailable(error)
            }
        case .other(let other):
            let reply = try await other.replies(to: [command])[0]
            if let error = reply.error { throw .unavailable(error) }
            return reply
        }
    }

    /// Sends commands in one round trip; an error of the server is in its reply.
    ///
    /// `wait` is told how many copies have what they wrote; nil where none is waited for.
    func send(
        _ commands: [RedisCommand],
        copied wait: RedisReplicaWait? = nil,
        cancellation: RedisCancellation = .ignore
    ) async throws(SessionError) -> [RedisReply] {
        switch sender {
        case .client(let redis):
            do {
                guard let wait else { return try await redis.send(commands, cancellation: cancellation) }
                return try await redis.send(commands, cancellation: cancellation, copied: wait)
            } catch { throw .unavailable(error) }
        case .other(let other): return try await other.replies(to: commands)
        }
    }

    /// Sends a command that nothing waits for.
    func submit(_ command: RedisCommand) {
        switch sender {
        case .client(let redis): redis.submit(command)
        // With its source: no reply would tell that the server does not have the script.
        case .other(let other): other.submit(command.withSource ?? command)
        }
    }

    private func warn(_ message: String) {
        switch sender {
        case .client(let redis): redis.warn(message)
        case .other(let other): other.warn(message)
        }
    }

    private var commandTimeout: Duration {
        switch sender {
        case .client(let redis): redis.configuration.commandTimeout
        case .other(let other): other.commandTimeout
        }
    }

    /// Sends a write that the server refuses once this caller has been told that it failed.
    ///
    /// One round trip; one more for the first write of a process, and when the server's clock was set forward.
    ///
    /// - Parameters:
    ///   - limit: the server's time after which it must not happen, however patient the client is.
    ///   - wait: is told how many copies have it; nil for a write that none is waited for.
    ///   - command: makes the command for the server's time after which it must not happen. Its script
    ///   answers `{'late', the server's time}` then.
    /// - Returns: the reply, never that one.
    /// - Throws: `.storeUnavailable`; the write has not happened then and does not happen later, or its outcome is
    ///   unknown until the client's command timeout is over.
    func write(
        before limit: SessionInstant? = nil,
        copied wait: RedisReplicaWait? = nil,
        _ command: (SessionInstant) -> RedisCommand
    ) async throws(SessionError) -> RedisReply {
        try await writeAll(before: limit, copied: wait) { [command($0)] }[0]
    }

    /// Sends several writes that may be repeated; see `write`.
    func writeAll(
        before limit: SessionInstant? = nil,
        copied wait: RedisReplicaWait? = nil,
        _ commands: (SessionInstant) -> [RedisCommand]
    ) async throws(SessionError) -> [RedisReply] {
        let start = ContinuousClock.now
        var now = clock.now
        while true {
            let time = if let now { now } else { try await askTime() }
            let patience = commandTimeout - (ContinuousClock.now - start)
            let notAfter = min(time + patience, limit ?? time + patience)
            guard notAfter > time else {
                throw SessionError(.storeUnavailable, "Redis did not carry out the write in time.")
            }
            let replies = try await send(commands(notAfter), copied: wait)
            guard replies.contains(where: { $0.count == 2 && $0[0].string == "late" }) else { return replies }
            // The server was frozen, or its clock was set forward. If there is still time, once more.
            now = nil
        }
    }

    /// Asks what the server does when it is full; see `noteEviction`.
    static let evictionQuestion = RedisCommand("INFO", "memory", readOnly: true)

    /// Warns, once, of a server that evicts keys when it is full.
    ///
    /// It forgets the lists of users' sessions first, because they are used least; "sign out everywhere" then misses
    /// sessions. A user without the right to ask is not told.
    func noteEviction(_ answer: RedisReply) {
        let lines = answer.string?.split(whereSeparator: \.isNewline) ?? []
        guard let line = lines.first(where: { $0.hasPrefix("maxmemory_policy:") }),
            !notices.isEvictionNoted.exchange(true, ordering: .relaxed)
        else { return }
        let policy = line.dropFirst("maxmemory_policy:".count)
        if policy != "noeviction" {
            warn(
                """
                Redis evicts keys when it is full (maxmemory-policy \(policy)): sessions end early, and \
                revocations miss sessions whose list was evicted until they are used again; set noeviction
                """
            )
        }
    }

    /// Asks for the server's time, at first with what it does when it is full: one round trip.
    func askTime() async throws(SessionError) -> SessionInstant {
        let question = notices.isEvictionNoted.load(ordering: .relaxed) ? [] : [Self.evictionQuestion]
        let replies = try await send([RedisCommand("TIME", readOnly: true)] + question)
        if let answer = replies.dropFirst().first { noteEviction(answer) }
        let reply = replies[0]
        guard reply.count == 2, let seconds = reply[0].integer, let microseconds = reply[1].integer else {
            throw SessionError(.storeUnavailable, "Redis did not tell the time.", underlying: reply.error)
        }
        let time = SessionInstant(milliseconds: Int64(seconds) * 1000 + Int64(microseconds) / 1000)
        clock.set(time)
        return time
    }
}

extension RedisSessionClient {
    /// Tries every command that a store's scripts call: one round trip.
    ///
    /// - Parameters:
    ///   - script: `check.lua`.
    ///   - keys: keys of its own, each with the letter of its kind.
    ///   - wait: the copies that writes are to have; too few of them are a warning, once.
    /// - Throws: `.storeUnavailable`; the message names a missing right.
    func check(
        _ script: RedisScript,
        _ keys: [(key: String, kind: String)],
        copied wait: RedisReplicaWait?
    ) async throws(SessionError) {
        let commands = keys.map { key, kind in
            var command = RedisCommand(script: script, keys: [key])
            command.append(kind)
            return command
        }
        var replies = try await send(commands + [Self.evictionQuestion], copied: wait)
        noteEviction(replies.removeLast())
        for reply in replies {
            if let error = reply.error { throw .unavailable(error) }
            guard reply.count == 2, let command = reply[1].string else { continue }
            throw SessionError(
                .storeUnavailable,
                "Redis does not let this user run \(command) on the keys of sessions; grant it in the ACL."
            )
        }
        if let wait { try noteCopies(wait) }
    }

    /// Throws when the server refuses to wait for copies; warns, once, when it has too few.
    private func noteCopies(_ wait: RedisReplicaWait) throws(SessionError) {
        if let error = wait.refusal {
            throw SessionError(
                .storeUnavailable,
                error.prefix == "NOPERM"
                    ? "Redis does not let this user wait for replicas; grant +wait (+waitaof for files) in the ACL."
                    : "Redis cannot wait for the copies that `durability` asks for.",
                underlying: error
            )
        }
        guard wait.acknowledged < wait.wanted, !notices.areCopiesNoted.exchange(true, ordering: .relaxed)
        else { return }
        warn(
            """
            Redis has too few replicas for the durability of sessions: \(wait.acknowledged) of \(wait.wanted) copies \
            in time; sign-ins and sign-outs are stored, and a failover may undo them
            """
        )
    }
}

extension RedisCommandSender {
    /// Sends commands; where the server does not have a script, that command and those behind it once more with sources.
    ///
    /// In the same order, because what is read behind a script must be read after it. No harm is done by a command that is
    /// executed twice: see `writeAll`.
    fileprivate func replies(to commands: [RedisCommand]) async throws(SessionError) -> [RedisReply] {
        let replies = try await checkedReplies(to: commands)
        guard let missing = replies.firstIndex(where: { $0.error?.prefix == "NOSCRIPT" }) else {
            return replies
        }
        return replies[..<missing]
            + (try await checkedReplies(to: commands[missing...].map { $0.withSource ?? $0 }))
    }

    private func checkedReplies(to commands: [RedisCommand]) async throws(SessionError) -> [RedisReply] {
        let replies: [RedisReply]
        do { replies = try await send(commands) } catch let error as RedisError {
            throw .unavailable(error)
        } catch {
            throw SessionError(
                .storeUnavailable,
                "The Redis client failed: \(type(of: error)).",
                underlying: error
            )
        }
        guard replies.count == commands.count else {
            throw SessionError(
                .storeUnavailable,
                "The Redis client returned \(replies.count) replies to \(commands.count) commands."
            )
        }
        return replies
    }
}

/// What an operator has been told.
private final class Notices: Sendable {
    /// Whether the server has said what it does when it is full.
    let isEvictionNoted = Atomic(false)
    let areCopiesNoted = Atomic(false)
}

extension SessionError {
    /// The error for a command that Redis did not carry out.
    static func unavailable(_ error: RedisError) -> SessionError {
        SessionError(.storeUnavailable, hint(error) ?? "\(error)", underlying: error)
    }

    /// A sentence for an operator whose server cannot do what the stores need.
    private static func hint(_ error: RedisError) -> String? {
        guard let text = error.serverMessage?.lowercased() else { return nil }
        if text.contains("scripting engine") || text.contains("lua scripting disabled") {
            return "The server runs no Lua scripts. Valkey 9.1 and later: load its Lua module."
        }
        if text.contains("unknown command") {
            return "The server is too old or renames commands: it does not know one of the store's."
        }
        return nil
    }
}
