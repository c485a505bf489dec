// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The sessions of a user.
extension SessionStoreContract {
    static let directoryRules = [
        directoryRule("a user's sessions are listed, and no other user's", needs: .listedAttributes) {
            harness,
            directory in
            let first = try await harness.found(
                try await harness.create(["name": "\"phone\"", "other": "\"x\""], principal: "ann")
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
            for limit in [1, 100] {
                let page = SessionPage(names: ["name"], limit: limit, after: limit == 1 ? list.first : nil)
                let entry = try await directory.sessions(of: "ann", page).last
                try expect(entry?[SessionKey<String>("name")] == "phone", "what is asked for is missing")
                try expect(entry?[SessionKey<String>("other")] == nil, "what is not asked for is shown")
            }
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
        directoryRule("the list says when each session signed in") { harness, directory in
            let visitor = try await harness.create(["a": "1"])
            try await harness.advance(.seconds(20))
            let signedIn = try await harness.rotate(
                try await harness.found(visitor),
                .signIn(principal: "ann", keeping: [])
            )
            let time = try await harness.found(signedIn).times.authenticated
            let entry = try await directory.sessions(of: "ann").first
            try expect(entry?.authenticatedAt == time && time != nil, "another time, or none")
            let page = try await directory.sessions(of: "ann", SessionPage(limit: 1))
            try expect(page.first?.authenticatedAt == time, "another time, or none, in a page")
        },
        directoryRule("the end of all sessions refuses sign-ins that were checked before, and no later ones")
        {
            harness,
            directory in
            // Long before: stores count in milliseconds.
            let before = ContinuousClock.now - .seconds(5)
            _ = try await directory.revokeAll(of: "ann", except: nil)
            let after = ContinuousClock.now
            for (since, isRefused) in [(before, true), (after, false), (nil, false)] {
                let new = SessionDraft(
                    attributes: [:],
                    principal: "ann",
                    policy: harness.policy,
                    notRevokedSince: since
                )
                try expect(isGone(try await harness.store.create(new)) == isRefused, "create: \(isRefused)")
                let visitor = try await harness.found(try await harness.create(["a": "1"]))
                for (user, isRefused) in [("bob", false), ("ann", isRefused)] {
                    let signIn = SessionChange(
                        operations: [:],
                        rotation: .signIn(principal: user, keeping: []),
                        policy: harness.policy,
                        notRevokedSince: since
                    )
                    let record = user == "bob" ? try await harness.found(try await harness.create()) : visitor
                    switch try await harness.store.commit(signIn, to: record) {
                    case .committed: try expect(!isRefused, "\(user) could sign in")
                    case .gone(.ended(.revocation)): try expect(isRefused, "\(user) could not sign in")
                    case let other: throw Mismatch("\(user): \(other)", #line)
                    }
                }
            }
            try expect(try await directory.sessions(of: "ann").count == 4, "a refused sign-in is listed")
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
        directoryRule("a user's session can be changed and ended by its name, and no other user's") {
            harness,
            directory in
            let mine = try await harness.create(["a": "1"], principal: "ann")
            let id = try await harness.found(mine).id
            let other = try await harness.found(try await harness.create(principal: "bob")).id
            let visitor = try await harness.found(try await harness.create()).id
            guard let record = try await directory.record(id, of: "ann") else { return }
            for (id, user) in [
                (id, "bob"), (other, "ann"), (visitor, "ann"), (visitor, ""), (SessionID(), "ann"),
            ] {
                guard case .absent(.unknown) = try await directory.load(id, of: user) else {
                    throw Mismatch("another user's session was found", #line)
                }
            }
            try expect(record.principal == "ann" && record.id == id, "a wrong record")
            try await harness.advance(.seconds(300))
            let commit = try await harness.commit(
                ["a": .text("2"), "n": .increment(3)],
                to: record,
                needsVersion: true
            )
            guard case .committed(id, _, nil, _) = commit else {
                throw Mismatch("the change is refused", #line)
            }
            let stale = try await harness.commit(["a": .text("3")], to: record, needsVersion: true)
            guard case .conflict(let fresh) = stale, fresh.principal == "ann", fresh.attributes["n"] == [0x33]
            else {
                throw Mismatch("the change for an old version brings no fresh record", #line)
            }
            for rotation in [SessionChange.Rotation.renew, .elevate, .signIn(principal: "bob", keeping: [])] {
                let code = try await directory.refusal(of: rotation, of: fresh, harness.policy)
                try expect(code == .unsupported, "the secret can be replaced")
            }
            _ = try await directory.touch(fresh, isDue: true)
            try expect(try await harness.value("a", mine) == "2", "the change is not stored")
            try await harness.advance(.seconds(250))
            _ = try await harness.found(mine)
            try await harness.advance(.seconds(100))
            try expect(
                try await harness.absent(mine) == .unknown,
                "a change without the secret extends the session"
            )
            let second = try await harness.create(principal: "ann")
            let ending = try await harness.found(second).id
            guard let ending = try await directory.record(ending, of: "ann") else { return }
            try expect(try await directory.end(ending) == .ended, "the session was not ended")
            try expect(try await harness.absent(second) == .ended(.signOut), "the ended session is alive")
            let late = try await harness.commit(["a": .text("4")], to: ending)
            try expect(isGone(late), "an ended session was changed")
        },
    ]

    static func directoryRule(
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

extension SessionDirectory {
    /// The record; nil for a store that cannot change a session without its cookie, and says so.
    fileprivate func record(_ id: SessionID, of principal: String) async throws -> SessionRecord? {
        let load: SessionLoadResult
        do throws(SessionError) { load = try await self.load(id, of: principal) } catch {
            try expect(error.code == .unsupported, "a load by name fails with \(error.code)")
            return nil
        }
        guard case .found(let record) = load else {
            throw Mismatch("the session was not found: \(load)", #line)
        }
        return record
    }

    /// Why a rotation is refused; nil when it is not.
    fileprivate func refusal(
        of rotation: SessionChange.Rotation,
        of record: SessionRecord,
        _ policy: SessionPolicy
    ) async throws -> SessionError.Code? {
        let change = SessionChange(operations: [:], rotation: rotation, policy: policy)
        do throws(SessionError) { _ = try await commit(change, to: record) } catch { return error.code }
        return nil
    }
}
