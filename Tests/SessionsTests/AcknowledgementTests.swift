// SPDX-License-Identifier: Apache-2.0

import SessionsTesting
import Synchronization
import Testing

@testable import Sessions

/// How many copies have what was stored: what stores report, callers collect and operators learn.
@Suite struct `Acknowledgements` {
    private static let short = SessionAcknowledgement(wanted: 2, acknowledged: 1)
    private static let complete = SessionAcknowledgement(wanted: 2, acknowledged: 2)

    @Test func `what lacks most is collected, also from inside another collection`() async throws {
        #expect(await SessionAcknowledgement.collect { 1 }.1 == nil)
        Self.short.report()
        let (inner, outer) = await SessionAcknowledgement.collect {
            Self.complete.report()
            let inner = await SessionAcknowledgement.collect { Self.short.report() }.1
            Self.complete.report()
            return inner
        }
        #expect(inner == Self.short && outer == Self.short)
        let (_, child) = await SessionAcknowledgement.collect {
            await withTaskGroup { $0.addTask { Self.short.report() } }
        }
        #expect(child == Self.short)
    }

    @Test func `a collection that fails passes on what it has seen`() async throws {
        let (_, outer) = await SessionAcknowledgement.collect {
            try? await SessionAcknowledgement.collect {
                Self.short.report()
                throw SessionError(.conflict, "")
            }
        }
        #expect(outer == Self.short)
    }

    /// A site whose store says of each durable write that one of two copies has it.
    private func site() throws -> (SessionManager, Recorder) {
        let recorder = Recorder()
        let manager = try SessionManager(
            store: ReportingStore(try MemorySessionStore(), Self.short),
            logger: recorder.logger,
            onEvent: { recorder.note($0) }
        )
        return (manager, recorder)
    }

    @Test func `each write that has too few copies is one event, beside its own`() async throws {
        let (manager, recorder) = try site()
        let visitor = Visitor(manager)
        func expect(_ kinds: SessionEvent.Kind..., sourceLocation: SourceLocation = #_sourceLocation) {
            let events = recorder.takeEvents()
            #expect(events.map(\.kind) == kinds, sourceLocation: sourceLocation)
            for event in events where event.kind == .notReplicated {
                #expect(event.acknowledgement == Self.short, sourceLocation: sourceLocation)
                #expect(event.principal == "ann", sourceLocation: sourceLocation)
            }
        }
        // Not for a visitor: the store reports it, and nothing waits for it.
        try await visitor.send { try $0.set(.item, "tea") }
        try await visitor.send { try $0.set(.item, "cake") }
        expect(.created)
        try await visitor.send { try $0.signIn(as: "ann") }
        expect(.notReplicated, .signedIn)
        try await visitor.send { try $0.renew() }
        expect(.notReplicated, .renewed)
        // A change that depends on what was read, together with a new secret.
        try await visitor.send { session in
            try session.update(.list, default: []) { $0.append("a") }
            try session.renew()
        }
        expect(.notReplicated, .renewed)
        try await visitor.send { try $0.signOut() }
        expect(.notReplicated, .signedOut)
        try await visitor.send { try $0.signIn(as: "ann") }
        expect(.notReplicated, .signedIn)
        let (count, acknowledgement) = try await SessionAcknowledgement.collect {
            try await manager.revokeAll(of: "ann")
        }
        #expect(count == 1 && acknowledgement == Self.short)
        expect(.notReplicated, .revoked)
    }

    @Test func `enough copies are no event`() async throws {
        let recorder = Recorder()
        let manager = try SessionManager(
            store: ReportingStore(try MemorySessionStore(), Self.complete),
            onEvent: { recorder.note($0) }
        )
        let visitor = Visitor(manager)
        let (_, acknowledgement) = try await SessionAcknowledgement.collect {
            try await visitor.send { try $0.signIn(as: "ann") }
        }
        #expect(acknowledgement == Self.complete)
        #expect(recorder.takeEvents().map(\.kind) == [.signedIn])
    }
}

/// A store that says the same of each write.
private struct ReportingStore: SessionDirectory {
    private let store: MemorySessionStore
    private let acknowledgement: SessionAcknowledgement

    init(_ store: MemorySessionStore, _ acknowledgement: SessionAcknowledgement) {
        (self.store, self.acknowledgement) = (store, acknowledgement)
    }

    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        try await store.load(credential)
    }

    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        acknowledgement.report()
        return try await store.create(draft)
    }

    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        acknowledgement.report()
        return try await store.commit(change, to: record)
    }

    func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        try await store.touch(record, isDue: isDue)
    }

    func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        acknowledgement.report()
        return try await store.end(record)
    }

    func check() async throws(SessionError) {}

    func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await store.sessions(of: principal)
    }

    func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        acknowledgement.report()
        return try await store.revoke(id, of: principal)
    }

    func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        acknowledgement.report()
        return try await store.revokeAll(of: principal, except: kept)
    }

    func revoke(_ id: SessionID) async throws(SessionError) {
        acknowledgement.report()
        try await store.revoke(id)
    }
}
