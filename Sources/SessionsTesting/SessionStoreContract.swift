// SPDX-License-Identifier: Apache-2.0

public import Sessions

/// The rules that every `SessionStore` must follow, as checks that run against a living one.
///
/// Independent of any test framework: a rule throws when it is broken. With Swift Testing:
///
/// ```swift
/// @Test(arguments: SessionStoreContract.rules) func `the store keeps the contract`(rule: SessionStoreContract.Rule) async throws {
///     try await rule.check(SessionStoreHarness(store: myStore) { try await letTimePass($0) })
/// }
/// ```
///
/// Give each rule a store of its own, or one whose sessions no other test touches. A store that cannot keep
/// all of it, because the client holds the session, declares what it does keep: `rules(for: [.finalEnds])`.
/// The other rules should then be seen to fail: a limit that is declared and not real is a rule that is not
/// checked.
public enum SessionStoreContract {
    /// What a store promises beyond what all of them do.
    public struct Guarantees: OptionSet, Sendable {
        /// One bit for each.
        public let rawValue: Int
        /// Creates a set from its bits.
        public init(rawValue: Int) { self.rawValue = rawValue }

        /// What was ended stays ended, for every holder of a credential.
        public static let finalEnds = Guarantees(rawValue: 1)
        /// A credential that a sign-in or a renewal replaced is invalid, at once or after its grace.
        public static let replacedCredentials = Guarantees(rawValue: 2)
        /// After a renewal the previous credential may write during its grace.
        public static let gracefulRenewal = Guarantees(rawValue: 4)
        /// Of several commits for one version exactly one succeeds.
        public static let detectedConflicts = Guarantees(rawValue: 8)
        /// Commits that do not depend on a version all take effect, and a conflict comes with the fresh
        /// record.
        public static let mergedWrites = Guarantees(rawValue: 16)
        /// The list of a user's sessions shows what they hold.
        public static let listedAttributes = Guarantees(rawValue: 32)
        /// A replaced credential that is presented after its grace is reported as a replay.
        public static let reportedReplays = Guarantees(rawValue: 64)
        /// All of them: what a store on a server promises.
        public static let all: Guarantees = [
            .finalEnds, .replacedCredentials, .gracefulRenewal, .detectedConflicts, .mergedWrites,
            .listedAttributes, .reportedReplays,
        ]
    }

    /// One sentence of the contract.
    public struct Rule: Sendable, CustomStringConvertible {
        /// The sentence.
        public let description: String
        /// What the store must promise for it.
        public let needs: Guarantees
        private let body: @Sendable (SessionStoreHarness) async throws -> Void

        init(
            _ description: String,
            needs: Guarantees = [],
            _ body: @escaping @Sendable (SessionStoreHarness) async throws -> Void
        ) {
            self.description = description
            self.needs = needs
            self.body = body
        }

        /// Checks the rule; throws a `Violation`, or the store's own error.
        public func check(_ harness: SessionStoreHarness) async throws {
            do { try await body(harness) } catch let failure as Mismatch {
                throw Violation(description: "\(description): \(failure.message) (line \(failure.line))")
            }
        }
    }

    /// A broken rule.
    public struct Violation: Error, CustomStringConvertible {
        /// The rule, and what was seen instead.
        public let description: String
    }

    /// All rules.
    ///
    /// Those about lists and revocations pass by themselves for a store that is not a `SessionDirectory`.
    public static let rules: [Rule] =
        absenceRules + commitRules + expiryRules + rotationRules + raceRules + directoryRules + limitRules

    /// The rules for a store that promises no more than this.
    public static func rules(for guarantees: Guarantees) -> [Rule] {
        rules.filter { guarantees.isSuperset(of: $0.needs) }
    }
}

/// A store under test together with a way to let its time pass.
public struct SessionStoreHarness: Sendable {
    /// The store.
    public let store: any SessionStore
    let advance: @Sendable (Duration) async throws -> Void
    let splice: @Sendable (SessionCredential, SessionCredential) -> SessionCredential

    /// Creates a harness.
    ///
    /// - Parameters:
    ///   - store: the store.
    ///   - splice: makes one credential of two, as a forger would; the first part of one and the rest of the
    ///     other by default, divided at the first point.
    ///   - advance: makes the store believe that this much time has passed since whatever it did before.
    public init(
        store: any SessionStore,
        splice: (@Sendable (SessionCredential, SessionCredential) -> SessionCredential)? = nil,
        advance: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.store = store
        self.advance = advance
        self.splice =
            splice ?? { first, second in
                SessionCredential(
                    String(first.value.prefix { $0 != "." })
                        + String(second.value[(second.value.firstIndex(of: ".") ?? second.value.endIndex)...])
                )
            }
    }

    /// 10 minutes idle, 1 hour in all, 30 seconds of grace.
    let policy = SessionPolicy(
        idleTimeout: .seconds(600),
        lifetime: .seconds(3600),
        renewalGrace: .seconds(30)
    )

    @discardableResult
    func create(_ attributes: [String: String] = [:], principal: String? = nil) async throws
        -> SessionCredential
    {
        let draft = SessionDraft(
            attributes: attributes.mapValues { Array($0.utf8) },
            principal: principal,
            policy: policy
        )
        guard case .committed(_, 1, let credential?, let remaining) = try await store.create(draft) else {
            throw Mismatch("create did not give a credential", #line)
        }
        try expect(remaining == policy.lifetime, "a new session has its whole lifetime ahead")
        return credential
    }

    func found(_ credential: SessionCredential, line: Int = #line) async throws -> SessionRecord {
        let load = try await store.load(credential)
        guard case .found(let record) = load else { throw Mismatch("expected a session, got \(load)", line) }
        return record
    }

    func absent(_ credential: SessionCredential, line: Int = #line) async throws -> SessionAbsence {
        guard case .absent(let absence) = try await store.load(credential) else {
            throw Mismatch("expected no session", line)
        }
        return absence
    }

    @discardableResult
    func commit(
        _ operations: [String: SessionChange.Operation],
        to record: SessionRecord,
        needsVersion: Bool = false,
        rotation: SessionChange.Rotation = .none
    ) async throws -> SessionCommitResult {
        try await store.commit(
            SessionChange(
                operations: operations,
                needsVersion: needsVersion,
                rotation: rotation,
                policy: policy
            ),
            to: record
        )
    }

    /// Rotates and gives the new credential.
    func rotate(_ record: SessionRecord, _ rotation: SessionChange.Rotation, line: Int = #line) async throws
        -> SessionCredential
    {
        guard
            case .committed(_, _, let credential?, _) = try await commit([:], to: record, rotation: rotation)
        else {
            throw Mismatch("the secret was not replaced", line)
        }
        return credential
    }

    /// Restarts the idle timeout and gives what the cookie then carries.
    func touch(_ credential: SessionCredential, after pause: Duration = .zero) async throws
        -> SessionCredential
    {
        try await advance(pause)
        return try await store.touch(try await found(credential), isDue: true) ?? credential
    }

    func value(_ name: String, _ credential: SessionCredential, line: Int = #line) async throws -> String? {
        try await found(credential, line: line).attributes[name].map { String(decoding: $0, as: UTF8.self) }
    }
}

/// What a rule saw instead of what it expected.
struct Mismatch: Error {
    let message: String
    let line: Int

    init(_ message: String, _ line: Int) {
        self.message = message
        self.line = line
    }
}

func expect(_ condition: Bool, _ message: String, line: Int = #line) throws {
    guard condition else { throw Mismatch(message, line) }
}

extension SessionCommitResult {
    /// What the cookie carries after this answer.
    func next(after credential: SessionCredential) -> SessionCredential {
        if case .committed(_, _, let next?, _) = self { next } else { credential }
    }
}

func isGone(_ commit: SessionCommitResult) -> Bool { if case .gone = commit { true } else { false } }

func isSuperseded(_ absence: SessionAbsence, replay: Bool? = nil) -> Bool {
    guard case .superseded(_, let secret) = absence else { return false }
    return replay.map { $0 == secret.isReplay } ?? true
}

extension SessionChange.Operation {
    static func text(_ text: String) -> Self { .set(Array(text.utf8)) }
}
