// SPDX-License-Identifier: Apache-2.0

/// Signing in: who the user is, and what of the anonymous session stays.
extension Session {
    /// Records who the user is and replaces the secret, so that an earlier cookie is invalid (R08, R10).
    ///
    /// What the session held before is dropped, except flash messages and the attributes named here (R15).
    /// The lifetime restarts: this is an authentication.
    ///
    /// If other requests ended all sessions of the user after this request began, as after a change of the password,
    /// the sign-in is refused with `.sessionChanged` (409): the password that was checked may be the old one. An end
    /// in this request itself refuses nothing. What overlaps within the time that a command takes to the store counts as
    /// before.
    ///
    /// - Parameters:
    ///   - principal: the application's name for the user, 1 to 1,024 UTF-8 bytes. Kept in Unicode's Normalization Form C:
    ///     names that Swift takes for equal are one user; case matters.
    ///   - keys: attributes to carry over, for example `keeping: .cart, .language`.
    ///   - terms: limits and persistence of the cookie for this session ("remember me"); nil for the manager's.
    ///   - since: `session.now` of the request that checked the password, where that was an earlier one (a second
    ///     factor): takes the place of this request's beginning. At most 5 minutes ago.
    /// - Throws: `.invalidValue` for an impossible name and for a `since` longer ago, `.invalidConfiguration` for
    ///   impossible terms, `.closed` after the commit.
    public func signIn<each Value>(
        as principal: String,
        keeping keys: repeat SessionKey<each Value>,
        terms: SessionTerms? = nil,
        ifNotRevokedSince since: SessionInstant? = nil
    ) throws(SessionError) {
        var names: Set<String> = []
        repeat _ = names.insert((each keys).name)
        try signIn(principal, names, terms, since)
    }

    /// Records who the user is and replaces the secret; for keys of one type that are known at run time only.
    ///
    /// - Parameters:
    ///   - principal: the application's name for the user, 1 to 1,024 UTF-8 bytes.
    ///   - keys: attributes to carry over.
    ///   - terms: limits and persistence of the cookie for this session; nil for the manager's.
    ///   - since: when the password was checked; nil for the beginning of this request.
    /// - Throws: `.invalidValue`, `.invalidConfiguration`, `.closed` after the commit; see the other method.
    public func signIn<Value>(
        as principal: String,
        keeping keys: [SessionKey<Value>],
        terms: SessionTerms? = nil,
        ifNotRevokedSince since: SessionInstant? = nil
    ) throws(SessionError) {
        try signIn(principal, Set(keys.map(\.name)), terms, since)
    }

    /// Replaces the secret at once, because the user's rights change: a role is gained or dropped, the user acts as
    /// another one (impersonation), or a step-up has succeeded.
    ///
    /// As at a sign-in, the old secret is invalid at once for every holder: parallel requests that still carry it are
    /// answered 409 if they write. The user, the deadlines, the values and `authenticatedAt` stay. Nothing happens
    /// for a session that is not stored, and after a sign-in in the same request.
    ///
    /// - Throws: `.closed` after the commit. At the commit `.noSession` if the response cannot carry a cookie, and
    ///   `.sessionChanged` if the session is over or another request has replaced the secret: nothing is stored then.
    public func elevate() throws(SessionError) { try writeChecked(.elevate) }

    private func signIn(
        _ principal: String,
        _ names: Set<String>,
        _ terms: SessionTerms?,
        _ since: SessionInstant?
    ) throws(SessionError) {
        let principal = PrincipalName.normalized(principal)
        guard (1...1024).contains(principal.utf8.count) else {
            throw SessionError(.invalidValue, "A principal is 1 to 1024 bytes.")
        }
        try terms?.validate()
        if let since, now - since > SessionPolicy.tombstone {
            throw SessionError(.invalidValue, "The check was more than 5 minutes ago; check again.")
        }
        let kept = names.union([SessionKey<[String]>.flash.name])
        try writeChecked(.signIn(principal: principal, keeping: kept))
        noteSignIn(terms, since: since)
    }
}
