// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`, `SessionDirectory`.
/// Visitors who are not signed in have a sealed cookie; who signs in, or collects too much, gets a record in
/// another store.
///
/// Bots and passers-by cost the backing nothing: no command, no byte. What matters, a session with rights,
/// has all the guarantees of the backing. At the sign-in the attributes that are kept move along, under a new
/// session ID. A sealed cookie never stands for a user here. What an anonymous visitor has keeps the limits
/// of `SealedSessionStore`: old cookies roll back, and of two parallel writes the response that arrives last
/// wins; a late one can also put the anonymous cookie back over that of a sign-in, which shows as being
/// signed out. An anonymous cookie that somebody kept can be opened until its deadline, without any rights.
public struct TieredSessionStore: SessionDirectory, CookieKeeping {
    private let anonymous: SealedSessionStore
    private let backing: any SessionDirectory
    private let spillAbove: Int

    /// Creates a store.
    ///
    /// - Parameters:
    ///   - anonymous: seals the sessions of visitors.
    ///   - signedIn: keeps those of users.
    ///   - spillAbove: the longest cookie value of an anonymous session; a longer one moves to the backing.
    ///     256 to 8,000 bytes, 3,000 by default.
    /// - Throws: `.invalidConfiguration`.
    public init(anonymous: SealedSessionStore, signedIn backing: any SessionDirectory, spillAbove: Int = 3000)
        throws(SessionError)
    {
        guard (256...8000).contains(spillAbove) else {
            throw SessionError(.invalidConfiguration, "spillAbove must be between 256 and 8000 bytes.")
        }
        self.anonymous = anonymous
        self.backing = backing
        self.spillAbove = spillAbove
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard isSealed(credential) else { return try await backing.load(credential) }
        let load = try await anonymous.load(credential)
        // Sealed by a site that kept its users like that; a `MigratingSessionStore` takes them over.
        if case .found(let record) = load, record.principal != nil { return .absent(.unknown) }
        return load
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        guard draft.principal == nil else { return try await backing.create(draft) }
        do { return try anonymous.create(draft, within: spillAbove) } catch {
            guard error.code == .tooLarge else { throw error }
            return try await backing.create(draft)
        }
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        guard isSealed(record.credential) else { return try await backing.commit(change, to: record) }
        let current: SessionRecord
        switch try await load(record.credential) {
        case .absent(let absence): return .gone(absence)
        case .found(let found): current = found
        }
        var draft = SessionDraft(
            attributes: try change.applied(to: current.attributes),
            policy: change.policy
        )
        if case .signIn(let principal, _) = change.rotation {
            draft.principal = principal
            return try await backing.create(draft)
        }
        do { return try anonymous.commit(change, to: record, within: spillAbove) } catch {
            guard error.code == .tooLarge else { throw error }
            draft.policy.idleTimeout = current.idleTimeout
            draft.policy.lifetime = current.deadline - current.now
            return try await backing.create(draft)
        }
    }

    public func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential? {
        isSealed(record.credential) ? try await anonymous.touch(record) : try await backing.touch(record)
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        isSealed(record.credential) ? try await anonymous.end(record) : try await backing.end(record)
    }

    public func check() async throws(SessionError) { try await backing.check() }

    public func isHeldByClient(_ record: SessionRecord) -> Bool {
        isSealed(record.credential) || backing.isHeldByClient(record)
    }

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await backing.sessions(of: principal)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await backing.revoke(id, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await backing.revokeAll(of: principal, except: kept)
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await backing.revoke(id)
    }

    package var cookieNames: Set<String> {
        anonymous.cookieNames.union((backing as? any CookieKeeping)?.cookieNames ?? [])
    }

    package func endsWithItsCookie(_ record: SessionRecord) -> Bool {
        isSealed(record.credential) || (backing as? any CookieKeeping)?.endsWithItsCookie(record) == true
    }

    private func isSealed(_ credential: SessionCredential) -> Bool {
        anonymous.seal.isSealed(credential.value)
    }
}
