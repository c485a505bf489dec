// SPDX-License-Identifier: Apache-2.0

/// Limits that a sign-in chooses for one session, in place of the manager's: "remember me".
///
/// ```swift
/// try session.signIn(as: user, terms: remembers ? SessionTerms(idleTimeout: .seconds(14 * 86_400), lifetime: .seconds(30 * 86_400)) : nil)
/// ```
///
/// They are stored with the session: renewals and `elevate` keep them, the policy of the manager does not shorten
/// them, and every later cookie has the chosen persistence. The next sign-in without terms returns to the manager's
/// policy and cookie.
public struct SessionTerms: Hashable, Sendable {
    /// How long the session may lie unused; see `SessionPolicy.idleTimeout`.
    public var idleTimeout: Duration
    /// How long the session may live however much it is used.
    public var lifetime: Duration
    /// How long the browser keeps the cookie.
    public var persistence: CookiePersistence

    /// Creates terms; `signIn` checks them as `SessionManager` checks its policy.
    public init(
        idleTimeout: Duration,
        lifetime: Duration,
        persistence: CookiePersistence = .persistent
    ) {
        self.idleTimeout = idleTimeout
        self.lifetime = lifetime
        self.persistence = persistence
    }

    /// Checks that the values make sense together.
    ///
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    func validate() throws(SessionError) {
        try SessionPolicy(idleTimeout: idleTimeout, lifetime: lifetime).validate()
    }
}

/// How long the browser keeps the cookie.
///
/// The store decides how long the session lives, whatever this says.
public enum CookiePersistence: Hashable, Sendable {
    /// Until the browser closes (many restore such cookies with their tabs).
    case browserSession
    /// For the session's remaining lifetime, 400 days at most, as both `Max-Age` and `Expires`.
    case persistent
}
