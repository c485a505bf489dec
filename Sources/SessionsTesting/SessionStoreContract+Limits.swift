// SPDX-License-Identifier: Apache-2.0

import Sessions

/// How many sessions a user has, and how many of them are shown at a time.
extension SessionStoreContract {
    static let limitRules = [
        directoryRule("a user has as many sessions as the policy allows: the first to sign in ends") {
            harness,
            directory in
            let other = try await harness.create(principal: "bob")
            var credentials: [SessionCredential] = []
            for number in 0..<6 {
                try await harness.advance(.seconds(2))
                credentials.append(try await harness.signIn(maximum: 3, asVisitorFirst: number % 2 == 1))
            }
            for credential in credentials[..<3] {
                try expect(try await harness.absent(credential) == .ended(.revocation), "too many live")
            }
            for credential in credentials[3...] { _ = try await harness.found(credential) }
            try expect(try await directory.sessions(of: "ann").count == 3, "not three are listed")
            _ = try await harness.found(other)
            // A user who signs in again in one of them ends none.
            let again = try await harness.found(credentials[3])
            let fourth = try await harness.signIn(maximum: 3, again)
            for credential in credentials[4...] { _ = try await harness.found(credential) }
            try await harness.advance(.seconds(2))
            _ = try await harness.signIn(maximum: 3)
            try expect(
                try await harness.absent(credentials[4]) == .ended(.revocation),
                "the first to sign in is alive"
            )
            _ = try await harness.found(fourth)
            // Sessions that are over do not count.
            try await harness.advance(.seconds(601))
            var first = try await harness.signIn(maximum: 2)
            _ = try await harness.signIn(maximum: 2)
            let out = try await harness.signIn(maximum: 3)
            _ = try await harness.store.end(try await harness.found(out))
            first = try await harness.touch(first, after: .seconds(400))
            try await harness.advance(.seconds(300))
            let last = try await harness.signIn(maximum: 2)
            for credential in [first, last] { _ = try await harness.found(credential) }
            try expect(try await directory.sessions(of: "ann").count == 2, "not two are listed")
        },
        directoryRule("sign-ins at the same time keep to a user's limit, and the last of them lives") {
            harness,
            directory in
            try await withThrowingTaskGroup(of: SessionCredential?.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        do {
                            return try await harness.signIn(maximum: 4, asVisitorFirst: number % 2 == 1)
                        } catch is Overtaken { return nil }
                    }
                }
                var alive = 0
                for try await case let credential? in group {
                    if case .found = try await harness.store.load(credential) { alive += 1 }
                }
                try expect(alive >= 1, "all of them ended")
            }
            let count = try await directory.sessions(of: "ann").count
            try expect((1...4).contains(count), "\(count) sessions")
            try await harness.advance(.seconds(2))
            _ = try await harness.found(try await harness.signIn(maximum: 4))
            let after = try await directory.sessions(of: "ann").count
            try expect((1...4).contains(after), "\(after) sessions afterwards")
        },
        directoryRule("a user's sessions are shown in pages, the most recently used first") {
            harness,
            directory in
            var ids: [SessionID] = []
            for _ in 0..<5 {
                try await harness.advance(.seconds(2))
                ids.insert(try await harness.found(try await harness.create(principal: "ann")).id, at: 0)
            }
            var shown: [SessionSummary] = []
            for count in [2, 2, 1, 0] {
                let page = SessionPage(limit: 2, after: shown.last)
                let entries = try await directory.sessions(of: "ann", page)
                try expect(entries.count == count, "\(entries.count) entries instead of \(count)")
                shown += entries
            }
            try expect(shown.map(\.id) == ids, "another order")
        },
    ]
}

extension SessionStoreHarness {
    /// Signs ann in who may have so many sessions: in a new session, in that of a visitor, or in a given one.
    fileprivate func signIn(
        maximum: Int,
        _ record: SessionRecord? = nil,
        asVisitorFirst: Bool = false
    ) async throws -> SessionCredential {
        var policy = policy
        policy.maximumSessionsPerUser = maximum
        let result: SessionCommitResult
        let visitor = asVisitorFirst ? try await found(try await create(["a": "1"])) : record
        if let visitor {
            let change = SessionChange(
                operations: [:],
                rotation: .signIn(principal: "ann", keeping: []),
                policy: policy
            )
            result = try await store.commit(change, to: visitor)
        } else {
            result = try await store.create(SessionDraft(attributes: [:], principal: "ann", policy: policy))
        }
        // Later sign-ins may have ended it already, and a store may notice that before it is done.
        if case .gone(.ended(.revocation)) = result { throw Overtaken() }
        guard case .committed(_, _, let credential?, _) = result else { throw Mismatch("no sign-in", #line) }
        return credential
    }
}

/// Later sign-ins of the user have ended the session before its own was done.
private struct Overtaken: Error {}
