// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The sessions of a user.
extension SessionStoreContract {
    static let directoryRules = [
        directoryRule("a user's sessions are listed, and no other user's", needs: .listedAttributes) {
            harness,
            directory in
            let first = try await harness.found(
                try await harness.create(["name": "\"phone\""], principal: "ann")
            )
            try await harness.advance(.seconds(10))
            let anonymous = try await harness.create()
            let second = try await harness.found(
                try await harness.rotate(
                    try await harness.found(anonymous),
                    .signIn(principal: "ann", keeping: [])
                )
            )
            _ = try await harness.create(principal: "bob")
            let list = try await directory.sessions(of: "ann")
            try expect(list.map(\.id) == [second.id, first.id], "wrong list or order")
            try expect(
                list.last?[SessionKey<String>("name")] == "phone",
                "what the session holds is not shown"
            )
            try expect(try await directory.sessions(of: "unknown").isEmpty, "an unknown user has sessions")
        },
        directoryRule("user names are compared as bytes") { harness, directory in
            for (left, right) in [("K", "\u{212A}"), ("\u{E9}", "e\u{301}"), ("ann", "Ann")] {
                let id = try await harness.found(try await harness.create(principal: left)).id
                try expect(try await directory.sessions(of: right).isEmpty, "two users share a list")
                try expect(
                    try await !directory.revoke(id, of: right),
                    "another user's session was revoked"
                )
            }
        },
        directoryRule("a sign-out and an expiry leave the list") { harness, directory in
            let record = try await harness.found(try await harness.create(principal: "ann"))
            _ = try await harness.create(principal: "ann")
            _ = try await harness.store.end(record)
            try expect(try await directory.sessions(of: "ann").count == 1, "an ended session is listed")
            try await harness.advance(.seconds(601))
            try expect(try await directory.sessions(of: "ann").isEmpty, "an expired session is listed")
        },
        directoryRule("a user can end one of their sessions, and no other user's") { harness, directory in
            let mine = try await harness.create(principal: "ann")
            let other = try await harness.create(principal: "bob")
            let id = try await harness.found(mine).id
            let foreign = try await harness.found(other).id
            try expect(try await !directory.revoke(foreign, of: "ann"), "another user's session was revoked")
            try expect(try await directory.revoke(id, of: "ann"), "the session was not revoked")
            try expect(try await !directory.revoke(id, of: "ann"), "it was revoked twice")
            try expect(try await harness.absent(mine) == .ended(.revocation), "the revoked session is alive")
            _ = try await harness.found(other)
        },
        directoryRule("a user can end all sessions but one") { harness, directory in
            let kept = try await harness.create(principal: "ann")
            var ended: [SessionCredential] = []
            for _ in 0..<5 { ended.append(try await harness.create(principal: "ann")) }
            let other = try await harness.create(principal: "bob")
            let count = try await directory.revokeAll(of: "ann", except: try await harness.found(kept).id)
            try expect(count == 5, "\(count) instead of 5 sessions were ended")
            for credential in ended {
                try expect(try await harness.absent(credential) == .ended(.revocation), "a session survived")
            }
            _ = try await harness.found(kept)
            _ = try await harness.found(other)
            try expect(
                try await directory.revokeAll(of: "ann", except: nil) == 1,
                "the last one was not ended"
            )
        },
        directoryRule("no sign-in slips past the end of all sessions") { harness, directory in
            try await withThrowingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask {
                        if number % 2 == 0 { return try? await harness.create(principal: "ann") }
                        let record = try await harness.found(try await harness.create())
                        return try? await harness.rotate(record, .signIn(principal: "ann", keeping: []))
                    }
                }
                group.addTask {
                    for _ in 0..<5 { _ = try await directory.revokeAll(of: "ann", except: nil) }
                    return nil
                }
                // A session that is alive now is in the list, so that the next call finds it.
                var credentials: [SessionCredential] = []
                for try await case let credential? in group { credentials.append(credential) }
                var alive = 0
                for credential in credentials {
                    if case .found = try await harness.store.load(credential) { alive += 1 }
                }
                try expect(
                    try await directory.sessions(of: "ann").count == alive,
                    "a live session is missing in the list"
                )
                try expect(
                    try await directory.revokeAll(of: "ann", except: nil) == alive,
                    "not all sessions were ended"
                )
            }
        },
        directoryRule("a theft policy can end a session by its name alone", needs: .finalEnds) {
            harness,
            directory in
            let credential = try await harness.create()
            try await directory.revoke(try await harness.found(credential).id)
            try expect(try await harness.absent(credential) == .ended(.revocation), "the session is alive")
        },
    ]

    private static func directoryRule(
        _ description: String,
        needs: Guarantees = [],
        _ body: @escaping @Sendable (SessionStoreHarness, any SessionDirectory) async throws -> Void
    ) -> Rule {
        Rule(description, needs: needs) { harness in
            guard let directory = harness.store as? any SessionDirectory else { return }
            try await body(harness, directory)
        }
    }
}
