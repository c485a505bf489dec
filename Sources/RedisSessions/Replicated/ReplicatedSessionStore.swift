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
///   millisecond. Lists and revocations are exact: they ask Redis.
/// * A browser that sends two requests at a time keeps the cookie that arrives last, perhaps the older one. Until
///   its next request it may be shown an older state than its other tab has seen.
/// * While Redis is unavailable, writes throw `.storeUnavailable` within two seconds. Sessions known to this
///   instance are read from its replica unless the client has seen a newer state; all other reads throw.
/// * If Redis comes back with a shorter log than it had, the missing changes are undone on all instances.
/// * If Redis comes back empty, the instance that had applied the most restores the log, ended sessions included.
///   Changes are lost if the only instances that had applied them stopped together with Redis, or did not
///   reconnect within about a second.
/// * With write access to Redis, entries can be delayed, repeated and deleted, but without the pepper not forged.
///
/// Needs Redis 6.2, and memory for the log: all changes within `retention`. The ACL must allow `XADD XREAD
/// PEXPIRE PING EVALSHA`, what the scripts call (`XRANGE XREVRANGE TIME`), and `EVAL` and `SCRIPT LOAD` unless an
/// operator loads them.
public struct ReplicatedSessionStore: SessionStore {
    /// All scripts of the store, for operators whose ACL does not let applications load scripts.
    public static let scripts = LogCommands.scripts

    let log: ReplicationLog
    let digester: RecordCrypto
    let tombstone: Duration

    /// Creates a store; opens no connection.
    ///
    /// - Parameters:
    ///   - redis: the client; the store keeps one of its dedicated connections for itself.
    ///   - prefix: first part of the log's key. Two applications on one Redis must differ here (R37).
    ///   - pepper: a secret of at least 32 bytes, the same on all instances, that keys digests and authenticates
    ///     entries (R33).
    ///   - tombstone: how long an ended session is remembered as ended. Must outlive the longest request.
    ///   - retention: how far back the log reaches, the same on all instances. An unchanged session is logged
    ///     again about twice in this time; an instance that was cut off for longer reads everything again.
    ///   - maximumSessions: the maximum number of sessions, ended ones included as long as they are remembered.
    ///   - maximumBytes: the maximum size of all attributes, in bytes.
    /// - Throws: `.invalidConfiguration`; the message says how to fix it.
    public init(
        _ redis: RedisClient,
        prefix: String = "sessions",
        pepper: [UInt8]? = nil,
        tombstone: Duration = .seconds(300),
        retention: Duration = .seconds(3600),
        maximumSessions: Int = 100_000,
        maximumBytes: Int = 256 << 20
    ) throws(SessionError) {
        guard (.seconds(300) ... .seconds(7 * 86_400)).contains(retention) else {
            throw SessionError(.invalidConfiguration, "retention must be between 5 minutes and 7 days.")
        }
        var options = LogOptions()
        options.retention = retention
        options.maximumSessions = maximumSessions
        options.maximumBytes = maximumBytes
        try self.init(redis, prefix: prefix, pepper: pepper, tombstone: tombstone, options: options)
    }

    init(
        _ redis: RedisClient,
        prefix: String,
        pepper: [UInt8]? = nil,
        tombstone: Duration = .seconds(300),
        options: LogOptions
    ) throws(SessionError) {
        guard (.seconds(1) ... .seconds(86_400)).contains(tombstone) else {
            throw SessionError(.invalidConfiguration, "tombstone must be between 1 s and 1 day.")
        }
        guard options.maximumSessions > 0, options.maximumBytes > 0 else {
            throw SessionError(.invalidConfiguration, "maximumSessions and maximumBytes must be above zero.")
        }
        self.tombstone = tombstone
        digester = try RecordCrypto(pepper: pepper)
        log = ReplicationLog(
            redis,
            keys: try SessionKeys(prefix: prefix),
            crypto: digester,
            options: options
        )
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard let ticket = SessionToken(credential) else { return .absent(.malformed) }
        let digest = digester.digest(of: ticket)
        let freshness = try await log.refresh(for: ticket.version ?? 0)
        let (copy, now) = log.lookUp(ticket.id)
        switch copy?.session.status(of: digest, ticket.id, at: now) ?? .absent(.unknown) {
        case .absent(.unknown) where freshness == .cutOff:
            throw SessionError(
                .storeUnavailable,
                "Redis does not answer, and this instance does not know the session."
            )
        case .absent(let absence): return .absent(absence)
        case .live(let secretStatus):
            guard let copy else { return .absent(.unknown) }
            return record(copy.session, ticket, secretStatus, seen: copy.changed, at: now).map { .found($0) }
                ?? .absent(.unreadable)
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        let ticket = SessionToken()
        let stored = HashedDraft(draft, for: ticket, digester) { digester.seal(principal: $0, for: ticket) }
        try makeRoom(for: 1, bytes: SessionLimits.size(of: draft.attributes))
        let answer = try await log.append(.create(ticket.id, stored))
        return try commit(answer, ticket, by: ticket)
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        guard let ticket = SessionToken(record.credential) else { return .gone(.malformed) }
        let fresh = SessionToken(id: ticket.id)
        let digest = digester.digest(of: ticket)
        let stored = HashedChange(change, fresh: fresh, principal: record.principal, digester) {
            digester.seal(principal: $0, for: fresh)
        }
        let (copy, now) = log.lookUp(ticket.id)
        if var session = copy?.session, let changed = copy?.changed {
            switch session.status(of: digest, ticket.id, at: now) {
            // A session that ended here has ended on all instances.
            case .absent(.ended(let end)): return .gone(.ended(end))
            case .live(let secretStatus):
                // Versions only grow: the log would say the same.
                if change.needsVersion, session.version > record.version,
                    let record = self.record(session, ticket, secretStatus, seen: changed, at: now)
                {
                    return .conflict(record)
                }
                let before = session.size
                if (try? session.apply(stored, to: record.version, secretStatus: secretStatus, at: now))
                    != nil,
                    session.size > before
                {
                    try makeRoom(for: 0, bytes: session.size - before)
                }
            default: break
            }
        }
        let answer = try await log.append(
            .commit(ticket.id, digest: digest, version: record.version, stored)
        )
        return try commit(answer, ticket, by: fresh)
    }

    public func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential? {
        guard let ticket = SessionToken(record.credential) else { return nil }
        let entry = LogEntry.Content.touch(ticket.id, digest: digester.digest(of: ticket))
        // Only the retirement of an old secret must have happened when the response leaves; a moved deadline
        // need not.
        if record.hasPreviousSecret { _ = try await log.append(entry) } else { log.submit(entry) }
        return nil
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        guard let ticket = SessionToken(record.credential) else { return false }
        return try await count(.end(ticket.id, digest: digester.digest(of: ticket), tombstone: tombstone))
            == 1
    }

    public func check() async throws(SessionError) {
        guard try await log.refresh(for: 0, isStrict: true) == .fresh else {
            throw SessionError(.storeUnavailable, "Redis does not answer, or the log is being recovered.")
        }
    }

    // MARK: Private

    /// Appends an entry that ends sessions; returns how many it ended.
    func count(_ entry: LogEntry.Content) async throws(SessionError) -> Int {
        if case .ended(let count) = try await log.append(entry).outcome { count } else { 0 }
    }

    private func commit(_ answer: AppendResult, _ ticket: SessionToken, by fresh: SessionToken)
        throws(SessionError) -> SessionCommitResult
    {
        switch answer.outcome {
        case .stored(let session, let isRotated):
            let now = log.options.time(answer.position.instant)
            var next: SessionToken? = isRotated ? fresh : nil
            // An old secret is never sent again.
            if !isRotated,
                session.status(of: digester.digest(of: ticket), ticket.id, at: now) == .live(.current)
            {
                next = ticket
            }
            return .committed(
                id: ticket.id,
                version: session.version,
                credential: next?.seen(answer.position.version).credential,
                remaining: session.remaining(at: now)
            )
        case .conflict(let session, let secretStatus):
            let now = log.now
            return record(session, ticket, secretStatus, seen: answer.position, at: now).map { .conflict($0) }
                ?? .gone(.unreadable)
        case .gone(let absence): return .gone(absence)
        case .invalid(let error): throw error
        default:
            throw SessionError(.storeUnavailable, "The log answered in a form that the store does not use.")
        }
    }

    /// Returns nil when the principal was not encrypted by this application.
    private func record(
        _ session: RecordState,
        _ ticket: SessionToken,
        _ secretStatus: SecretStatus,
        seen position: LogPosition,
        at now: SessionInstant
    ) -> SessionRecord? {
        var principal: String?
        if let sealed = session.name(for: secretStatus) {
            principal = digester.openPrincipal(sealed, with: ticket)
            guard let principal, session.user == digester.digest(ofPrincipal: principal) else { return nil }
        }
        let isNews = secretStatus == .current && position.version > ticket.version ?? 0
        return session.record(
            ticket,
            secretStatus: secretStatus,
            principal: principal,
            at: now,
            reissue: isNews ? ticket.seen(position.version).credential : nil
        )
    }

    private func makeRoom(for sessions: Int, bytes: Int) throws(SessionError) {
        guard log.makeRoom(sessions: sessions, bytes: bytes) else {
            throw SessionError(
                .storeFull,
                "\(log.options.maximumSessions) sessions or \(log.options.maximumBytes) bytes are the limit."
            )
        }
    }
}
