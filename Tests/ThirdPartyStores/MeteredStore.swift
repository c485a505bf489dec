// SPDX-License-Identifier: Apache-2.0

public import Sessions
import Synchronization

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore` and `SessionDirectory`.
/// Counts what another store is asked and how often it fails, and forwards everything.
public struct MeteredStore<Base: SessionStore>: SessionStore {
    /// What was counted.
    public final class Counters: Sendable {
        private let counts = Mutex<[String: Int]>([:])

        /// How often each operation was asked for; `failed` is how often one threw.
        public var values: [String: Int] { counts.withLock { $0 } }

        fileprivate func add(_ name: String) { counts.withLock { $0[name, default: 0] += 1 } }
    }

    /// What was counted up to now.
    public let counters = Counters()
    private let base: Base
    private let prepare: (@Sendable () async -> Void)?

    /// Creates a store around another one.
    ///
    /// - Parameters:
    ///   - base: the store that does the work.
    ///   - prepare: is called before each operation.
    public init(_ base: Base, before prepare: (@Sendable () async -> Void)? = nil) {
        (self.base, self.prepare) = (base, prepare)
    }

    private func measure<Answer>(
        _ name: String,
        _ operation: () async throws(SessionError) -> Answer
    ) async throws(SessionError) -> Answer {
        counters.add(name)
        await prepare?()
        do { return try await operation() } catch {
            counters.add("failed")
            throw error
        }
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        try await measure("load") { () async throws(SessionError) in try await base.load(credential) }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try await measure("create") { () async throws(SessionError) in try await base.create(draft) }
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        try await measure("commit") { () async throws(SessionError) in
            try await base.commit(change, to: record)
        }
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        try await measure("touch") { () async throws(SessionError) in
            try await base.touch(record, isDue: isDue)
        }
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        try await measure("end") { () async throws(SessionError) in try await base.end(record) }
    }

    public func check() async throws(SessionError) {
        try await measure("check") { () async throws(SessionError) in try await base.check() }
    }

    public var dividesCookie: Bool { base.dividesCookie }

    public func validate(for cookie: SessionCookie) throws(SessionError) { try base.validate(for: cookie) }
}

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionDirectory`.
extension MeteredStore: SessionDirectory where Base: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await measure("list") { () async throws(SessionError) in
            try await base.sessions(of: principal)
        }
    }

    public func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
        -> [SessionSummary]
    {
        try await measure("list") { () async throws(SessionError) in
            try await base.sessions(of: principal, page)
        }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await measure("revoke") { () async throws(SessionError) in
            try await base.revoke(id, of: principal)
        }
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await measure("revoke") { () async throws(SessionError) in
            try await base.revokeAll(of: principal, except: kept)
        }
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await measure("revoke") { () async throws(SessionError) in try await base.revoke(id) }
    }

    public func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        try await measure("load") { () async throws(SessionError) in
            try await base.load(id, of: principal)
        }
    }
}
