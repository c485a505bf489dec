// SPDX-License-Identifier: Apache-2.0

@testable import Sessions

/// An attempt whose steps read as text: the step, then the events of its decision.
struct Attempt {
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
    mutating func ended(_ wasAlive: Bool) throws -> String {
        text(try attempt.ended(wasAlive ? .ended : .gone(.unknown)))
    }
    mutating func ended(_ result: SessionEndResult) throws -> String { text(try attempt.ended(result)) }
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

extension SessionRecord {
    /// A loaded record that was created, used and renewed `age` ago.
    static func loaded(
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
}

extension SessionCommitResult {
    /// Stored, with the credential `fresh` for a minute.
    static var fresh: Self { committed(SessionCredential("fresh")) }

    static func committed(_ credential: SessionCredential?) -> Self {
        .committed(id: SessionID(), version: 2, credential: credential, remaining: .seconds(60))
    }
}

extension CommitAttempt.Step: CustomStringConvertible {
    var name: String {
        if case .finish = self { "finish" } else { String(description.prefix { $0 != " " }) }
    }

    var description: String {
        switch self {
        case .end: "end"
        case .touch(_, let isDue): isDue ? "touch due" : "touch"
        case .create(let draft):
            (["create"] + draft.attributes.map { "\($0)=\(text($1))" }.sorted()
                + (draft.principal.map { ["as \($0)"] } ?? [])).joined(separator: " ")
        case .commit(let change, _), .commitInTurn(_, let change, _):
            (["commit"] + change.operations.map { $0 + text($1) }.sorted()
                + (change.needsVersion ? ["if unchanged"] : []) + text(change.rotation))
                .joined(separator: " ")
        case .finish(.keep): "keep"
        case .finish(.send(let credential, let remaining, nil)):
            "send \(credential.value) for \(remaining.components.seconds)"
        case .finish(.send(let credential, let remaining, let persistence?)):
            "send \(credential.value) for \(remaining.components.seconds) \(persistence)"
        case .finish(.delete): "delete"
        case .finish(.deleteDead): "delete dead"
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
        case .elevate: ["elevate"]
        case .signIn(let principal, _): ["sign in \(principal)"]
        }
    }
}
