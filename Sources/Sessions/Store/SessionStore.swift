// SPDX-License-Identifier: Apache-2.0

/// Where sessions are kept: the contract that all strategies fulfil.
///
/// `SessionStoreContract` in `SessionsTesting` checks these rules against a running store:
///
/// * **Absence is not an error.** Unknown, ended, expired, malformed and unreadable are results of `load`. An
///   error means that the store could not be asked or could not do it; nothing may be concluded about the
///   session then.
/// * **No identifier from a client is adopted.** Only `create` creates a record, under the ID in the draft or one
///   that the store draws, and never where there is one.
/// * **Create is not commit.** Neither falls back on the other. A commit changes a live record or nothing.
/// * **An end is final.** After `end` or a revocation no load, commit or touch revives the record, however
///   late.
/// * **Commits are conditional.** A record is changed only if it is alive *now*, the credential is valid
///   *now* and, where the change depends on what was read, the version is the one that was read. A change is
///   stored whole or not at all.
/// * **Touch extends a deadline.** It creates nothing, changes no attribute and never passes the absolute
///   deadline.
/// * **The store says what the cookie must carry.** `create`, `commit` and `touch` return a credential when
///   it changed. None of them ever returns a secret that was replaced.
/// * **Writes run to their end.** `create`, `commit` and `end` ignore the cancellation of the calling task (a
///   client that hangs up); the store's own deadline bounds them. A write that its caller was told had failed
///   does not happen after that deadline.
/// * **Everything stored expires.**
///
/// A store that keeps sessions in the cookie cannot know whether a credential is the newest one, and declares
/// which of these rules it does not keep: `SessionStoreContract.Guarantees`.
public protocol SessionStore: Sendable {
    /// Finds the session that a credential stands for. A malformed value costs no I/O.
    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult

    /// Creates a record under the ID of the draft, or a random one, and returns its credential.
    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult

    /// Applies a change to the record that was loaded.
    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult

    /// Ends a request that changed nothing: restarts the idle timeout if `isDue`, and costs no I/O otherwise.
    ///
    /// - Returns: what the cookie must carry from now on; nil when it stays as it is.
    func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential?

    /// Ends the session for good.
    func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult

    /// Returns when the store can serve, throws `.storeUnavailable` when it cannot. For readiness checks.
    func check() async throws(SessionError)

    /// Whether a credential may be longer than one cookie, so that `NAME.1` to `NAME.3` belong to the session,
    /// too: they are read with it, and deleted when they are left over.
    ///
    /// False by default. A wrapper returns what its stores return.
    var dividesCookie: Bool { get }

    /// Throws `.invalidConfiguration` when sessions cannot travel in this cookie. Called once, at start.
    func validate(for cookie: SessionCookie) throws(SessionError)
}

extension SessionStore {
    /// False.
    public var dividesCookie: Bool { false }

    /// Accepts every cookie.
    public func validate(for cookie: SessionCookie) throws(SessionError) {}
}

/// A store that knows which sessions a user has, and can end them.
///
/// Strategies without a server-side record do not conform, so what they cannot do does not compile.
public protocol SessionDirectory: SessionStore {
    /// Returns the live sessions of a user, most recently used first.
    ///
    /// All of them, perhaps without their attributes: for a store that keeps them at hand.
    func sessions(of principal: String) async throws(SessionError) -> [SessionSummary]

    /// Returns a page of the live sessions of a user.
    ///
    /// By default it is cut from `sessions(of:)`. A store that has to fetch sessions implements it, so that it fetches no
    /// attribute that is not asked for, and a wrapper, so that it passes the page on.
    func sessions(of principal: String, _ page: SessionPage) async throws(SessionError) -> [SessionSummary]

    /// Ends one session of a user. Returns false when the user has no such live session.
    func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool

    /// Ends all sessions of a user but one.
    ///
    /// A sign-in that runs at the same time is ended, or comes after it as a whole: then it is in the list
    /// for the next call (R28). One that names an instant (`notRevokedSince`) before this call is refused with
    /// `.gone(.ended(.revocation))`: what it relies on, a password for example, may be what was changed. The store
    /// remembers the call for `SessionPolicy.tombstone`, and compares durations: no two clocks have to agree.
    ///
    /// - Returns: how many live sessions were ended.
    func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int

    /// Ends a session by its ID alone, for theft policies.
    func revoke(_ id: SessionID) async throws(SessionError)

    /// Finds a session of a user without its credential, for jobs; `.absent(.unknown)` when it is not this user's.
    ///
    /// The record can be changed and ended, but a `commit` with a rotation throws `.unsupported`, no commit or touch
    /// extends its idle timeout, and no answer carries a credential.
    func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult
}

extension SessionDirectory {
    /// Cuts the page from all sessions.
    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        page.cut(from: try await sessions(of: principal))
    }

    /// Throws `.unsupported`: the sessions are kept where only their holder can change them.
    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        throw SessionError(.unsupported, "This store cannot change a session without its cookie.")
    }
}
