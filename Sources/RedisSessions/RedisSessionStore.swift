// SPDX-License-Identifier: Apache-2.0

// An application that makes a store names a client and a policy: one import is enough.
@_exported public import Hiredis
@_exported public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore` and `SessionDirectory`.
/// Sessions in Redis or Valkey, shared by all instances: the default choice.
///
/// Each session is one hash and each write is one constant script on it, so that it happens whole or not at
/// all; keys, fields and commands are listed in `RedisSchema`. Times are the server's. Needs Redis 6 or later
/// and `noeviction` or a dedicated instance; `accessRules(application:)` are the least rights that suffice.
///
/// Cost: load 1 round trip (`HGETALL`, `PTTL`), create, commit and end 1, a touch none (nothing waits for
/// it). An error from Redis, or no answer in time, throws `.storeUnavailable` with the `RedisError` as
/// `underlying`: it tells whether a write may have been stored, and such a write must not simply be repeated.
public struct RedisSessionStore: SessionStore {
    private static let createScript = RedisScript(PackageResources.create_lua)
    private static let commitScript = RedisScript(PackageResources.live_lua + PackageResources.commit_lua)
    private static let touchScript = RedisScript(PackageResources.live_lua + PackageResources.touch_lua)
    private static let endScript = RedisScript(PackageResources.live_lua + PackageResources.end_lua)
    private static let indexScript = RedisScript(PackageResources.index_lua)

    /// All scripts of the store, for operators whose ACL does not let applications load any.
    ///
    /// The first is the one that enters a sign-in into the user's list: where it is missing, no sign-in is
    /// committed.
    public static let scripts = [indexScript, createScript, commitScript, touchScript, endScript]

    let redis: RedisClient
    let schema: RedisSchema
    let crypto: RecordCrypto

    /// Creates a store; opens no connection.
    ///
    /// - Parameters:
    ///   - redis: the client; it connects with the first command, or earlier when run as a service.
    ///   - application: the name of the application, the same on all instances: 1 to 128 letters, digits or `-_.:/`.
    ///     It is the first part of every key and bound into everything that is stored, so that two applications on
    ///     one Redis never accept each other's cookies.
    ///   - peppers: secrets of the servers that key the hashes in Redis, the same on all instances (R33). The
    ///     first one writes, all are tried. To introduce one while instances run: `[.none, new]` on all of
    ///     them, then `[new, .none]`, and `[new]` after the longest lifetime; `[old, new]` and so on to
    ///     replace one. A user whose session still has the old one is signed out by the last step.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        _ redis: RedisClient,
        application: String,
        peppers: [SessionPepper] = []
    ) throws(SessionError) {
        try self.init(redis, application: application, prefix: application, peppers: peppers)
    }

    /// Creates a store whose keys do not start with the application's name; for tests.
    package init(
        _ redis: RedisClient,
        application: String,
        prefix: String,
        peppers: [SessionPepper] = []
    ) throws(SessionError) {
        self.redis = redis
        schema = try RedisSchema(application: application, prefix: prefix)
        crypto = try RecordCrypto(application: application, peppers: peppers)
        redis.preload(Self.scripts)
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard let token = SessionToken(credential) else { return .absent(.malformed) }
        let load = try await read(token)
        guard case .absent(.unreadable) = load else { return load }
        // The two commands are not one: a write between them can make their answers contradict each other.
        // Once.
        return try await read(token)
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        let token = SessionToken()
        var command = RedisCommand(script: Self.createScript, keys: [schema.session(token.id)])
        command.append(crypto.hash(token))
        command.append(Int(draft.policy.idleTimeout.wholeMilliseconds))
        command.append(Int(draft.policy.lifetime.wholeMilliseconds))
        command.append(draft.principal.map { crypto.encrypt(principal: $0, for: token) } ?? [])
        command.append(draft.principal.map { crypto.hash(principal: $0) } ?? [])
        for (name, value) in draft.attributes {
            command.append(RedisSchema.field(name))
            command.append(value)
        }
        let reply = try await write(command, to: token.id, signingIn: draft.principal, draft.policy)
        return try SessionCommitResult(reply, presented: token, fresh: token, crypto)
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        let presented = try record.context(PresentedToken.self)
        let fresh = SessionToken(id: record.id)
        var command = RedisCommand(script: Self.commitScript, keys: [schema.session(record.id)])
        CommitArguments(change, to: record, presented, fresh: fresh, crypto).append(to: &command)
        var signingIn: String?
        if case .signIn(let principal, _) = change.rotation { signingIn = principal }
        let reply = try await write(command, to: record.id, signingIn: signingIn, change.policy)
        return try SessionCommitResult(reply, presented: presented.token, fresh: fresh, crypto)
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        guard isDue else { return nil }
        redis.submit(touchCommand(try record.context(PresentedToken.self)))
        return nil
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        let presented = try record.context(PresentedToken.self)
        let reply = try await send(endCommand(record.id, presented.hash, if: "secret"))
        guard reply.integer == 1 else { return false }
        if let principal = record.principal { forget([record.id], of: principal) }
        return true
    }

    public func check() async throws(SessionError) {
        _ = try await send(RedisCommand("PING", readOnly: true))
    }

    // MARK: Commands

    func loadCommands(_ id: SessionID) -> [RedisCommand] {
        let key = schema.session(id)
        return [RedisCommand("HGETALL", key, readOnly: true), RedisCommand("PTTL", key, readOnly: true)]
    }

    func endCommand(_ id: SessionID, _ hash: [UInt8], if condition: String) -> RedisCommand {
        var command = RedisCommand(script: Self.endScript, keys: [schema.session(id)])
        command.append(hash)
        command.append(condition)
        command.append(Int(SessionPolicy.tombstone.wholeMilliseconds))
        return command
    }

    private func touchCommand(_ presented: PresentedToken) -> RedisCommand {
        var command = RedisCommand(
            script: Self.touchScript,
            keys: [schema.session(presented.token.id)],
            readOnly: true
        )
        command.append(presented.hash)
        return command
    }

    /// Sends a write; a sign-in's entry in the user's list goes ahead of it in the same round trip.
    private func write(
        _ command: RedisCommand,
        to id: SessionID,
        signingIn principal: String?,
        _ policy: SessionPolicy
    ) async throws(SessionError) -> RedisReply {
        guard let principal else { return try await send([command])[0] }
        let key = schema.index(crypto.hash(principal: principal))
        var index = RedisCommand(script: Self.indexScript, keys: [key])
        index.append("\(id)")
        index.append(Int(policy.lifetime.wholeMilliseconds))
        let replies = try await send([index, command])
        // Without its entry the session could not be revoked. Its credential was not sent, so it cannot be
        // used either.
        if let error = replies[0].error { throw Self.unavailable(error) }
        return replies[1]
    }

    // MARK: Answers

    private func read(_ token: SessionToken) async throws(SessionError) -> SessionLoadResult {
        let replies = try await send(loadCommands(token.id), cancellation: .abandon)
        if let error = replies[0].error ?? replies[1].error {
            guard error.prefix == "WRONGTYPE" else { throw Self.unavailable(error) }
            return .absent(.unreadable)
        }
        switch RedisRecord.read(replies[0], ttl: replies[1].integer ?? -2) {
        case .absent(let absence): return .absent(absence)
        case .live(let stored):
            let load = stored.open(token, crypto)
            guard case .found(var record) = load else { return load }
            if stored.acceptsPreviousSecret, record.secretStatus == .current {
                // Presenting the new secret invalidates the old one, before anything is answered. If that fails,
                // the old one stays valid until its grace is over: no reason to refuse a read.
                let touch = touchCommand(try record.context(PresentedToken.self))
                if (try? await send(touch))?.integer == 1 { record.times.lastUsed = record.now }
            }
            return .found(record)
        }
    }

    func send(_ command: RedisCommand) async throws(SessionError) -> RedisReply {
        do { return try await redis.send(command, cancellation: .ignore) } catch {
            throw Self.unavailable(error)
        }
    }

    func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation = .ignore
    ) async throws(SessionError) -> [RedisReply] {
        do { return try await redis.send(commands, cancellation: cancellation) } catch {
            throw Self.unavailable(error)
        }
    }

    static func unavailable(_ error: RedisError) -> SessionError {
        SessionError(.storeUnavailable, "\(error)", underlying: error)
    }
}
