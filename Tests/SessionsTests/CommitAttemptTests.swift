// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import Sessions

/// The decisions of a commit, each path, without any store.
@Suite struct `Commit attempt` {
    private static let append: PendingChanges.Entry = .update("list") { ($0 ?? []) + [0x31] }
    private static let signIn: PendingChanges.Entry = .signIn(principal: "ann", keeping: ["kept"])
    private static let set: PendingChanges.Entry = .set("item", [0x32])
    private static let late = ReplacedSecret(isLate: true, isReplay: false)
    private static let absences: [SessionAbsence] = [
        .malformed, .unknown, .ended(.signOut), .wrongSecret(SessionID()),
        .superseded(SessionID(), late),
        .superseded(SessionID(), ReplacedSecret(isLate: false, isReplay: true)), .forged, .unknownKey,
        .unreadable,
    ]

    // MARK: Nothing to store

    @Test func `an anonymous request that changes nothing keeps everything`() throws {
        var none = try Attempt(nil)
        #expect(try none.start() == "keep")
        var renewed = try Attempt(nil) { try $0.changes.append(.renew) }
        #expect(try renewed.start() == "keep")
        var superseded = try Attempt(.absent(.superseded(SessionID(), Self.late)))
        #expect(try superseded.start() == "keep")
        var emptied = try Attempt(nil) { work in
            try work.changes.append(Self.set)
            try work.changes.append(.remove("item"))
        }
        #expect(try emptied.start() == "keep")
    }

    @Test func `a read is a touch, due after the fraction of the idle timeout`() throws {
        for (age, jitter, expected) in [
            (179, 0.0, "touch"), (180, 0, "touch due"), (157, 0.5, "touch"), (158, 0.5, "touch due"),
        ] {
            var attempt = try Attempt(.found(.loaded(age: .seconds(age))))
            #expect(try attempt.start(jitter: jitter) == expected)
            #expect(attempt.touched(nil) == "keep")
        }
    }

    @Test func `a credential that a touch returns is sent where it can be`() throws {
        var attempt = try Attempt(.found(.loaded(age: .seconds(60))))
        #expect(try attempt.start() == "touch")
        #expect(attempt.touched("fresh") == "send fresh for 43140")
        var job = try Attempt(.found(.loaded()), canSetCookie: false)
        #expect(try job.start() == "touch")
        #expect(job.touched("fresh") == "keep")
    }

    @Test(arguments: [SessionResidence.cookie, .revocableCookie])
    func `what lives in the cookie is not touched without a response that can carry it`(
        residence: SessionResidence
    ) throws {
        var attempt = try Attempt(
            .found(.loaded(age: .seconds(600), residence: residence)),
            canSetCookie: false
        )
        #expect(try attempt.start() == "keep")
    }

    // MARK: Creating

    @Test func `data of an anonymous client creates a session`() throws {
        var attempt = try Attempt(nil) { try $0.changes.append(Self.set) }
        #expect(try attempt.start() == "create item=2")
        #expect(attempt.created(.fresh) == "send fresh for 60, created")
    }

    @Test func `a sign-in creates a session with a user, even without data`() throws {
        var attempt = try Attempt(nil) { try $0.changes.append(Self.signIn) }
        #expect(try attempt.start() == "create as ann")
        #expect(attempt.created(.fresh) == "send fresh for 60, signed-in")
    }

    @Test(arguments: [[set], [signIn], [append, signIn]])
    func `nothing is created where no cookie can be sent`(entries: [PendingChanges.Entry]) throws {
        var attempt = try Attempt(nil, canSetCookie: false) { work in
            try entries.forEach { try work.changes.append($0) }
        }
        #expect(try attempt.start() == "dropped, dropped")
    }

    @Test func `a superseded secret creates nothing but by a sign-in`() throws {
        let superseded = SessionLoadResult.absent(.superseded(SessionID(), Self.late))
        var write = try Attempt(superseded) { try $0.changes.append(Self.set) }
        #expect(try write.start() == "dropped, dropped")
        var signOut = try Attempt(superseded) { work in
            work.signOut()
            try work.changes.append(Self.set)
        }
        #expect(try signOut.start() == "dropped, dropped")
        var signIn = try Attempt(superseded) { try $0.changes.append(Self.signIn) }
        #expect(try signIn.start() == "create as ann")
    }

    @Test func `a creation that the store refuses is dropped`() throws {
        var attempt = try Attempt(nil) { try $0.changes.append(Self.signIn) }
        #expect(try attempt.start() == "create as ann")
        #expect(attempt.created(.gone(.ended(.revocation))) == "dropped, dropped")
    }

    // MARK: Committing

    @Test func `a change is one commit`() throws {
        var attempt = try Attempt(.found(.loaded())) { work in
            try work.changes.append(Self.set)
            try work.changes.append(.increment("count", by: 3))
            try work.changes.append(.remove("kept"))
        }
        #expect(try attempt.start() == "commit count+3 item=2 kept=nil")
        #expect(try attempt.answered(.committed(nil)) == "keep")
    }

    @Test func `a credential that a commit returns is sent where it can be`() throws {
        var attempt = try Attempt(.found(.loaded())) { try $0.changes.append(Self.set) }
        #expect(try attempt.start() == "commit item=2")
        #expect(try attempt.answered(.fresh) == "send fresh for 60")
        var job = try Attempt(.found(.loaded()), canSetCookie: false) { try $0.changes.append(Self.set) }
        #expect(try job.start() == "commit item=2")
        #expect(try job.answered(.fresh) == "keep")
    }

    @Test func `a sign-in is a commit that rotates, and drops what it does not keep`() throws {
        var attempt = try Attempt(.found(.loaded())) { work in
            try work.changes.append(Self.set)
            try work.changes.append(Self.signIn)
        }
        #expect(try attempt.start() == "commit sign in ann")
        #expect(try attempt.answered(.fresh) == "send fresh for 60, signed-in")
    }

    @Test func `a conflict tries again on the fresh record`() throws {
        var attempt = try Attempt(.found(.loaded())) { try $0.changes.append(Self.append) }
        #expect(try attempt.start() == "commit list=1 if unchanged")
        #expect(try attempt.answered(.conflict(.loaded(["list": [0x39]]))) == "commit list=91 if unchanged")
        #expect(try attempt.answered(.conflict(.loaded(["list": [0x38]]))) == "commit list=81 if unchanged")
        #expect(try attempt.answered(.committed(nil)) == "keep")
    }

    @Test func `after 64 commits that conflict the attempt gives up`() throws {
        let calls = Mutex(0)
        var attempt = try Attempt(.found(.loaded())) { work in
            try work.changes.append(
                .update("list") { bytes in
                    calls.withLock { $0 += 1 }
                    return bytes ?? [0x31]
                }
            )
        }
        #expect(try attempt.start() == "commit list=1 if unchanged")
        for _ in 1..<64 {
            #expect(try attempt.answered(.conflict(.loaded())) == "commit list=1 if unchanged")
        }
        #expect(throws: SessionError(.conflict, "")) { try attempt.answered(.conflict(.loaded())) }
        // Once in the handler, and once for each commit but the first.
        #expect(calls.withLock { $0 } == 64)
        #expect(attempt.events() == [])
    }

    @Test func `a closure that refuses the fresh value ends the attempt with its error`() throws {
        struct SoldOut: Error {}
        let entry = PendingChanges.Entry.update("left") { bytes in
            guard bytes == [0x31] else { throw SoldOut() }
            return [0x30]
        }
        var conflict = try Attempt(.found(.loaded(["left": [0x31]]))) { try $0.changes.append(entry) }
        #expect(try conflict.start() == "commit left=0 if unchanged")
        #expect(throws: SoldOut.self) { try conflict.answered(.conflict(.loaded(["left": [0x30]]))) }
        var gone = try Attempt(.found(.loaded(["left": [0x31]]))) { work in
            try work.changes.append(entry)
            try work.changes.append(Self.signIn)
        }
        #expect(try gone.start() == "commit if unchanged sign in ann")
        #expect(throws: SoldOut.self) { try gone.answered(.gone(.unknown)) }
    }

    // MARK: The session is over

    @Test(arguments: absences + [.ended(.revocation)])
    func `a change of a session that is over is dropped`(absence: SessionAbsence) throws {
        for entry in [Self.set, Self.append, .renew] {
            var attempt = try Attempt(.found(.loaded())) { try $0.changes.append(entry) }
            #expect(try attempt.start().hasPrefix("commit"))
            #expect(try attempt.answered(.gone(absence)) == "dropped, dropped")
        }
    }

    @Test(arguments: absences)
    func `a sign-in to a session that is over starts a new one`(absence: SessionAbsence) throws {
        var attempt = try Attempt(.found(.loaded(["kept": [0x31]]))) { work in
            try work.changes.append(Self.signIn)
            try work.changes.append(Self.append)
        }
        #expect(try attempt.start() == "commit list=1 sign in ann")
        let isReplaced =
            switch absence {
            case .superseded, .wrongSecret: true
            default: false
            }
        // What it has read with a valid secret goes with the user if another sign-in was only faster.
        let kept = isReplaced ? " kept=1" : ""
        #expect(try attempt.answered(.gone(absence)) == "create\(kept) list=1 as ann")
        #expect(attempt.created(.fresh) == "send fresh for 60, signed-in")
    }

    @Test func `a sign-in that the end of all the user's sessions overtook is dropped`() throws {
        var attempt = try Attempt(.found(.loaded())) { try $0.changes.append(Self.signIn) }
        #expect(try attempt.start() == "commit sign in ann")
        #expect(try attempt.answered(.gone(.ended(.revocation))) == "dropped, dropped")
    }

    // MARK: Signing out

    @Test func `signing out deletes the cookie if it ended the session`() throws {
        var attempt = try Attempt(.found(.loaded())) { $0.signOut() }
        #expect(try attempt.start() == "end")
        #expect(try attempt.ended(true) == "delete, signed-out")
        var late = try Attempt(.found(.loaded())) { $0.signOut() }
        #expect(try late.start() == "end")
        #expect(try late.ended(.gone(.superseded(SessionID(), Self.late))) == "dropped, dropped")
        var over = try Attempt(.found(.loaded())) { $0.signOut() }
        #expect(try over.start() == "end")
        #expect(try over.ended(.gone(.ended(.revocation))) == "delete")
    }

    @Test(arguments: absences)
    func `a dead cookie is deleted by a sign-out, and when it is seen`(absence: SessionAbsence) throws {
        var signOut = try Attempt(.absent(absence)) { $0.signOut() }
        #expect(try signOut.start() == (absence.isLate ? "dropped, dropped" : "delete"))
        var read = try Attempt(.absent(absence))
        #expect(try read.start() == (absence.isFinal ? "delete dead" : "keep"))
        var job = try Attempt(.absent(absence), canSetCookie: false)
        #expect(try job.start() == "keep")
    }

    @Test func `what is written after signing out goes into a new session`() throws {
        for (entry, step, end) in [
            (Self.set, "create item=2", "created"), (Self.signIn, "create as ann", "signed-in"),
            (Self.append, "create list=1", "created"),
        ] {
            var attempt = try Attempt(.found(.loaded())) { work in
                work.signOut()
                try work.changes.append(entry)
            }
            #expect(try attempt.start() == "end")
            #expect(try attempt.ended(true) == "\(step), signed-out")
            #expect(attempt.created(.fresh) == "send fresh for 60, \(end)")
        }
    }

    @Test func `signing out works where no cookie can be sent, unless the session is the cookie`() throws {
        for residence in [SessionResidence.server, .revocableCookie] {
            var attempt = try Attempt(.found(.loaded(residence: residence)), canSetCookie: false) {
                $0.signOut()
            }
            #expect(try attempt.start() == "end")
            #expect(try attempt.ended(true) == "keep, signed-out")
        }
        var sealed = try Attempt(.found(.loaded(residence: .cookie)), canSetCookie: false) { $0.signOut() }
        #expect(throws: SessionError(.unsupported, "")) { try sealed.start() }
        var response = try Attempt(.found(.loaded(residence: .cookie))) { $0.signOut() }
        #expect(try response.start() == "end")
    }

    @Test func `the end of a session is reported although its successor is refused`() throws {
        var attempt = try Attempt(.found(.loaded()), limits: SessionLimits(bytes: 4)) { work in
            work.signOut()
            try work.changes.append(Self.set)
        }
        #expect(try attempt.start() == "end")
        #expect(throws: SessionError(.tooLarge, "")) { try attempt.ended(true) }
        #expect(attempt.events() == [.signedOut])
    }

    // MARK: Renewing

    @Test func `a renewal that the policy asks for goes with any request`() throws {
        let due = SessionPolicy(renewalInterval: .seconds(600))
        for (entries, step) in [([], "commit renew"), ([Self.set], "commit item=2 renew")] {
            var attempt = try Attempt(.found(.loaded(age: .seconds(600))), policy: due) { work in
                try entries.forEach { try work.changes.append($0) }
            }
            #expect(try attempt.start() == step)
            #expect(try attempt.answered(.fresh) == "send fresh for 60, renewed")
        }
        var early = try Attempt(.found(.loaded(age: .milliseconds(599_999))), policy: due)
        #expect(try early.start() == "touch due")
        var previous = try Attempt(.found(.loaded(age: .seconds(600), secretStatus: .previous)), policy: due)
        #expect(try previous.start() == "touch due")
        var signIn = try Attempt(.found(.loaded(age: .seconds(600))), policy: due) {
            try $0.changes.append(Self.signIn)
        }
        #expect(try signIn.start() == "commit sign in ann")
    }

    @Test func `a renewal that the store did not make is not reported`() throws {
        var attempt = try Attempt(.found(.loaded(secretStatus: .previous))) { try $0.changes.append(.renew) }
        #expect(try attempt.start() == "commit renew")
        #expect(try attempt.answered(.committed(nil)) == "keep")
    }

    @Test func `a renewal that only the policy asked for is no change that could be dropped`() throws {
        var attempt = try Attempt(
            .found(.loaded(age: .seconds(600))),
            policy: SessionPolicy(renewalInterval: .seconds(600))
        )
        #expect(try attempt.start() == "commit renew")
        #expect(try attempt.answered(.gone(.ended(.signOut))) == "keep")
    }

    @Test func `no secret is replaced where no cookie can be sent`() throws {
        let due = SessionPolicy(renewalInterval: .seconds(600))
        let old = SessionLoadResult.found(.loaded(age: .seconds(600)))
        var read = try Attempt(old, policy: due, canSetCookie: false)
        #expect(try read.start() == "touch due")
        var renew = try Attempt(old, policy: due, canSetCookie: false) { try $0.changes.append(.renew) }
        #expect(try renew.start() == "touch due")
        var write = try Attempt(old, policy: due, canSetCookie: false) { work in
            try work.changes.append(.renew)
            try work.changes.append(Self.set)
        }
        #expect(try write.start() == "commit item=2")
        for entry in [Self.signIn, .elevate] {
            var attempt = try Attempt(old, canSetCookie: false) { try $0.changes.append(entry) }
            #expect(throws: SessionError(.noSession, "")) { try attempt.start() }
        }
    }

    @Test func `an elevation is committed alone, and given up when the secret is not the record's`() throws {
        var attempt = try Attempt(.found(.loaded())) { work in
            try work.changes.append(.elevate)
            try work.changes.append(Self.append)
        }
        #expect(try attempt.start() == "commit list=1 if unchanged elevate")
        let fresh = SessionRecord.loaded(["list": [0x30]])
        #expect(try attempt.answered(.conflict(fresh)) == "commit list=01 if unchanged elevate")
        var other = attempt
        #expect(try attempt.answered(.fresh) == "send fresh for 60, elevated")
        let late = SessionAbsence.superseded(SessionID(), ReplacedSecret(isLate: true, isReplay: false))
        #expect(try other.answered(.gone(late)) == "dropped, dropped")
        var visitor = try Attempt(nil) { try $0.changes.append(.elevate) }
        #expect(try visitor.start() == "keep")
        var stale = try Attempt(.absent(late)) { try $0.changes.append(.elevate) }
        #expect(try stale.start() == "dropped, dropped")
    }

    // MARK: Refusals

    @Test(arguments: [SessionResidence.cookie, .revocableCookie])
    func `what lives in the cookie is not changed without a response that can carry it`(
        residence: SessionResidence
    ) throws {
        var job = try Attempt(.found(.loaded(residence: residence)), canSetCookie: false) {
            try $0.changes.append(Self.set)
        }
        #expect(throws: SessionError(.unsupported, "")) { try job.start() }
        var response = try Attempt(.found(.loaded(residence: residence))) { try $0.changes.append(Self.set) }
        #expect(try response.start() == "commit item=2")
    }

    @Test func `what is too large is refused before any round trip, on each record anew`() throws {
        let limits = SessionLimits(bytes: 10)
        let entry = PendingChanges.Entry.update("list") { ($0 ?? []) + [0x31, 0x31, 0x31, 0x31] }
        var create = try Attempt(nil, limits: limits) { work in
            try work.changes.append(entry)
            try work.changes.append(entry)
        }
        #expect(throws: SessionError(.tooLarge, "")) { try create.start() }
        var commit = try Attempt(.found(.loaded([:])), limits: limits) { try $0.changes.append(entry) }
        #expect(try commit.start() == "commit list=1111 if unchanged")
        let conflict = SessionCommitResult.conflict(.loaded(["list": [0x39, 0x39]]))
        #expect(try commit.answered(conflict) == "commit list=991111 if unchanged")
        #expect(try commit.answered(.conflict(.loaded([:]))) == "commit list=1111 if unchanged")
        #expect(throws: SessionError(.tooLarge, "")) {
            try commit.answered(.conflict(.loaded(["list": [0x39, 0x39, 0x39]])))
        }
        // A renewal alone is not refused, however large the session is.
        var renew = try Attempt(.found(.loaded(["list": Array(repeating: 1, count: 99)])), limits: limits) {
            try $0.changes.append(.renew)
        }
        #expect(try renew.start() == "commit renew")
    }
}
