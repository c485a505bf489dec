// SPDX-License-Identifier: Apache-2.0

import Synchronization

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`, `SessionDirectory`.
/// Sessions in the memory of one process: for development, tests, and one instance (or a pinning balancer)
/// that may lose them.
///
/// Bounded in number and bytes; at the bound new sessions are refused with `.storeFull` and existing ones go on. For
/// users it gives up sessions of visitors first, those that would expire next (R79). Expired sessions are never
/// returned, and swept as new ones come in (R38). Costs no I/O.
public final class MemorySessionStore: SessionDirectory {
    fileprivate struct Contents {
        var sessions: [SessionID: RecordState] = [:]
        /// By hash of the user's name: Swift takes different spellings of one letter for equal, the other
        /// stores do not (R07).
        var ids: [[UInt8]: [SessionID]] = [:]
        /// When all sessions of a user were ended, by hash of the name: for the sign-ins under way.
        var revoked: [[UInt8]: ContinuousClock.Instant] = [:]
        var visitors = VisitorQueue()
        var bytes = 0
        var insertions = 0
        var swept = SessionInstant(milliseconds: 0)
    }

    private let contents = Mutex(Contents())
    private let crypto: RecordCrypto
    private let maximumSessions: Int
    private let maximumBytes: Int
    private let now: @Sendable () -> SessionInstant

    /// Creates an empty store.
    ///
    /// - Parameters:
    ///   - maximumSessions: how many records it holds, ended ones included for as long as they are
    ///     remembered.
    ///   - maximumBytes: how many bytes all attributes together may have.
    ///   - now: the clock; by default one that goes on evenly when the system's time is set.
    /// - Throws: `.invalidConfiguration` for a bound below one.
    public init(
        maximumSessions: Int = 100_000,
        maximumBytes: Int = 256 << 20,
        now: (@Sendable () -> SessionInstant)? = nil
    ) throws(SessionError) {
        guard maximumSessions > 0, maximumBytes > 0 else {
            throw SessionError(
                .invalidConfiguration,
                "maximumSessions and maximumBytes must be above zero."
            )
        }
        crypto = try RecordCrypto(application: "memory", peppers: [])
        self.maximumSessions = maximumSessions
        self.maximumBytes = maximumBytes
        self.now = now ?? SessionInstant.monotonicClock()
    }

    /// How many records are held, ended and not yet swept ones included.
    public var count: Int { contents.withLock { $0.sessions.count } }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard let token = SessionToken(credential) else { return .absent(.malformed) }
        let now = now()
        let hash = crypto.hash(token)
        return contents.withLock { contents in
            guard let session = contents.sessions[token.id] else { return .absent(.unknown) }
            switch session.status(of: hash, token.id, at: now) {
            case .absent(let absence): return .absent(session.absence(absence, of: token, crypto, at: now))
            case .live(let status):
                let presented = PresentedToken(token, hash: hash, family: session.family)
                return .found(record(session, presented, status, at: now))
            }
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        let family = SecretFamily()
        let token = crypto.token(for: draft.id ?? SessionID(), in: family, generation: 0)
        let now = now()
        let session = RecordState(
            HashedDraft(draft, for: token, in: family, crypto) { Array($0.utf8) },
            now: now
        )
        let isCreated = try contents.withLock { (contents: inout Contents) throws(SessionError) in
            guard contents.sessions[token.id] == nil,
                !contents.isRevoked(session.principalHash, since: draft.notRevokedSince)
            else { return false }
            contents.insertions += 1
            let isFull =
                contents.sessions.count >= maximumSessions || contents.bytes + session.size > maximumBytes
            if isFull || contents.insertions > max(1000, contents.sessions.count / 2) {
                contents.sweep(at: now)
            }
            if draft.principal != nil {
                contents.removeVisitors(1, session.size, within: maximumSessions, maximumBytes, at: now)
            }
            guard contents.sessions.count < maximumSessions, contents.bytes + session.size <= maximumBytes
            else {
                throw SessionError(
                    .storeFull,
                    "The session memory is full: \(contents.sessions.count) sessions, \(contents.bytes) bytes."
                )
            }
            contents.replace(token.id, session)
            if let user = session.principalHash {
                let maximum = draft.policy.maximumSessionsPerUser
                contents.endSurplus(of: user, above: maximum, keeping: token.id, at: now)
            } else {
                contents.noteVisitor(token.id, at: now)
            }
            return true
        }
        guard isCreated else { return .gone(.ended(.revocation)) }
        return .committed(
            id: token.id,
            version: 1,
            credential: token.credential,
            remaining: session.remaining(at: now)
        )
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        let presented = try record.context(PresentedToken.self)
        try presented.check(change)
        let now = now()
        let fresh = crypto.token(of: presented, isReplaced: change.rotation != .none)
        let since = change.notRevokedSince
        let change = HashedChange(change, fresh: fresh, principal: record.principal, crypto) {
            Array($0.utf8)
        }
        return try contents.withLock {
            (contents: inout Contents) throws(SessionError) -> SessionCommitResult in
            guard var session = contents.sessions[record.id] else { return .gone(.unknown) }
            let status: SecretStatus
            switch session.status(of: presented.hash, record.id, at: now) {
            case .absent(let absence): return .gone(absence)
            case .live(let found): status = found
            }
            if case .signIn(let signIn) = change.rotation,
                contents.isRevoked(signIn.principalHash, since: since)
            {
                return .gone(.ended(.revocation))
            }
            let before = session.size
            let isRotated = try session.apply(
                change,
                to: record.version,
                status: status,
                isUse: presented.user == nil,
                at: now
            )
            guard let isRotated else {
                return .conflict(self.record(session, presented, status, at: now))
            }
            if contents.bytes + session.size - before > maximumBytes {
                contents.sweep(at: now)
                if session.principalHash != nil {
                    let size = session.size - before
                    contents.removeVisitors(0, size, within: .max, maximumBytes, but: record.id, at: now)
                }
            }
            guard session.size <= before || contents.bytes + session.size - before <= maximumBytes else {
                throw SessionError(.storeFull, "The session memory is full: \(contents.bytes) bytes.")
            }
            contents.replace(record.id, session)
            if case .signIn(let signIn) = change.rotation {
                contents.endSurplus(
                    of: signIn.principalHash,
                    above: signIn.maximumSessions,
                    keeping: record.id,
                    at: now
                )
            }
            return .committed(
                id: record.id,
                version: session.version,
                credential: isRotated ? fresh.credential : nil,
                remaining: session.remaining(at: now)
            )
        }
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        let presented = try record.context(PresentedToken.self)
        guard isDue, presented.user == nil else { return nil }
        let now = now()
        contents.withLock { contents in
            guard var session = contents.sessions[record.id],
                case .live = session.status(of: presented.hash, record.id, at: now)
            else { return }
            session.touch(at: now)
            contents.replace(record.id, session)
        }
        return nil
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        let presented = try record.context(PresentedToken.self)
        let now = now()
        return contents.withLock { contents in
            guard let session = contents.sessions[record.id] else { return .gone(.unknown) }
            if case .absent(let absence) = session.status(of: presented.hash, record.id, at: now) {
                return .gone(absence)
            }
            _ = contents.markEnded(record.id, .signOut, until: now + SessionPolicy.tombstone)
            return .ended
        }
    }

    public func check() async throws(SessionError) {}

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        let now = now()
        return contents.withLock { contents in
            contents.live(crypto.hash(principal: principal), at: now).map { $0.session.summary($0.id) }
                .sorted(by: SessionSummary.isListedBefore)
        }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        let now = now()
        return contents.withLock { contents in
            guard contents.isLive(id, of: crypto.hash(principal: principal), at: now) else { return false }
            return contents.markEnded(id, .revocation, until: now + SessionPolicy.tombstone)
        }
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        let now = now()
        return contents.withLock { contents in
            let user = crypto.hash(principal: principal)
            contents.noteRevocation(of: user)
            let ids = contents.live(user, at: now).map(\.id).filter { $0 != kept }
            return ids.count { contents.markEnded($0, .revocation, until: now + SessionPolicy.tombstone) }
        }
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        let now = now()
        contents.withLock { _ = $0.markEnded(id, .revocation, until: now + SessionPolicy.tombstone) }
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        let hash = crypto.hash(principal: principal)
        let now = now()
        return contents.withLock { contents in
            guard contents.isLive(id, of: hash, at: now), let session = contents.sessions[id] else {
                return .absent(.unknown)
            }
            let presented = PresentedToken(principal, hash: hash, for: id, family: session.family)
            return .found(record(session, presented, .previous, at: now))
        }
    }

    // MARK: Inside

    private func record(
        _ session: RecordState,
        _ presented: PresentedToken,
        _ status: SecretStatus,
        at now: SessionInstant
    ) -> SessionRecord {
        let principal =
            presented.user ?? session.principal(for: status).map { String(decoding: $0, as: UTF8.self) }
        return session.record(presented, status: status, principal: principal, at: now)
    }
}

extension MemorySessionStore.Contents {
    /// Puts a record in place of what was there and keeps the index and the byte count right.
    fileprivate mutating func replace(_ id: SessionID, _ session: RecordState?) {
        let old = sessions[id]
        if let old {
            bytes -= old.size
            if let user = old.principalHash, user != session?.principalHash {
                ids[user]?.removeAll { $0 == id }
                if ids[user]?.isEmpty == true { ids[user] = nil }
            }
        }
        sessions[id] = session
        guard let session else { return }
        bytes += session.size
        if let user = session.principalHash, user != old?.principalHash { ids[user, default: []].append(id) }
    }

    /// Ends a record; false when there is none.
    fileprivate mutating func markEnded(_ id: SessionID, _ end: SessionEndReason, until: SessionInstant)
        -> Bool
    {
        guard var session = sessions[id] else { return false }
        session.markEnded(end, until: until)
        replace(id, session)
        return true
    }

    /// Remembers that all sessions of a user were ended.
    fileprivate mutating func noteRevocation(of user: [UInt8]) {
        let now = ContinuousClock.now
        if revoked.count >= 1000 { revoked = revoked.filter { now - $0.value < SessionPolicy.tombstone } }
        revoked[user] = now
    }

    /// Whether all sessions of a user were ended after an instant.
    fileprivate func isRevoked(_ user: [UInt8]?, since: ContinuousClock.Instant?) -> Bool {
        guard let user, let since, let revoked = revoked[user] else { return false }
        return revoked > since
    }

    fileprivate func live(_ user: [UInt8], at now: SessionInstant) -> [(id: SessionID, session: RecordState)]
    {
        (ids[user] ?? []).compactMap { id in
            guard let session = sessions[id], session.isAlive(at: now) else { return nil }
            return (id, session)
        }
    }

    fileprivate func isLive(_ id: SessionID, of user: [UInt8], at now: SessionInstant) -> Bool {
        sessions[id].map { $0.principalHash == user && $0.isAlive(at: now) } ?? false
    }

    /// Removes expired records, at most once a second: a full store must not spend its time on looking for
    /// room.
    fileprivate mutating func sweep(at now: SessionInstant) {
        guard now - swept >= .seconds(1) else { return }
        swept = now
        insertions = 0
        for id in sessions.filter({ $0.value.expiry <= now }).keys { replace(id, nil) }
    }

    /// Removes sessions of visitors until there is room or none is left.
    fileprivate mutating func removeVisitors(
        _ count: Int,
        _ size: Int,
        within maximumSessions: Int,
        _ maximumBytes: Int,
        but spared: SessionID? = nil,
        at now: SessionInstant
    ) {
        while sessions.count + count > maximumSessions || bytes + size > maximumBytes {
            let next = visitors.next { [sessions] in sessions[$0]?.visitorExpiry(at: now) }
            guard let next else { return }
            if next != spared { replace(next, nil) }
        }
    }

    fileprivate mutating func noteVisitor(_ id: SessionID, at now: SessionInstant) {
        visitors.append(id) { [sessions] in sessions[$0]?.visitorExpiry(at: now) }
    }

    /// Ends the sessions of a user above a number, those that signed in first.
    fileprivate mutating func endSurplus(
        of user: [UInt8],
        above maximum: Int?,
        keeping id: SessionID,
        at now: SessionInstant
    ) {
        guard let maximum, (ids[user]?.count ?? 0) > maximum else { return }
        let live = live(user, at: now)
        for id in RecordState.surplus(of: live, above: maximum, keeping: id) {
            _ = markEnded(id, .revocation, until: now + SessionPolicy.tombstone)
        }
    }
}
