// SPDX-License-Identifier: Apache-2.0

/// When sessions end, when their deadline moves and when their secret is renewed: all expiry rules.
///
/// Two limits run side by side and the nearer one wins: `idleTimeout`, restarted by each use, and `lifetime`,
/// started at creation and restarted only by signing in, which is a re-authentication. Both bounds are
/// exclusive: *at* the deadline the session is over. Reads no clock; times are passed in. Source: R17–R24;
/// NIST SP 800-63B-4 §5.2.
public struct SessionPolicy: Hashable, Sendable {
    /// How long a session may lie unused; for a session that was made under a longer one, this one counts.
    ///
    /// Default 30 minutes. A mere read moves the deadline when a tenth of this has passed, so that reads cost no write; the
    /// session may therefore end up to a tenth early, never late. With `RedisSessionStore` a write moves it when a
    /// thousandth has passed.
    public var idleTimeout: Duration
    /// How long the session of a visitor may lie unused who stored something once.
    ///
    /// Default 10 minutes; a longer one than `idleTimeout` has no effect. The first later commit that changes something
    /// but flash messages, and signing in, give the session the whole `idleTimeout`. So a flood of visitors without
    /// cookies fills the store for minutes only (R79). Sessions that live in cookies take no room on the server: they
    /// have the whole `idleTimeout` at once.
    public var anonymousIdleTimeout: Duration
    /// How many sessions one user may have; nil for no limit.
    ///
    /// Default 100. The sign-in that exceeds it ends the session that signed in first, before it is acknowledged;
    /// sessions that are over do not count (R80). `SealedSessionStore`, which knows no sessions, has no limit.
    public var maximumSessionsPerUser: Int?
    /// How long a session may live however much it is used; for one that was made under a longer one, this one counts.
    ///
    /// Default 12 hours.
    public var lifetime: Duration
    /// How often the secret is replaced while the session is used; nil, the default, replaces it at sign-in
    /// only.
    public var renewalInterval: Duration?
    /// How long the previous secret works after a renewal, beside the new one.
    ///
    /// Default 30 s, at least 5 s whatever is asked for, at most 5 min.
    public var renewalGrace: Duration
    /// Whether a replaced secret that is presented after its grace ends the session.
    ///
    /// Default false: it is only reported.
    public var endsOnTheft: Bool
    /// The part of `idleTimeout` that must pass before a mere read moves the deadline again; 0 moves it each time.
    package var touchFraction = 0.1

    /// Creates a policy; `SessionManager` checks it at start.
    public init(
        idleTimeout: Duration = .seconds(30 * 60),
        lifetime: Duration = .seconds(12 * 3600),
        renewalInterval: Duration? = nil,
        renewalGrace: Duration = .seconds(30),
        endsOnTheft: Bool = false,
        anonymousIdleTimeout: Duration = .seconds(10 * 60),
        maximumSessionsPerUser: Int? = 100
    ) {
        self.idleTimeout = idleTimeout
        self.lifetime = lifetime
        self.renewalInterval = renewalInterval
        self.renewalGrace = renewalGrace
        self.endsOnTheft = endsOnTheft
        self.anonymousIdleTimeout = anonymousIdleTimeout
        self.maximumSessionsPerUser = maximumSessionsPerUser
    }

    /// NIST SP 800-63B-4 AAL1: at most 30 days, here with an idle timeout of 14 days.
    public static let aal1 = SessionPolicy(
        idleTimeout: .seconds(14 * 86_400),
        lifetime: .seconds(30 * 86_400)
    )
    /// NIST SP 800-63B-4 AAL2: at most 24 hours, 1 hour unused.
    public static let aal2 = SessionPolicy(idleTimeout: .seconds(3600), lifetime: .seconds(86_400))
    /// NIST SP 800-63B-4 AAL3: at most 12 hours, 15 minutes unused.
    public static let aal3 = SessionPolicy(idleTimeout: .seconds(15 * 60), lifetime: .seconds(12 * 3600))

    /// How long an ended session is remembered as ended, and a replaced secret as one whose requests may be under way:
    /// longer than the longest request.
    package static let tombstone = Duration.seconds(300)
    /// The least time for which the previous secret works after a renewal, so that parallel requests go on (R12).
    package static let overlap = Duration.seconds(5)

    /// How long the previous secret works after a renewal.
    package var grace: Duration { max(renewalGrace, Self.overlap) }

    /// Checks that the values make sense together.
    ///
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public func validate() throws(SessionError) {
        func require(_ condition: Bool, _ message: String) throws(SessionError) {
            guard condition else { throw SessionError(.invalidConfiguration, message) }
        }
        let century = Duration.seconds(100 * 366 * 86_400)
        try require(
            idleTimeout >= .seconds(1),
            "idleTimeout is below 1 s; sessions would end between two clicks."
        )
        try require(
            idleTimeout <= century,
            "idleTimeout is above 100 years; choose a limit that can be reached."
        )
        try require(
            anonymousIdleTimeout >= .seconds(1),
            "anonymousIdleTimeout is below 1 s; visitors would be forgotten between two clicks."
        )
        if let maximumSessionsPerUser {
            try require(
                (1...10_000).contains(maximumSessionsPerUser),
                "maximumSessionsPerUser must be 1 to 10,000, or nil for no limit."
            )
        }
        try require(lifetime >= .seconds(1), "lifetime is below 1 s; sessions would end between two clicks.")
        try require(lifetime <= century, "lifetime is above 100 years; choose a limit that can be reached.")
        try require((0...0.5).contains(touchFraction), "touchFraction must be between 0 and 0.5.")
        try require(
            (.zero ... .seconds(300)).contains(renewalGrace),
            "renewalGrace must be between 0 and 5 minutes."
        )
        if let renewalInterval {
            try require(renewalInterval > renewalGrace, "renewalInterval must be longer than renewalGrace.")
        }
    }

    /// Returns the times with the smaller of their own limits and this policy's.
    ///
    /// So a policy that was made stricter concerns the sessions that exist, too; not those whose sign-in chose the limits.
    package func limited(_ times: SessionTimes) -> SessionTimes {
        guard !times.hasOwnTerms else { return times }
        var times = times
        times.idleTimeout = min(times.idleTimeout, idleTimeout)
        times.deadline = min(times.deadline, (times.authenticated ?? times.created) + lifetime)
        return times
    }

    /// Returns whether a request that only read should restart the idle timeout.
    ///
    /// - Parameters:
    ///   - times: the session's times.
    ///   - now: the store's time at the read.
    ///   - jitter: 0..<1, so that instances do not touch at the same instant: shortens the wait by up to a
    ///     quarter. Drawn only when it matters.
    /// - Returns: false where a touch would be useless because the absolute deadline is nearer anyway.
    package func isTouchDue(
        _ times: SessionTimes,
        now: SessionInstant,
        jitter: @autoclosure () -> Double
    ) -> Bool {
        guard times.expiry < times.deadline else { return false }
        let wait = Double(times.idleTimeout.wholeMilliseconds) * touchFraction
        let passed = Double(now.milliseconds) - Double(times.lastUsed.milliseconds)
        return passed >= wait * 0.75 && passed >= wait * (1 - jitter() / 4)
    }

    /// Returns whether the secret is old enough to be replaced.
    package func isRenewalDue(_ times: SessionTimes, now: SessionInstant) -> Bool {
        renewalInterval.map { now - times.rotated >= $0 } ?? false
    }
}
