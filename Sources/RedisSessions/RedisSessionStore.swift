// SPDX-License-Identifier: Apache-2.0

// Whoever makes a store names a client and a policy: one import is enough.
@_exported public import Hiredis
@_exported public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`, `SessionDirectory`.
/// Sessions in Redis, shared by all instances: the main road.
///
/// Each session is one hash and each write is one constant script on it, so that it happens whole or not at
/// all; the keys and fields are listed in `SessionKeys`. Times are the Redis server's. Needs Redis 6 or later
/// and `noeviction` or a dedicated instance. The ACL must allow `HGETALL PTTL EVALSHA PING ZRANGE ZSCORE
/// ZREM`, what the scripts call (`EXISTS HMGET HSET HGET HDEL HKEYS HINCRBY DEL PEXPIRE PEXPIREAT TIME ZADD
/// ZREMRANGEBYSCORE`), and `EVAL` and `SCRIPT LOAD` unless an operator loads them.
///
/// Cost: load 1 round trip (`HGETALL`, `PTTL`), create, commit and end 1, a touch none (nobody waits for it).
/// Redis answers that are errors, and no answer in time, throw `.storeUnavailable`; what became of a write is
/// then unknown unless the message says otherwise, and it must not simply be repeated.
public struct RedisSessionStore: SessionStore {
    private static let createScript = RedisScript(PackageResources.create_lua)
    private static let commitScript = RedisScript(PackageResources.commit_lua)
    private static let touchScript = RedisScript(PackageResources.touch_lua)
    private static let endScript = RedisScript(PackageResources.end_lua)
    private static let indexScript = RedisScript(PackageResources.index_lua)

    /// All scripts of the store, for operators whose ACL does not let applications load any.
    ///
    /// In this order: whoever knows how to commit a sign-in must know how to list it first.
    public static let scripts = [indexScript, createScript, commitScript, touchScript, endScript]

    let redis: RedisClient
    let keys: SessionKeys
    let digester: RecordCrypto
    private let tombstone: Duration

    /// Creates a store; opens no connection.
    ///
    /// - Parameters:
    ///   - redis: the client; it connects with the first command, or earlier when run as a service.
    ///   - prefix: first part of every key. Two applications on one Redis must differ here (R37).
    ///   - pepper: a secret of at least 32 bytes, the same on all instances, that keys the digests in Redis
    ///     (R33).
    ///   - tombstone: how long an ended session is remembered as ended. Must outlive the longest request.
    /// - Throws: `.invalidConfiguration`, with a sentence that names the mend.
    public init(
        _ redis: RedisClient,
        prefix: String = "sessions",
        pepper: [UInt8]? = nil,
        tombstone: Duration = .seconds(300)
    ) throws(SessionError) {
        guard (.seconds(1) ... .seconds(86_400)).contains(tombstone) else {
            throw SessionError(.invalidConfiguration, "tombstone must be between 1 s and 1 day.")
        }
        self.redis = redis
        self.tombstone = tombstone
        keys = try SessionKeys(prefix: prefix)
        digester = try RecordCrypto(pepper: pepper)
        redis.preload(Self.scripts)
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard let ticket = SessionToken(credential) else { return .absent(.malformed) }
        let load = try await read(ticket)
        guard case .absent(.unreadable) = load else { return load }
        // The two commands are not one: a write between them can make their answers contradict each other.
        // Once.
        return try await read(ticket)
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        let ticket = SessionToken()
        var command = RedisCommand(script: Self.createScript, keys: [keys.session(ticket.id)])
        command.append(digester.digest(of: ticket))
        command.append(draft.policy.idleTimeout)
        command.append(draft.policy.lifetime)
        command.append(draft.principal.map { digester.seal(principal: $0, for: ticket) } ?? [])
        command.append(draft.principal.map(digester.digest(ofPrincipal:)) ?? [])
        for (name, value) in draft.attributes {
            command.append(SessionKeys.field(name))
            command.append(value)
        }
        let reply = try await write(
            command,
            indexing: ticket.id,
            under: draft.principal,
            for: draft.policy
        )
        return try answer(reply, replacing: ticket, by: ticket)
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        guard let ticket = SessionToken(record.credential) else { return .gone(.malformed) }
        let fresh = SessionToken(id: ticket.id)
        var command = RedisCommand(script: Self.commitScript, keys: [keys.session(ticket.id)])
        command.append(digester.digest(of: ticket))
        command.append(record.version)
        command.append(change.needsVersion ? "1" : "")
        let signedIn = append(change, to: &command, fresh: fresh, principal: record.principal)
        for (name, operation) in change.operations {
            switch operation {
            case .set(let value): command.append("s", SessionKeys.field(name), value)
            case .remove: command.append("r", SessionKeys.field(name), [])
            case .increment(let amount):
                command.append("i", SessionKeys.field(name), Array(String(amount).utf8))
            }
        }
        let reply = try await write(command, indexing: ticket.id, under: signedIn, for: change.policy)
        return try answer(reply, replacing: ticket, by: fresh)
    }

    public func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential? {
        guard let ticket = SessionToken(record.credential) else { return nil }
        var command = RedisCommand(
            script: Self.touchScript,
            keys: [keys.session(ticket.id)],
            readOnly: true
        )
        command.append(digester.digest(of: ticket))
        // Only the retirement of an old secret must have happened when the response leaves; a moved deadline
        // need not.
        if record.hasPreviousSecret { _ = try await send(command) } else { redis.submit(command) }
        return nil
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        guard let ticket = SessionToken(record.credential) else { return false }
        guard try await send(endCommand(ticket.id, "secret", digester.digest(of: ticket))).integer == 1
        else { return false }
        if let principal = record.principal { forget([ticket.id], of: principal) }
        return true
    }

    public func check() async throws(SessionError) {
        _ = try await send(RedisCommand("PING", readOnly: true))
    }

    // MARK: Commands

    func loadCommands(_ id: SessionID) -> [RedisCommand] {
        let key = keys.session(id)
        return [RedisCommand("HGETALL", key, readOnly: true), RedisCommand("PTTL", key, readOnly: true)]
    }

    func endCommand(_ id: SessionID, _ condition: String, _ digest: [UInt8]) -> RedisCommand {
        var command = RedisCommand(script: Self.endScript, keys: [keys.session(id)])
        command.append(condition)
        command.append(digest)
        command.append(tombstone)
        return command
    }

    /// Appends what happens to the secret; the principal if one signs in.
    private func append(
        _ change: SessionChange,
        to command: inout RedisCommand,
        fresh: SessionToken,
        principal: String?
    ) -> String? {
        var signedIn: String?
        var kept: Set<String> = []
        switch change.rotation {
        case .none: for _ in 4...10 { command.append("") }
        case .renew:
            command.append("renew")
            command.append(digester.digest(of: fresh))
            command.append(principal.map { digester.seal(principal: $0, for: fresh) } ?? [])
            command.append("")
            command.append(change.policy.renewalGrace)
            for _ in 9...10 { command.append("") }
        case .signIn(let principal, let keeping):
            command.append("signin")
            command.append(digester.digest(of: fresh))
            command.append(digester.seal(principal: principal, for: fresh))
            command.append(digester.digest(ofPrincipal: principal))
            command.append(change.policy.renewalGrace)
            command.append(change.policy.idleTimeout)
            command.append(change.policy.lifetime)
            (signedIn, kept) = (principal, keeping)
        }
        command.append(change.maximumBytes)
        command.append(kept.count)
        for name in kept { command.append(SessionKeys.field(name)) }
        return signedIn
    }

    // MARK: Answers

    private func read(_ ticket: SessionToken) async throws(SessionError) -> SessionLoadResult {
        let replies = try await send(loadCommands(ticket.id), cancellation: .abandon)
        if let error = replies[0].error ?? replies[1].error {
            guard error.prefix == "WRONGTYPE" else { throw Self.unavailable(error) }
            return .absent(.unreadable)
        }
        switch RedisRecord.read(replies[0], ttl: replies[1].integer ?? -2) {
        case .absent(let absence): return .absent(absence)
        case .live(let record): return record.open(ticket, digester)
        }
    }

    /// Sends a write; a sign-in's entry in the user's list goes ahead of it in the same round trip.
    private func write(
        _ command: RedisCommand,
        indexing id: SessionID,
        under principal: String?,
        for policy: SessionPolicy
    ) async throws(SessionError) -> RedisReply {
        guard let principal else { return try await send([command])[0] }
        var index = RedisCommand(
            script: Self.indexScript,
            keys: [keys.index(digester.digest(ofPrincipal: principal))]
        )
        index.append("\(id)")
        index.append(policy.lifetime)
        let replies = try await send([index, command])
        // Without its entry the session could not be revoked. Its credential was not handed out, so it can
        // not be used either.
        if let error = replies[0].error { throw Self.unavailable(error) }
        return replies[1]
    }

    private func answer(_ reply: RedisReply, replacing ticket: SessionToken, by fresh: SessionToken)
        throws(SessionError)
        -> SessionCommitResult
    {
        if let error = reply.error {
            guard error.prefix == "WRONGTYPE" else { throw Self.unavailable(error) }
            return .gone(.unreadable)
        }
        switch reply.count > 0 ? reply[0].string : nil {
        case "ok" where reply.count == 4:
            return .committed(
                id: ticket.id,
                version: reply[1].integer ?? 0,
                credential: reply[2].integer == 1 ? fresh.credential : nil,
                remaining: .milliseconds(reply[3].integer ?? 0)
            )
        case "conflict" where reply.count == 3:
            switch RedisRecord.read(reply[1], ttl: reply[2].integer ?? -2) {
            case .absent(let absence): return .gone(absence)
            case .live(let record):
                switch record.open(ticket, digester) {
                case .found(let record): return .conflict(record)
                case .absent(let absence): return .gone(absence)
                }
            }
        case "gone" where reply.count == 2:
            switch reply[1].string {
            case "signed-out": return .gone(.ended(.signOut))
            case "revoked": return .gone(.ended(.revocation))
            case "superseded": return .gone(.superseded(ticket.id, replay: false))
            case "unreadable": return .gone(.unreadable)
            default: return .gone(.unknown)
            }
        case "invalid": throw SessionError(.invalidValue, "Only integers can be incremented, within 64 bits.")
        default:
            throw SessionError(
                .storeUnavailable,
                "Redis answered in a form that the session scripts do not use."
            )
        }
    }

    func send(_ command: RedisCommand) async throws(SessionError) -> RedisReply {
        do { return try await redis.send(command, cancellation: .ignore) } catch {
            throw Self.unavailable(error)
        }
    }

    func send(_ commands: [RedisCommand], cancellation: RedisCancellation = .ignore)
        async throws(SessionError) -> [RedisReply]
    {
        do { return try await redis.send(commands, cancellation: cancellation) } catch {
            throw Self.unavailable(error)
        }
    }

    static func unavailable(_ error: RedisError) -> SessionError {
        SessionError(.storeUnavailable, "\(error)")
    }
}

extension RedisCommand {
    fileprivate mutating func append(_ duration: Duration) { append(Int(duration.wholeMilliseconds)) }

    fileprivate mutating func append(_ operation: String, _ field: String, _ value: [UInt8]) {
        append(operation)
        append(field)
        append(value)
    }
}
