// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Sessions

/// Every path of a commit, by what was loaded, what the handler did and what the store answers.
@Suite struct `Commit attempt, all paths` {
    private static let append: PendingChanges.Entry = .update("list") { ($0 ?? []) + [0x31] }
    private static let signIn: PendingChanges.Entry = .signIn(principal: "ann", keeping: ["kept"])
    private static let set: PendingChanges.Entry = .set("item", [0x32])

    /// What a handler may have done, in short.
    private static let handlers: [(name: String, run: @Sendable (inout UncommittedSession) throws -> Void)] =
        {
            let entries: [(String, [PendingChanges.Entry])] = [
                ("nothing", []), ("set", [set]), ("update", [append]), ("renew", [.renew]),
                ("sign in", [signIn]),
                ("set, sign in", [set, signIn]), ("sign in, update", [signIn, append]),
                ("renew, set", [.renew, set]), ("elevate", [.elevate]),
                ("elevate, update", [.elevate, append]),
            ]
            return entries.flatMap { name, entries in
                [false, true].map { signsOut in
                    (
                        (signsOut ? "sign out, " : "") + name,
                        { @Sendable work in
                            if signsOut { work.signOut() }
                            for entry in entries { try work.changes.append(entry) }
                        }
                    )
                }
            }
        }()

    @Test(arguments: [true, false]) func `every path keeps the rules`(canSetCookie: Bool) throws {
        var paths = 0
        let policy = SessionPolicy(renewalInterval: .seconds(600))
        var loads: [SessionLoadResult?] = [
            nil, .absent(.unknown), .absent(.wrongSecret(SessionID())),
            .absent(.superseded(SessionID(), ReplacedSecret(isLate: true, isReplay: false))),
            .absent(.superseded(SessionID(), ReplacedSecret(isLate: false, isReplay: true))),
        ]
        for residence in [SessionResidence.server, .cookie, .revocableCookie] {
            for status in [SecretStatus.current, .previous] {
                for age in [0, 200, 700] {
                    loads.append(
                        .found(.loaded(age: .seconds(age), residence: residence, secretStatus: status))
                    )
                }
            }
        }
        for load in loads {
            for handler in Self.handlers {
                var work = UncommittedSession(load)
                try handler.run(&work)
                let attempt = CommitAttempt(
                    work,
                    policy: policy,
                    limits: SessionLimits(),
                    canSetCookie: canSetCookie
                )
                let path = Path(work: work, canSetCookie: canSetCookie, title: handler.name)
                path.follow(attempt, count: &paths) { try $0.started(jitter: 0) }
            }
        }
        #expect(paths > 800)
    }

    @Test func `no attempt commits more than 64 times`() throws {
        for handler in Self.handlers {
            var work = UncommittedSession(.found(.loaded()))
            try handler.run(&work)
            var attempt = CommitAttempt(
                work,
                policy: SessionPolicy(),
                limits: SessionLimits(),
                canSetCookie: true
            )
            var commits = 0
            var step = try attempt.started(jitter: 0)
            attempts: while true {
                switch step {
                case .commit, .commitInTurn:
                    commits += 1
                    guard let next = try? attempt.answered(.conflict(.loaded())) else { break attempts }
                    step = next
                case .end: step = try attempt.ended(.ended)
                case .create, .touch, .finish: break attempts
                }
            }
            #expect([0, 64].contains(commits), "\(handler.name)")
        }
    }
}

/// One way through an attempt, and the rules that each step must keep.
private struct Path {
    let work: UncommittedSession
    let canSetCookie: Bool
    var title: String
    var events: [SessionEvent.Kind] = []
    var steps: [String] = []
    var wasEnded = false
    /// The record of a sign-out is over, no matter what ended it.
    var isOver = false
    var absence: SessionAbsence?

    /// Takes the step that `decide` returns, and from there every way on.
    func follow(
        _ attempt: CommitAttempt,
        count: inout Int,
        _ decide: (inout CommitAttempt) throws -> CommitAttempt.Step
    ) {
        var path = self
        var attempt = attempt
        let step: CommitAttempt.Step
        do { step = try decide(&attempt) } catch {
            count += 1
            return path.check(!canSetCookie, "throws \(error)")
        }
        path.events += attempt.takeEvents().map(\.kind)
        path.steps.append(step.name)
        path.check(path.steps.count < 10, "does not end")
        switch step {
        case .end(let record):
            path.check(path.steps.count == 1 && record.id == work.signedOut?.id, "ends late")
            path.check(canSetCookie || record.residence != .cookie, "ends what it cannot")
            let late = SessionAbsence.superseded(SessionID(), ReplacedSecret(isLate: true, isReplay: false))
            for result in [SessionEndResult.ended, .gone(.unknown), .gone(late)] {
                var path = path
                path.wasEnded = result == .ended
                path.isOver = result != .gone(late)
                path.follow(attempt, count: &count) { try $0.ended(result) }
            }
        case .create(let draft):
            let isSignIn = work.changes.isSignIn
            path.check(canSetCookie, "creates what the client never learns of")
            path.check((draft.principal != nil) == isSignIn, "creates for the wrong user")
            path.check(work.absence?.isLate != true || isSignIn, "creates for a late request")
            path.check(work.signedOut == nil || path.isOver, "goes on after a sign-out that failed")
            path.check(path.absence == nil || isSignIn, "revives a session")
            path.check(path.absence != .ended(.revocation), "creates after a revocation")
            for result in [SessionCommitResult.fresh, .gone(.ended(.revocation))] {
                path.follow(attempt, count: &count) { $0.created(result) }
            }
        case .commit(let change, let record), .commitInTurn(_, let change, let record):
            path.check(work.signedOut == nil && path.absence == nil, "changes what is over")
            path.check(canSetCookie || change.rotation == .none, "replaces a secret that it cannot send")
            path.check(canSetCookie || record.residence == .server, "changes what it cannot send")
            path.check(!change.operations.isEmpty || change.rotation != .none, "commits nothing")
            for result in path.results() {
                var path = path
                if case .gone(let absence) = result { path.absence = absence }
                path.follow(attempt, count: &count) { try $0.answered(result) }
            }
        case .touch(let record, _):
            path.check(work.changes.operations.isEmpty, "touches instead of a commit")
            path.check(canSetCookie || record.residence == .server, "touches what it cannot send")
            for credential in [nil, SessionCredential("fresh")] {
                path.follow(attempt, count: &count) { $0.touched(credential) }
            }
        case .finish(let action):
            count += 1
            path.checkEnd(action)
        }
    }

    /// What a store may answer to a commit; conflicts three times at most.
    private func results() -> [SessionCommitResult] {
        let conflicts = steps.filter { $0 == "commit" }.count
        let absences: [SessionAbsence] = [
            .unknown, .ended(.signOut), .ended(.revocation),
            .superseded(SessionID(), ReplacedSecret(isLate: true, isReplay: false)),
        ]
        return [.committed(nil), .fresh] + absences.map { .gone($0) }
            + (conflicts < 4 ? [.conflict(.loaded(["list": [0x39]]))] : [])
    }

    private func checkEnd(_ action: CookieAction) {
        let isDropped = if case .dropped = action { true } else { false }
        check(events.filter { $0 == .dropped }.count == (isDropped ? 1 : 0), "drops without one event")
        check(events.filter { $0 == .signedOut }.count == (wasEnded ? 1 : 0), "reports a wrong end")
        check(!isDropped || !work.changes.isEmpty || work.isSignOut, "drops nothing")
        let results = events.filter { ![.signedOut, .dropped].contains($0) }
        check(results.count <= 1, "reports two results")
        switch action {
        case .keep: check(results.isEmpty, "reports what it does not send")
        case .send:
            check(canSetCookie, "sends a cookie that cannot be sent")
            check(!work.changes.isSignIn || results == [.signedIn], "does not report the sign-in")
            check(steps.last == "finish" && steps.count > 1, "sends without a store")
        case .delete:
            check(canSetCookie && (isOver || work.absence != nil), "deletes the cookie of a live session")
            check(work.absence?.isLate != true, "deletes a cookie that may be newer")
        case .deleteDead:
            check(canSetCookie && work.absence?.isFinal == true, "deletes a cookie that may be newer")
        case .dropped: check(results.isEmpty, "reports what was dropped")
        }
    }

    private func check(_ isTrue: Bool, _ failure: String) {
        guard !isTrue else { return }
        Issue.record("\(title): \(steps.joined(separator: ", ")) \(failure)")
    }
}
