// SPDX-License-Identifier: Apache-2.0

import Synchronization

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`, `SessionDirectory`.
/// Sessions in the memory of one process: for development, tests, and one instance (or a pinning balancer) that may lose them.
///
/// Bounded in number and bytes; at the bound new sessions are refused with `.storeFull` and existing ones go on. Expired
/// sessions are never returned, and swept as new ones come in (R38). Costs no I/O.
public final class MemorySessionStore: SessionDirectory {
    fileprivate struct Contents {
        var sessions: [SessionHandle: StoredSession] = [:]
        /// By digest of the user's name: Swift takes different spellings of one letter for equal, the other stores do not (R07).
        var handles: [[UInt8]: Set<SessionHandle>] = [:]
        var bytes = 0
        var insertions = 0
        var swept = SessionInstant(milliseconds: 0)
    }

    private let contents = Mutex(Contents())
    private let digester: SessionDigester
    private let tombstone: Duration
    private let maximumSessions: Int
    private let maximumBytes: Int
    private let now: @Sendable () -> SessionInstant

    /// Creates an empty store.
    ///
    /// - Parameters:
    ///   - maximumSessions: how many records it holds, ended ones included for as long as they are remembered.
    ///   - maximumBytes: how many bytes all attributes together may have.
    ///   - tombstone: how long an ended session is remembered as ended; must outlive the longest request.
    ///   - now: the clock; the system's by default.
    public init(
        maximumSessions: Int = 100_000, maximumBytes: Int = 256 << 20, tombstone: Duration = .seconds(300),
        now: @escaping @Sendable () -> SessionInstant = { .now }
    ) throws(SessionError) {
        guard maximumSessions > 0, maximumBytes > 0, tombstone > .zero else {
            throw SessionError(.invalidConfiguration, "maximumSessions, maximumBytes and tombstone must be above zero.")
        }
        digester = try SessionDigester(pepper: nil)
        self.tombstone = tombstone
        self.maximumSessions = maximumSessions
        self.maximumBytes = maximumBytes
        self.now = now
    }

    /// How many records are held, ended and not yet swept ones included.
    public var count: Int { contents.withLock { $0.sessions.count } }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoad {
        guard let ticket = SessionTicket(credential) else { return .absent(.malformed) }
        let now = now()
        switch contents.withLock({ find(ticket, in: $0, at: now) }) {
        case .live(let session, let standing): return .found(session.record(ticket, standing: standing, at: now))
        case .absent(let absence): return .absent(absence)
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommit {
        let ticket = SessionTicket()
        let now = now()
        let session = StoredSession(draft, digest: digester.digest(of: ticket), digester: digester, now: now)
        try contents.withLock { (contents: inout Contents) throws(SessionError) in
            contents.insertions += 1
            let isFull = contents.sessions.count >= maximumSessions || contents.bytes + session.size > maximumBytes
            if isFull || contents.insertions > max(1000, contents.sessions.count / 2) { contents.sweep(at: now) }
            guard contents.sessions.count < maximumSessions, contents.bytes + session.size <= maximumBytes else {
                throw SessionError(.storeFull, "The session memory is full: \(contents.sessions.count) sessions, \(contents.bytes) bytes.")
            }
            contents.replace(ticket.handle, session)
        }
        return .committed(handle: ticket.handle, version: 1, credential: ticket.credential, remaining: session.remaining(at: now))
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError) -> SessionCommit {
        guard let ticket = SessionTicket(record.credential) else { return .gone(.malformed) }
        let now = now()
        let fresh = SessionTicket(handle: ticket.handle)
        return try contents.withLock { (contents: inout Contents) throws(SessionError) -> SessionCommit in
            var session: StoredSession
            let standing: SessionRecord.Standing
            switch find(ticket, in: contents, at: now) {
            case .absent(let absence): return .gone(absence)
            case .live(let found, let foundStanding): (session, standing) = (found, foundStanding)
            }
            let current = session.record(ticket, standing: standing, at: now)
            if change.needsVersion, record.version != current.version { return .conflict(current) }
            let before = session.size
            let stale = record.version != current.version
            let isRotated = try session.apply(
                change, standing: standing, newDigest: digester.digest(of: fresh), digester: digester, at: now)
            if stale, session.size > max(before, change.maximumBytes) { return .conflict(current) }
            if contents.bytes + session.size - before > maximumBytes { contents.sweep(at: now) }
            guard session.size <= before || contents.bytes + session.size - before <= maximumBytes else {
                throw SessionError(.storeFull, "The session memory is full: \(contents.bytes) bytes.")
            }
            contents.replace(ticket.handle, session)
            return .committed(
                handle: ticket.handle, version: current.version + 1, credential: isRotated ? fresh.credential : nil,
                remaining: session.remaining(at: now))
        }
    }

    public func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential? {
        guard let ticket = SessionTicket(record.credential) else { return nil }
        let now = now()
        contents.withLock { contents in
            guard case .live(var session, let standing) = find(ticket, in: contents, at: now) else { return }
            session.touch(standing, at: now)
            contents.replace(ticket.handle, session)
        }
        return nil
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        guard let ticket = SessionTicket(record.credential) else { return false }
        let now = now()
        return contents.withLock { contents in
            guard case .live = find(ticket, in: contents, at: now) else { return false }
            return contents.bury(ticket.handle, .signOut, until: now + tombstone)
        }
    }

    public func check() async throws(SessionError) {}

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        let now = now()
        return contents.withLock { contents in
            contents.live(digester.digest(ofPrincipal: principal), at: now).map { $0.value.summary($0.key) }.sorted {
                $0.lastUsed > $1.lastUsed
            }
        }
    }

    public func revoke(_ handle: SessionHandle, of principal: String) async throws(SessionError) -> Bool {
        let now = now()
        return contents.withLock { contents in
            guard contents.live(digester.digest(ofPrincipal: principal), at: now)[handle] != nil else { return false }
            return contents.bury(handle, .revocation, until: now + tombstone)
        }
    }

    public func revokeAll(of principal: String, except kept: SessionHandle?) async throws(SessionError) -> Int {
        let now = now()
        return contents.withLock { contents in
            let handles = contents.live(digester.digest(ofPrincipal: principal), at: now).keys.filter { $0 != kept }
            return handles.count { contents.bury($0, .revocation, until: now + tombstone) }
        }
    }

    public func revoke(_ handle: SessionHandle) async throws(SessionError) {
        let now = now()
        contents.withLock { _ = $0.bury(handle, .revocation, until: now + tombstone) }
    }

    // MARK: Inside

    private enum Finding {
        case live(StoredSession, SessionRecord.Standing)
        case absent(SessionAbsence)
    }

    private func find(_ ticket: SessionTicket, in contents: Contents, at now: SessionInstant) -> Finding {
        guard let session = contents.sessions[ticket.handle] else { return .absent(.unknown) }
        guard session.isAlive(at: now) else {
            return .absent(session.end.flatMap { session.isBuried(at: now) ? .ended($0) : nil } ?? .unknown)
        }
        switch session.standing(of: digester.digest(of: ticket), at: now) {
        case .current: return .live(session, .current)
        case .predecessor: return .live(session, .predecessor)
        case .wrong(let replay): return .absent(.superseded(ticket.handle, replay: replay))
        }
    }
}

extension MemorySessionStore.Contents {
    /// Puts a record in place of what was there and keeps the index and the byte count right.
    fileprivate mutating func replace(_ handle: SessionHandle, _ session: StoredSession?) {
        if let old = sessions[handle] {
            bytes -= old.size
            if let user = old.user {
                handles[user]?.remove(handle)
                if handles[user]?.isEmpty == true { handles[user] = nil }
            }
        }
        sessions[handle] = session
        guard let session else { return }
        bytes += session.size
        if let user = session.user { handles[user, default: []].insert(handle) }
    }

    /// Ends a record; false when there is none.
    fileprivate mutating func bury(_ handle: SessionHandle, _ end: SessionEnd, until: SessionInstant) -> Bool {
        guard var session = sessions[handle] else { return false }
        session.bury(end, until: until)
        replace(handle, session)
        return true
    }

    fileprivate func live(_ user: [UInt8], at now: SessionInstant) -> [SessionHandle: StoredSession] {
        (handles[user] ?? []).reduce(into: [:]) { live, handle in
            if let session = sessions[handle], session.isAlive(at: now) { live[handle] = session }
        }
    }

    /// Forgets what is over, at most once a second: a full store must not spend its time on looking for room.
    fileprivate mutating func sweep(at now: SessionInstant) {
        guard now - swept >= .seconds(1) else { return }
        swept = now
        insertions = 0
        for handle in sessions.filter({ $0.value.expiry <= now }).keys { replace(handle, nil) }
    }
}
