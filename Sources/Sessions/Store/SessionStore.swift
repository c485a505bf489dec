// SPDX-License-Identifier: Apache-2.0

/// Where sessions are kept: the contract that all strategies fulfil.
///
/// The rules, which `SessionStoreContract` in `SessionsTesting` checks against a running store:
///
/// * **Absence is not an error.** Unknown, ended, expired, malformed and unreadable are answers of `load`.
///   Errors mean that the store could not be asked or could not do it, and then nothing may be concluded
///   about the session.
/// * **Nothing a client made up is adopted.** Only `create` makes a record, always under a name the store
///   draws itself.
/// * **Create is not commit.** Neither falls back on the other. A commit changes a live record or nothing.
/// * **An end is final.** After `end` or a revocation no load, commit or touch brings the record back,
///   however late it comes.
/// * **Commits are conditional.** A record is changed only if it is alive *now*, the credential holds *now*,
///   and, where the change depends on what was read, the version is still the one that was read. All of a
///   change is stored, or nothing.
/// * **Touch extends a deadline.** It creates nothing, changes no attribute, never passes the absolute
///   deadline, and may fail without anybody noticing.
/// * **Each answer may carry a new credential.** A store that keeps the session, or what a copy of it must
///   know, in the cookie hands out a new one with each change; the caller delivers it.
/// * **Writes run to their end.** `create`, `commit` and `end` are not interrupted by the cancellation of the
///   calling task (a browser that hangs up); the store's own deadline bounds them.
/// * **Everything stored expires.**
///
/// A store that keeps sessions in the cookie can not know that a credential is not the newest one, and says
/// which of this it can not keep: `SessionStoreContract.Guarantees`.
public protocol SessionStore: Sendable {
    /// Finds the session that a cookie value stands for. A malformed value costs no I/O.
    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult

    /// Makes a record under a fresh name and returns the credential for it.
    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult

    /// Applies a change to the record that was loaded.
    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult

    /// Restarts the idle timeout; if the presented credential is the current one, retires its predecessor.
    ///
    /// When `record.hasPreviousSecret` the call returns only after that took effect; otherwise it may return
    /// at once.
    ///
    /// - Returns: what the cookie must carry from now on; nil when it stays as it is.
    @discardableResult
    func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential?

    /// Ends the session. False when it was over already or the credential no longer holds: then nothing was
    /// changed.
    func end(_ record: SessionRecord) async throws(SessionError) -> Bool

    /// Returns when the store can serve, throws `.storeUnavailable` when it can not. For readiness checks.
    func check() async throws(SessionError)

    /// Whether changes to this session exist only in the credential that they are answered with.
    ///
    /// Then they need a response that can still carry a cookie: not a streaming body, not a job. False where
    /// it is not stated.
    func isHeldByClient(_ record: SessionRecord) -> Bool
}

extension SessionStore {
    /// False: the session is kept by a server.
    public func isHeldByClient(_ record: SessionRecord) -> Bool { false }
}

/// A store that knows which sessions a user has, and can end them.
///
/// Client-side strategies without a server-side record do not conform, so what they can not do does not
/// compile.
public protocol SessionDirectory: SessionStore {
    /// The live sessions of a user, most recently used first.
    func sessions(of principal: String) async throws(SessionError) -> [SessionSummary]

    /// Ends one session of a user. False when the user has no such live session.
    func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool

    /// Ends all sessions of a user but one. A sign-in that is on its way while it runs is ended, or comes
    /// after it as a whole: it is then in the list for the next call (R28).
    ///
    /// - Returns: how many live sessions were ended.
    func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int

    /// Ends a session by its name alone, for theft policies.
    func revoke(_ id: SessionID) async throws(SessionError)
}

/// The answer of `SessionStore.load`.
public enum SessionLoadResult: Sendable {
    /// The session is alive and the credential holds.
    case found(SessionRecord)
    /// There is no session for this credential.
    case absent(SessionAbsence)
}

/// Why there is no session for a credential.
public enum SessionAbsence: Hashable, Sendable {
    /// The value does not have the form of a credential. Decided without I/O.
    case malformed
    /// No such record: it expired, or never existed.
    case unknown
    /// The record was ended, and is remembered as such for a while.
    case ended(SessionEndReason)
    /// The record is alive but the secret is not, or no longer, its secret.
    ///
    /// - Parameter replay: the secret was once valid and came back after its grace: somebody may have a copy
    ///   (R16).
    case superseded(SessionID, replay: Bool)
    /// The credential was sealed for this form of cookie, but not with our key, or not for this cookie, or it
    /// was changed since.
    case forged
    /// The credential names a seal key that is not in the ring, perhaps no longer.
    case unknownKey
    /// The record is there but can not be used: wrong type, missing fields, no time to live, a future format.
    /// Left untouched.
    case unreadable
}

/// How a session was ended before its time.
public enum SessionEndReason: Hashable, Sendable {
    /// Its holder signed out.
    case signOut
    /// Somebody else ended it: another device of the user, an operator, a theft policy.
    case revocation
}

/// A session that is to be made.
public struct SessionDraft: Sendable {
    /// The encoded attributes.
    public var attributes: [String: [UInt8]]
    /// Who is signed in.
    public var principal: String?
    /// The time limits of the new record.
    public var policy: SessionPolicy

    /// Creates a draft.
    public init(attributes: [String: [UInt8]], principal: String? = nil, policy: SessionPolicy) {
        self.attributes = attributes
        self.principal = principal
        self.policy = policy
    }
}

/// Everything one request changes, applied at once.
public struct SessionChange: Sendable {
    /// What happens to one attribute.
    public enum Operation: Hashable, Sendable {
        /// The value becomes these bytes, whatever it was.
        case set([UInt8])
        /// The attribute goes, if it is there.
        case remove
        /// The store adds to the decimal number that is there, or to 0. `.invalidValue` if it is no number or
        /// would overflow.
        case increment(Int)
    }

    /// What happens to the credential.
    public enum Rotation: Hashable, Sendable {
        /// Nothing.
        case none
        /// A new secret with equal rights; the old one works for the policy's grace. Ignored unless the
        /// presented secret is the current one (R13).
        case renew
        /// A new secret, the old one is worth nothing at once; the lifetime restarts. All attributes but
        /// `keeping` are dropped first.
        case signIn(principal: String, keeping: Set<String>)
    }

    /// At most one operation for each attribute.
    ///
    /// Increments only on attributes that survive the rotation.
    public var operations: [String: Operation]
    /// Apply only if the record still has the version that was read.
    public var needsVersion: Bool
    /// Bytes that all attributes may have.
    ///
    /// The caller has checked this for the version that was read; a store whose record has
    /// changed since and might pass it answers `conflict`, so that the caller checks again.
    public var maximumBytes: Int
    /// What happens to the credential.
    public var rotation: Rotation
    /// The time limits for a sign-in, and the grace for a renewal.
    public var policy: SessionPolicy
    /// Whether a credential in the answer reaches the client.
    ///
    /// Not from a streaming body or a job: then only a store whose session is not `isHeldByClient` is asked.
    public var deliversCredential: Bool

    /// Creates a change.
    public init(
        operations: [String: Operation],
        needsVersion: Bool = false,
        rotation: Rotation = .none,
        policy: SessionPolicy,
        maximumBytes: Int = SessionLimits().bytes,
        deliversCredential: Bool = true
    ) {
        self.operations = operations
        self.needsVersion = needsVersion
        self.maximumBytes = maximumBytes
        self.rotation = rotation
        self.policy = policy
        self.deliversCredential = deliversCredential
    }
}

/// The answer of `SessionStore.create` and `commit`.
public enum SessionCommitResult: Sendable {
    /// All of it is stored.
    ///
    /// - Parameters:
    ///   - session ID: the record's name.
    ///   - version: the record's version after the change.
    ///   - credential: what the cookie must carry from now on; nil when it stays as it is.
    ///   - remaining: the time to the absolute deadline; the longest that a cookie may live.
    case committed(id: SessionID, version: Int, credential: SessionCredential?, remaining: Duration)
    /// Somebody else committed first; nothing was stored. The record as it is now.
    case conflict(SessionRecord)
    /// The session is over or the credential no longer holds; nothing was stored.
    case gone(SessionAbsence)
}
