// SPDX-License-Identifier: Apache-2.0

import Sessions
import SessionsTesting
import Testing

@Suite struct `Memory store` {
    private let clock = ManualClock()

    @Test(arguments: SessionStoreContract.rules) func `keeps the contract`(rule: SessionStoreContract.Rule)
        async throws
    {
        let store = try MemorySessionStore { [clock] in clock.now }
        try await rule.check(SessionStoreHarness(store: store) { [clock] in clock.advance(by: $0) })
    }

    @Test func `is bounded in number and says so`() async throws {
        let store = try MemorySessionStore(maximumSessions: 3) { [clock] in clock.now }
        let draft = SessionDraft(attributes: [:], policy: SessionPolicy())
        for _ in 0..<3 { _ = try await store.create(draft) }
        await #expect(throws: SessionError(.storeFull, "")) { try await store.create(draft) }
        clock.advance(by: .seconds(1801))
        _ = try await store.create(draft)
        #expect(store.count == 1)
    }

    @Test func `is bounded in bytes, and shrinking is always allowed`() async throws {
        let store = try MemorySessionStore(maximumBytes: 100) { [clock] in clock.now }
        let policy = SessionPolicy()
        let bytes = [UInt8](repeating: 0, count: 90)
        guard
            case .committed(_, _, let credential?, _) = try await store.create(
                SessionDraft(attributes: ["a": bytes], policy: policy)
            ),
            case .found(let record) = try await store.load(credential)
        else { return #expect(Bool(false), "not created") }
        await #expect(throws: SessionError(.storeFull, "")) {
            try await store.commit(SessionChange(operations: ["b": .set(bytes)], policy: policy), to: record)
        }
        _ = try await store.commit(SessionChange(operations: ["a": .set([1])], policy: policy), to: record)
        _ = try await store.commit(SessionChange(operations: ["b": .set(bytes)], policy: policy), to: record)
        _ = try await store.end(record)
        _ = try await store.create(SessionDraft(attributes: ["a": bytes], policy: policy))
    }

    @Test func `sweeps what has expired`() async throws {
        let store = try MemorySessionStore { [clock] in clock.now }
        for _ in 0..<20 {
            for _ in 0..<1000 {
                _ = try await store.create(
                    SessionDraft(attributes: [:], principal: "ann", policy: SessionPolicy())
                )
            }
            clock.advance(by: .seconds(1801))
        }
        #expect(store.count < 3000)
    }
}
