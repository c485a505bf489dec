// SPDX-License-Identifier: Apache-2.0

/// Stores what a handler changed: carries out the steps that a `CommitAttempt` decides on.
final class CommitLoop: Sendable {
    let store: any SessionStore
    let policy: SessionPolicy
    let limits: SessionLimits
    let queue: CommitQueue
    private let mayCreate: (@Sendable (NewSession) async -> Bool)?

    init(
        store: any SessionStore,
        policy: SessionPolicy,
        limits: SessionLimits,
        queue: CommitQueue,
        mayCreate: (@Sendable (NewSession) async -> Bool)? = nil
    ) {
        self.store = store
        self.policy = policy
        self.limits = limits
        self.queue = queue
        self.mayCreate = mayCreate
    }

    /// Commits and returns what the response must do about the cookie.
    ///
    /// No round trip without changes, but one when a touch is due; one with changes, and one more for each
    /// conflict; one for a sign-out. Changes that depend on what was read are committed together with those of
    /// other requests of this process. Not interrupted by cancellation.
    ///
    /// - Parameters:
    ///   - work: what the handler changed.
    ///   - credential: what the client presented, if the session was loaded.
    ///   - canSetCookie: false when the response cannot carry a cookie (1xx, 304, already sent).
    ///   - mayFollowRevocation: whether a sign-in came after the revocation that ended the session.
    ///   - events: reports about the client.
    /// - Returns: what to do about the cookie.
    /// - Throws: `.storeUnavailable`, `.conflict`, `.tooLarge`, `.invalidValue`, `.unsupported`, `.creationRefused`,
    ///   `.noSession`, and what the closures of the handler's updates throw.
    func run(
        _ work: UncommittedSession,
        credential: SessionCredential?,
        canSetCookie: Bool,
        mayFollowRevocation: Bool,
        events: SessionEventSink
    ) async throws -> CookieAction {
        var attempt = CommitAttempt(
            work,
            policy: policy,
            limits: limits,
            canSetCookie: canSetCookie,
            mayFollowRevocation: mayFollowRevocation
        )
        do {
            var step = try attempt.started(jitter: .random(in: 0..<1))
            while true {
                attempt.takeEvents().forEach(events.emit)
                switch step {
                case .end(let record):
                    let answer = try await events.watch(record.id, principal: record.principal) {
                        () async throws(SessionError) in try await store.end(record)
                    }
                    step = try attempt.ended(answer)
                case .create(let draft):
                    if let mayCreate, await !mayCreate(NewSession(draft, client: events.client)) {
                        throw SessionError(
                            .creationRefused,
                            "The application lets this client make no session."
                        )
                    }
                    step = attempt.created(try await store.create(draft, reportingTo: events))
                case .commit(let change, let record):
                    step = try attempt.answered(
                        try await store.commit(change, to: record, reportingTo: events)
                    )
                case .commitInTurn(let changes, let change, let record):
                    let (answer, isShared, _) = try await CombinedCommit(
                        store: store,
                        limits: limits,
                        queue: queue,
                        events: events
                    )
                    .run(
                        CommitQueue.Member(changes, change),
                        to: record,
                        in: CommitQueue.Line(record, credential)
                    )
                    step = try attempt.answered(answer, isShared: isShared)
                case .touch(let record, let isDue):
                    step = attempt.touched(await touch(record, isDue: isDue, events))
                case .finish(let action): return action
                }
            }
        } catch {
            attempt.takeEvents().forEach(events.emit)
            report(error, attempt.id, events)
            throw error
        }
    }

    /// Ends a request that changed nothing: what `run` comes to then, without a copy of the session.
    ///
    /// One round trip when a touch is due, none otherwise.
    ///
    /// - Parameters:
    ///   - record: the session as it was read.
    ///   - isPassive: whether the request was no use of the session.
    ///   - canSetCookie: false when the response cannot carry a cookie.
    ///   - events: reports about the client.
    /// - Returns: what to do about the cookie.
    func finish(
        _ record: SessionRecord,
        isPassive: Bool,
        canSetCookie: Bool,
        events: SessionEventSink
    ) async -> CookieAction {
        guard canSetCookie || record.residence == .server else { return .keep }
        let isDue =
            !isPassive && policy.isTouchDue(record.times, now: record.now, jitter: .random(in: 0..<1))
        guard let credential = await touch(record, isDue: isDue, events), canSetCookie else { return .keep }
        return .send(
            credential,
            remaining: record.times.deadline - record.now,
            record.times.persistence
        )
    }

    /// Reports why nothing was committed, unless the reason is the application's own.
    func report(_ error: any Error, _ id: SessionID?, _ events: SessionEventSink) {
        guard let error = error as? SessionError, error.code != .sessionChanged else { return }
        let isOutage = [.storeUnavailable, .storeFull].contains(error.code)
        events.emit(SessionEvent(isOutage ? .storeFailed : .refused, id, detail: "commit: \(error)"))
    }

    /// Touches the session; a failure is reported as an event and does not fail the request.
    private func touch(
        _ record: SessionRecord,
        isDue: Bool,
        _ events: SessionEventSink
    ) async -> SessionCredential? {
        do { return try await store.touch(record, isDue: isDue) } catch {
            events.emit(SessionEvent(.touchFailed, record.id, detail: "\(error)"))
            return nil
        }
    }
}

/// What the response must do about the session cookie; nothing where it cannot carry one.
enum CookieAction: Sendable {
    case keep
    /// - Parameter persistence: what the sign-in chose; nil for the manager's cookie as it is.
    case send(SessionCredential, remaining: Duration, CookiePersistence?)
    case delete
    /// The cookie stands for no session any more; nobody asked to end one.
    case deleteDead
    /// The changes were not stored because the session is over; the cookie stays as it is.
    case dropped
}

/// The decisions of one commit, as a state machine without I/O.
struct CommitAttempt: Sendable {
    /// What to do next.
    enum Step: Sendable {
        case end(SessionRecord)
        case create(SessionDraft)
        case commit(SessionChange, to: SessionRecord)
        /// Commit a change that depends on what was read, alone or together with others.
        case commitInTurn(PendingChanges, SessionChange, to: SessionRecord)
        case touch(SessionRecord, isDue: Bool)
        case finish(CookieAction)
    }

    private var work: UncommittedSession
    private let policy: SessionPolicy
    private let limits: SessionLimits
    private let canSetCookie: Bool
    /// Whether the sign-in came after the last end of all the user's sessions that this process knows of.
    private let mayFollowRevocation: Bool
    private var jitter: @Sendable () -> Double = { 0 }
    private var attempts = 0
    /// Whether the cookie is to be deleted, if no other is sent.
    private var deletesCookie = false
    private var rotation = SessionChange.Rotation.none
    private var events: [SessionEvent] = []

    init(
        _ work: UncommittedSession,
        policy: SessionPolicy,
        limits: SessionLimits,
        canSetCookie: Bool,
        mayFollowRevocation: Bool = false
    ) {
        self.work = work
        self.mayFollowRevocation = mayFollowRevocation
        self.policy = policy
        self.limits = limits
        self.canSetCookie = canSetCookie
    }

    /// The session that the attempt is about; nil for a new one.
    var id: SessionID? { work.record?.id ?? work.signedOut?.id }

    /// Returns the events since the last call.
    mutating func takeEvents() -> [SessionEvent] {
        defer { events = [] }
        return events
    }

    /// Returns the first step; for `jitter` see `SessionPolicy.isTouchDue`.
    mutating func started(jitter: @autoclosure @escaping @Sendable () -> Double) throws -> Step {
        self.jitter = jitter
        guard let record = work.signedOut else {
            // Nothing of this client is alive, or there is a newer cookie on its way, whose session must not go on.
            if work.isSignOut, let absence = work.absence {
                if absence.isLate { return drop() }
                deletesCookie = true
            }
            return try next()
        }
        guard canSetCookie || record.residence != .cookie else { throw unsupported("it was not ended") }
        return .end(record)
    }

    mutating func ended(_ result: SessionEndResult) throws -> Step {
        switch result {
        case .ended: emit(.signedOut, work.signedOut?.id)
        case .gone(.superseded), .gone(.wrongSecret), .gone(.unreadable): return drop()
        case .gone: break
        }
        deletesCookie = true
        return try next()
    }

    /// Takes the store's answer; one that another request of this process got too is shared, and reported there.
    mutating func answered(_ result: SessionCommitResult, isShared: Bool = false) throws -> Step {
        switch result {
        case .committed(let id, _, let credential, let remaining):
            guard let credential, canSetCookie else { return keep() }
            if work.changes.isSignIn { emit(.signedIn, id) }
            if rotation == .elevate { emit(.elevated, id) }
            if rotation == .renew, !isShared { emit(.renewed, id) }
            return send(credential, remaining: remaining)
        case .conflict(let fresh):
            attempts += 1
            guard attempts < CombinedCommit.limit else {
                throw SessionError(
                    .conflict,
                    "Other requests changed the session \(attempts) times in a row; nothing was stored."
                )
            }
            try work.replay(on: fresh)
            return try next()
        case .gone(let absence):
            // A sign-in starts a new session, unless the end of all the user's sessions overtook it (R28).
            // Nothing else may revive the session.
            guard work.changes.isSignIn, absence != .ended(.revocation) || mayFollowRevocation else {
                return drop()
            }
            // This request has read the attributes with a valid secret: another sign-in was only faster.
            let isReplaced =
                switch absence {
                case .superseded, .wrongSecret: true
                default: false
                }
            try work.replayOnNew(from: isReplaced ? work.record?.attributes ?? [:] : [:])
            return try next()
        }
    }

    mutating func created(_ result: SessionCommitResult) -> Step {
        // Anything else: a revocation of all the user's sessions overtook the sign-in.
        guard case .committed(let id, _, let credential?, let remaining) = result else { return drop() }
        emit(work.changes.isSignIn ? .signedIn : .created, id)
        return send(credential, remaining: remaining)
    }

    mutating func touched(_ credential: SessionCredential?) -> Step {
        guard work.unsent == nil, let credential, canSetCookie, let record = work.record else {
            return keep()
        }
        return send(credential, remaining: record.times.deadline - record.now)
    }

    private func send(_ credential: SessionCredential, remaining: Duration) -> Step {
        .finish(.send(credential, remaining: remaining, work.persistence))
    }

    private mutating func next() throws -> Step {
        guard let record = work.record else { return try create() }
        rotation = try rotation(of: record)
        let operations = work.changes.operations
        guard !operations.isEmpty || rotation != .none else { return touch(record) }
        guard canSetCookie || record.residence == .server else { throw unsupported("it was not changed") }
        if !operations.isEmpty, !limits.allow(work.changes.bound) {
            try limits.check(work.changes.attributes, replacing: record.attributes)
        }
        var change = SessionChange(
            operations: operations,
            needsVersion: work.changes.dependsOnBase,
            rotation: rotation,
            policy: work.policy(policy),
            persistence: work.persistence,
            notRevokedSince: work.notRevokedSince,
            maximumBytes: limits.bytes,
            idleTimeout: policy.idleTimeout(after: operations, on: record)
        )
        change.policy.renewalGrace = policy.grace
        // A secret that is invalid at once must not be replaced for other requests, too.
        let isInTurn = change.needsVersion && !work.changes.isDecisive && record.residence == .server
        return isInTurn ? .commitInTurn(work.changes, change, to: record) : .commit(change, to: record)
    }

    private func rotation(of record: SessionRecord) throws(SessionError) -> SessionChange.Rotation {
        guard canSetCookie else {
            // A secret that cannot be sent must not be replaced.
            guard work.changes.isDecisive else { return .none }
            throw SessionError(.noSession, "A new secret needs a response that can carry a cookie.")
        }
        guard work.changes.rotation == .none, record.secretStatus == .current,
            policy.isRenewalDue(record.times, now: record.now)
        else { return work.changes.rotation }
        return .renew
    }

    private mutating func create() throws -> Step {
        let attributes = work.changes.attributes
        guard !attributes.isEmpty || work.changes.isSignIn else {
            let isLost = !work.changes.operations.isEmpty || work.changes.isDecisive
            if work.absence?.isLate == true, isLost { return drop() }
            guard canSetCookie else { return .finish(.keep) }
            if deletesCookie { return .finish(.delete) }
            return work.absence?.isFinal == true ? .finish(.deleteDead) : keep()
        }
        guard canSetCookie, !work.isLate else { return drop() }
        try limits.check(attributes, replacing: [:])
        return .create(work.draft(policy))
    }

    private func touch(_ record: SessionRecord) -> Step {
        guard canSetCookie || record.residence == .server else { return .finish(.keep) }
        let isDue = !work.isPassive && policy.isTouchDue(record.times, now: record.now, jitter: jitter())
        return .touch(record, isDue: isDue)
    }

    /// Gives the changes up; a renewal that only the policy asked for is not one.
    private mutating func drop() -> Step {
        guard !work.changes.isEmpty || work.isSignOut else { return keep() }
        emit(.dropped, work.record?.id)
        return .finish(.dropped)
    }

    /// Leaves the cookie as it is, or sends what a commit during the request has issued.
    private func keep() -> Step {
        guard let unsent = work.unsent, canSetCookie else { return .finish(.keep) }
        return send(unsent.credential, remaining: unsent.remaining)
    }

    private func unsupported(_ outcome: String) -> SessionError {
        SessionError(
            .unsupported,
            "The session is kept in the cookie, and this response cannot carry one; \(outcome)."
        )
    }

    private mutating func emit(_ kind: SessionEvent.Kind, _ id: SessionID?) {
        let principal = kind == .signedOut ? work.signedOut?.principal : work.principal
        events.append(SessionEvent(kind, id, principal: principal))
    }
}
