// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore` and `SessionDirectory`.
/// Anonymous visitors have a sealed cookie; a sign-in, or a session that grows too large, gets a record in
/// another store.
///
/// Bots and passers-by cost the other store nothing: no command, no byte. Sessions with rights have all its
/// guarantees. At the sign-in the attributes that are kept move along, under a new ID. A sealed cookie never
/// stands for a user here. What an anonymous visitor has keeps the limits of `SealedSessionStore`: old
/// cookies roll back, and of two parallel writes the response that arrives last wins; a late one can also
/// replace the cookie of a sign-in by the anonymous one, which shows as being signed out. A copied anonymous
/// cookie can be opened until its deadline, without any rights.
public struct TieredSessionStore: SessionDirectory {
    private let anonymous: SealedSessionStore
    private let backing: any SessionDirectory
    private let spillAbove: Int

    /// Creates a store.
    ///
    /// - Parameters:
    ///   - anonymous: seals the sessions of visitors.
    ///   - backing: keeps those of users, on the server.
    ///   - spillAbove: the longest cookie value of an anonymous session; a longer one moves to the backing.
    ///     256 to 8,000 bytes, 3,000 by default; never more than `anonymous` takes.
    /// - Throws: `.invalidConfiguration`.
    public init(
        anonymous: SealedSessionStore,
        signedIn backing: any SessionDirectory,
        spillAbove: Int = 3000
    ) throws(SessionError) {
        guard (256...8000).contains(spillAbove) else {
            throw SessionError(.invalidConfiguration, "spillAbove must be between 256 and 8000 bytes.")
        }
        self.anonymous = anonymous
        self.backing = backing
        self.spillAbove = spillAbove
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard anonymous.isSealed(credential) else { return try await backing.load(credential) }
        let load = anonymous.open(credential)
        // Sealed by a site that kept its users like that; a `DrainingSessionStore` takes them over.
        if case .found(let record) = load, record.principal != nil { return .absent(.unknown) }
        return load
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        guard draft.principal == nil else { return try await backing.create(draft) }
        do throws(SessionError) {
            return try anonymous.seal(SealedPayload(draft, now: anonymous.time), within: spillAbove)
        } catch {
            guard error.code == .tooLarge else { throw error }
            return try await backing.create(draft)
        }
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        guard isAnonymous(record) else { return try await backing.commit(change, to: record) }
        let payload: SealedPayload
        switch try anonymous.changed(change, record) {
        case .absent(let absence): return .gone(absence)
        case .live(let changed): payload = changed
        }
        var draft = SessionDraft(
            attributes: payload.attributes,
            principal: payload.principal,
            policy: change.policy,
            persistence: payload.times.persistence,
            notRevokedSince: change.notRevokedSince
        )
        if payload.principal == nil {
            do throws(SessionError) { return try anonymous.seal(payload, within: spillAbove) } catch {
                guard error.code == .tooLarge else { throw error }
                // What moves without a sign-in keeps its limits.
                draft.policy.idleTimeout = payload.times.idleTimeout
                draft.policy.lifetime = payload.times.deadline - payload.issued
            }
        }
        return try await backing.create(draft)
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        guard isAnonymous(record) else { return try await backing.touch(record, isDue: isDue) }
        return try await anonymous.touch(record, isDue: isDue)
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        guard isAnonymous(record) else { return try await backing.end(record) }
        return try await anonymous.end(record)
    }

    public func check() async throws(SessionError) { try await backing.check() }

    public var dividesCookie: Bool {
        let longest = spillAbove + SealedSessionStore.reserve
        return anonymous.dividesCookie && CookieChunks.isDivided(bytes: longest, name: anonymous.cookieName)
    }

    public func validate(for cookie: SessionCookie) throws(SessionError) {
        try anonymous.validate(for: cookie)
        try backing.validate(for: cookie)
    }

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await backing.sessions(of: principal)
    }

    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        try await backing.sessions(of: principal, page)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await backing.revoke(id, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await backing.revokeAll(of: principal, except: kept)
    }

    public func revoke(_ id: SessionID) async throws(SessionError) { try await backing.revoke(id) }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        try await backing.load(id, of: principal)
    }

    /// Whether the record came from a sealed cookie.
    private func isAnonymous(_ record: SessionRecord) -> Bool {
        record.storeContext is SealedSessionStore.Context
    }
}
