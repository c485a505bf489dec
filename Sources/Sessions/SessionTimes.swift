// SPDX-License-Identifier: Apache-2.0

/// When one session was created, used and renewed, and when it ends, by its store's clock.
public struct SessionTimes: Hashable, Sendable {
    /// When the session was created.
    public var created: SessionInstant
    /// When it was last used, exact to the touch fraction of the policy.
    public var lastUsed: SessionInstant
    /// When the current secret was issued.
    public var rotated: SessionInstant
    /// When the user signed in, by the clock that wrote it; nil for an anonymous session.
    public var authenticated: SessionInstant?
    /// The absolute end, however much the session is used.
    public var deadline: SessionInstant
    /// The idle timeout that was in force at the creation or the last sign-in.
    public var idleTimeout: Duration
    /// What the sign-in chose for the cookie, together with limits of its own (`SessionTerms`); nil where those of the
    /// manager are in force.
    public var persistence: CookiePersistence?

    /// Creates times from stored values.
    public init(
        created: SessionInstant,
        lastUsed: SessionInstant,
        rotated: SessionInstant,
        authenticated: SessionInstant? = nil,
        deadline: SessionInstant,
        idleTimeout: Duration,
        persistence: CookiePersistence? = nil
    ) {
        self.created = created
        self.lastUsed = lastUsed
        self.rotated = rotated
        self.authenticated = authenticated
        self.deadline = deadline
        self.idleTimeout = idleTimeout
        self.persistence = persistence
    }

    /// Creates the times of a session that starts at `now`.
    ///
    /// - Parameters:
    ///   - now: the store's time.
    ///   - idleTimeout: how long it may lie unused.
    ///   - lifetime: how long it may live.
    public init(startingAt now: SessionInstant, idleTimeout: Duration, lifetime: Duration) {
        self.init(
            created: now,
            lastUsed: now,
            rotated: now,
            deadline: now + lifetime,
            idleTimeout: idleTimeout
        )
    }

    /// Whether the sign-in chose the limits, so that no policy shortens them.
    package var hasOwnTerms: Bool { persistence != nil }

    /// The instant from which the session counts as absent, unless it is used again.
    public var expiry: SessionInstant { min(lastUsed + idleTimeout, deadline) }
}
