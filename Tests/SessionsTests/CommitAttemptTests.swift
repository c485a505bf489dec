// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import Sessions

/// The decisions of a commit, each path, without any store.
@Suite struct `Commit attempt` {
    private static let append: PendingChanges.Entry = .update("list") { ($0 ?? []) + [0x31] }
    private static let signIn: PendingChanges.Entry = .signIn(principal: "ann", keeping: ["kept"])
    private static let set: PendingChanges.Entry = .set("item", [0x32])
    private static let absences: [SessionAbsence] = [
        .malformed, .unknown, .ended(.signOut), .superseded(SessionID(), replay: false),
        .superseded(SessionID(), replay: true), .forged, .unknownKey, .unreadable,
    ]

    // MARK: Nothing to store

    @Test func `an anonymous request that changes nothing keeps everything`() throws {
        var none = try Attempt(nil)
        #expect(try none.start() == "keep")
        var renewed = try Attempt(nil) { try $0.changes.append(.renew) }
        #expect(try renewed.start() == "keep")
        var superseded = try Attempt(.absent(.superseded(SessionID(), replay: false)))
        #expect(try superseded.start() == "keep")
        var emptied = try Attempt(nil) { work in
            try work.changes.append(Self.set)
            try work.changes.append(.remove("item"))
        }
        #expect(try emptied.start() == "keep")
    }

    @Test func `a read is a touch, due after the fraction of the idle timeout`() throws {
        for (age, jitter, expected) in [
            (179, 0.0, "touch"), (180, 0, "touch due"), (180, 0.5, "touch"), (203, 0.5, "touch due"),
        ] {
            var attempt = try Attempt(.found(record(age: .seconds(age))))
            #expect(try attempt.start(jitter: jitter) == expected)
            #expect(attempt.touched(nil) == "keep")
        }
    }

    @Test func `a credential that a touch returns is sent where it can be`() throws {
        var attempt = try Attempt(.found(record(age: .seconds(60))))
        #expect(try attempt.start() == "touch")
        #expect(attempt.touched("fresh") == "send fresh for 43140")
        var job = try Attempt(.found(record()), canSetCookie: false)
        #expect(try job.start() == "touch")
        #expect(job.touched("fresh") == "keep")
    }

    @Test(arguments: [SessionResidence.cookie, .revocableCookie])
    func `what lives in the cookie is not touched without a response that can carry it`(
        residence: SessionResidence
    ) throws {
        var attempt = try Attempt(
            .found(record(age: .seconds(600), residence: residence)),
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
        let superseded = SessionLoadResult.absent(.superseded(SessionID(), replay: false))
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
        var attempt = try Attempt(.found(record())) { work in
            try work.changes.append(Self.set)
            try work.changes.append(.increment("count", by: 3))
            try work.changes.append(.remove("kept"))
        }
        #expect(try attempt.start() == "commit count+3 item=2 kept=nil")
        #expect(try attempt.answered(.committed(nil)) == "keep")
    }

    @Test func `a credential that a commit returns is sent where it can be`() throws {
        var attempt = try Attempt(.found(record())) { try $0.changes.append(Self.set) }
        #expect(try attempt.start() == "commit item=2")
        #expect(try attempt.answered(.fresh) == "send fresh for 60")
        var job = try Attempt(.found(record()), canSetCookie: false) { try $0.changes.append(Self.set) }
        #expect(try job.start() == "commit item=2")
        #expect(try job.answered(.fresh) == "keep")
    }

    @Test func `a sign-in is a commit that rotates, and drops what it does not keep`() throws {
        var attempt = try Attempt(.found(record())) { work in
            try work.changes.append(Self.set)
            try work.changes.append(Self.signIn)
        }
        #expect(try attempt.start() == "commit sign in ann")
        #expect(try attempt.answered(.fresh) == "send fresh for 60, signed-in")
    }

    @Test func `a conflict waits for its turn once and tries again on the fresh record`() throws {
        var attempt = try Attempt(.found(record())) { try $0.changes.append(Self.append) }
        #expect(try attempt.start() == "commit list=1 if unchanged")
        #expect(try attempt.answered(.conflict(record(["list": [0x39]]))) == "queue")
        #expect(try attempt.admitted() == "commit list=91 if unchanged")
        #expect(try attempt.answered(.conflict(record(["list": [0x38]]))) == "commit list=81 if unchanged")
        #expect(try attempt.answered(.committed(nil)) == "keep")
    }

    @Test func `after 64 commits that conflict the attempt gives up`() throws {
        let calls = Mutex(0)
        var attempt = try Attempt(.found(record())) { work in
            try work.changes.append(
                .update("list") { bytes in
                    calls.withLock { $0 += 1 }
                    return bytes ?? [0x31]
                }
            )
        }
        #expect(try attempt.start() == "commit list=1 if unchanged")
        #expect(try attempt.answered(.conflict(record())) == "queue")
        #expect(try attempt.admitted() == "commit list=1 if unchanged")
        for _ in 2..<64 {
            #expect(try attempt.answered(.conflict(record())) == "commit list=1 if unchanged")
        }
        #expect(throws: SessionError(.conflict, "")) { try attempt.answered(.conflict(record())) }
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
        var conflict = try Attempt(.found(record(["left": [0x31]]))) { try $0.changes.append(entry) }
        #expect(try conflict.start() == "commit left=0 if unchanged")
        #expect(throws: SoldOut.self) { try conflict.answered(.conflict(record(["left": [0x30]]))) }
        var gone = try Attempt(.found(record(["left": [0x31]]))) { work in
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
            var attempt = try Attempt(.found(record())) { try $0.changes.append(entry) }
            #expect(try attempt.start().hasPrefix("commit"))
            #expect(try attempt.answered(.gone(absence)) == "dropped, dropped")
        }
    }

    @Test(arguments: absences)
    func `a sign-in to a session that is over starts a new one`(absence: SessionAbsence) throws {
        var attempt = try Attempt(.found(record(["kept": [0x31]]))) { work in
            try work.changes.append(Self.signIn)
            try work.changes.append(Self.append)
        }
        #expect(try attempt.start() == "commit list=1 sign in ann")
        #expect(try attempt.answered(.gone(absence)) == "create list=1 as ann")
        #expect(attempt.created(.fresh) == "send fresh for 60, signed-in")
    }

    @Test func `a sign-in that the end of all the user's sessions overtook is dropped`() throws {
        var attempt = try Attempt(.found(record())) { try $0.changes.append(Self.signIn) }
        #expect(try attempt.start() == "commit sign in ann")
        #expect(try attempt.answered(.gone(.ended(.revocation))) == "dropped, dropped")
    }

    // MARK: Signing out

    @Test func `signing out deletes the cookie if it ended the session`() throws {
        var attempt = try Attempt(.found(record())) { $0.signOut() }
        #expect(try attempt.start() == "end")
        #expect(try attempt.ended(true) == "delete, signed-out")
        var late = try Attempt(.found(record())) { $0.signOut() }
        #expect(try late.start() == "end")
        #expect(try late.ended(false) == "keep")
    }

    @Test func `what is written after signing out goes into a new session`() throws {
        for (entry, step, end) in [
            (Self.set, "create item=2", "created"), (Self.signIn, "create as ann", "signed-in"),
            (Self.append, "create list=1", "created"),
        ] {
            var attempt = try Attempt(.found(record())) { work in
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
            var attempt = try Attempt(.found(record(residence: residence)), canSetCookie: false) {
                $0.signOut()
            }
            #expect(try attempt.start() == "end")
            #expect(try attempt.ended(true) == "keep, signed-out")
        }
        var sealed = try Attempt(.found(record(residence: .cookie)), canSetCookie: false) { $0.signOut() }
        #expect(throws: SessionError(.unsupported, "")) { try sealed.start() }
        var response = try Attempt(.found(record(residence: .cookie))) { $0.signOut() }
        #expect(try response.start() == "end")
    }

    @Test func `the end of a session is reported although its successor is refused`() throws {
        var attempt = try Attempt(.found(record()), limits: SessionLimits(bytes: 4)) { work in
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
            var attempt = try Attempt(.found(record(age: .seconds(600))), policy: due) { work in
                try entries.forEach { try work.changes.append($0) }
            }
            #expect(try attempt.start() == step)
            #expect(try attempt.answered(.fresh) == "send fresh for 60, renewed")
        }
        var early = try Attempt(.found(record(age: .milliseconds(599_999))), policy: due)
        #expect(try early.start() == "touch due")
        var previous = try Attempt(.found(record(age: .seconds(600), secretStatus: .previous)), policy: due)
        #expect(try previous.start() == "touch due")
        var signIn = try Attempt(.found(record(age: .seconds(600))), policy: due) {
            try $0.changes.append(Self.signIn)
        }
        #expect(try signIn.start() == "commit sign in ann")
    }

    @Test func `a renewal that the store did not make is not reported`() throws {
        var attempt = try Attempt(.found(record(secretStatus: .previous))) { try $0.changes.append(.renew) }
        #expect(try attempt.start() == "commit renew")
        #expect(try attempt.answered(.committed(nil)) == "keep")
    }

    @Test func `a renewal that only the policy asked for is no change that could be dropped`() throws {
        var attempt = try Attempt(
            .found(record(age: .seconds(600))),
            policy: SessionPolicy(renewalInterval: .seconds(600))
        )
        #expect(try attempt.start() == "commit renew")
        #expect(try attempt.answered(.gone(.ended(.signOut))) == "keep")
    }

    @Test func `no secret is replaced where no cookie can be sent`() throws {
        let due = SessionPolicy(renewalInterval: .seconds(600))
        let old = SessionLoadResult.found(record(age: .seconds(600)))
        var read = try Attempt(old, policy: due, canSetCookie: false)
        #expect(try read.start() == "touch due")
        var renew = try Attempt(old, policy: due, canSetCookie: false) { try $0.changes.append(.renew) }
        #expect(try renew.start() == "touch due")
        var write = try Attempt(old, policy: due, canSetCookie: false) { work in
            try work.changes.append(.renew)
            try work.changes.append(Self.set)
        }
        #expect(try write.start() == "commit item=2")
        var signIn = try Attempt(old, canSetCookie: false) { try $0.changes.append(Self.signIn) }
        #expect(throws: SessionError(.noSession, "")) { try signIn.start() }
    }

    // MARK: Refusals

    @Test(arguments: [SessionResidence.cookie, .revocableCookie])
    func `what lives in the cookie is not changed without a response that can carry it`(
        residence: SessionResidence
    ) throws {
        var job = try Attempt(.found(record(residence: residence)), canSetCookie: false) {
            try $0.changes.append(Self.set)
        }
        #expect(throws: SessionError(.unsupported, "")) { try job.start() }
        var response = try Attempt(.found(record(residence: residence))) { try $0.changes.append(Self.set) }
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
        var commit = try Attempt(.found(record([:])), limits: limits) { try $0.changes.append(entry) }
        #expect(try commit.start() == "commit list=1111 if unchanged")
        #expect(try commit.answered(.conflict(record(["list": [0x39, 0x39]]))) == "queue")
        #expect(try commit.admitted() == "commit list=991111 if unchanged")
        #expect(try commit.answered(.conflict(record([:]))) == "commit list=1111 if unchanged")
        #expect(throws: SessionError(.tooLarge, "")) {
            try commit.answered(.conflict(record(["list": [0x39, 0x39, 0x39]])))
        }
        // A renewal alone is not refused, however large the session is.
        var renew = try Attempt(.found(record(["list": Array(repeating: 1, count: 99)])), limits: limits) {
            try $0.changes.append(.renew)
        }
        #expect(try renew.start() == "commit renew")
    }

    // MARK: All of it

    /// What a handler may have done, in short.
    private static let handlers: [(name: String, run: @Sendable (inout UncommittedSession) throws -> Void)] =
        {
            let entries: [(String, [PendingChanges.Entry])] = [
                ("nothing", []), ("set", [set]), ("update", [append]), ("renew", [.renew]),
                ("sign in", [signIn]),
                ("set, sign in", [set, signIn]), ("sign in, update", [signIn, append]),
                ("renew, set", [.renew, set]),
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
            nil, .absent(.unknown), .absent(.superseded(SessionID(), replay: true)),
        ]
        for residence in [SessionResidence.server, .cookie, .revocableCookie] {
            for status in [SecretStatus.current, .previous] {
                for age in [0, 200, 700] {
                    loads.append(
                        .found(record(age: .seconds(age), residence: residence, secretStatus: status))
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
            var work = UncommittedSession(.found(record()))
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
                case .commit:
                    commits += 1
                    guard let next = try? attempt.answered(.conflict(record())) else { break attempts }
                    step = next
                case .queue: step = try attempt.admitted()
                case .end: step = try attempt.ended(true)
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
            for wasAlive in [true, false] {
                var path = path
                path.wasEnded = wasAlive
                path.follow(attempt, count: &count) { try $0.ended(wasAlive) }
            }
        case .create(let draft):
            let isSignIn = work.changes.isSignIn
            path.check(canSetCookie, "creates what the client never learns of")
            path.check((draft.principal != nil) == isSignIn, "creates for the wrong user")
            path.check(!work.isSuperseded || isSignIn, "creates for a superseded secret")
            path.check(path.absence == nil || isSignIn, "revives a session")
            path.check(path.absence != .ended(.revocation), "creates after a revocation")
            for result in [SessionCommitResult.fresh, .gone(.ended(.revocation))] {
                path.follow(attempt, count: &count) { $0.created(result) }
            }
        case .commit(let change, let record):
            path.check(work.signedOut == nil && path.absence == nil, "changes what is over")
            path.check(canSetCookie || change.rotation == .none, "replaces a secret that it cannot send")
            path.check(canSetCookie || record.residence == .server, "changes what it cannot send")
            path.check(!change.operations.isEmpty || change.rotation != .none, "commits nothing")
            for result in path.results() {
                var path = path
                if case .gone(let absence) = result { path.absence = absence }
                path.follow(attempt, count: &count) { try $0.answered(result) }
            }
        case .queue:
            path.check(path.steps.dropLast() == ["commit"], "queues late")
            path.follow(attempt, count: &count) { try $0.admitted() }
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
            .unknown, .ended(.signOut), .ended(.revocation), .superseded(SessionID(), replay: false),
        ]
        return [.committed(nil), .fresh] + absences.map { .gone($0) }
            + (conflicts < 4 ? [.conflict(record(["list": [0x39]]))] : [])
    }

    private func checkEnd(_ action: CookieAction) {
        let isDropped = if case .dropped = action { true } else { false }
        check(events.filter { $0 == .dropped }.count == (isDropped ? 1 : 0), "drops without one event")
        check(events.filter { $0 == .signedOut }.count == (wasEnded ? 1 : 0), "reports a wrong end")
        check(!isDropped || !work.changes.isEmpty, "drops nothing")
        let results = events.filter { ![.signedOut, .dropped].contains($0) }
        check(results.count <= 1, "reports two results")
        switch action {
        case .keep: check(results.isEmpty, "reports what it does not send")
        case .send:
            check(canSetCookie, "sends a cookie that cannot be sent")
            check(!work.changes.isSignIn || results == [.signedIn], "does not report the sign-in")
            check(steps.last == "finish" && steps.count > 1, "sends without a store")
        case .delete: check(canSetCookie && wasEnded, "deletes the cookie of a session that it did not end")
        case .dropped: check(results.isEmpty, "reports what was dropped")
        }
    }

    private func check(_ isTrue: Bool, _ failure: String) {
        guard !isTrue else { return }
        Issue.record("\(title): \(steps.joined(separator: ", ")) \(failure)")
    }
}

/// An attempt whose steps read as text: the step, then the events of its decision.
private struct Attempt {
    private var attempt: CommitAttempt

    init(
        _ load: SessionLoadResult?,
        policy: SessionPolicy = SessionPolicy(),
        limits: SessionLimits = SessionLimits(),
        canSetCookie: Bool = true,
        _ handler: (inout UncommittedSession) throws -> Void = { _ in }
    ) throws {
        var work = UncommittedSession(load)
        try handler(&work)
        attempt = CommitAttempt(work, policy: policy, limits: limits, canSetCookie: canSetCookie)
    }

    mutating func start(jitter: Double = 0) throws -> String { text(try attempt.started(jitter: jitter)) }
    mutating func ended(_ wasAlive: Bool) throws -> String { text(try attempt.ended(wasAlive)) }
    mutating func admitted() throws -> String { text(try attempt.admitted()) }
    mutating func created(_ result: SessionCommitResult) -> String { text(attempt.created(result)) }
    @discardableResult
    mutating func answered(_ result: SessionCommitResult) throws -> String {
        text(try attempt.answered(result))
    }
    mutating func touched(_ credential: String?) -> String {
        text(attempt.touched(credential.map { SessionCredential($0) }))
    }
    mutating func events() -> [SessionEvent.Kind] { attempt.takeEvents().map(\.kind) }

    private mutating func text(_ step: CommitAttempt.Step) -> String {
        ([step.description] + events().map(\.description)).joined(separator: ", ")
    }
}

/// A loaded record that was created, used and renewed `age` ago.
private func record(
    _ attributes: [String: [UInt8]] = ["kept": [0x31]],
    age: Duration = .zero,
    residence: SessionResidence = .server,
    secretStatus: SecretStatus = .current
) -> SessionRecord {
    let now = SessionInstant(milliseconds: 1_800_000_000_000)
    return SessionRecord(
        id: SessionID(),
        version: 1,
        principal: nil,
        attributes: attributes,
        times: SessionTimes(
            startingAt: SessionInstant(milliseconds: now.milliseconds - age.wholeMilliseconds),
            idleTimeout: .seconds(1800),
            lifetime: .seconds(43_200)
        ),
        now: now,
        residence: residence,
        secretStatus: secretStatus,
        storeContext: ()
    )
}

extension SessionCommitResult {
    /// Stored, with the credential `fresh` for a minute.
    fileprivate static var fresh: Self { committed(SessionCredential("fresh")) }

    fileprivate static func committed(_ credential: SessionCredential?) -> Self {
        .committed(id: SessionID(), version: 2, credential: credential, remaining: .seconds(60))
    }
}

extension CommitAttempt.Step: CustomStringConvertible {
    fileprivate var name: String {
        if case .finish = self { "finish" } else { String(description.prefix { $0 != " " }) }
    }

    public var description: String {
        switch self {
        case .end: "end"
        case .queue: "queue"
        case .touch(_, let isDue): isDue ? "touch due" : "touch"
        case .create(let draft):
            (["create"] + draft.attributes.map { "\($0)=\(text($1))" }.sorted()
                + (draft.principal.map { ["as \($0)"] } ?? [])).joined(separator: " ")
        case .commit(let change, _):
            (["commit"] + change.operations.map { $0 + text($1) }.sorted()
                + (change.needsVersion ? ["if unchanged"] : []) + text(change.rotation))
                .joined(separator: " ")
        case .finish(.keep): "keep"
        case .finish(.send(let credential, let remaining)):
            "send \(credential.value) for \(remaining.components.seconds)"
        case .finish(.delete): "delete"
        case .finish(.dropped): "dropped"
        }
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private func text(_ operation: SessionChange.Operation) -> String {
        switch operation {
        case .set(let bytes): "=\(text(bytes))"
        case .remove: "=nil"
        case .increment(let amount): "+\(amount)"
        }
    }

    private func text(_ rotation: SessionChange.Rotation) -> [String] {
        switch rotation {
        case .none: []
        case .renew: ["renew"]
        case .signIn(let principal, _): ["sign in \(principal)"]
        }
    }
}
