// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The session of one request, as its handler sees it.
///
/// Reading is a subscript. There is no subscript *setter*: `session[.cart].append(x)` would read, wait and
/// overwrite what another request stored in between, so it does not compile. Write with `set` (whatever was
/// there), `update` (read, modify, write; the closure runs again if another request committed first) or
/// `increment` (the store adds).
///
/// **Decide inside the closure.** Until the commit, another request may be faster: the closure then runs again, but
/// an `if` behind it and the text of the response do not. An error that the closure throws becomes the answer,
/// also at the commit. Where the handler needs the outcome, `updateNow`, `take` and `value(_:orCreate:)` commit at
/// once (see `Session+UpdateNow.swift`).
///
/// Nothing else is stored before the handler has returned. Then all its changes are committed at once, before the
/// response head is sent. A handler that throws commits nothing but a sign-out, unless `keepChangesOnError` was
/// called. After the commit the session is closed: every write throws `.closed`. No other method of this class costs
/// a round trip: loading has cost one, and the commit costs one if anything changed.
public final class Session: Sendable {
    private struct State {
        var work: UncommittedSession
        /// What the client holds: what it presented, or what the commit has issued.
        var credential: SessionCredential?
        var isClosed = false
        var keepsChangesOnError = false
        var isPassive = false
        /// Counts the writes, so that a write made outside of the lock notices another.
        var generation = 0

        func checkOpen() throws(SessionError) {
            guard isClosed else { return }
            throw SessionError(
                .closed,
                "The session was already committed; use SessionManager.amend to change it later."
            )
        }
    }

    private let state: Mutex<State>
    let coder: AttributeCoder
    let commits: CommitLoop
    /// When the store had answered, by this process' clock.
    private let loaded = ContinuousClock.now
    private let uses: SessionUses?
    private let use: SessionUse?

    /// Creates the session of a request, or of a job: `uses` keep it alive from `beginUse` on, or not if nil.
    init(
        _ load: SessionLoadResult?,
        credential: SessionCredential?,
        commits: CommitLoop,
        events: SessionEventSink,
        uses: SessionUses? = nil
    ) {
        let work = UncommittedSession(load)
        coder = AttributeCoder(id: work.record?.id, limits: commits.limits, events: events)
        self.commits = commits
        self.uses = uses
        use = work.record.map { SessionUse($0, in: commits.store) }
        state = Mutex(State(work: work, credential: work.record == nil ? nil : credential))
    }

    /// Reports about the session's client.
    var events: SessionEventSink { coder.events }

    deinit { endUse() }

    // MARK: Reading

    /// The value of an attribute as this request sees it, its own changes included; nil when there is none.
    ///
    /// After `update` that is what this request would store if no other one commits first. A stored value that does
    /// not decode as `Value` reads as nil, is reported as an event and stays stored.
    public subscript<Value>(key: SessionKey<Value>) -> Value? {
        get { read { $0.changes[key.name] }.flatMap { coder.decode(key, $0) } }
        @available(
            *,
            unavailable,
            message: "Assigning would lose what other requests store: use set, update or increment."
        )
        set { _ = newValue }
    }

    /// Whether the session has a value under this name, of whatever type.
    public func has<Value>(_ key: SessionKey<Value>) -> Bool { read { $0.changes[key.name] != nil } }

    /// The names of all attributes, sorted; without flash messages.
    public var names: [String] {
        read { $0.changes.attributes }.keys.filter { $0 != SessionKey<[String]>.flash.name }.sorted()
    }

    /// The signed-in user; nil for an anonymous session.
    public var principal: String? { read(\.principal) }

    /// The session's ID, safe to show and log; nil while nothing is stored and nothing is to be.
    ///
    /// In the request that makes the session, for example by a sign-in, it is known from the first change on. The
    /// record gets another one only if the commit finds the session of the request ended, or moves it to another store
    /// (`TieredSessionStore`, `DrainingSessionStore`); the event of the sign-in always has the right one.
    public var id: SessionID? { read(\.id) }

    /// How often the session was changed before this request; 0 while nothing is stored.
    public var version: Int { read { $0.record?.version ?? 0 } }

    /// The value of the session's cookie; nil while nothing is stored, and for a session that was loaded by its ID.
    ///
    /// For work that goes on after the response, with `SessionManager.withSession`: from the commit on, of a new
    /// session and after a sign-in, too. **A bearer secret:** it lets everyone in who has it. Do not store it in a
    /// queue or a log; for a signed-in user keep `id` and `principal` instead.
    public var credential: SessionCredential? { state.withLock { $0.credential } }

    // MARK: Writing

    /// Stores a value, whatever was there before.
    ///
    /// - Parameters:
    ///   - key: the attribute.
    ///   - value: its new value.
    /// - Throws: `.invalidValue` when the value does not encode, `.tooLarge` above `SessionLimits.bytes`,
    ///   `.closed` after the commit.
    public func set<Value>(_ key: SessionKey<Value>, _ value: Value) throws(SessionError) {
        try writeChecked(.set(key.name, try coder.encode(key, value)))
    }

    /// Removes an attribute; nothing happens when there is none.
    ///
    /// - Parameter key: the attribute.
    /// - Throws: `.closed` after the commit.
    public func remove<Value>(_ key: SessionKey<Value>) throws(SessionError) {
        try writeChecked(.remove(key.name))
    }

    /// Reads, modifies and writes an attribute without losing the update of another request.
    ///
    /// - Parameters:
    ///   - key: the attribute.
    ///   - change: runs now, so that the handler sees the effect, and again at the commit on the fresh value
    ///     if another request committed first. It must depend on its argument only: decide in it, and throw in it.
    ///     Leaving nil removes the attribute.
    /// - Throws: what `change` throws, `.invalidValue` also for a stored value that does not decode, `.tooLarge`,
    ///   `.closed`; at the commit what `change` throws then, and `.conflict` if other requests commit first every
    ///   time.
    public func update<Value>(
        _ key: SessionKey<Value>,
        _ change: @escaping @Sendable (inout Value?) throws -> Void
    ) throws {
        try write(.update(key.name) { [coder] bytes in try coder.update(key, bytes, change).0 })
    }

    /// Reads, modifies and writes an attribute, starting from `initial` when there is none; see `update(_:_:)`.
    public func update<Value>(
        _ key: SessionKey<Value>,
        default initial: Value,
        _ change: @escaping @Sendable (inout Value) throws -> Void
    ) throws {
        try update(key) { (value: inout Value?) in
            var present = value ?? initial
            try change(&present)
            value = present
        }
    }

    /// Lets the store add to a number that starts at 0; never conflicts.
    ///
    /// - Parameters:
    ///   - key: the attribute.
    ///   - amount: what to add; may be negative.
    /// - Throws: `.invalidValue` when the attribute is not an integer or would overflow (also at the commit),
    ///   `.closed`.
    public func increment(_ key: SessionKey<Int>, by amount: Int = 1) throws(SessionError) {
        try writeChecked(.increment(key.name, by: amount))
    }

    // MARK: Ending and renewing; for signing in see `Session+SignIn.swift`

    /// Ends the session on every server; nothing happens when there is none.
    ///
    /// What is written afterwards in the same request, for example a farewell flash message, goes into a new
    /// session.
    ///
    /// - Throws: `.closed` after the commit.
    public func signOut() throws(SessionError) {
        try state.withLock { state throws(SessionError) in
            try state.checkOpen()
            state.work.signOut()
            state.credential = nil
            state.generation += 1
        }
    }

    /// Replaces the secret with equal rights.
    ///
    /// Parallel requests with the old one go on for the policy's grace (R12). Nothing happens for a session
    /// that is not stored, and when the old secret was already replaced.
    ///
    /// - Throws: `.closed` after the commit.
    public func renew() throws(SessionError) { try writeChecked(.renew) }

    /// Commits what this request changes even if its handler throws.
    ///
    /// For what must survive an error, such as a count of failed sign-ins before a 401. Without it a handler that
    /// throws stores nothing; a sign-out takes effect in any case.
    ///
    /// - Throws: `.closed` after the commit.
    public func keepChangesOnError() throws(SessionError) {
        try state.withLock { state throws(SessionError) in
            try state.checkOpen()
            state.keepsChangesOnError = true
        }
    }

    /// Restarts the idle timeout now, for a body that is still sent when the handler has returned, or a job.
    ///
    /// At most one round trip; nothing happens for a session that is not stored. While a handler runs, this happens by
    /// itself whenever half of the idle timeout has passed, except for passive requests.
    ///
    /// - Throws: `.storeUnavailable`.
    public func keepAlive() async throws(SessionError) { try await use?.keepAlive() }

    // MARK: Inside

    /// Whether no part of the request counts as a use of the session.
    var isPassive: Bool {
        get { state.withLock { $0.isPassive } }
        set { state.withLock { $0.isPassive = newValue } }
    }

    /// Keeps the session from expiring until it is closed.
    func beginUse() { if let use { uses?.begin(use) } }

    private func endUse() { if let use { uses?.end(use) } }

    /// `update` for values that are taken in order to show them; see `keepUnshown`.
    func show<Value>(
        _ key: SessionKey<Value>,
        _ change: @escaping @Sendable (inout Value?) throws -> Void
    ) throws {
        try write(.show(key.name) { [coder] bytes in try coder.update(key, bytes, change).0 })
    }

    /// Applies an update to what is stored, and takes the result over, before anything else is committed.
    ///
    /// Where no other request can change the value, it is only recorded: in a session that is not stored yet, that
    /// lives in the cookie, or for an attribute that this request has set.
    func commit(_ update: @escaping PendingChanges.Update, of name: String) async throws {
        let (work, credential) = try state.withLock { state throws(SessionError) in
            try state.checkOpen()
            return (state.work, state.credential)
        }
        guard !work.isLate else { throw SessionError.sessionChanged }
        guard let record = work.record, record.residence == .server,
            let entries = work.changes.entries(dependentOn: name)
        else { return try mutate { try $0.changes.appendResult(of: update, name) } }
        let committed = try await commits.commit(
            update,
            of: name,
            after: entries,
            to: record,
            credential: credential,
            events: events
        )
        do { try mutate { try $0.settle(committed) } } catch let error as SessionError
            where error.code == .closed
        {
            // The response is on its way without this task; the update is stored all the same.
        }
    }

    /// Whether the attribute is as this request sees it: stored so, or to be stored so in any case.
    func isSettled(_ name: String) -> Bool { read { $0.changes.entries(dependentOn: name)?.isEmpty ?? true } }

    /// Whether the handler signed out, whatever there was to end.
    var isSignOut: Bool { read(\.isSignOut) }

    /// Puts messages back that were taken to be shown: the response shows nothing.
    ///
    /// - Throws: what the closures of updates throw.
    func keepUnshown() throws {
        var work = read { $0 }
        guard try work.keepUnshown() else { return }
        state.withLock { $0.work = work }
    }

    /// Takes no change from now on, if there is none to store.
    ///
    /// - Parameter policy: may want the secret renewed.
    /// - Returns: the record, and whether reading it was no use of the session; nil if there is something to store, to
    ///   end or to send, or no record.
    func closeUnchanged(_ policy: SessionPolicy) -> (record: SessionRecord, isPassive: Bool)? {
        let unchanged: (record: SessionRecord, isPassive: Bool)? = state.withLock { state in
            guard !state.work.isChanged, let record = state.work.record,
                !policy.isRenewalDue(record.times, now: record.now)
            else { return nil }
            state.isClosed = true
            return (record, state.isPassive)
        }
        guard let unchanged else { return nil }
        endUse()
        return (use?.kept(unchanged.record) ?? unchanged.record, unchanged.isPassive)
    }

    /// Takes no change from now on, and returns what was done.
    func close() -> UncommittedSession {
        endUse()
        return state.withLock { state in
            defer { state.work.changes.dropClosures() }
            state.isClosed = true
            if let use { state.work.keep(use) }
            state.work.isPassive = state.isPassive
            return state.work
        }
    }

    /// Takes no change from now on, and returns what must take effect although the handler failed; nil for nothing.
    func closeAfterFailure() -> UncommittedSession? {
        let keepsChanges = state.withLock { $0.keepsChangesOnError }
        var work = close()
        if keepsChanges { return work }
        guard work.isSignOut || work.unsent != nil else { return nil }
        work.dropChanges()
        return work
    }

    /// Records what a sign-in was called with.
    ///
    /// - Parameters:
    ///   - terms: limits of its own.
    ///   - since: by the clock of `now`, when the user's rights were checked.
    func noteSignIn(_ terms: SessionTerms?, since: SessionInstant?) {
        let clock = ContinuousClock.now
        let isStored = read { $0.record != nil }
        let age = since.map { now - $0 + (isStored ? clock - loaded : .zero) }
        state.withLock { state in
            state.work.signIn = .init(time: clock, terms: terms, checked: age.map { clock - $0 })
            state.generation += 1
        }
    }

    /// Whether the handler signed in or elevated the session: without a new secret that is not done.
    var isDecisive: Bool { read(\.changes.isDecisive) }

    /// Records the credential that the commit sends to the client.
    func committed(_ credential: SessionCredential) { state.withLock { $0.credential = credential } }

    /// Looks at the uncommitted session where it is; a copy of it costs more.
    func read<Result>(_ look: (borrowing UncommittedSession) -> Result) -> Result {
        state.withLock { look($0.work) }
    }

    /// Adds an entry to the pending changes.
    private func write(_ entry: PendingChanges.Entry) throws { try mutate { try $0.changes.append(entry) } }

    /// Changes the uncommitted session.
    ///
    /// Outside of the lock, because an update runs the application's code, which may read this session; if another
    /// task wrote in the meantime, `change` runs once more on the result.
    private func mutate(_ change: (inout UncommittedSession) throws -> Void) throws {
        for _ in 0..<100 {
            var (work, generation) = try state.withLock { state in
                try state.checkOpen()
                return (state.work, state.generation)
            }
            try change(&work)
            let isStored = try state.withLock { state in
                try state.checkOpen()
                guard state.generation == generation else { return false }
                state.work = work
                state.generation += 1
                return true
            }
            if isStored { return }
        }
        throw SessionError(
            .conflict,
            "Other tasks of this request write all the time, or the closure of an update writes itself."
        )
    }

    /// `write` for entries that run no code of the application: they can only fail with a `SessionError`.
    func writeChecked(_ entry: PendingChanges.Entry) throws(SessionError) {
        do {
            try state.withLock { state in
                try state.checkOpen()
                try state.work.changes.append(entry)
                state.generation += 1
            }
        } catch let error as SessionError { throw error } catch {
            throw SessionError(.invalidValue, "The value could not be changed.")
        }
    }
}
