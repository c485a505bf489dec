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
/// Give each rule a store of its own, or one whose sessions no other test touches.
public enum SessionStoreContract {
    /// One sentence of the contract.
    public struct Rule: Sendable, CustomStringConvertible {
        /// The sentence.
        public let description: String
        private let body: @Sendable (SessionStoreHarness) async throws -> Void

        init(_ description: String, _ body: @escaping @Sendable (SessionStoreHarness) async throws -> Void) {
            self.description = description
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
    /// Those about lists and revocations pass by themselves for a store that is no `SessionDirectory`.
    public static let rules: [Rule] = absenceRules + commitRules + expiryRules + rotationRules + raceRules + directoryRules
}

/// A store under test together with a way to let its time pass.
public struct SessionStoreHarness: Sendable {
    /// The store.
    public let store: any SessionStore
    let advance: @Sendable (Duration) async throws -> Void

    /// Creates a harness.
    ///
    /// - Parameter advance: makes the store believe that this much time has passed since whatever it did before.
    public init(store: any SessionStore, advance: @escaping @Sendable (Duration) async throws -> Void) {
        self.store = store
        self.advance = advance
    }

    /// 10 minutes idle, 1 hour in all, 30 seconds of grace.
    let policy = SessionPolicy(idleTimeout: .seconds(600), lifetime: .seconds(3600), renewalGrace: .seconds(30))

    func create(_ attributes: [String: String] = [:], principal: String? = nil) async throws -> SessionCredential {
        let draft = SessionDraft(attributes: attributes.mapValues { Array($0.utf8) }, principal: principal, policy: policy)
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
        guard case .absent(let absence) = try await store.load(credential) else { throw Mismatch("expected no session", line) }
        return absence
    }

    @discardableResult
    func commit(
        _ operations: [String: SessionChange.Operation], to record: SessionRecord, needsVersion: Bool = false,
        rotation: SessionChange.Rotation = .none
    ) async throws -> SessionCommit {
        try await store.commit(
            SessionChange(operations: operations, needsVersion: needsVersion, rotation: rotation, policy: policy), to: record)
    }

    /// Rotates and gives the new credential.
    func rotate(_ record: SessionRecord, _ rotation: SessionChange.Rotation, line: Int = #line) async throws -> SessionCredential {
        guard case .committed(record.handle, _, let credential?, _) = try await commit([:], to: record, rotation: rotation) else {
            throw Mismatch("the secret was not replaced", line)
        }
        return credential
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

func isGone(_ commit: SessionCommit) -> Bool { if case .gone = commit { true } else { false } }

func isSuperseded(_ absence: SessionAbsence, replay: Bool? = nil) -> Bool {
    guard case .superseded(_, let isReplay) = absence else { return false }
    return replay.map { $0 == isReplay } ?? true
}

extension SessionChange.Operation {
    static func text(_ text: String) -> Self { .set(Array(text.utf8)) }
}
