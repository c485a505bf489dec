// SPDX-License-Identifier: Apache-2.0

public import Sessions
import Synchronization

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore` and `SessionDirectory`.
/// Keeps the sessions that another store found for a moment, so that bursts of reads cost it one.
///
/// What this instance writes is seen at once, what others write after at most `lifetime`. Writes are as safe
/// as without the cache: the other store decides about each of them by what is stored now.
public struct CachingStore<Base: SessionStore>: SessionStore {
    private final class Cache: Sendable {
        struct Contents {
            var entries: [String: (record: SessionRecord, until: SessionInstant)] = [:]
            /// Grows with each write, so that a read that was under way does not bring back an older state.
            var writes = 0
        }
        let contents = Mutex(Contents())
    }

    private let cache = Cache()
    private let base: Base
    private let lifetime: Duration
    private let now: @Sendable () -> SessionInstant

    /// Creates a store around another one.
    ///
    /// - Parameters:
    ///   - base: the store that does the work.
    ///   - lifetime: how long a session that was found is not asked for again.
    ///   - now: the clock.
    public init(
        _ base: Base,
        lifetime: Duration = .seconds(1),
        now: @escaping @Sendable () -> SessionInstant = { .now }
    ) {
        self.base = base
        self.lifetime = lifetime
        self.now = now
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        let now = now()
        let (known, writes) = cache.contents.withLock { ($0.entries[credential.value], $0.writes) }
        if let known, now < known.until { return .found(known.record) }
        let load = try await base.load(credential)
        guard case .found(let record) = load else { return load }
        cache.contents.withLock { contents in
            guard contents.writes == writes else { return }
            // A current secret that is presented invalidates the one before.
            contents.entries = contents.entries.filter { $0.value.record.id != record.id }
            // Not beyond the end of the session, by the store's clock.
            let until = now + min(lifetime, record.times.expiry - record.now)
            contents.entries[credential.value] = (record, until)
        }
        return load
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try await base.create(draft)
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        defer { forget(record.id) }
        return try await base.commit(change, to: record)
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        defer { if isDue { forget(record.id) } }
        return try await base.touch(record, isDue: isDue)
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        defer { forget(record.id) }
        return try await base.end(record)
    }

    public func check() async throws(SessionError) { try await base.check() }

    public var dividesCookie: Bool { base.dividesCookie }

    public func validate(for cookie: SessionCookie) throws(SessionError) { try base.validate(for: cookie) }

    /// Forgets a session, or all of them.
    private func forget(_ id: SessionID?) {
        cache.contents.withLock { contents in
            contents.writes += 1
            contents.entries = contents.entries.filter { id != nil && $0.value.record.id != id }
        }
    }
}

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionDirectory`.
extension CachingStore: SessionDirectory where Base: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await base.sessions(of: principal)
    }

    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        try await base.sessions(of: principal, page)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        defer { forget(id) }
        return try await base.revoke(id, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        defer { forget(nil) }
        return try await base.revokeAll(of: principal, except: kept)
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        defer { forget(id) }
        try await base.revoke(id)
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        try await base.load(id, of: principal)
    }
}
