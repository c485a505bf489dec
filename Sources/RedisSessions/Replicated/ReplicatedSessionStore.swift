// SPDX-License-Identifier: Apache-2.0

public import Hiredis
public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`.
/// Keeps all sessions in the memory of every instance, replicated through one log in Redis; reads need no
/// round trip.
///
/// Changes are appended to a Redis stream. Every instance, the writer included, applies the stream in order, so
/// all instances decide conflicts alike; a change is done when its own entry has come back. The version in a
/// token is a position in the log: an instance that has not applied it yet waits for it, so no client sees less
/// than it has seen.
///
/// Run the store as a service, after its `RedisClient`: `run()` reads the log. `check()` throws until the log has
/// been read.
///
/// Guarantees and limits:
/// * Changes of other instances, ended sessions included, are visible after at most a second, usually after a
///   millisecond, unless this instance is cut off from Redis. Lists and revocations are exact: they ask Redis.
/// * A client that has not been sent the version of its own change, because the response could not set a
///   cookie, may be shown an older state by another instance for the same second.
/// * A browser that sends two requests at a time keeps the cookie that arrives last, perhaps the older one. Until
///   its next request it may be shown an older state than its other tab has seen.
/// * While Redis is unavailable, writes throw `.storeUnavailable` within two seconds. Such a write may have been
///   stored, but is not stored later: the log refuses it by the clock of Redis, even if that was frozen.
/// * For `servesAlone`, an instance that is cut off reads the sessions it knows from its replica, ended by others
///   meanwhile or not, unless the client has seen a newer state; all other reads, and later all, throw.
/// * If Redis comes back empty or with an older log, the instance that had applied the most restores the log, ended
///   sessions included. Changes are lost if the only instances that had applied them stopped together with Redis,
///   or reconnected after a new log was begun: about a second, and `newLogDelay` if no instance that holds
///   sessions is there. Changes that are made to an older log before an instance that knows more is back win.
/// * Times are those of the clock of Redis. When it was ahead and is set back, sessions used meanwhile count as used,
///   created or signed in at that moment; those that were expired for more than a minute stay gone.
/// * With write access to Redis, entries can be held back for about two seconds, or deleted, but without the
///   pepper not forged, and no entry has an effect twice.
///
/// Needs Redis 6.2, and memory for the log: the changes within `retention`, at most six times the size of the
/// sessions, counting 300 bytes for each besides its attributes, and 32 MiB; usually half of it. At that size new
/// data is refused with `.storeFull`, and sign-outs go on, also when Redis itself is full. At the bound of sessions or
/// bytes a user's change ends sessions of visitors first, those that would expire next (one round trip more).
/// `accessRules(application:)` are the least rights that suffice.
public struct ReplicatedSessionStore: SessionStore {
    /// All scripts of the store, for operators whose ACL does not let applications load scripts.
    public static let scripts = LogCommands.scripts

    /// What a load found, carried in the record.
    struct Context: Sendable {
        let presented: PresentedToken
        /// The last change that the record shows.
        let seen: LogPosition
    }

    let log: ReplicationLog
    let crypto: RecordCrypto

    /// Creates a store; opens no connection.
    ///
    /// - Parameters:
    ///   - redis: the client; the store keeps one of its dedicated connections for itself.
    ///   - application: the name of the application, the same on all instances: 1 to 128 letters, digits or `-_.:/`.
    ///     It is the first part of the log's key and bound into everything that is stored, so that two applications
    ///     on one Redis never accept each other's cookies.
    ///   - peppers: secrets of the servers that key hashes and authenticate entries, the same on all instances
    ///     (R33). The first one writes, all are tried.
    ///   - retention: how far back the log reaches, the same on all instances; 5 minutes to 7 days. An unchanged
    ///     session is logged again about twice in this time; an instance that was cut off for longer reads
    ///     everything again.
    ///   - servesAlone: for how long an instance that is cut off from Redis, or waits for a new log, serves reads.
    ///   - newLogDelay: how long an instance that holds no sessions waits for others before it begins a log
    ///     without sessions. The very first start takes as long; `.zero` for a site with one instance.
    ///   - maximumSessions: the maximum number of sessions, ended ones included as long as they are remembered.
    ///   - maximumBytes: the maximum size of all attributes, in bytes.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        _ redis: RedisClient,
        application: String,
        peppers: [SessionPepper] = [],
        retention: Duration = .seconds(3600),
        servesAlone: Duration = .seconds(60),
        newLogDelay: Duration = .seconds(30),
        maximumSessions: Int = 100_000,
        maximumBytes: Int = 256 << 20
    ) throws(SessionError) {
        try self.init(
            redis,
            application: application,
            prefix: application,
            peppers: peppers,
            retention: retention,
            servesAlone: servesAlone,
            newLogDelay: newLogDelay,
            maximumSessions: maximumSessions,
            maximumBytes: maximumBytes
        )
    }

    /// Creates a store whose key does not start with the application's name; for tests.
    package init(
        _ redis: RedisClient,
        application: String,
        prefix: String,
        peppers: [SessionPepper] = [],
        retention: Duration = .seconds(3600),
        servesAlone: Duration = .seconds(60),
        newLogDelay: Duration = .seconds(30),
        maximumSessions: Int = 100_000,
        maximumBytes: Int = 256 << 20
    ) throws(SessionError) {
        guard (.seconds(300) ... .seconds(7 * 86_400)).contains(retention) else {
            throw SessionError(.invalidConfiguration, "retention must be between 5 minutes and 7 days.")
        }
        guard servesAlone >= .zero, newLogDelay >= .zero else {
            throw SessionError(.invalidConfiguration, "servesAlone and newLogDelay must not be negative.")
        }
        var options = LogOptions()
        options.retention = retention
        options.servesAlone = servesAlone
        options.newLogDelay = newLogDelay
        options.maximumSessions = maximumSessions
        options.maximumBytes = maximumBytes
        try self.init(
            redis,
            application: application,
            prefix: prefix,
            peppers: peppers,
            options: options
        )
    }

    init(
        _ redis: RedisClient,
        application: String,
        prefix: String,
        peppers: [SessionPepper] = [],
        options: LogOptions
    ) throws(SessionError) {
        guard options.maximumSessions > 0, options.maximumBytes > 0 else {
            throw SessionError(.invalidConfiguration, "maximumSessions and maximumBytes must be above zero.")
        }
        crypto = try RecordCrypto(application: application, peppers: peppers)
        log = ReplicationLog(
            redis,
            schema: try RedisSchema(application: application, prefix: prefix),
            crypto: crypto,
            options: options
        )
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard let token = SessionToken(credential) else { return .absent(.malformed) }
        let freshness = try await log.refresh(for: token.version ?? 0)
        let (copy, now) = log.lookUp(token.id)
        let hash = copy?.session.known(crypto.hashes(token)) ?? []
        switch copy?.session.status(of: hash, token.id, at: now) ?? .absent(.unknown) {
        case .absent(.unknown) where freshness == .cutOff:
            throw SessionError(
                .storeUnavailable,
                "Redis does not answer, and this instance does not know the session."
            )
        case .absent(let absence):
            return .absent(copy?.session.absence(absence, of: token, crypto, at: now) ?? absence)
        case .live(let status):
            guard let copy else { return .absent(.unknown) }
            let presented = PresentedToken(token, hash: hash, family: copy.session.family)
            let record = record(copy.session, presented, status, seen: copy.changed, at: now)
            return record.map { .found($0) } ?? .absent(.unreadable)
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        let family = SecretFamily()
        let token = crypto.token(for: draft.id ?? SessionID(), in: family, generation: 0)
        let hashed = HashedDraft(draft, for: token, in: family, crypto) {
            crypto.encrypt(principal: $0, for: token)
        }
        let size = SessionLimits.size(of: draft.attributes)
        try await makeRoom(for: 1, bytes: size, isUser: draft.principal != nil)
        let answer = try await log.append(.create(token.id, hashed))
        return try result(
            answer,
            PresentedToken(token, hash: hashed.secretHash, family: family),
            fresh: token
        )
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        let presented = try record.context(Context.self).presented
        try presented.check(change)
        let fresh = crypto.token(of: presented, isReplaced: change.rotation != .none)
        let hashed = HashedChange(change, fresh: fresh, principal: record.principal, crypto) {
            crypto.encrypt(principal: $0, for: fresh)
        }
        let (copy, now) = log.lookUp(record.id)
        if var session = copy?.session, let changed = copy?.changed {
            switch session.status(of: presented.hash, record.id, at: now) {
            // What is over here is over everywhere.
            case .absent(.ended(let reason)): return .gone(.ended(reason))
            case .live(let status):
                // Versions only grow: the log would say the same.
                if change.needsVersion, session.version > record.version,
                    let fresh = self.record(session, presented, status, seen: changed, at: now)
                {
                    return .conflict(fresh)
                }
                let before = session.size
                let isApplied =
                    (try? session.apply(hashed, to: record.version, status: status, at: now)) != nil
                let growth = isApplied ? max(0, session.size - before) : 0
                try await makeRoom(for: 0, bytes: growth, isUser: session.principalHash != nil)
            default: break
            }
        }
        let entry = LogEntry.Content.commit(
            record.id,
            digest: presented.hash,
            version: record.version,
            hashed
        )
        return try result(try await log.append(entry), presented, fresh: fresh)
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        let context = try record.context(Context.self)
        let presented = context.presented
        guard presented.user == nil else { return nil }
        if isDue { log.submit(.touch(record.id, digest: presented.hash)) }
        // The client has now seen the version that it was shown; a secret that was replaced is not sent
        // again.
        guard context.seen.version > presented.token.version ?? 0, isCurrent(presented) else { return nil }
        return presented.token.seen(context.seen.version).credential
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        let presented = try record.context(Context.self).presented
        let end = LogEntry.Content.end(record.id, digest: presented.hash, tombstone: SessionPolicy.tombstone)
        if try await count(end) == 1 { return .ended }
        let (copy, now) = log.lookUp(record.id)
        switch copy?.session.status(of: presented.hash, record.id, at: now) {
        case .absent(let absence)?: return .gone(absence)
        case .live?, nil: return .gone(.unknown)
        }
    }

    public func check() async throws(SessionError) {
        // First: without the right to it, and on an older server, the log is never read.
        try await checkWrite()
        guard try await log.refresh(for: 0, isStrict: true) == .fresh else {
            throw SessionError(.storeUnavailable, "Redis does not answer, or the log is being recovered.")
        }
    }

    private func checkWrite() async throws(SessionError) {
        do { _ = try await log.redis.send(log.commands.writeProbe) } catch {
            let message =
                switch error.prefix {
                case "NOPERM": "Redis does not let this user run XADD on the log; grant it in the ACL."
                case "ERR": "The server refused a command of the log: Redis 6.2 or later is needed."
                default: "\(error)"
                }
            throw SessionError(.storeUnavailable, message, underlying: error)
        }
    }

    // MARK: Private

    /// Appends an entry that ends sessions; returns how many it ended.
    func count(_ entry: LogEntry.Content) async throws(SessionError) -> Int {
        if case .ended(let count) = try await log.append(entry).outcome { count } else { 0 }
    }

    private func result(
        _ answer: AppendResult,
        _ presented: PresentedToken,
        fresh: SessionToken
    ) throws(SessionError) -> SessionCommitResult {
        let id = presented.token.id
        switch answer.outcome {
        case .stored(let session, let isRotated):
            let now = answer.time
            var next: SessionToken? = isRotated ? fresh : nil
            // A secret that was replaced is never sent again.
            if !isRotated, session.status(of: presented.hash, id, at: now) == .live(.current) {
                next = presented.token
            }
            return .committed(
                id: id,
                version: session.version,
                credential: next?.seen(answer.position.version).credential,
                remaining: session.remaining(at: now)
            )
        case .conflict(let session, let status):
            let now = log.now
            let record = record(session, presented, status, seen: answer.position, at: now)
            return record.map { .conflict($0) } ?? .gone(.unreadable)
        case .gone(let absence): return .gone(absence)
        case .invalid(let error): throw error
        default:
            throw SessionError(.storeUnavailable, "The log answered in a form that the store does not use.")
        }
    }

    /// Returns the session as a caller sees it; nil when its user's name was encrypted by another writer.
    func record(
        _ session: RecordState,
        _ presented: PresentedToken,
        _ status: SecretStatus,
        seen position: LogPosition,
        at now: SessionInstant
    ) -> SessionRecord? {
        var principal = presented.user
        if principal == nil, let encrypted = session.principal(for: status) {
            principal = crypto.decryptPrincipal(encrypted, with: presented.token)
            guard let principal, let hash = session.principalHash,
                crypto.hashes(principal: principal).contains(hash)
            else { return nil }
        }
        var record = session.record(presented, status: status, principal: principal, at: now)
        record.storeContext = Context(presented: presented, seen: position)
        return record
    }

    /// Whether the presented secret is, as far as this instance knows, the current one.
    private func isCurrent(_ presented: PresentedToken) -> Bool {
        let (copy, now) = log.lookUp(presented.token.id)
        return copy?.session.status(of: presented.hash, presented.token.id, at: now) == .live(.current)
    }

    /// Throws when the bound is reached; for a user, sessions of visitors are ended first.
    private func makeRoom(for sessions: Int, bytes: Int, isUser: Bool) async throws(SessionError) {
        if log.makeRoom(sessions: sessions, bytes: bytes) { return }
        guard isUser, let visitors = log.takeVisitors(sessions: sessions, bytes: bytes) else {
            throw SessionError(
                .storeFull,
                "\(log.options.maximumSessions) sessions or \(log.options.maximumBytes) bytes are the limit."
            )
        }
        await log.append(
            all: visitors.map { .revoke($0, user: nil, tombstone: SessionPolicy.tombstone) }
        )
    }
}
