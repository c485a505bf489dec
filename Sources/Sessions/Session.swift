// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The session of one request, as its handler sees it.
///
/// Reading is a subscript. There is no subscript *setter*: `session[.cart].append(x)` would read, wait and
/// overwrite what somebody else stored meanwhile, so it does not compile. Write with `set` (whatever was
/// there), `update` (read, modify, write: safe, because the closure is run again if somebody else came first)
/// or `increment` (the store adds).
///
/// Nothing is stored before the handler has returned. Then everything it did is committed at once, before the
/// response head leaves. A handler that throws commits nothing. After the commit the session is closed: every
/// write throws `.closed`. Costs no round trip itself: one was paid for loading, one is paid for committing
/// if anything changed.
public final class Session: Sendable {
    private struct State {
        var work: UncommittedSession
        /// What the client holds: what it presented, or what the commit has issued.
        var credential: SessionCredential?
        var isClosed = false
        /// Counts the writes, so that a write made outside of the lock notices another.
        var generation = 0
    }

    private let state: Mutex<State>
    private let limits: SessionLimits
    private let events: SessionEventSink

    init(
        _ load: SessionLoadResult?,
        credential: SessionCredential?,
        limits: SessionLimits,
        events: SessionEventSink
    ) {
        let work = UncommittedSession(load)
        state = Mutex(State(work: work, credential: work.record == nil ? nil : credential))
        self.limits = limits
        self.events = events
    }

    // MARK: Reading

    /// The value of an attribute as this request sees it, its own changes included; nil when there is none.
    ///
    /// A stored value that does not decode as `Value` reads as nil, is reported as an event and stays stored.
    public subscript<Value>(key: SessionKey<Value>) -> Value? {
        work.changes[key.name].flatMap { decode(key, $0) }
    }

    /// Whether the session has a value under this name, of whatever type.
    public func has<Value>(_ key: SessionKey<Value>) -> Bool { work.changes[key.name] != nil }

    /// The names of all attributes, sorted.
    public var names: [String] { work.changes.attributes.keys.sorted() }

    /// The signed-in user; nil for an anonymous session.
    public var principal: String? { work.principal }

    /// The session's ID, safe to show and log; nil while nothing is stored.
    public var id: SessionID? { work.record?.id }

    /// How often the session was changed before this request; 0 while nothing is stored.
    public var version: Int { work.record?.version ?? 0 }

    /// When the session was created, by the store's clock; nil while nothing is stored.
    public var created: SessionInstant? { work.record?.times.created }

    /// How long the session lives on if this request is its last use; nil while nothing is stored.
    public var expiresIn: Duration? {
        guard let record = work.record else { return nil }
        return min(record.now + record.times.idleTimeout, record.times.deadline) - record.now
    }

    // MARK: Writing

    /// Stores a value, whatever was there before.
    ///
    /// - Throws: `.invalidValue` when the value does not encode, `.tooLarge` above `SessionLimits.bytes`,
    ///   `.closed` after the commit.
    public func set<Value>(_ key: SessionKey<Value>, _ value: Value) throws(SessionError) {
        let bytes = try SessionCodec.encode(value)
        try checkSize(key, bytes)
        try writeChecked(.set(key.name, bytes))
    }

    /// Removes an attribute; nothing happens when there is none.
    ///
    /// - Throws: `.closed` after the commit.
    public func remove<Value>(_ key: SessionKey<Value>) throws(SessionError) {
        try writeChecked(.remove(key.name))
    }

    /// Reads, modifies and writes an attribute without losing the update of another request.
    ///
    /// `change` runs now, so that the handler sees the effect, and again at the commit on the fresh value if
    /// somebody else committed first. It must depend on its argument only. Leaving nil removes the attribute.
    ///
    /// - Throws: what `change` throws, `.invalidValue`, `.tooLarge`, `.closed`; at the commit `.conflict` if
    ///   others win every time.
    public func update<Value>(
        _ key: SessionKey<Value>,
        _ change: @escaping @Sendable (inout Value?) throws -> Void
    ) throws {
        let update: PendingChanges.Update = { [self] bytes in
            var value = bytes.flatMap { decode(key, $0) }
            try change(&value)
            guard let value else { return nil }
            let changed = try SessionCodec.encode(value)
            try checkSize(key, changed)
            return changed
        }
        try write(.update(key.name, update))
    }

    /// Reads, modifies and writes an attribute, starting from `initial` when there is none.
    ///
    /// See `update(_:_:)`.
    public func update<Value>(
        _ key: SessionKey<Value>,
        default initial: Value,
        _ change: @escaping @Sendable (inout Value) throws -> Void
    ) throws {
        try update(key) { (value: inout Value?) in
            var present = value ?? initial
            try change(&present)
            value = present
        }
    }

    /// Lets the store add to a number that starts at 0.
    ///
    /// Never conflicts.
    ///
    /// - Throws: `.invalidValue` when the attribute is not an integer or would overflow (also at the commit),
    ///   `.closed`.
    public func increment(_ key: SessionKey<Int>, by amount: Int = 1) throws(SessionError) {
        try writeChecked(.increment(key.name, by: amount))
    }

    // MARK: Identity

    /// Records who the user is and replaces the secret, so that an earlier cookie is invalid (R08, R10).
    ///
    /// What the session held before is dropped, except flash messages and the attributes named here (R15).
    /// The lifetime restarts: this is an authentication.
    ///
    /// - Parameters:
    ///   - principal: the application's name for the user, 1 to 1,024 UTF-8 bytes.
    ///   - keys: attributes to carry over, for example `keeping: .cart, .language`.
    /// - Throws: `.invalidValue` for an impossible name, `.closed` after the commit.
    public func signIn<each Value>(
        as principal: String,
        keeping keys: repeat SessionKey<each Value>
    ) throws(SessionError) {
        var names: Set<String> = []
        repeat _ = names.insert((each keys).name)
        try signIn(principal, keeping: names)
    }

    /// Records who the user is and replaces the secret; for keys of one type that are known at run time only.
    ///
    /// - Parameters:
    ///   - principal: the application's name for the user, 1 to 1,024 UTF-8 bytes.
    ///   - keys: attributes to carry over.
    /// - Throws: `.invalidValue` for an impossible name, `.closed` after the commit.
    public func signIn<Value>(as principal: String, keeping keys: [SessionKey<Value>]) throws(SessionError) {
        try signIn(principal, keeping: Set(keys.map(\.name)))
    }

    private func signIn(_ principal: String, keeping names: Set<String>) throws(SessionError) {
        guard (1...1024).contains(principal.utf8.count) else {
            throw SessionError(.invalidValue, "A principal is 1 to 1024 bytes.")
        }
        let kept = names.union([SessionKey<[String]>.flash.name])
        try writeChecked(.signIn(principal: principal, keeping: kept))
    }

    /// Ends the session on every server.
    ///
    /// Nothing happens when there is none.
    ///
    /// What is written afterwards in the same request, for example a farewell flash message, goes into a new
    /// session.
    ///
    /// - Throws: `.closed` after the commit.
    public func signOut() throws(SessionError) {
        try state.withLock { (state: inout State) throws(SessionError) in
            try Self.checkOpen(&state)
            state.work.signOut()
            state.generation += 1
        }
    }

    /// Replaces the secret with equal rights.
    ///
    /// Parallel requests with the old one go on for the policy's grace (R12).
    ///
    /// Nothing happens for a session that is not stored, and when the old secret was already replaced.
    ///
    /// - Throws: `.closed` after the commit.
    public func renew() throws(SessionError) {
        guard id != nil else {
            return try state.withLock { state throws(SessionError) in try Self.checkOpen(&state) }
        }
        try writeChecked(.renew)
    }

    // MARK: Flash

    /// Adds a message for the next page.
    ///
    /// Survives a sign-in.
    public func flash(_ message: String) throws { try update(.flash, default: []) { $0.append(message) } }

    /// Takes the messages that earlier requests left, so that they show once.
    public func takeFlash() throws -> [String] {
        guard let messages = self[.flash], !messages.isEmpty else { return [] }
        try update(.flash) { stored in
            // Messages that came in since are not shown yet: they stay. So do all if another request took
            // these.
            guard let all = stored, all.starts(with: messages) else { return }
            stored = all.count == messages.count ? nil : Array(all.dropFirst(messages.count))
        }
        return messages
    }

    // MARK: Inside

    /// The value of the cookie that the client holds; nil while nothing is stored.
    var credential: SessionCredential? { state.withLock { $0.credential } }

    /// Takes no change from now on, and returns what was done.
    func close() -> UncommittedSession {
        state.withLock { state in
            state.isClosed = true
            return state.work
        }
    }

    /// Records the credential that the commit sends to the client.
    func committed(_ credential: SessionCredential) { state.withLock { $0.credential = credential } }

    private var work: UncommittedSession { state.withLock { $0.work } }

    private static func checkOpen(_ state: inout State) throws(SessionError) {
        guard state.isClosed else { return }
        throw SessionError(
            .closed,
            "The session was already committed; use SessionManager.amend to change it later."
        )
    }

    /// Adds an entry to the pending changes.
    ///
    /// The entry takes effect outside of the lock, for an update runs the application's code, which may well
    /// read this session; if another task wrote in the meantime, it takes effect once more on what that left.
    private func write(_ entry: PendingChanges.Entry) throws {
        for _ in 0..<100 {
            let (changes, generation) = try state.withLock { state in
                try Self.checkOpen(&state)
                return (state.work.changes, state.generation)
            }
            var next = changes
            try next.append(entry)
            let isStored = try state.withLock { state in
                try Self.checkOpen(&state)
                guard state.generation == generation else { return false }
                state.work.changes = next
                state.generation += 1
                return true
            }
            if isStored { return }
        }
        throw SessionError(
            .conflict,
            "Other tasks of this request write all the time, or the closure of an update writes itself."
        )
    }

    /// `write` for entries that run no code of the application: they can only fail with a `SessionError`.
    private func writeChecked(_ entry: PendingChanges.Entry) throws(SessionError) {
        do { try write(entry) } catch let error as SessionError { throw error } catch {
            throw SessionError(.invalidValue, "The value could not be changed.")
        }
    }

    private func checkSize<Value>(_ key: SessionKey<Value>, _ bytes: [UInt8]) throws(SessionError) {
        try limits.check(bytes: key.name.utf8.count + bytes.count)
    }

    private func decode<Value>(_ key: SessionKey<Value>, _ bytes: [UInt8]) -> Value? {
        do { return try SessionCodec.decode(Value.self, from: bytes) } catch {
            let detail = "the attribute \(key.name) does not decode as \(Value.self)"
            events.emit(SessionEvent(.undecodable, id, detail: detail))
            return nil
        }
    }
}

extension SessionKey where Value == [String] {
    /// Where flash messages are kept.
    static var flash: Self { Self(reserved: "@flash") }
}
