// SPDX-License-Identifier: Apache-2.0

/// What a handler changed in a session, in order, so that it can be repeated on a fresher state.
///
/// Each entry applies to the state that was read (`base`) and to the entries before it. Together they are one
/// `SessionChange`: blind operations stay blind, and only a closure that read a stored value makes the change
/// depend on the version.
struct PendingChanges: Sendable {
    /// A read-modify-write: gets the encoded value or nil, returns the new one or nil to remove it.
    typealias Update = @Sendable ([UInt8]?) throws -> [UInt8]?

    enum Entry: Sendable {
        case set(String, [UInt8])
        case remove(String)
        case increment(String, by: Int)
        case update(String, Update)
        /// An update that takes messages in order to show them: it is left out when the response shows nothing.
        case show(String, Update)
        case signIn(principal: String, keeping: Set<String>)
        case renew
    }

    private var entries: [Entry] = []
    private var base: [String: [UInt8]] = [:]
    private(set) var operations: [String: SessionChange.Operation] = [:]
    private(set) var rotation = SessionChange.Rotation.none
    /// Whether an entry read a value of the base, so that the change is valid for this version only.
    private(set) var dependsOnBase = false

    init(base: [String: [UInt8]] = [:]) { self.base = base }

    /// Whether there is nothing to store.
    var isEmpty: Bool { operations.isEmpty && rotation == .none }

    /// Whether the user signs in.
    var isSignIn: Bool { if case .signIn = rotation { true } else { false } }

    /// The value as this request sees it.
    subscript(name: String) -> [UInt8]? {
        switch operations[name] {
        case .set(let bytes): bytes
        case .remove: nil
        case .increment(let amount):
            Array(String((base[name].flatMap(SessionCodec.integer) ?? 0) &+ amount).utf8)
        case nil: base[name]
        }
    }

    /// All attributes as this request sees them.
    var attributes: [String: [UInt8]] {
        var all = base
        for name in operations.keys { all[name] = self[name] }
        return all
    }

    /// Applies an entry and records it; changes nothing when it throws.
    mutating func append(_ entry: Entry) throws {
        try apply(entry)
        entries.append(entry)
    }

    /// Returns the same entries, applied to a fresher state.
    func replayed(on base: [String: [UInt8]]) throws -> PendingChanges {
        var changes = PendingChanges(base: base)
        for entry in entries { try changes.append(entry) }
        return changes
    }

    /// Returns the same entries but those that show something; nil when there are none of these.
    func withoutShowing(on base: [String: [UInt8]]) throws -> PendingChanges? {
        func shows(_ entry: Entry) -> Bool { if case .show = entry { true } else { false } }
        guard entries.contains(where: shows) else { return nil }
        var changes = PendingChanges(base: base)
        for entry in entries where !shows(entry) { try changes.append(entry) }
        return changes
    }

    /// Forgets the entries, whose closures may hold what holds this, when no replay can follow.
    mutating func dropClosures() { entries = [] }

    private mutating func apply(_ entry: Entry) throws {
        switch entry {
        case .set(let name, let bytes): operations[name] = .set(bytes)
        case .remove(let name): operations[name] = .remove
        case .increment(let name, let amount): try increment(name, by: amount)
        case .update(let name, let update), .show(let name, let update):
            let result = try update(self[name])
            if !isKnown(name) { dependsOnBase = true }
            operations[name] = result.map { .set($0) } ?? .remove
        case .signIn(let principal, let keeping):
            base = base.filter { keeping.contains($0.key) }
            operations = operations.filter { keeping.contains($0.key) }
            // What an earlier sign-in of this request dropped stays dropped.
            var kept = keeping
            if case .signIn(_, let before) = rotation { kept.formIntersection(before) }
            rotation = .signIn(principal: principal, keeping: kept)
        case .renew: if rotation == .none { rotation = .renew }
        }
    }

    private mutating func increment(_ name: String, by amount: Int) throws {
        guard let before = self[name].map(SessionCodec.integer) ?? 0 else {
            throw SessionError(.invalidValue, "Only integers can be incremented.")
        }
        let earlier = if case .increment(let amount) = operations[name] { amount } else { 0 }
        let total = try Self.sum(earlier, amount)
        guard min(amount, total) > .min else {
            throw SessionError(.invalidValue, "The increment is out of range.")
        }
        let after = try Self.sum(before, amount)
        operations[name] = isKnown(name) ? .set(Array(String(after).utf8)) : .increment(total)
    }

    private static func sum(_ left: Int, _ right: Int) throws(SessionError) -> Int {
        let (sum, overflow) = left.addingReportingOverflow(right)
        guard !overflow else { throw SessionError(.invalidValue, "The increment would overflow.") }
        return sum
    }

    /// Whether the value does not depend on what other requests commit: this request wrote it, or its sign-in
    /// dropped it.
    private func isKnown(_ name: String) -> Bool {
        switch operations[name] {
        case .set, .remove: return true
        case .increment: return false
        case nil:
            if case .signIn(_, let keeping) = rotation { return !keeping.contains(name) }
            return false
        }
    }
}

/// The record that a request read, what its handler changed, and the record that it signed out of.
struct UncommittedSession: Sendable {
    /// The record as it was read; nil for an anonymous session without one.
    private(set) var record: SessionRecord?
    /// What the handler changed since.
    var changes = PendingChanges()
    /// The record that `signOut` is to end.
    private(set) var signedOut: SessionRecord?
    /// Whether the presented secret was replaced: the browser holds the newer one, so writes are dropped.
    private(set) var isSuperseded = false

    /// Starts with what the store found; nil for a request without a credential.
    init(_ load: SessionLoadResult?) {
        switch load {
        case .found(let record):
            self.record = record
            changes = PendingChanges(base: record.attributes)
        case .absent(.superseded): isSuperseded = true
        case .absent, nil: break
        }
    }

    /// The user who is signed in, as this request sees it.
    var principal: String? {
        if case .signIn(let principal, _) = changes.rotation { return principal }
        return record?.principal
    }

    /// Ends the record with the commit; what is written afterwards goes into a new session.
    mutating func signOut() {
        signedOut = record ?? signedOut
        record = nil
        changes = PendingChanges()
    }

    /// Leaves out what was taken in order to show it; returns whether there was anything.
    mutating func keepUnshown() throws -> Bool {
        guard let kept = try changes.withoutShowing(on: record?.attributes ?? [:]) else { return false }
        changes = kept
        return true
    }

    /// Applies the changes to the record as it is now; throws what the closures of updates throw.
    mutating func replay(on fresh: SessionRecord) throws {
        changes = try changes.replayed(on: fresh.attributes)
        record = fresh
    }

    /// Applies the changes to a new session, because the one they were made for is over; throws what the
    /// closures of updates throw.
    mutating func replayOnNew() throws {
        changes = try changes.replayed(on: [:])
        record = nil
    }
}
