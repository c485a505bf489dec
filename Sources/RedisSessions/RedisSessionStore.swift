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
/// and `noeviction` or a dedicated instance; `accessRules(application:)` are the least rights that suffice,
/// and `check` tries all of them.
///
/// Cost: load 1 round trip (`HGETALL`, `PTTL`), create, commit and end 1, a sign-in 2 and one more if it ends another
/// session of the user (`SessionPolicy.maximumSessionsPerUser`), a touch none (nothing waits for it); the first write of
/// a process one more. `durability` adds none to them; with `reads`, a load costs a second one where the replica cannot
/// answer it. An error from Redis, or no answer in time, throws `.storeUnavailable` with the `RedisError` as
/// `underlying`: it tells whether a write may have been stored. It is stored before the command timeout of the client is
/// over, or not at all: the scripts refuse what arrives later.
public struct RedisSessionStore: SessionStore {
    private static let createScript = RedisScript(PackageResources.create_lua)
    private static let commitScript = RedisScript(PackageResources.live_lua + PackageResources.commit_lua)
    private static let touchScript = RedisScript(PackageResources.live_lua + PackageResources.touch_lua)
    private static let endScript = RedisScript(PackageResources.live_lua + PackageResources.end_lua)
    static let indexScript = RedisScript(PackageResources.index_lua)
    static let revokedScript = RedisScript(PackageResources.revoked_lua)
    private static let checkScript = RedisScript(PackageResources.check_lua)

    /// All scripts of the store, for operators whose ACL does not let applications load any.
    ///
    /// The first is the one that enters a sign-in into the user's list: where it is missing, no sign-in is
    /// committed.
    public static let scripts = [
        indexScript, createScript, commitScript, touchScript, endScript, revokedScript, checkScript,
    ]

    let redis: RedisSessionClient
    let schema: RedisSchema
    let crypto: RecordCrypto
    let durability: SessionDurability
    let reads: SessionReads
    let recentChanges: RecentChanges
    /// Whether the client is sent the version of what it has seen: where reads may come from a copy.
    var cookiesCarryVersion: Bool
    /// Receives the sessions that an operation on their user has ended, before its caller is told.
    var ended: (@Sendable ([SessionID]) -> Void)?

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
    ///   - durability: the copies that sign-ins, sign-outs, revocations and new secrets wait for; none by default.
    ///   - reads: the servers that are asked for the session of a request; the primary by default.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        _ redis: RedisClient,
        application: String,
        peppers: [SessionPepper] = [],
        durability: SessionDurability = .primary,
        reads: SessionReads = .primary
    ) throws(SessionError) {
        try self.init(
            redis,
            application: application,
            prefix: application,
            peppers: peppers,
            durability: durability,
            reads: reads
        )
    }

    /// Creates a store that sends its commands with a client of the application's own.
    ///
    /// Without `durability` and `reads`, which need more of a client; nor can `CachedSessionStore` use it. Costs one round
    /// trip more for each script that the server does not have yet.
    ///
    /// - Parameters:
    ///   - client: the client; the application connects and closes it.
    ///   - application: see the other initializer.
    ///   - peppers: see the other initializer.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        _ client: any RedisCommandSender,
        application: String,
        peppers: [SessionPepper] = []
    ) throws(SessionError) {
        durability = .primary
        reads = .primary
        recentChanges = RecentChanges(for: .zero)
        cookiesCarryVersion = false
        redis = RedisSessionClient(client)
        schema = try RedisSchema(application: application, prefix: application)
        crypto = try RecordCrypto(application: application, peppers: peppers)
    }

    /// Creates a store whose keys do not start with the application's name; for tests.
    package init(
        _ redis: RedisClient,
        application: String,
        prefix: String,
        peppers: [SessionPepper] = [],
        durability: SessionDurability = .primary,
        reads: SessionReads = .primary
    ) throws(SessionError) {
        try durability.validate(for: redis)
        try reads.validate()
        self.durability = durability
        self.reads = reads
        recentChanges = RecentChanges(for: reads.maximumAge ?? .zero)
        cookiesCarryVersion = reads != .primary
        self.redis = RedisSessionClient(redis)
        schema = try RedisSchema(application: application, prefix: prefix)
        crypto = try RecordCrypto(application: application, peppers: peppers)
        redis.preload(Self.scripts)
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard let token = SessionToken(credential) else { return .absent(.malformed) }
        if reads != .primary, let record = await copy(for: token) { return .found(record) }
        let load = try await read(token)
        guard case .absent(.unreadable) = load else { return load }
        // The two commands are not one: a write between them can make their answers contradict each other.
        // Once.
        return try await read(token)
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        let family = SecretFamily()
        let token = crypto.token(for: draft.id ?? SessionID(), in: family, generation: 0)
        let hash = crypto.hash(token)
        var entry: ListedSignIn?
        let wait = draft.principal == nil ? nil : durability.wait()
        if let principal = draft.principal {
            entry = try await enter(
                token.id,
                into: principal,
                draft.policy,
                since: draft.notRevokedSince,
                copied: wait
            )
            if entry == nil { return .gone(.ended(.revocation)) }
        }
        let replies = try await redis.writeAll(before: entry?.signInLimit, copied: wait) { notAfter in
            var command = RedisCommand(script: Self.createScript, keys: [schema.session(token.id)])
            command.append(Int(notAfter.milliseconds))
            command.append(hash)
            command.append(family.key)
            let idleTimeout = draft.idleTimeout ?? draft.policy.idleTimeout
            command.append(Int(idleTimeout.wholeMilliseconds))
            command.append(Int(draft.policy.lifetime.wholeMilliseconds))
            command.append(draft.principal.map { crypto.encrypt(principal: $0, for: token) } ?? [])
            command.append(draft.principal.map { crypto.hash(principal: $0) } ?? [])
            command.append(draft.persistence?.stored ?? "")
            for (name, value) in draft.attributes {
                command.append(RedisSchema.field(name))
                command.append(value)
            }
            return [command] + (entry.map(askMembers) ?? [])
        }
        let presented = PresentedToken(token, hash: hash, family: family)
        let result = try SessionCommitResult(replies[0], presented: presented, fresh: token, crypto)
        guard case .committed = result else { return result }
        if let entry, try await !endSurplus(entry, replies.dropFirst().first, copied: wait) {
            return .gone(.ended(.revocation))
        }
        wait?.report()
        return cookiesCarryVersion ? result.withVersion : result
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        let presented = try record.context(PresentedToken.self)
        try presented.check(change)
        defer { changed([record.id]) }
        let fresh = crypto.token(of: presented, isReplaced: change.rotation != .none)
        var entry: ListedSignIn?
        let wait = change.rotation == .none ? nil : durability.wait()
        if case .signIn(let principal, _) = change.rotation {
            entry = try await enter(
                record.id,
                into: principal,
                change.policy,
                since: change.notRevokedSince,
                copied: wait
            )
            if entry == nil { return .gone(.ended(.revocation)) }
        } else {
            let isDue = change.policy.isTouchDue(record.times, now: record.now, jitter: 0)
            if isDue { renewEntry(record, presented) }
        }
        let replies = try await redis.writeAll(before: entry?.signInLimit, copied: wait) { notAfter in
            var command = RedisCommand(script: Self.commitScript, keys: [schema.session(record.id)])
            CommitArguments(change, to: record, presented, fresh: fresh, notAfter: notAfter, crypto)
                .append(to: &command)
            return [command] + (entry.map(askMembers) ?? [])
        }
        let result = try SessionCommitResult(replies[0], presented: presented, fresh: fresh, crypto)
        guard case .committed = result else { return result }
        if let entry, try await !endSurplus(entry, replies.dropFirst().first, copied: wait) {
            return .gone(.ended(.revocation))
        }
        wait?.report()
        return cookiesCarryVersion ? await withVersion(result, of: record, presented) : result
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        let presented = try record.context(PresentedToken.self)
        let credential = credential(ofUnseen: record, presented)
        guard isDue, presented.user == nil else { return credential }
        var command = RedisCommand(
            script: Self.touchScript,
            keys: [schema.session(record.id)],
            readOnly: true
        )
        command.append(presented.hash)
        command.append("")
        redis.submit(command)
        renewEntry(record, presented)
        return credential
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        let presented = try record.context(PresentedToken.self)
        defer { changed([record.id]) }
        let wait = durability.wait()
        let reply = try await redis.write(copied: wait) {
            endCommand(record.id, presented.hash, if: "secret", notAfter: $0)
        }
        if let error = reply.error { throw .unavailable(error) }
        guard reply[0].string == "ok" else {
            return .gone(SessionAbsence(reason: reply[1].string, record.id))
        }
        wait?.report()
        let userHash = presented.user == nil ? presented.userHash : presented.hash
        if let userHash { forget([record.id], of: userHash) }
        return .ended
    }

    /// Returns when the server answers and lets this user do all that the scripts need; for readiness checks.
    ///
    /// One round trip. A command that is missing in the ACL is an error that names it; a full Redis is not an error. A
    /// server that evicts keys is not one either: the client's log gets a warning, once; so it does when the primary of the
    /// keys that are tried has fewer replicas than `durability` asks for.
    public func check() async throws(SessionError) {
        let keys = [(schema.checks.session, "s"), (schema.checks.index, "u")]
        try await redis.check(Self.checkScript, keys, copied: durability.wait())
    }

    // MARK: Commands

    func loadCommands(_ id: SessionID) -> [RedisCommand] {
        let key = schema.session(id)
        return [RedisCommand("HGETALL", key, readOnly: true), RedisCommand("PTTL", key, readOnly: true)]
    }

    func endCommand(
        _ id: SessionID,
        _ hash: [UInt8],
        if condition: String,
        notAfter: SessionInstant
    ) -> RedisCommand {
        var command = RedisCommand(script: Self.endScript, keys: [schema.session(id)])
        command.append(hash)
        command.append(Int(notAfter.milliseconds))
        command.append(condition)
        command.append(Int(SessionPolicy.tombstone.wholeMilliseconds))
        return command
    }

    // MARK: Answers

    /// Returns what the primary has for a token.
    func read(_ token: SessionToken) async throws(SessionError) -> SessionLoadResult {
        switch try await read(token.id) {
        case .absent(let absence): .absent(absence)
        case .live(let stored): stored.open(token, crypto)
        }
    }

    func read(_ id: SessionID) async throws(SessionError) -> RedisRecord.Reading {
        let replies = try await redis.send(loadCommands(id), cancellation: .abandon)
        if let error = replies[0].error ?? replies[1].error {
            guard error.prefix == "WRONGTYPE" else { throw .unavailable(error) }
            return .absent(.unreadable)
        }
        let ttl = replies[1].integer ?? -2
        let reading = RedisRecord.read(replies[0], ttl: ttl)
        guard case .live(let stored) = reading,
            stored.contradictsClock || !redis.clock.agrees(with: stored.now)
        else { return reading }
        // Rare: the clock was set, another server took over, or the two commands met a write between them.
        return RedisRecord.read(replies[0], ttl: ttl, time: try await redis.askTime())
    }
}
