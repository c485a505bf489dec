// SPDX-License-Identifier: Apache-2.0

import Sessions
import SessionsTesting
import Testing

/// The contract for stores that keep sessions, or parts of them, in the cookie; and that each limit they
/// declare is real.
@Suite struct `Client-held stores` {
    /// One store and what it promises.
    struct Strategy: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let guarantees: SessionStoreContract.Guarantees
        let make: @Sendable (ManualClock) throws -> any SessionStore
    }

    private static func keys() throws -> SealKeyRing { try SealKeyRing([try SealedSite.key("a", 1)]) }

    static let strategies = [
        Strategy(testDescription: "sealed", guarantees: []) { clock in
            try SealedSessionStore(keys(), application: "shop") { clock.now }
        },
        Strategy(testDescription: "tiered, anonymous", guarantees: [.listedAttributes]) { clock in
            try tiered(clock)
        },
        Strategy(testDescription: "tiered, signed in", guarantees: .all) { clock in
            SignedIn(try tiered(clock))
        },
    ]

    private static func tiered(_ clock: ManualClock) throws -> TieredSessionStore {
        try TieredSessionStore(
            anonymous: SealedSessionStore(keys(), application: "shop") { clock.now },
            signedIn: MemorySessionStore { clock.now }
        )
    }

    /// A forger who has two cookies: half of one and half of the other.
    static func splice(_ first: SessionCredential, _ second: SessionCredential) -> SessionCredential {
        // A seal, or a ticket: HANDLE.SECRET.
        let count = first.value.dropFirst(2).first == "." ? first.value.count / 2 : 23
        return SessionCredential(
            String(first.value.prefix(count)) + String(second.value.suffix(first.value.count - count))
        )
    }

    private func check(_ rule: SessionStoreContract.Rule, _ strategy: Strategy) async throws {
        let clock = ManualClock()
        let harness = SessionStoreHarness(store: try strategy.make(clock), splice: Self.splice) {
            clock.advance(by: $0)
        }
        try await rule.check(harness)
    }

    @Test(arguments: strategies) func `keep what they promise`(strategy: Strategy) async throws {
        for rule in SessionStoreContract.rules(for: strategy.guarantees) { try await check(rule, strategy) }
    }

    @Test(arguments: strategies) func `promise all that they keep`(strategy: Strategy) async throws {
        for rule in SessionStoreContract.rules where !strategy.guarantees.isSuperset(of: rule.needs) {
            // A rule about lists says nothing about a store that has none, one about a user's session nothing
            // about visitors.
            let isDirectory = try strategy.make(ManualClock()) is any SessionDirectory
            if !isDirectory, rule.needs == .listedAttributes || rule.description.contains("theft policy") {
                continue
            }
            let ofUsers = [
                "after a renewal the old secret works beside", "after an elevation",
                "the holder of the old secret may elevate",
            ]
            if strategy.testDescription == "tiered, anonymous",
                ofUsers.contains(where: rule.description.hasPrefix)
            {
                continue
            }
            do {
                try await check(rule, strategy)
                Issue.record("\(strategy.testDescription) keeps: \(rule)")
            } catch is SessionStoreContract.Violation {} catch let error as SessionError {
                #expect([.conflict, .tooLarge].contains(error.code), "\(rule): \(error)")
            }
        }
    }
}

/// Signs everybody in, so that the rules meet the sessions of users.
private struct SignedIn: SessionDirectory {
    let store: any SessionDirectory

    init(_ store: any SessionDirectory) { self.store = store }

    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        var draft = draft
        draft.principal = draft.principal ?? "somebody"
        return try await store.create(draft)
    }

    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        try await store.load(credential)
    }
    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        try await store.commit(change, to: record)
    }
    func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        try await store.touch(record, isDue: isDue)
    }
    func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        try await store.end(record)
    }
    func check() async throws(SessionError) { try await store.check() }
    func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await store.sessions(of: principal)
    }
    func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await store.revoke(id, of: principal)
    }
    func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await store.revokeAll(of: principal, except: kept)
    }
    func revoke(_ id: SessionID) async throws(SessionError) { try await store.revoke(id) }
}
