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
        case elevate

        /// The attribute that it changes.
        var name: String? {
            switch self {
            case .set(let name, _), .remove(let name), .increment(let name, _), .update(let name, _),
                .show(let name, _):
                name
            case .signIn, .renew, .elevate: nil
            }
        }
    }

    private var entries: [Entry] = []
    private var base: [String: [UInt8]] = [:]
    private(set) var operations: [String: SessionChange.Operation] = [:]
    private(set) var rotation = SessionChange.Rotation.none
    /// The attributes whose value in the base was read by an update.
    private var dependent: Set<String> = []

    init(base: [String: [UInt8]] = [:]) { self.base = base }

    /// Whether an entry read a value of the base, so that the change is valid for this version only.
    var dependsOnBase: Bool { !dependent.isEmpty }

    /// Whether there is nothing to store.
    var isEmpty: Bool { operations.isEmpty && rotation == .none }

    /// Whether the user signs in.
    var isSignIn: Bool { if case .signIn = rotation { true } else { false } }

    /// Whether the old secret must be invalid at once: without that, nothing may be stored.
    var isDecisive: Bool { isSignIn || rotation == .elevate }

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

    /// The most attributes and bytes that there may be, counted without putting them together.
    var bound: (attributes: Int, bytes: Int) {
        var bytes = SessionLimits.size(of: base)
        for (name, operation) in operations {
            switch operation {
            case .set(let value): bytes += name.utf8.count + value.count
            // Twenty characters hold every integer.
            case .increment: bytes += name.utf8.count + 20
            case .remove: break
            }
        }
        return (base.count + operations.count, bytes)
    }

    /// Applies an entry and records it; changes nothing when it throws.
    mutating func append(_ entry: Entry) throws {
        try apply(entry)
        entries.append(entry)
    }

    /// Runs an update once and records its result: for a value that no other request can change.
    mutating func appendResult(of update: Update, _ name: String) throws {
        try append(try update(self[name]).map { .set(name, $0) } ?? .remove(name))
    }

    /// Returns the same entries, applied to a fresher state.
    func replayed(on base: [String: [UInt8]]) throws -> PendingChanges {
        var changes = PendingChanges(base: base)
        for entry in entries { try changes.append(entry) }
        return changes
    }

    /// The entries that make the value of an attribute, where that depends on what other requests commit; nil where
    /// it does not.
    func entries(dependentOn name: String) -> [Entry]? {
        guard !isDropped(name), !isKnown(name) || dependent.contains(name) else { return nil }
        return entries.filter { $0.name == name }
    }

    /// Goes on from the value of an attribute that was committed during the request.
    ///
    /// - Parameters:
    ///   - name: the attribute.
    ///   - value: what is stored now.
    ///   - count: how many of its entries are in that.
    /// - Throws: what the closures of later updates throw.
    mutating func settle(_ name: String, _ value: [UInt8]?, after count: Int) throws {
        let later = entries.filter { $0.name == name }.dropFirst(count)
        entries.removeAll { $0.name == name }
        (base[name], operations[name]) = (value, nil)
        dependent.remove(name)
        for entry in later { try append(entry) }
    }

    /// Goes on from a fresher state; for changes that do not depend on what was read.
    mutating func rebase(on fresh: [String: [UInt8]]) {
        base = fresh
        if case .signIn(_, let keeping) = rotation { base = fresh.filter { keeping.contains($0.key) } }
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
            if !isKnown(name) { dependent.insert(name) }
            operations[name] = result.map { .set($0) } ?? .remove
        case .signIn(let principal, let keeping):
            base = base.filter { keeping.contains($0.key) }
            operations = operations.filter { keeping.contains($0.key) }
            // What an earlier sign-in of this request dropped stays dropped.
            var kept = keeping
            if case .signIn(_, let before) = rotation { kept.formIntersection(before) }
            rotation = .signIn(principal: principal, keeping: kept)
        case .renew: if rotation == .none { rotation = .renew }
        case .elevate: if !isSignIn { rotation = .elevate }
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
        case nil: return isDropped(name)
        }
    }

    /// Whether a sign-in of this request drops what was stored.
    private func isDropped(_ name: String) -> Bool {
        if case .signIn(_, let keeping) = rotation { !keeping.contains(name) } else { false }
    }
}

/// The record that a request read, what its handler changed, and the record that it signed out of.
struct UncommittedSession: Sendable {
    /// The record as it was read; nil for an anonymous session without one.
    var record: SessionRecord?
    /// Why the presented credential stands for no session; nil when it does, or there is none.
    let absence: SessionAbsence?
    /// What the handler changed since.
    var changes = PendingChanges()
    /// Whether the handler signed out, of whatever the client presented.
    private(set) var isSignOut = false
    /// The record that `signOut` is to end.
    private(set) var signedOut: SessionRecord?
    /// Whether reading the session was no use of it.
    var isPassive = false
    /// The last sign-in of the handler.
    var signIn: SignIn?
    /// The end of all the user's sessions after this instant refuses the sign-in.
    var notRevokedSince: ContinuousClock.Instant?
    /// What a commit during the request has issued and the response has to carry, if no later commit replaces it.
    var unsent: (credential: SessionCredential, remaining: Duration)?
    /// The ID of the session that the request may create.
    private var freshID: SessionID?

    /// What a sign-in was called with, and when, by this process' clock.
    struct SignIn: Sendable {
        let time: ContinuousClock.Instant
        let terms: SessionTerms?
        /// Since when all the user's sessions must not have been ended; nil for the beginning of the request.
        let checked: ContinuousClock.Instant?
    }

    /// Starts with what the store found; nil for a request without a credential.
    init(_ load: SessionLoadResult?) {
        switch load {
        case .found(let record):
            self.record = record
            absence = nil
            changes = PendingChanges(base: record.attributes)
        case .absent(let absence): self.absence = absence
        case nil: absence = nil
        }
        if record == nil { freshID = SessionID() }
    }

    /// Whether there is anything to store, to end or to send.
    var isChanged: Bool { !changes.isEmpty || isSignOut || signedOut != nil || unsent != nil }

    /// The user who is signed in, as this request sees it.
    var principal: String? {
        if case .signIn(let principal, _) = changes.rotation { return principal }
        return record?.principal
    }

    /// The session's ID, or the one that it gets if it is created with what was changed so far; nil when nothing is
    /// stored and nothing is to be.
    var id: SessionID? { record?.id ?? (isToBeCreated ? freshID : nil) }

    /// Whether no change will be stored, because the browser may hold a newer cookie than the one that it sent.
    var isLate: Bool { record == nil && absence?.isLate == true && !isSignOut && !changes.isSignIn }

    /// What the sign-in chose in place of the manager's policy and cookie.
    private var terms: SessionTerms? { changes.isSignIn ? signIn?.terms : nil }

    /// What later cookies of the session are like, after these changes; nil for the manager's way.
    var persistence: CookiePersistence? {
        changes.isSignIn ? terms?.persistence : record?.times.persistence
    }

    /// The limits for the session, if the handler signs in.
    func policy(_ policy: SessionPolicy) -> SessionPolicy {
        guard let terms else { return policy }
        var policy = policy
        (policy.idleTimeout, policy.lifetime) = (terms.idleTimeout, terms.lifetime)
        return policy
    }

    /// The session to be created by the commit, where there is no record.
    func draft(_ policy: SessionPolicy) -> SessionDraft {
        SessionDraft(
            id: freshID,
            attributes: changes.attributes,
            principal: principal,
            policy: self.policy(policy),
            persistence: terms?.persistence,
            notRevokedSince: notRevokedSince,
            idleTimeout: principal == nil ? min(policy.idleTimeout, policy.anonymousIdleTimeout) : nil
        )
    }

    /// Takes over that the session was kept alive meanwhile.
    mutating func keep(_ use: SessionUse) {
        record = record.map(use.kept)
        signedOut = signedOut.map(use.kept)
    }

    /// Whether the changes need a record.
    private var isToBeCreated: Bool { changes.isSignIn || !changes.isEmpty && !changes.attributes.isEmpty }

    /// Ends the record with the commit; what is written afterwards goes into a new session.
    mutating func signOut() {
        isSignOut = true
        signedOut = record ?? signedOut
        record = nil
        unsent = nil
        freshID = SessionID()
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

    /// Applies the changes to a new session, which takes over the attributes in `base`, because the one they were
    /// made for is over; throws what the closures of updates throw.
    mutating func replayOnNew(from base: [String: [UInt8]]) throws {
        changes = try changes.replayed(on: base)
        record = nil
    }

    /// Forgets the changes, but not that the handler signed out.
    mutating func dropChanges() {
        changes = PendingChanges()
        record = nil
    }
}

extension SessionPolicy {
    /// Returns the idle timeout that a commit gives a record; nil when the record keeps its own.
    func idleTimeout(
        after operations: [String: SessionChange.Operation],
        on record: SessionRecord
    ) -> Duration? {
        guard record.principal == nil, record.times.idleTimeout < idleTimeout,
            operations.keys.contains(where: { $0 != SessionKey<[String]>.flash.name })
        else { return nil }
        return idleTimeout
    }
}
