// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`.
/// Sessions that live in the cookie alone, sealed: nobody but the servers can read or make one, and no server
/// keeps anything.
///
/// Costs no I/O, needs no Redis, and any instance that has the keys serves any user. The price is what no
/// server can know:
///
/// * **Nothing can be ended.** Signing out deletes the cookie; a copy of it works until its idle deadline,
///   or, if it is used meanwhile, its absolute one. There is no list and no revocation: this type is no
///   `SessionDirectory`. Taking the key out of the ring ends everything sealed with it.
/// * **Old cookies roll back.** Whoever kept one can send it again and has the session of that time.
///   Counters, one-time codes, balances and login attempts do not belong here (R65).
/// * **Of two parallel writes the response that arrives last wins**, and it may be one that only extended the
///   idle timeout. There is no conflict to notice. A response on its way during a sign-out brings the cookie
///   back.
/// * **8 KiB in all**, on every request; more is refused with `.tooLarge` and nothing changes. Changes need a
///   response that can carry a cookie: none in a streaming body or a job (`.unsupported`).
///
/// `GuardedSessionStore` has none of the first three limits, `TieredSessionStore` keeps only visitors who are
/// not signed in like this. The cookie is written when the session changes, when its idle deadline is due to
/// move, and when its key has been replaced; never by plain reads. Source: R59–R68.
public struct SealedSessionStore: SessionStore, CookieKeeping {
    let seal: CookieSealer
    private let cookieName: String
    private let maximumBytes: Int
    private let now: @Sendable () -> SessionInstant

    /// Bytes that a change must leave free, so that later times and another key's name still fit.
    private static let reserve = 64

    /// Creates a store.
    ///
    /// - Parameters:
    ///   - keys: the keys; all instances need the same.
    ///   - application: what the seals hold for; two applications, or two environments, that share keys must
    ///     differ here.
    ///   - cookie: the manager's cookie: a seal holds for its name only.
    ///   - maximumBytes: the longest value of the cookie, all its parts together; 1,024 to 8,192.
    ///   - now: the clock; the system's by default. The clocks of instances may differ by up to a minute.
    /// - Throws: `.invalidConfiguration`.
    public init(
        _ keys: SealKeyRing,
        application: String,
        cookie: SessionCookie = SessionCookie(),
        maximumBytes: Int = 8192,
        now: @escaping @Sendable () -> SessionInstant = { .now }
    ) throws(SessionError) {
        try self.init(
            keys,
            application: application,
            cookie: cookie,
            maximumBytes: maximumBytes,
            now: now,
            onAttempt: {}
        )
    }

    package init(
        _ keys: SealKeyRing,
        application: String,
        cookie: SessionCookie = SessionCookie(),
        maximumBytes: Int = 8192,
        now: @escaping @Sendable () -> SessionInstant = { .now },
        onAttempt: @escaping @Sendable () -> Void
    ) throws(SessionError) {
        guard (1024...CookieChunks.maximumBytes).contains(maximumBytes) else {
            throw SessionError(
                .invalidConfiguration,
                "maximumBytes must be between 1024 and \(CookieChunks.maximumBytes)."
            )
        }
        seal = try CookieSealer(
            keys,
            purpose: .session,
            application: application,
            cookieName: cookie.name,
            onAttempt: onAttempt
        )
        cookieName = cookie.name
        self.maximumBytes = maximumBytes
        self.now = now
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        let now = now()
        switch open(credential, at: now) {
        case .absent(let absence): return .absent(absence)
        case .live(let session, let isCurrent):
            var fresh = session
            fresh.issued = session.reading(at: now)
            // A plain read moves no deadline: only the key is another one.
            let reissue = isCurrent ? nil : try? sealed(fresh, within: maximumBytes)
            return .found(session.record(credential, reissue: reissue, at: now))
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try create(draft, within: maximumBytes)
    }

    /// Makes a session whose cookie value is no longer than `limit` bytes, or throws `.tooLarge`.
    func create(_ draft: SessionDraft, within limit: Int) throws(SessionError) -> SessionCommitResult {
        let session = SealedPayload(draft, now: now())
        return .committed(
            id: session.id,
            version: 1,
            credential: try sealed(session, within: min(limit, maximumBytes - Self.reserve)),
            remaining: session.deadline - session.issued
        )
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        try commit(change, to: record, within: maximumBytes)
    }

    /// Changes a session if its cookie value is then no longer than `limit` bytes, or throws `.tooLarge`.
    func commit(_ change: SessionChange, to record: SessionRecord, within limit: Int) throws(SessionError)
        -> SessionCommitResult
    {
        let now = now()
        var session: SealedPayload
        switch open(record.credential, at: now) {
        case .absent(let absence): return .gone(absence)
        case .live(let opened, _): session = opened
        }
        if change.needsVersion, session.version != record.version {
            return .conflict(session.record(record.credential, at: now))
        }
        try session.apply(change, at: now)
        return .committed(
            id: session.id,
            version: session.version,
            credential: try sealed(session, within: min(limit, maximumBytes - Self.reserve)),
            remaining: session.deadline - session.issued
        )
    }

    public func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential? {
        let now = now()
        guard case .live(var session, _) = open(record.credential, at: now) else { return nil }
        session.touch(at: now)
        return try sealed(session, within: maximumBytes)
    }

    /// Whether there is a session to sign out of.
    ///
    /// The caller then deletes the cookie; nothing else happens.
    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        if case .live = open(record.credential, at: now()) { true } else { false }
    }

    public func check() async throws(SessionError) {}

    public func isHeldByClient(_ record: SessionRecord) -> Bool { true }

    package var cookieNames: Set<String> { [cookieName] }

    package func endsWithItsCookie(_ record: SessionRecord) -> Bool { true }

    // MARK: Inside

    private enum Finding {
        case live(SealedPayload, isCurrent: Bool)
        case absent(SessionAbsence)
    }

    private func open(_ credential: SessionCredential, at now: SessionInstant) -> Finding {
        switch seal.open(credential.value) {
        case .malformed: return .absent(.malformed)
        case .unknownKey: return .absent(.unknownKey)
        case .forged: return .absent(.forged)
        case .opened(let bytes, let isCurrent):
            guard let session = SealedPayload(decoding: bytes) else { return .absent(.unreadable) }
            return session.absence(at: now).map(Finding.absent) ?? .live(session, isCurrent: isCurrent)
        }
    }

    private func sealed(_ session: SealedPayload, within maximum: Int) throws(SessionError)
        -> SessionCredential
    {
        let bytes = session.encoded
        let length = seal.length(sealing: bytes.count)
        guard length <= maximum else {
            throw SessionError(
                .tooLarge,
                "The session cookie would have \(length) bytes, \(maximum) are allowed; store less in it or use a server-side store."
            )
        }
        return SessionCredential(try seal.seal(bytes))
    }
}
