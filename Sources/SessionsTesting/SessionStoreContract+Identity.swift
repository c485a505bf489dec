// SPDX-License-Identifier: Apache-2.0

import Sessions

/// Secrets and races.
extension SessionStoreContract {
    static let rotationRules = [
        Rule(
            "a sign-in replaces the secret at once and drops what it was not told to keep",
            needs: .replacedCredentials
        ) { harness in
            let old = try await harness.create(["cart": "1", "csrf": "2"])
            let before = try await harness.found(old)
            let new = try await harness.rotate(
                before,
                .signIn(principal: "ann", keeping: ["cart", "missing"])
            )
            let record = try await harness.found(new)
            try expect(record.id == before.id && record.version == 2, "the record is another one")
            try expect(record.principal == "ann", "the user is not signed in")
            try expect(record.attributes == ["cart": Array("1".utf8)], "wrong attributes survived")
            try expect(
                isSuperseded(try await harness.absent(old), replay: false),
                "the old secret still works"
            )
            try expect(
                isGone(try await harness.commit(["x": .text("1")], to: before)),
                "the old secret could write"
            )
            try expect(try await harness.store.end(before) != .ended, "the old secret could end the session")
            try expect(try await harness.found(new).version == 2, "the old secret changed something")
        },
        Rule(
            "a replaced secret that comes back after its grace is reported as a replay",
            needs: [.replacedCredentials, .reportedReplays]
        ) { harness in
            for rotation in [.renew, .signIn(principal: "ann", keeping: [])] as [SessionChange.Rotation] {
                let old = try await harness.create()
                let new = try await harness.rotate(try await harness.found(old), rotation)
                try await harness.advance(.seconds(31))
                try expect(
                    isSuperseded(try await harness.absent(old), replay: true),
                    "a late old secret was not reported as a replay"
                )
                _ = try await harness.found(new)
            }
        },
        Rule("a record knows when its user signed in, and a renewal changes nothing about it") { harness in
            let anonymous = try await harness.create()
            let before = try await harness.found(anonymous)
            if before.principal == nil {
                try expect(before.times.authenticated == nil, "a visitor has signed in")
            }
            try await harness.advance(.seconds(20))
            let signedIn = try await harness.rotate(
                try await harness.found(anonymous),
                .signIn(principal: "ann", keeping: [])
            )
            try expect(
                try await harness.found(signedIn).times.authenticated != nil,
                "it does not know when its user signed in"
            )
            try await harness.advance(.seconds(300))
            let renewed = try await harness.rotate(try await harness.found(signedIn), .renew)
            let later = try await harness.found(renewed)
            guard let kept = later.times.authenticated else { throw Mismatch("a renewal forgot it", #line) }
            try expect(later.now - kept >= .seconds(200), "a renewal is no authentication")
            let direct = try await harness.found(try await harness.create(principal: "ann"))
            try expect(direct.times.authenticated != nil, "a session that begins signed in does not know")
        },
        Rule("an elevation replaces the secret and nothing else") { harness in
            let old = try await harness.create(["cart": "1"], principal: "ann")
            let before = try await harness.found(old)
            try await harness.advance(.seconds(300))
            let new = try await harness.rotate(try await harness.found(old), .elevate)
            let after = try await harness.found(new)
            try expect(
                after.id == before.id && after.principal == "ann" && after.attributes == before.attributes,
                "it changed who or what the session is"
            )
            let (earlier, later) = (before.times, after.times)
            // The harness may move times instead of the clock.
            try expect(
                later.deadline - later.created == earlier.deadline - earlier.created
                    && later.idleTimeout == earlier.idleTimeout,
                "it moved the deadlines"
            )
            guard let time = later.authenticated else { throw Mismatch("it forgot the sign-in", #line) }
            try expect(after.now - time >= .seconds(200), "it counts as a sign-in")
        },
        Rule("after an elevation the old secret is invalid at once", needs: .replacedCredentials) { harness in
            let old = try await harness.create(principal: "ann")
            let before = try await harness.found(old)
            let new = try await harness.rotate(before, .elevate)
            try expect(
                isSuperseded(try await harness.absent(old), replay: false),
                "the old secret still works"
            )
            for rotation in [.none, .renew, .elevate] as [SessionChange.Rotation] {
                let late = try await harness.commit(["x": .text("1")], to: before, rotation: rotation)
                try expect(isGone(late), "the old secret could write")
            }
            try expect(try await harness.store.end(before) != .ended, "the old secret could end the session")
            try await harness.advance(.seconds(31))
            guard case .superseded(_, let secret) = try await harness.absent(old) else {
                throw Mismatch("the old secret was not recognised", #line)
            }
            try expect(secret.hadRights, "the old secret had rights, too")
            _ = try await harness.found(new)
        },
        Rule(
            "the holder of the old secret may elevate during the grace of a renewal, and then both are invalid",
            needs: .replacedCredentials
        ) { harness in
            let old = try await harness.create(principal: "ann")
            let new = try await harness.rotate(try await harness.found(old), .renew)
            let elevated = try await harness.rotate(try await harness.found(old), .elevate)
            for credential in [old, new] {
                try expect(
                    isSuperseded(try await harness.absent(credential)),
                    "an earlier secret still works"
                )
            }
            try expect(try await harness.found(elevated).principal == "ann", "the user is not signed in")
        },
        Rule("what a sign-in chose for the cookie stays until the next one") { harness in
            let week = SessionPolicy(idleTimeout: .seconds(86_400), lifetime: .seconds(7 * 86_400))
            for persistence in [.persistent, .browserSession] as [CookiePersistence] {
                var credential = try await harness.create(["a": "1"])
                let signIn = SessionChange(
                    operations: [:],
                    rotation: .signIn(principal: "ann", keeping: []),
                    policy: week,
                    persistence: persistence
                )
                let answer = try await harness.store.commit(signIn, to: try await harness.found(credential))
                credential = answer.next(after: credential)
                for rotation in [.none, .renew, .elevate] as [SessionChange.Rotation] {
                    let record = try await harness.found(credential)
                    let times = record.times
                    try expect(times.persistence == persistence, "it was lost before \(rotation)")
                    try expect(
                        times.idleTimeout == week.idleTimeout
                            && times.deadline - record.now > .seconds(6 * 86_400),
                        "other limits before \(rotation)"
                    )
                    let next = try await harness.commit(["b": .text("2")], to: record, rotation: rotation)
                    credential = next.next(after: credential)
                }
                credential = try await harness.touch(credential, after: .seconds(2 * 3600))
                try expect(
                    try await harness.found(credential).times.persistence == persistence,
                    "a use of the session lost it"
                )
                let plain = try await harness.rotate(
                    try await harness.found(credential),
                    .signIn(principal: "ann", keeping: [])
                )
                let times = try await harness.found(plain).times
                try expect(times.persistence == nil, "a sign-in without terms kept it")
                try expect(
                    times.idleTimeout == harness.policy.idleTimeout,
                    "a sign-in without terms kept limits"
                )
            }
            var draft = SessionDraft(attributes: [:], principal: "ann", policy: week)
            draft.persistence = .persistent
            guard case .committed(_, _, let direct?, _) = try await harness.store.create(draft) else {
                throw Mismatch("not created", #line)
            }
            try expect(
                try await harness.found(direct).times.persistence == .persistent,
                "a session that begins signed in does not know"
            )
        },
        Rule("a sign-in applies the operations that came with it") { harness in
            let old = try await harness.create(["n": "5", "gone": "1"])
            let change = SessionChange(
                operations: ["n": .increment(2), "new": .text("x")],
                rotation: .signIn(principal: "ann", keeping: ["n"]),
                policy: harness.policy
            )
            guard
                case .committed(_, _, let new?, _) = try await harness.store.commit(
                    change,
                    to: try await harness.found(old)
                )
            else {
                throw Mismatch("not committed", #line)
            }
            let attributes = try await harness.found(new).attributes.mapValues {
                String(decoding: $0, as: UTF8.self)
            }
            try expect(attributes == ["n": "7", "new": "x"], "wrong attributes: \(attributes.keys.sorted())")
        },
        Rule("after a renewal the old secret works beside the new one", needs: .gracefulRenewal) {
            harness in
            let old = try await harness.create(["a": "1"], principal: "ann")
            let new = try await harness.rotate(try await harness.found(old), .renew)
            let late = try await harness.found(old)
            try expect(
                late.secretStatus == .previous && late.principal == "ann",
                "the old secret lost its rights too early"
            )
            try await harness.commit(["b": .text("2")], to: late)
            let record = try await harness.found(new)
            try expect(
                record.secretStatus == .current && record.principal == "ann",
                "the new secret is not current"
            )
            try await harness.commit(["c": .text("3")], to: record)
            try await harness.commit(["d": .text("4")], to: late)
            let names = try await harness.found(new).attributes.keys.sorted()
            try expect(names == ["a", "b", "c", "d"], "a write of one of the secrets was lost: \(names)")
        },
        Rule("a made-up secret is no earlier one") { harness in
            let credential = try await harness.create(principal: "ann")
            let id = try await harness.found(credential).id
            let guess = try await harness.absent(SessionToken(id: id).credential)
            try expect(!isSuperseded(guess), "a guess was taken for an earlier secret")
        },
        Rule(
            "every earlier secret is recognised, and as a replay after the grace",
            needs: [.replacedCredentials, .reportedReplays]
        ) { harness in
            var credentials = [try await harness.create()]
            for _ in 0..<4 {
                let record = try await harness.found(credentials.last!)
                credentials.append(try await harness.rotate(record, .renew))
            }
            try await harness.advance(.seconds(31))
            for credential in credentials.dropLast() {
                try expect(
                    isSuperseded(try await harness.absent(credential), replay: true),
                    "an earlier secret was not recognised"
                )
            }
            _ = try await harness.found(credentials.last!)
        },
        Rule(
            "a secret from before the sign-in is told from one of the user",
            needs: .replacedCredentials
        ) { harness in
            let anonymous = try await harness.create()
            guard try await harness.found(anonymous).principal == nil else { return }
            let first = try await harness.rotate(
                try await harness.found(anonymous),
                .signIn(principal: "ann", keeping: [])
            )
            let second = try await harness.rotate(try await harness.found(first), .renew)
            try await harness.advance(.seconds(31))
            for (credential, hadRights) in [(anonymous, false), (first, true)] {
                guard case .superseded(_, let secret) = try await harness.absent(credential) else {
                    throw Mismatch("an earlier secret was not recognised", #line)
                }
                try expect(secret.hadRights == hadRights, "wrong rights: \(secret.hadRights)")
            }
            _ = try await harness.found(second)
        },
        Rule("after a renewal the old secret works no longer than the grace", needs: .replacedCredentials) {
            harness in
            let old = try await harness.create()
            let new = try await harness.rotate(try await harness.found(old), .renew)
            try await harness.advance(.seconds(31))
            try expect(
                isSuperseded(try await harness.absent(old)),
                "the old secret outlived its grace"
            )
            _ = try await harness.found(new)
        },
        Rule("one renewal wins, and the old secret cannot renew", needs: .gracefulRenewal) { harness in
            let old = try await harness.create()
            let record = try await harness.found(old)
            let new = try await harness.rotate(record, .renew)
            let second = try await harness.commit(["a": .text("1")], to: record, rotation: .renew)
            guard case .committed(_, _, nil, _) = second else {
                throw Mismatch("a second renewal issued a secret: \(second)", #line)
            }
            try expect(try await harness.value("a", new) == "1", "the change that came with it was lost")
        },
        Rule(
            "the holder of the old secret may still sign in during the grace, and then both are invalid",
            needs: .replacedCredentials
        ) { harness in
            let old = try await harness.create()
            let new = try await harness.rotate(try await harness.found(old), .renew)
            let signedIn = try await harness.rotate(
                try await harness.found(old),
                .signIn(principal: "ann", keeping: [])
            )
            for credential in [old, new] {
                try expect(
                    isSuperseded(try await harness.absent(credential)),
                    "an earlier secret still works"
                )
            }
            try expect(try await harness.found(signedIn).principal == "ann", "the user is not signed in")
        },
    ]

    static let raceRules = [
        Rule("100 increments at once are 100", needs: .mergedWrites) { harness in
            let credential = try await harness.create()
            let record = try await harness.found(credential)
            try await withThrowingTaskGroup { group in
                for _ in 0..<100 {
                    group.addTask { _ = try await harness.commit(["n": .increment(1)], to: record) }
                }
                try await group.waitForAll()
            }
            try expect(try await harness.value("n", credential) == "100", "increments were lost")
        },
        Rule("of 20 commits for the same version exactly one succeeds", needs: .detectedConflicts) {
            harness in
            let credential = try await harness.create()
            let record = try await harness.found(credential)
            let wins = try await withThrowingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask {
                        do {
                            let commit = try await harness.commit(
                                ["a": .text("\(number)")],
                                to: record,
                                needsVersion: true
                            )
                            if case .committed = commit { return 1 } else { return 0 }
                        } catch let error as SessionError where error.code == .conflict { return 0 }
                    }
                }
                return try await group.reduce(0, +)
            }
            try expect(wins == 1, "\(wins) commits succeeded")
        },
        Rule("of 20 sign-ins at once exactly one succeeds", needs: .replacedCredentials) { harness in
            let record = try await harness.found(try await harness.create())
            let wins = try await withThrowingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask {
                        let commit = try await harness.commit(
                            [:],
                            to: record,
                            rotation: .signIn(principal: "u\(number)", keeping: [])
                        )
                        return isGone(commit) ? 0 : 1
                    }
                }
                return try await group.reduce(0, +)
            }
            try expect(wins == 1, "\(wins) sign-ins succeeded")
        },
        Rule("a write runs to its end although its task is cancelled") { harness in
            let credential = try await harness.create()
            let record = try await harness.found(credential)
            let task = Task {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return try await harness.commit(["a": .text("1")], to: record)
            }
            let commit = try await task.value
            guard case .committed = commit else { throw Mismatch("the commit did not succeed", #line) }
            try expect(
                try await harness.value("a", commit.next(after: credential)) == "1",
                "the commit was interrupted"
            )
        },
    ]
}
