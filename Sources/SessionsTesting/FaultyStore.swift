// SPDX-License-Identifier: Apache-2.0

public import Sessions
import Synchronization

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`, `SessionDirectory`.
/// A store that counts what it is asked, and fails or waits when a test says so.
///
/// Otherwise it hands on to a real one.
///
/// For the faults that a real store cannot produce at will: an outage between load and commit, a race at a
/// chosen point.
public final class FaultyStore: SessionDirectory {
    /// What a store is asked to do.
    public enum Operation: Hashable, Sendable, CaseIterable {
        case load, create, commit, touch, end, check, list, revoke
    }

    private struct State {
        var counts: [Operation: Int] = [:]
        var failing: Set<Operation> = []
        var hooks: [Operation: @Sendable () async -> Void] = [:]
    }

    private let store: any SessionDirectory
    private let state = Mutex(State())

    /// Wraps a store.
    public init(_ store: any SessionDirectory) { self.store = store }

    /// How often each operation was asked for.
    public var counts: [Operation: Int] { state.withLock { $0.counts } }

    /// Makes these operations fail with `.storeUnavailable` from now on; the others work.
    public func fail(_ operations: Set<Operation>) { state.withLock { $0.failing = operations } }

    /// Runs `hook` once, before the next such operation reaches the store: the place to force a race.
    public func before(_ operation: Operation, _ hook: @escaping @Sendable () async -> Void) {
        state.withLock { $0.hooks[operation] = hook }
    }

    private func enter(_ operation: Operation) async throws(SessionError) {
        let (hook, fails) = state.withLock { state in
            state.counts[operation, default: 0] += 1
            return (state.hooks.removeValue(forKey: operation), state.failing.contains(operation))
        }
        await hook?()
        if fails { throw SessionError(.storeUnavailable, "This fault was asked for by a test.") }
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        try await enter(.load)
        return try await store.load(credential)
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try await enter(.create)
        return try await store.create(draft)
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        try await enter(.commit)
        return try await store.commit(change, to: record)
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        if isDue { try await enter(.touch) }
        return try await store.touch(record, isDue: isDue)
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        try await enter(.end)
        return try await store.end(record)
    }

    public func check() async throws(SessionError) {
        try await enter(.check)
        try await store.check()
    }

    public var dividesCookie: Bool { store.dividesCookie }

    public func validate(for cookie: SessionCookie) throws(SessionError) { try store.validate(for: cookie) }

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await enter(.list)
        return try await store.sessions(of: principal)
    }

    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        try await enter(.list)
        return try await store.sessions(of: principal, page)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await enter(.revoke)
        return try await store.revoke(id, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await enter(.revoke)
        return try await store.revokeAll(of: principal, except: kept)
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await enter(.revoke)
        try await store.revoke(id)
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        try await enter(.load)
        return try await store.load(id, of: principal)
    }
}
