// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore` and `SessionDirectory`.
/// Moves a running site from one store to another without signing any user out: the old store drains.
///
/// A session lives in the store that created it, and is changed and ended there. In two phases:
///
/// 1. `.prepare`, on every instance first: reads both stores, creates in the old one.
/// 2. `.drain`, when all instances run phase 1: reads both, creates in the new one. A sign-in moves the
///    session: it is created in the new store with the attributes that are kept, under a new ID, and ended in
///    the old one.
///
/// Instances in different phases serve the same sessions, so a rolling deployment loses none, and neither
/// does rolling back from phase 2 to 1. Rolling back from phase 1 to the old store alone is safe until the
/// first instance runs phase 2. When the longest lifetime of a session has passed since the last instance
/// entered phase 2, nothing is left in the old store: replace this store by the new one.
///
/// It is a `SessionDirectory` if both stores are; lists and revocations then cover both. Otherwise it offers
/// neither, because it could not cover all sessions of a user.
///
/// Cost: one round trip more to load a session of the store that is asked second, unless its cookie does not
/// have the form of the first one. A sign-in that moves a session costs three round trips more: the old
/// session is claimed, loaded and ended.
public struct DrainingSessionStore<Old: SessionStore, New: SessionStore>: SessionStore {
    /// Where sessions are created.
    public enum Phase: Sendable {
        /// In the old store.
        case prepare
        /// In the new store.
        case drain
    }

    private let old: Old
    private let new: New
    private let phase: Phase

    /// A record together with the store it came from.
    private enum Origin: Sendable {
        case old(SessionRecord)
        case new(SessionRecord)
    }

    /// Creates a store.
    ///
    /// - Parameters:
    ///   - old: where sessions are now.
    ///   - new: where they are to be.
    ///   - phase: `.prepare` on all instances first, then `.drain`.
    public init(from old: Old, to new: New, phase: Phase) {
        self.old = old
        self.new = new
        self.phase = phase
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        let first = try await load(credential, fromNew: phase == .drain)
        guard case .absent(let absence) = first else { return first }
        switch absence {
        // The record is there, so the other store does not have it.
        case .ended, .superseded, .wrongSecret, .unreadable: return first
        case .malformed, .unknown, .forged, .unknownKey: break
        }
        let second = try await load(credential, fromNew: phase != .drain)
        if case .absent(.malformed) = second { return first }
        return second
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        phase == .drain ? try await new.create(draft) : try await old.create(draft)
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        switch try record.context(Origin.self) {
        case .new(let record): return try await wrapped(new.commit(change, to: record), as: Origin.new)
        case .old(let record):
            if phase == .drain, case .signIn(let principal, _) = change.rotation {
                return try await move(change, record, principal: principal)
            }
            return try await wrapped(old.commit(change, to: record), as: Origin.old)
        }
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        switch try record.context(Origin.self) {
        case .new(let record): try await new.touch(record, isDue: isDue)
        case .old(let record): try await old.touch(record, isDue: isDue)
        }
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        switch try record.context(Origin.self) {
        case .new(let record): try await new.end(record)
        case .old(let record): try await old.end(record)
        }
    }

    public func check() async throws(SessionError) {
        try await new.check()
        try await old.check()
    }

    public var dividesCookie: Bool { old.dividesCookie || new.dividesCookie }

    public func validate(for cookie: SessionCookie) throws(SessionError) {
        try old.validate(for: cookie)
        try new.validate(for: cookie)
    }

    // MARK: Inside

    private func load(_ credential: SessionCredential, fromNew: Bool) async throws(SessionError)
        -> SessionLoadResult
    {
        let load = fromNew ? try await new.load(credential) : try await old.load(credential)
        guard case .found(let record) = load else { return load }
        return .found(wrap(record, fromNew ? .new(record) : .old(record)))
    }

    /// Creates the session that signs in, and ends the old one.
    ///
    /// In this order: a failure in between leaves a new session whose credential was not sent, which expires.
    private func move(
        _ change: SessionChange,
        _ record: SessionRecord,
        principal: String
    ) async throws(SessionError) -> SessionCommitResult {
        let draft = SessionDraft(
            attributes: try change.applied(to: record.attributes),
            principal: principal,
            policy: change.policy,
            persistence: change.persistence,
            notRevokedSince: change.notRevokedSince
        )
        let created = try await new.create(draft)
        guard case .committed(_, _, let credential?, _) = created else { return created }
        do throws(SessionError) {
            guard let refusal = try await retire(record, principal: principal) else { return created }
            await discard(credential)
            return wrapped(refusal, as: Origin.old)
        } catch {
            await discard(credential)
            throw error
        }
    }

    /// Ends the old session, if nothing has changed since it was read.
    ///
    /// First its secret is replaced by one that is sent to no client: what was carried over is what is stored,
    /// and from here on no request can change or use it.
    ///
    /// - Returns: nil, or why the session must not move.
    private func retire(
        _ record: SessionRecord,
        principal: String
    ) async throws(SessionError) -> SessionCommitResult? {
        // The secret before the current one cannot renew, but it can sign in.
        let isCurrent = record.secretStatus == .current
        let claim = SessionChange(
            operations: [:],
            needsVersion: true,
            rotation: isCurrent ? .renew : .signIn(principal: principal, keeping: []),
            policy: SessionPolicy(renewalGrace: .zero)
        )
        let claimed = try await old.commit(claim, to: record)
        guard case .committed(_, _, let replaced, _) = claimed else { return claimed }
        // It has moved. What cannot be ended now expires: no client has its secret.
        guard let replaced, let load = try? await old.load(replaced) else { return nil }
        if case .found(let retired) = load, (try? await old.end(retired)) ?? .ended == .ended { return nil }
        // A revocation came in between, and must concern the new session too.
        return .gone(.ended(.revocation))
    }

    /// Ends a session whose credential was not sent; if this fails, it expires.
    private func discard(_ credential: SessionCredential) async {
        guard case .found(let record) = try? await new.load(credential) else { return }
        _ = try? await new.end(record)
    }

    /// Returns the result with the record of a conflict wrapped.
    private func wrapped(
        _ result: SessionCommitResult,
        as origin: (SessionRecord) -> Origin
    ) -> SessionCommitResult {
        guard case .conflict(let fresh) = result else { return result }
        return .conflict(wrap(fresh, origin(fresh)))
    }

    private func wrap(_ record: SessionRecord, _ origin: Origin) -> SessionRecord {
        var wrapped = record
        wrapped.storeContext = origin
        return wrapped
    }
}

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionDirectory`.
extension DrainingSessionStore: SessionDirectory where Old: SessionDirectory, New: SessionDirectory {
    // The old store first: a session that moves meanwhile is then met in the new one.

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        let all = try await old.sessions(of: principal) + new.sessions(of: principal)
        return all.sorted { $0.lastUsed > $1.lastUsed }
    }

    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        page.cut(from: try await old.sessions(of: principal, page) + new.sessions(of: principal, page))
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        if try await old.revoke(id, of: principal) { return true }
        return try await new.revoke(id, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await old.revokeAll(of: principal, except: kept) + new.revokeAll(of: principal, except: kept)
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await old.revoke(id)
        try await new.revoke(id)
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        do throws(SessionError) {
            if case .found(let record) = try await old.load(id, of: principal) {
                return .found(wrap(record, .old(record)))
            }
        } catch { guard error.code == .unsupported else { throw error } }
        guard case .found(let record) = try await new.load(id, of: principal) else {
            return .absent(.unknown)
        }
        return .found(wrap(record, .new(record)))
    }
}
