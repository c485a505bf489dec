// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import Sessions
import TestSupport
import Testing

/// What many updates of one session cost in commands.
@Suite(.limited) struct `Combined commits` {
    @Test func `1000 updates of one session at once lose nothing and cost few commits`() async throws {
        let server = try await RedisServer()
        let store = try RedisSessionStore(patientClient(server.url), application: "shop")
        let manager = try SessionManager(store: store)
        let draft = SessionDraft(attributes: ["n": [48]], policy: SessionPolicy())
        guard case .committed(_, _, let credential?, _) = try await store.create(draft) else {
            return #expect(Bool(false), "not created")
        }
        try await server.resetCounts()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<1000 {
                group.addTask {
                    try await manager.withSession(credential) { session in
                        try session.update(.init("n"), default: 0) { $0 += 1 }
                    }
                }
            }
            try await group.waitForAll()
        }
        let commits = try await server.commandCounts()["evalsha"] ?? 0
        let total = try await manager.withSession(credential) { $0[SessionKey<Int>("n")] }
        // Each loads once; those that load at the same time try once by themselves. One by one it would be 2000.
        #expect(total == 1000 && commits < 1100, "\(commits) commits")
    }
}
