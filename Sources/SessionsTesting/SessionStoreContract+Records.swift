// SPDX-License-Identifier: Apache-2.0

import Sessions

/// Absence, commits and expiry.
extension SessionStoreContract {
    static let absenceRules = [
        Rule("a malformed credential is absent") { harness in
            for text in [
                "", "x", ".", "a.b", String(repeating: "A", count: 66), String(repeating: "é", count: 40),
            ] {
                try expect(
                    try await harness.absent(SessionCredential(text)) == .malformed,
                    "\(text.count) characters were not malformed"
                )
            }
        },
        Rule("a made-up credential is absent and is not adopted") { harness in
            let forged = SessionCredential(
                String(repeating: "A", count: 22) + "." + String(repeating: "A", count: 43)
            )
            let absence = try await harness.absent(forged)
            try expect(absence == .unknown || absence == .malformed, "a made-up credential was found")
            try await harness.create(["a": "1"])
            try expect(try await harness.absent(forged) == absence, "a made-up credential was adopted")
        },
        Rule("a wrong secret does not open a session and cannot change it") { harness in
            let first = try await harness.create(["a": "1"])
            let second = try await harness.create()
            let absence = try await harness.absent(harness.splice(first, second))
            let isRefused =
                switch absence {
                case .wrongSecret, .forged, .malformed: true
                default: false
                }
            try expect(isRefused, "another session's secret was accepted")
            var record = try await harness.found(first)
            guard record.residence == .server else { return }
            record.storeContext = try await harness.found(second).storeContext
            // A store that combines others keeps the whole record in its context: that session is changed then,
            // which a cache may notice late.
            let commit = try await harness.commit(["a": .text("2")], to: record)
            try await harness.advance(.seconds(10))
            let other = try await harness.value("a", second)
            try expect(isGone(commit) || other == "2", "a wrong secret changed the session")
            let isEnded = try await harness.store.end(record) == .ended
            try await harness.advance(.seconds(10))
            if isEnded { _ = try await harness.absent(second) }
            try expect(try await harness.value("a", first) == "1", "the session changed")
        },
        Rule("a record gets the ID of its draft, where there is none under it") { harness in
            let id = SessionID()
            let draft = SessionDraft(id: id, attributes: ["a": [0x31]], policy: harness.policy)
            guard case .committed(id, 1, let credential?, _) = try await harness.store.create(draft) else {
                throw Mismatch("the session is not created under the ID of the draft", #line)
            }
            let record = try await harness.found(credential)
            try expect(record.id == id, "the session has another ID")
            guard record.residence == .server else { return }
            try expect(isGone(try await harness.store.create(draft)), "a record was replaced by a new one")
            _ = try await harness.store.end(try await harness.found(credential))
            try expect(
                isGone(try await harness.store.create(draft)),
                "a new record under an ID that was ended"
            )
        },
        Rule("what was created is found, byte for byte") { harness in
            let hostile = ["": 0, "\r\n$-1\r\n": 1, "@version": 2, "a:b": 3, "*1": 4, "{}": 5].mapValues {
                UInt8($0)
            }
            let bytes = (0...255).map { UInt8($0) }
            let attributes = Dictionary(
                uniqueKeysWithValues: hostile.map { ($0.key + "k", bytes + [$0.value]) }
            )
            let draft = SessionDraft(
                attributes: attributes,
                principal: "ann \u{1F41D}",
                policy: harness.policy
            )
            guard case .committed(let id, _, let credential?, _) = try await harness.store.create(draft)
            else {
                throw Mismatch("not created", #line)
            }
            let record = try await harness.found(credential)
            try expect(record.attributes == attributes, "the attributes changed on the way")
            try expect(record.principal == "ann \u{1F41D}", "the principal changed on the way")
            try expect(
                record.id == id && record.version == 1 && record.secretStatus == .current,
                "wrong ID, version or secret status"
            )
            try expect(
                record.times.created == record.times.lastUsed && record.now >= record.times.created,
                "wrong times"
            )
        },
        Rule("the store answers when asked whether it can serve") { try await $0.store.check() },
    ]

    static let commitRules = [
        Rule("a commit sets, removes and increments, and counts the version") { harness in
            let credential = try await harness.create(["a": "1", "b": "2", "n": "5"])
            let record = try await harness.found(credential)
            let commit = try await harness.commit(
                ["a": .text("x"), "b": .remove, "n": .increment(-7), "m": .increment(3)],
                to: record
            )
            guard case .committed(record.id, 2, _, _) = commit else {
                throw Mismatch("got \(commit)", #line)
            }
            let after = try await harness.found(commit.next(after: credential))
            try expect(
                after.attributes.mapValues { String(decoding: $0, as: UTF8.self) } == [
                    "a": "x", "n": "-2", "m": "3",
                ],
                "wrong values"
            )
            try expect(after.version == 2, "wrong version")
        },
        Rule("a blind commit goes on top of whatever is there", needs: .mergedWrites) { harness in
            let credential = try await harness.create()
            let stale = try await harness.found(credential)
            try await harness.commit(["a": .text("1")], to: stale)
            try await harness.commit(["b": .text("2")], to: stale)
            let record = try await harness.found(credential)
            try expect(
                record.attributes.count == 2 && record.version == 3,
                "one of two blind commits was lost"
            )
        },
        Rule("a commit for an old version changes nothing and gets the fresh record", needs: .mergedWrites) {
            harness in
            let credential = try await harness.create(["a": "1"])
            let stale = try await harness.found(credential)
            try await harness.commit(["a": .text("2")], to: stale)
            let commit = try await harness.commit(
                ["a": .text("3"), "b": .text("3")],
                to: stale,
                needsVersion: true
            )
            guard case .conflict(let fresh) = commit else {
                throw Mismatch("expected a conflict, got \(commit)", #line)
            }
            try expect(
                fresh.attributes == ["a": Array("2".utf8)] && fresh.version == 2,
                "the fresh record is not fresh"
            )
            try await harness.commit(["a": .text("4")], to: fresh, needsVersion: true)
            try expect(try await harness.value("a", credential) == "4", "the second attempt was lost")
        },
        Rule("an impossible increment is refused and leaves everything as it was") { harness in
            let credential = try await harness.create(["text": "\"x\"", "big": "\(Int.max)", "n": "1"])
            let record = try await harness.found(credential)
            for name in ["text", "big"] {
                let operations: [String: SessionChange.Operation] = [
                    name: .increment(1), "n": .increment(1), "m": .increment(-2), "zero": .increment(0),
                    "z": .text("z"),
                ]
                do {
                    let commit = try await harness.commit(operations, to: record)
                    throw Mismatch("expected .invalidValue, got \(commit)", #line)
                } catch let error as SessionError { try expect(error.code == .invalidValue, "got \(error)") }
                let after = try await harness.found(credential)
                try expect(
                    after.attributes == record.attributes,
                    "half of a refused commit was stored"
                )
                try expect(after.version == 1, "a refused commit counted")
            }
        },
        Rule(
            "changes to an old version cannot pass the byte limit together, and the caller gets to see why",
            needs: .mergedWrites
        ) {
            harness in
            let credential = try await harness.create()
            let stale = try await harness.found(credential)
            let big = SessionChange.Operation.set([UInt8](repeating: 120, count: 40_000))
            try await harness.commit(["a": big], to: stale)
            guard case .conflict(let fresh) = try await harness.commit(["b": big], to: stale) else {
                throw Mismatch("two large values were stored together", #line)
            }
            try expect(fresh.attributes.count == 1, "the fresh record is not fresh")
            try await harness.commit(["a": .remove, "b": big], to: fresh)
            try expect(
                try await harness.found(credential).attributes.keys.sorted() == ["b"],
                "a change within the limit was refused"
            )
        },
        Rule("what was ended stays ended, whatever comes late", needs: .finalEnds) { harness in
            let credential = try await harness.create(["a": "1"])
            let record = try await harness.found(credential)
            try expect(try await harness.store.end(record) == .ended, "the session was not ended")
            try expect(try await harness.absent(credential) == .ended(.signOut), "an ended session was found")
            try expect(
                isGone(try await harness.commit(["a": .text("2")], to: record)),
                "a late commit was accepted"
            )
            try expect(
                isGone(try await harness.commit([:], to: record, rotation: .renew)),
                "a late renewal was accepted"
            )
            let signIn = SessionChange.Rotation.signIn(principal: "ann", keeping: ["a"])
            try expect(
                isGone(try await harness.commit([:], to: record, rotation: signIn)),
                "a late sign-in was accepted"
            )
            _ = try await harness.store.touch(record, isDue: true)
            try expect(try await harness.store.end(record) != .ended, "it was ended twice")
            try expect(
                try await harness.absent(credential) == .ended(.signOut),
                "something late revived the session"
            )
            try await harness.advance(.seconds(7200))
            try expect(
                isGone(try await harness.commit(["a": .text("2")], to: record)),
                "a very late commit was accepted"
            )
            try expect(
                try await harness.absent(credential) == .unknown,
                "something very late revived the session"
            )
        },
    ]

    static let expiryRules = [
        Rule("a session ends at its idle timeout and nothing late revives it") { harness in
            let credential = try await harness.create(["a": "1"])
            try await harness.advance(.seconds(590))
            let record = try await harness.found(credential)
            try await harness.advance(.seconds(11))
            try expect(try await harness.absent(credential) == .unknown, "an expired session was found")
            try expect(
                isGone(try await harness.commit(["a": .text("2")], to: record)),
                "a late commit was accepted"
            )
            _ = try await harness.store.touch(record, isDue: true)
            try expect(try await harness.store.end(record) != .ended, "an expired session was ended")
            try expect(try await harness.absent(credential) == .unknown, "something late revived the session")
        },
        Rule("a touch and a commit restart the idle timeout") { harness in
            var credential = try await harness.create()
            try await harness.advance(.seconds(500))
            credential = try await harness.touch(credential)
            try await harness.advance(.seconds(500))
            let record = try await harness.found(credential)
            try expect(
                record.now - record.times.lastUsed >= .seconds(499),
                "the last use is not what the touch left"
            )
            credential = try await harness.commit(["a": .text("1")], to: record).next(after: credential)
            try await harness.advance(.seconds(500))
            try expect(try await harness.found(credential).version == 2, "a touch counted as a change")
        },
        Rule("nothing but a sign-in moves the absolute deadline") { harness in
            var credential = try await harness.create()
            let deadline = try await harness.found(credential).times.deadline
            for _ in 0..<6 {
                try await harness.advance(.seconds(560))
                let record = try await harness.found(credential)
                _ = try await harness.store.touch(record, isDue: true)
                credential = try await harness.rotate(record, .renew)
            }
            let last = try await harness.found(credential)
            // Stores that are moved through time by moving their records keep the distance, not the instant.
            try expect(
                (last.times.deadline - last.now) < .seconds(300) && last.times.deadline <= deadline,
                "the deadline moved"
            )
            try await harness.advance(.seconds(300))
            try expect(try await harness.absent(credential) == .unknown, "the session outlived its lifetime")
        },
        Rule("a sign-in restarts the lifetime") { harness in
            var credential = try await harness.create()
            for _ in 0..<6 { credential = try await harness.touch(credential, after: .seconds(560)) }
            credential = try await harness.rotate(
                try await harness.found(credential),
                .signIn(principal: "ann", keeping: [])
            )
            try await harness.advance(.seconds(500))
            let record = try await harness.found(credential)
            try expect(record.times.deadline - record.now > .seconds(3000), "the lifetime did not restart")
        },
    ]
}
