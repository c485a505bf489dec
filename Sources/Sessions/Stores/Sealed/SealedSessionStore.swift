// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore`.
/// Sessions that live in the cookie alone, sealed: only the servers can read or create one, and no server
/// keeps anything.
///
/// Costs no I/O, needs no Redis, and any instance that has the keys serves any user. The price is what no
/// server can know:
///
/// * **Nothing can be ended.** Signing out deletes the cookie; a copy of it works until its idle deadline,
///   or, if it is used before, its absolute one. There is no list and no revocation: this type is not a
///   `SessionDirectory`. Removing the key from the ring ends everything sealed with it.
/// * **Old cookies roll back.** A client that kept one can send it again and has the session of that time.
///   Counters, one-time codes, balances and login attempts do not belong here (R65).
/// * **Of two parallel writes the response that arrives last wins**, and it may be one that only extended the
///   idle timeout. There is no conflict to notice. A response on its way during a sign-out brings the cookie
///   back.
/// * **3 KiB in all**, on every request; more is refused with `.tooLarge` and nothing changes. Changes need a
///   response that can carry a cookie: none in a streaming body or a job (`.unsupported`), and with a 304 they
///   are dropped, which the events `refused` and `dropped` report. A 304 does not extend the idle timeout.
///
/// That is one cookie, which fits what browsers, curl, nginx, Apache and HAProxy take with their defaults. Up to
/// 8 KiB in up to three cookies are an option (`maximumBytes`) for sites whose every proxy is set up for it:
///
/// * nginx: `proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k` (a longer response header
///   is a 502), `large_client_header_buffers 4 16k` (a longer `Cookie` line is a 400).
/// * Apache: `LimitRequestFieldSize 16380` (a longer `Cookie` line is a 400).
/// * HAProxy: `tune.bufsize 32768`, where other cookies and fields need more than half of the default 16,384.
///
/// A browser whose cookies a proxy refuses gets that 400 for every page, signing out included. Let the proxy
/// delete the session cookie with it, as `Samples/balancers/nginx-hash.conf` does (`error_page 494`).
///
/// `RevocableSessionStore` (in `RedisSessions`) removes the first limit; `TieredSessionStore` keeps only
/// anonymous visitors like this and removes all of them for users. The cookie is written when the session
/// changes, when its idle deadline is due to move, and when its key has been replaced; never by other reads.
/// Source: R59–R68.
public struct SealedSessionStore: SessionStore {
    let sealer: CookieSealer
    let cookieName: String
    private let maximumBytes: Int
    /// Whether a value may take more than one cookie.
    public let dividesCookie: Bool
    private let now: @Sendable () -> SessionInstant

    /// What a load found: carried in the record, so that the seal is opened once for each request.
    package struct Context: Sendable {
        package var payload: SealedPayload
        /// Whether it was sealed with the key that seals now.
        let isCurrentKey: Bool
    }

    /// Bytes that a change must leave free, so that later times and another key's name still fit.
    static let reserve = 64

    /// Creates a store.
    ///
    /// - Parameters:
    ///   - keys: the keys; all instances need the same.
    ///   - application: the name of the application, bound into the seal: two applications, or two
    ///     environments, that share keys must differ here. 1 to 128 letters, digits or `-_.:/`.
    ///   - cookie: the manager's cookie: a seal is valid for its name only.
    ///   - maximumBytes: the longest value of the cookie, all its parts together; 1,024 to 8,192. Above 3,072
    ///     the proxies need settings of their own, see above, and the value may be divided over `NAME`,
    ///     `NAME.1` and `NAME.2`. A smaller number than before ends the sessions whose cookies are divided.
    ///   - now: the clock; the system's by default. The clocks of instances may differ by up to a minute.
    /// - Throws: `.invalidConfiguration`.
    public init(
        _ keys: SealKeyRing,
        application: String,
        cookie: SessionCookie = SessionCookie(),
        maximumBytes: Int = 3072,
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
        maximumBytes: Int = 3072,
        now: @escaping @Sendable () -> SessionInstant = { .now },
        onAttempt: @escaping @Sendable () -> Void
    ) throws(SessionError) {
        guard (1024...CookieChunks.maximumBytes).contains(maximumBytes) else {
            throw SessionError(
                .invalidConfiguration,
                "maximumBytes must be between 1024 and \(CookieChunks.maximumBytes)."
            )
        }
        sealer = try CookieSealer(
            keys,
            application: application,
            cookieName: cookie.name,
            onAttempt: onAttempt
        )
        cookieName = cookie.name
        dividesCookie = CookieChunks.isDivided(bytes: maximumBytes, name: cookie.name)
        self.maximumBytes = maximumBytes
        self.now = now
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        open(credential)
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try seal(SealedPayload(draft, now: now()))
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        switch try changed(change, record) {
        case .absent(let absence): .gone(absence)
        case .live(let payload): try seal(payload)
        }
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        let context = try record.context(Context.self)
        guard isDue || !context.isCurrentKey else { return nil }
        let now = now()
        guard context.payload.absence(at: now) == nil else { return nil }
        var payload = context.payload
        // A change of the key moves no deadline.
        if isDue { payload.touch(at: now) } else { payload.issued = payload.reading(at: now) }
        return try credential(payload, within: maximumBytes)
    }

    /// Returns whether there is a session to sign out of.
    ///
    /// The caller deletes the cookie; nothing else happens.
    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        try record.context(Context.self).payload.absence(at: now()).map { .gone($0) } ?? .ended
    }

    public func check() async throws(SessionError) {}

    public func validate(for cookie: SessionCookie) throws(SessionError) {
        guard cookie.name != cookieName else { return }
        throw SessionError(
            .invalidConfiguration,
            "The store seals the cookie \(cookieName), the manager sends \(cookie.name); give both the same SessionCookie."
        )
    }

    // MARK: For stores that build on this one

    /// A changed session, not sealed yet.
    package enum Changed {
        case live(SealedPayload)
        case absent(SessionAbsence)
    }

    /// Whether a credential is a sealed session of this store, opened or not.
    package func isSealed(_ credential: SessionCredential) -> Bool { sealer.isSealed(credential.value) }

    /// The store's time.
    package var time: SessionInstant { now() }

    /// Finds the session in a credential; no I/O.
    package func open(_ credential: SessionCredential) -> SessionLoadResult {
        switch sealer.open(credential.value) {
        case .malformed: return .absent(.malformed)
        case .unknownKey: return .absent(.unknownKey)
        case .forged: return .absent(.forged)
        case .opened(let bytes, let isCurrentKey):
            let now = now()
            guard let payload = SealedPayload(decoding: bytes) else { return .absent(.unreadable) }
            if let absence = payload.absence(at: now) { return .absent(absence) }
            return .found(
                SessionRecord(
                    id: payload.id,
                    version: payload.version,
                    principal: payload.principal,
                    attributes: payload.attributes,
                    times: payload.times,
                    now: payload.reading(at: now),
                    residence: .cookie,
                    storeContext: Context(payload: payload, isCurrentKey: isCurrentKey)
                )
            )
        }
    }

    /// Applies a change to a loaded session; no I/O.
    ///
    /// - Parameters:
    ///   - change: the change.
    ///   - record: a record of this store.
    /// - Returns: the changed session, or that it is over.
    /// - Throws: `.invalidValue`.
    package func changed(_ change: SessionChange, _ record: SessionRecord) throws(SessionError) -> Changed {
        let now = now()
        var payload = try record.context(Context.self).payload
        if let absence = payload.absence(at: now) { return .absent(absence) }
        try payload.apply(change, at: now)
        return .live(payload)
    }

    /// Seals a new or changed session.
    ///
    /// - Parameters:
    ///   - payload: the session.
    ///   - limit: the longest cookie value, besides the store's own limit.
    /// - Returns: that it is committed, with its credential.
    /// - Throws: `.tooLarge`.
    package func seal(_ payload: SealedPayload, within limit: Int = .max) throws(SessionError)
        -> SessionCommitResult
    {
        .committed(
            id: payload.id,
            version: payload.version,
            credential: try credential(payload, within: min(limit, maximumBytes - Self.reserve)),
            remaining: payload.times.deadline - payload.issued
        )
    }

    private func credential(_ payload: SealedPayload, within maximum: Int) throws(SessionError)
        -> SessionCredential
    {
        let bytes = payload.encoded
        let length = sealer.length(sealing: bytes.count)
        guard length <= maximum else {
            throw SessionError(
                .tooLarge,
                "The session cookie would have \(length) bytes, \(maximum) are allowed; use a server-side store."
            )
        }
        return SessionCredential(try sealer.seal(bytes))
    }
}
