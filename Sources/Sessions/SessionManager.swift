// SPDX-License-Identifier: Apache-2.0

public import Logging
import Synchronization

/// Joins a store, a policy and a cookie into sessions for HTTP requests.
///
/// One manager serves all requests of a process. Adapters open a `RequestSession` for each request; jobs and
/// WebSockets use `withSession`. Two managers that share a store accept each other's cookies: give each a
/// store of its own, under an application name of its own.
public final class SessionManager: Sendable {
    /// Where the sessions are kept.
    public let store: any SessionStore
    /// The expiry rules.
    public let policy: SessionPolicy
    /// The cookie's attributes.
    public let cookie: SessionCookie
    /// How much a session may hold.
    public let limits: SessionLimits
    let events: SessionEventSink
    let transport: TransportCheck
    private let commits: CommitLoop
    private let revocations = RecentRevocations()
    private let uses = SessionUses()

    /// Creates a manager and checks that its options fit together.
    ///
    /// - Parameters:
    ///   - store: where the sessions are kept.
    ///   - policy: the expiry rules; 30 minutes idle, 12 hours in all by default.
    ///   - cookie: the cookie; `__Host-session`, Secure, HttpOnly, SameSite=Lax by default.
    ///   - limits: how much one session may hold; 64 KiB by default.
    ///   - logger: gets one line for each event, at most ten of a kind about one session in a second, never a
    ///     secret. The metadata of the request's logger is added: see `RequestSession.init`.
    ///   - onEvent: gets every event.
    ///   - mayCreate: decides whether a session that does not exist yet may be stored, for example by a limit for each
    ///     `NewSession.client`; all may by default. Where it returns false nothing is stored and no cookie is sent: a
    ///     request with an unsafe method is answered 429 (`.creationRefused`), others keep their response.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        store: any SessionStore,
        policy: SessionPolicy = SessionPolicy(),
        cookie: SessionCookie = SessionCookie(),
        limits: SessionLimits = SessionLimits(),
        logger: Logger = Logger(label: "sessions"),
        onEvent: (@Sendable (SessionEvent) -> Void)? = nil,
        mayCreate: (@Sendable (NewSession) async -> Bool)? = nil
    ) throws(SessionError) {
        try policy.validate()
        try cookie.validate()
        try limits.validate()
        try store.validate(for: cookie)
        self.store = store
        self.policy = policy
        self.cookie = cookie
        self.limits = limits
        events = SessionEventSink(logger: logger, observer: onEvent)
        transport = TransportCheck(events: events)
        commits = CommitLoop(
            store: store,
            policy: policy,
            limits: limits,
            queue: CommitQueue(),
            mayCreate: mayCreate
        )
        if !cookie.isSecure {
            logger.warning(
                "the session cookie is not Secure: anyone on the network can take over sessions; development only"
            )
        }
    }

    // MARK: Outside of a request

    /// Loads a session outside of a request (a WebSocket, a job), runs `body` and commits.
    ///
    /// Two round trips. For a user's session prefer `withSession(_:of:_:)`, which needs no secret. No cookie can be sent:
    /// signing in throws `.noSession` at the commit, a renewal does
    /// not happen; signing out works. A session that is kept in the cookie cannot be changed here: that
    /// throws `.unsupported`.
    ///
    /// - Parameters:
    ///   - credential: the value of the session cookie.
    ///   - body: reads and changes the session. Runs in the caller's isolation.
    /// - Returns: what `body` returns.
    /// - Throws: `.noSession` when there is no session for the credential, or it was over at the commit, so
    ///   that changes were not stored; what `body` throws, and then nothing is stored; store errors.
    public nonisolated(nonsending) func withSession<Result>(
        _ credential: SessionCredential,
        _ body: nonisolated(nonsending) (Session) async throws -> Result
    ) async throws -> Result {
        try await run(try await load(credential), body)
    }

    /// Loads a session of a user by its ID, runs `body` and commits: for jobs and webhooks that hold no secret.
    ///
    /// Two round trips. The session can be read, changed and ended. Signing in throws `.noSession` at the commit, a
    /// renewal does not happen, and the job does not count as a use of the session: its idle timeout runs on.
    ///
    /// - Parameters:
    ///   - id: the session, for example from `list(for:)`, or `Session.id` in an earlier request.
    ///   - principal: the user, as given to `signIn`. Another user's session is never touched.
    ///   - body: reads and changes the session. Runs in the caller's isolation.
    /// - Returns: what `body` returns.
    /// - Throws: `.noSession` when the user has no such live session, or it was over at the commit, so that changes
    ///   were not stored; `.unsupported` when the store cannot do this; what `body` throws, and then nothing is
    ///   stored; store errors.
    public nonisolated(nonsending) func withSession<Result>(
        _ id: SessionID,
        of principal: String,
        _ body: nonisolated(nonsending) (Session) async throws -> Result
    ) async throws -> Result {
        let principal = PrincipalName.normalized(principal)
        let load = try await administer { directory throws(SessionError) in
            try await directory.load(id, of: principal)
        }
        return try await run(Session(load, credential: nil, commits: commits, events: events), body)
    }

    /// Changes the session of a request whose response is already on its way, for example from a streaming
    /// body.
    ///
    /// Loads it afresh, runs `body`, commits; see `withSession`. Two round trips.
    ///
    /// - Parameters:
    ///   - session: the session of the request, committed by now.
    ///   - body: reads and changes the fresh session. Runs in the caller's isolation.
    /// - Returns: what `body` returns.
    /// - Throws: `.noSession` when nothing is stored for this client, and what `withSession` throws.
    public nonisolated(nonsending) func amend<Result>(
        _ session: Session,
        _ body: nonisolated(nonsending) (Session) async throws -> Result
    ) async throws -> Result {
        guard let credential = session.credential else {
            throw SessionError(.noSession, "There is no stored session to change.")
        }
        return try await withSession(credential, body)
    }

    // MARK: Administration

    // The names of users are compared in Unicode's Normalization Form C: see `PrincipalName`.

    /// Returns the live sessions of a user, most recently used first.
    ///
    /// Two round trips; with `RedisSessionStore` one more for each 256 sessions.
    ///
    /// - Parameters:
    ///   - principal: the user, as given to `signIn`.
    ///   - keys: the attributes that the entries show, for example `showing: .device, .lastPage`; no others are read.
    ///   - limit: how many entries there are at most; 100 by default, as many as `SessionPolicy` lets a user have.
    ///   - previous: the last entry of the page before; nil for the first page.
    /// - Returns: one entry for each session.
    /// - Throws: `.unsupported` when the store keeps no list, `.storeUnavailable`.
    public func list<each Value>(
        for principal: String,
        showing keys: repeat SessionKey<each Value>,
        limit: Int = 100,
        after previous: SessionSummary? = nil
    ) async throws(SessionError) -> [SessionSummary] {
        var names: Set<String> = []
        repeat _ = names.insert((each keys).name)
        return try await list(for: principal, SessionPage(names: names, limit: limit, after: previous))
    }

    /// The same for attributes that are known when the program runs.
    package func list(for principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        let principal = PrincipalName.normalized(principal)
        return try await administer { directory throws(SessionError) in
            try await directory.sessions(of: principal, page)
        }
    }

    /// Reads a session of a user; nil if the user has no such live session.
    package func record(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionRecord? {
        let principal = PrincipalName.normalized(principal)
        let load = try await administer { directory throws(SessionError) in
            try await directory.load(id, of: principal)
        }
        guard case .found(var record) = load else { return nil }
        record.times = policy.limited(record.times)
        return record.now < record.times.expiry ? record : nil
    }

    /// Ends one session of a user, on every server, before this returns.
    ///
    /// Two round trips. `SessionAcknowledgement.collect` tells how many copies have it, where the store waits for any.
    ///
    /// - Parameters:
    ///   - id: the session.
    ///   - principal: the user. Another user's session is never touched.
    /// - Returns: false when the user has no such live session.
    /// - Throws: `.unsupported`, `.storeUnavailable`.
    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        let principal = PrincipalName.normalized(principal)
        let isRevoked = try await administer(id, principal: principal) { directory throws(SessionError) in
            try await directory.revoke(id, of: principal)
        }
        revocations.note(principal)
        if isRevoked { events.emit(SessionEvent(.revoked, id, principal: principal)) }
        return isRevoked
    }

    /// Ends all sessions of a user, or all but one; see `SessionDirectory.revokeAll`.
    ///
    /// Two round trips. Sign-ins of other requests that began before are refused; a later `signIn` of the same request
    /// is not. `SessionAcknowledgement.collect` tells how many copies have it, where the store waits for any.
    ///
    /// - Parameters:
    ///   - principal: the user.
    ///   - kept: the session to spare, usually the one that asks.
    /// - Returns: how many were ended.
    /// - Throws: `.unsupported`, `.storeUnavailable`.
    @discardableResult
    public func revokeAll(of principal: String, except kept: SessionID? = nil) async throws(SessionError)
        -> Int
    {
        let principal = PrincipalName.normalized(principal)
        let count = try await administer(principal: principal) { directory throws(SessionError) in
            try await directory.revokeAll(of: principal, except: kept)
        }
        revocations.note(principal)
        if count > 0 {
            events.emit(
                SessionEvent(.revoked, detail: "sessions of one user: \(count)", principal: principal)
            )
        }
        return count
    }

    // MARK: Inside

    private nonisolated(nonsending) func run<Result>(
        _ session: Session,
        _ body: nonisolated(nonsending) (Session) async throws -> Result
    ) async throws -> Result {
        guard session.id != nil else { throw SessionError(.noSession, "There is no such session.") }
        session.beginUse()
        defer { _ = session.close() }
        let result = try await body(session)
        if case .dropped = try await commit(session, canSetCookie: false) {
            throw SessionError(.noSession, "The session is over; the changes were not stored.")
        }
        return result
    }

    /// Loads the session of a credential; an anonymous one when there is none.
    ///
    /// - Parameters:
    ///   - credential: what the client presented.
    ///   - events: reports about that client.
    /// - Returns: the session.
    /// - Throws: `.storeUnavailable`.
    func load(_ credential: SessionCredential, _ events: SessionEventSink? = nil) async throws(SessionError)
        -> Session
    {
        let events = events ?? self.events
        var load: SessionLoadResult
        do { load = try await store.load(credential) } catch {
            // A client that hung up has not shown that the store is down.
            if !Task.isCancelled { events.emit(SessionEvent(.storeFailed, detail: "load: \(error)")) }
            throw error
        }
        if case .found(var record) = load {
            record.times = policy.limited(record.times)
            load = record.now < record.times.expiry ? .found(record) : .absent(.unknown)
        }
        if case .absent(let absence) = load {
            events.emit(SessionEvent(absence: absence))
            // What was valid before the user signed in may have been planted, to have the session ended.
            if case .superseded(let id, let secret) = absence, secret.isReplay, secret.hadRights {
                try await endStolen(id, events)
            }
        }
        return Session(load, credential: credential, commits: commits, events: events, uses: uses)
    }

    /// Returns the session of a client without a credential.
    func anonymous(_ events: SessionEventSink) -> Session {
        Session(nil, credential: nil, commits: commits, events: events)
    }

    /// Closes a session and stores what the handler changed; see `CommitLoop.run`.
    ///
    /// After a failure of the handler only what must survive it is stored; nil when there is nothing.
    func commit(
        _ session: Session,
        canSetCookie: Bool,
        afterFailure: Bool = false,
        of request: RequestIdentity? = nil
    ) async throws -> CookieAction? {
        guard var work = afterFailure ? session.closeAfterFailure() : session.close() else { return nil }
        var mayFollowRevocation = false
        if let principal = work.principal, let signIn = work.signIn {
            mayFollowRevocation = revocations.wasNoted(principal, by: request, before: signIn.time)
            work.notRevokedSince = mayFollowRevocation ? nil : signIn.checked ?? request?.began
        }
        let action = try await session.commits.run(
            work,
            credential: session.credential,
            canSetCookie: canSetCookie,
            mayFollowRevocation: mayFollowRevocation,
            events: session.events
        )
        if case .send(let credential, _, _) = action { session.committed(credential) }
        return action
    }

    /// Closes a session that the handler only read, and restarts its idle timeout if that is due; nil for any other.
    func commitUnchanged(_ session: Session, canSetCookie: Bool) async -> CookieAction? {
        guard let (record, isPassive) = session.closeUnchanged(policy) else { return nil }
        let action = await commits.finish(
            record,
            isPassive: isPassive,
            canSetCookie: canSetCookie,
            events: session.events
        )
        if case .send(let credential, _, _) = action { session.committed(credential) }
        return action
    }

    private func endStolen(_ id: SessionID, _ events: SessionEventSink) async throws(SessionError) {
        guard policy.endsOnTheft, store is any SessionDirectory else { return }
        try await administer(id) { directory throws(SessionError) in try await directory.revoke(id) }
        events.emit(SessionEvent(.revoked, id, detail: "theft policy"))
    }

    private func administer<Answer>(
        _ id: SessionID? = nil,
        principal: String? = nil,
        _ operation: (any SessionDirectory) async throws(SessionError) -> Answer
    ) async throws(SessionError) -> Answer {
        guard let directory = store as? any SessionDirectory else {
            throw SessionError(.unsupported, "This store has no list of sessions.")
        }
        do throws(SessionError) {
            return try await events.watch(id, principal: principal) {
                () async throws(SessionError) in try await operation(directory)
            }
        } catch {
            events.emit(SessionEvent(.storeFailed, detail: "directory: \(error)"))
            throw error
        }
    }
}
