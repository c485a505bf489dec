// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
public import Logging
import Synchronization

/// Joins a store, a policy and a cookie into sessions for HTTP requests: open → handler → commit.
///
/// The only orchestration.
///
/// Knows no framework: an adapter calls `open` with the request's header fields and `RequestSession.close`
/// with the response's. One manager serves all requests of a process; two managers with different cookie
/// names do not touch each other.
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
    private let gate = CommitQueue()
    /// How often one request tries to commit a change that depends on what it read.
    ///
    /// Behind the gate one request of each process competes, and first attempts; the chance to lose that
    /// often against two processes is below one in 10^11.
    private static let attempts = 64

    /// Creates a manager and checks that its options fit together.
    ///
    /// - Parameters:
    ///   - store: where the sessions are kept.
    ///   - policy: the expiry rules; 30 minutes idle, 12 hours in all by default.
    ///   - cookie: the cookie; `__Host-session`, Secure, HttpOnly, SameSite=Lax by default.
    ///   - limits: how much one session may hold; 64 KiB by default.
    ///   - logger: gets one line for each event, at most ten of a kind in a second, never a secret.
    ///   - onEvent: gets every event.
    /// - Throws: `.invalidConfiguration`, with a sentence that names the mend.
    public init(
        store: any SessionStore,
        policy: SessionPolicy = SessionPolicy(),
        cookie: SessionCookie = SessionCookie(),
        limits: SessionLimits = SessionLimits(),
        logger: Logger = Logger(label: "sessions"),
        onEvent: (@Sendable (SessionEvent) -> Void)? = nil
    ) throws(SessionError) {
        try policy.validate()
        try cookie.validate()
        try limits.validate()
        if let bound = (store as? any CookieKeeping)?.cookieNames, !bound.isSubset(of: [cookie.name]) {
            throw SessionError(
                .invalidConfiguration,
                "The store seals sessions for another cookie than the manager's; give both the same SessionCookie."
            )
        }
        self.store = store
        self.policy = policy
        self.cookie = cookie
        self.limits = limits
        events = SessionEventSink(logger: logger, observer: onEvent)
        if !cookie.isSecure {
            logger.warning(
                "the session cookie is not Secure: anybody on the network can take sessions over; for development only"
            )
        }
    }

    /// Starts one exchange.
    ///
    /// Reads the cookie and nothing else: no I/O until the handler asks for the session.
    public func open(_ request: HTTPFields) -> RequestSession { RequestSession(request, manager: self) }

    /// Loads a session outside a request (a WebSocket, a job), runs `body` and commits.
    ///
    /// Two round trips. No cookie can be sent here: signing in throws `.noSession` at the commit, a renewal
    /// does not happen; signing out works. What is kept in the cookie can neither be changed nor ended here:
    /// that throws `.unsupported`.
    ///
    /// - Throws: `.noSession` when the credential stands for none; what `body` throws; store errors.
    public func withSession<Result>(_ credential: SessionCredential, _ body: (Session) async throws -> Result)
        async throws -> Result
    {
        let load = try await load(credential)
        guard case .found = load else {
            throw SessionError(.noSession, "There is no session for this credential.")
        }
        let session = Session(load, manager: self)
        defer { session.state.withLock { $0.isClosed = true } }
        let result = try await body(session)
        if try await commit(session, canSetCookie: false) == .dropped {
            throw SessionError(.noSession, "The session ended meanwhile; nothing was stored.")
        }
        return result
    }

    // MARK: Inside

    /// What the response must do about the cookie.
    enum Delivery: Equatable {
        case keep
        case send(String, remaining: Duration)
        case delete
        case dropped
    }

    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        let load: SessionLoadResult
        do { load = try await store.load(credential) } catch {
            // A client that hung up has not shown that the store is down.
            if !Task.isCancelled { events.emit(.storeFailed, nil, detail: "load: \(error)") }
            throw error
        }
        switch load {
        case .found(let record) where record.hasPreviousSecret && record.secretStatus == .current:
            await touch(record)
        case .found: break
        case .absent(.malformed): events.emit(.malformed)
        case .absent(.unknown): events.emit(.unknown)
        case .absent(.forged): events.emit(.forged)
        case .absent(.unknownKey): events.emit(.unknownKey)
        case .absent(.ended): events.emit(.ended)
        case .absent(.unreadable): events.emit(.unreadable)
        case .absent(.superseded(let id, replay: false)): events.emit(.superseded, id)
        case .absent(.superseded(let id, replay: true)):
            events.emit(.replayed, id)
            if policy.endsOnTheft, let directory = store as? any SessionDirectory {
                try await directory.revoke(id)
                events.emit(.revoked, id, detail: "theft policy")
            }
        }
        return load
    }

    /// Stores what the handler did.
    ///
    /// Runs to its end even if the client has gone.
    ///
    /// - Parameter canSetCookie: false when the response can carry none (1xx, 304, already sent): then no
    ///   session is made and no secret replaced, because nobody would learn of it.
    func commit(_ session: Session, canSetCookie: Bool) async throws -> Delivery {
        var state = session.state.withLock { state in
            state.isClosed = true
            return state
        }
        do {
            var isEnded = false
            if let record = state.ending {
                guard canSetCookie || (store as? any CookieKeeping)?.endsWithItsCookie(record) != true else {
                    throw SessionError(
                        .unsupported,
                        "The session is kept in the cookie, and nothing can delete it here; it was not ended."
                    )
                }
                isEnded = try await store.end(record)
                if isEnded { events.emit(.signedOut, record.id) }
            }
            let delivery = try await commit(&state, canSetCookie: canSetCookie)
            if case .send(let value, _) = delivery { state.issued = SessionCredential(value) }
            let final = state
            session.state.withLock { $0 = final }
            return delivery == .keep && isEnded ? .delete : delivery
        } catch let error as SessionError {
            let isOutage = [.storeUnavailable, .storeFull].contains(error.code)
            events.emit(isOutage ? .storeFailed : .refused, state.record?.id, detail: "commit: \(error)")
            throw error
        }
    }

    private func commit(_ state: inout Session.State, canSetCookie: Bool) async throws -> Delivery {
        var gated: SessionID?
        defer { if let gated { gate.leave(gated) } }
        for _ in 0..<Self.attempts {
            guard let record = state.record else {
                return try await create(&state, canSetCookie: canSetCookie)
            }
            guard let change = try change(for: state, record, canSetCookie: canSetCookie) else {
                return await use(record, canSetCookie: canSetCookie)
            }
            switch try await store.commit(change, to: record) {
            case .committed(let id, _, let credential, let remaining):
                if credential != nil, state.journal.isSignIn { events.emit(.signedIn, id) }
                if credential != nil, change.rotation == .renew { events.emit(.renewed, id) }
                guard let credential = credential ?? record.reissue else { return .keep }
                return .send(credential.value, remaining: remaining)
            case .conflict(let fresh):
                if gated == nil {
                    await gate.enter(record.id)
                    gated = record.id
                }
                state.record = fresh
                state.journal = try state.journal.replayed(on: fresh.attributes)
            case .gone(let absence):
                // Over meanwhile. A sign-in starts afresh; anything else must not come back to life.
                if case .superseded = absence { state.isSuperseded = true }
                // A sign-in that was overtaken by the end of all the user's sessions is ended with them
                // (R28).
                guard state.journal.isSignIn, absence != .ended(.revocation) else {
                    events.emit(.dropped, record.id)
                    return .dropped
                }
                state.record = nil
                state.journal = try state.journal.replayed(on: [:])
            }
        }
        throw SessionError(
            .conflict,
            "Others changed the session at the same time, again and again; nothing was stored."
        )
    }

    private func change(for state: Session.State, _ record: SessionRecord, canSetCookie: Bool)
        throws(SessionError) -> SessionChange?
    {
        var rotation = state.journal.rotation
        if rotation == .none, policy.isRenewalDue(record) { rotation = .renew }
        if rotation != .none, !canSetCookie {
            guard !state.journal.isSignIn else {
                throw SessionError(.noSession, "Signing in needs a response that can carry a cookie.")
            }
            rotation = .none
        }
        guard !state.journal.operations.isEmpty || rotation != .none else { return nil }
        guard canSetCookie || !store.isHeldByClient(record) else {
            throw SessionError(
                .unsupported,
                "The session is kept in the cookie, and nothing can carry a new one here; nothing was changed."
            )
        }
        if !state.journal.operations.isEmpty {
            try limits.check(state.journal.attributes, replacing: record.attributes)
        }
        return SessionChange(
            operations: state.journal.operations,
            needsVersion: state.journal.dependsOnBase,
            rotation: rotation,
            policy: policy,
            maximumBytes: limits.bytes,
            deliversCredential: canSetCookie
        )
    }

    private func create(_ state: inout Session.State, canSetCookie: Bool) async throws -> Delivery {
        let attributes = state.journal.attributes
        guard !attributes.isEmpty || state.journal.isSignIn else { return .keep }
        guard canSetCookie, !state.isSuperseded || state.journal.isSignIn else {
            events.emit(.dropped)
            return .dropped
        }
        try limits.check(attributes, replacing: [:])
        var draft = SessionDraft(attributes: attributes, policy: policy)
        if case .signIn(let principal, _) = state.journal.rotation { draft.principal = principal }
        guard case .committed(let id, _, let credential?, let remaining) = try await store.create(draft)
        else {
            // A revocation of all the user's sessions overtook the sign-in.
            events.emit(.dropped)
            return .dropped
        }
        events.emit(draft.principal == nil ? .created : .signedIn, id)
        return .send(credential.value, remaining: remaining)
    }

    /// Ends a request that changed nothing.
    private func use(_ record: SessionRecord, canSetCookie: Bool) async -> Delivery {
        var credential = record.reissue
        if policy.isTouchDue(record, jitter: .random(in: 0..<1)),
            canSetCookie || !store.isHeldByClient(record)
        {
            credential = await touch(record) ?? credential
        }
        guard let credential, canSetCookie else { return .keep }
        return .send(credential.value, remaining: record.deadline - record.now)
    }

    @discardableResult
    private func touch(_ record: SessionRecord) async -> SessionCredential? {
        do { return try await store.touch(record) } catch {
            events.emit(.touchFailed, record.id, detail: "\(error)")
            return nil
        }
    }
}
