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
    struct State: Sendable {
        /// The record as it was read; nil for an anonymous session without one.
        var record: SessionRecord?
        /// What the handler did since.
        var journal = PendingChanges()
        /// The record that `signOut` wants to end.
        var ending: SessionRecord?
        /// The presented secret was replaced by a newer one: the browser holds that already, so writes are
        /// dropped.
        var isSuperseded = false
        var isClosed = false
        /// What the response's cookie carries, once the commit has issued it.
        var issued: SessionCredential?
        /// Counts the writes, so that one made outside the lock notices another.
        var generation = 0

        func checkOpen() throws(SessionError) {
            guard !isClosed else {
                throw SessionError(
                    .closed,
                    "The session was already committed; use amend(_:) to change it later."
                )
            }
        }
    }

    let state: Mutex<State>
    private let manager: SessionManager

    init(_ load: SessionLoadResult?, manager: SessionManager) {
        var state = State()
        switch load {
        case .found(let record):
            state.record = record
            state.journal = PendingChanges(base: record.attributes)
        case .absent(.superseded): state.isSuperseded = true
        case .absent, nil: break
        }
        self.state = Mutex(state)
        self.manager = manager
    }

    // MARK: Reading

    /// The value of an attribute as this request sees it, its own changes included; nil when there is none.
    ///
    /// A stored value that does not decode as `Value` reads as nil, is reported as an event and stays stored.
    public subscript<Value>(key: SessionKey<Value>) -> Value? {
        guard let bytes = state.withLock({ $0.journal[key.name] }) else { return nil }
        return decode(Value.self, bytes)
    }

    /// Whether the session has a value under this name, of whatever type.
    public func has<Value>(_ key: SessionKey<Value>) -> Bool {
        state.withLock { $0.journal[key.name] != nil }
    }

    /// The names of all attributes, sorted.
    public var names: [String] { state.withLock { $0.journal.attributes.keys.sorted() } }

    /// Who is signed in; nil when nobody is.
    public var principal: String? {
        state.withLock { state in
            if case .signIn(let principal, _) = state.journal.rotation { return principal }
            return state.record?.principal
        }
    }

    /// The session's name, safe to show and log; nil while nothing is stored.
    public var id: SessionID? { state.withLock { $0.record?.id } }

    /// How often the session was changed before this request; 0 while nothing is stored.
    public var version: Int { state.withLock { $0.record?.version ?? 0 } }

    /// When the session was made, by the store's clock; nil while nothing is stored.
    public var created: SessionInstant? { state.withLock { $0.record?.created } }

    /// How long the session lives on if this request is its last use; nil while nothing is stored.
    public var expiresIn: Duration? {
        state.withLock { state in
            state.record.map {
                SessionPolicy.end(lastUsed: $0.now, idleTimeout: $0.idleTimeout, deadline: $0.deadline)
                    - $0.now
            }
        }
    }

    // MARK: Writing

    /// Stores a value, whatever was there before.
    ///
    /// - Throws: `.invalidValue` when the value does not encode, `.tooLarge` above `SessionLimits.bytes`,
    ///   `.closed` after the commit.
    public func set<Value>(_ key: SessionKey<Value>, _ value: Value) throws(SessionError) {
        let bytes = try SessionCodec.encode(value)
        try checkSize(key.name.utf8.count + bytes.count)
        try writeChecked(.set(key.name, bytes))
    }

    /// Removes an attribute; nothing happens when there is none.
    ///
    /// - Throws: `.closed` after the commit.
    public func remove<Value>(_ key: SessionKey<Value>) throws(SessionError) {
        try writeChecked(.remove(key.name))
    }

    /// Reads, modifies and writes an attribute without losing anybody's update.
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
            var value = bytes.flatMap { decode(Value.self, $0) }
            try change(&value)
            guard let value else { return nil }
            let changed = try SessionCodec.encode(value)
            try checkSize(key.name.utf8.count + changed.count)
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
    /// - Throws: `.invalidValue` when the attribute is no integer or would overflow (also at the commit),
    ///   `.closed`.
    public func increment(_ key: SessionKey<Int>, by amount: Int = 1) throws(SessionError) {
        try writeChecked(.increment(key.name, by: amount))
    }

    // MARK: Identity

    /// Records who the user is and replaces the secret, so that a planted or stolen earlier cookie is worth
    /// nothing (R08, R10).
    ///
    /// What the session held before is dropped, except flash messages and the attributes named here (R15).
    /// The lifetime restarts: this is an authentication.
    ///
    /// - Parameters:
    ///   - principal: the application's name for the user, 1 to 1,024 UTF-8 bytes.
    ///   - keeping: names of attributes to carry over, for example a cart or a language.
    /// - Throws: `.invalidValue` for an impossible name, `.closed` after the commit.
    public func signIn(as principal: String, keeping names: Set<String> = []) throws(SessionError) {
        guard (1...1024).contains(principal.utf8.count) else {
            throw SessionError(.invalidValue, "A principal is 1 to 1024 bytes.")
        }
        try writeChecked(
            .signIn(principal: principal, keeping: names.union([SessionKey<[String]>.flash.name]))
        )
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
        try change { state in
            if let record = state.record { state.ending = record }
            state.record = nil
            state.journal = PendingChanges()
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
        guard id != nil else { return try change { _ in } }
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

    // MARK: Later than the commit

    /// Changes the stored session when the response is already on its way, for example from a streaming body.
    ///
    /// Loads it afresh, runs `body`, commits. No cookie can be sent any more, so signing in, renewing and
    /// creating a session are not possible here; signing out is. Two round trips. What is kept in the cookie
    /// can not be changed any more.
    ///
    /// - Throws: `.noSession` when nothing is stored for this client; `.unsupported` when it is in the
    ///   cookie; what `body` throws; store errors.
    public func amend<Result>(_ body: (Session) async throws -> Result) async throws -> Result {
        guard let credential = state.withLock({ $0.issued ?? $0.record?.credential }) else {
            throw SessionError(.noSession, "There is no stored session to change.")
        }
        return try await manager.withSession(credential, body)
    }

    // MARK: Inside

    /// Adds to the journal.
    ///
    /// The entry takes effect outside the lock, for an update runs the application's code, which may
    /// well read this session; if another task wrote meanwhile, it takes effect once more on what that left.
    private func write(_ entry: PendingChanges.Entry) throws {
        for _ in 0..<100 {
            let (journal, generation) = try state.withLock { state in
                try state.checkOpen()
                return (state.journal, state.generation)
            }
            var next = journal
            try next.append(entry)
            let isStored = try state.withLock { state in
                try state.checkOpen()
                guard state.generation == generation else { return false }
                state.journal = next
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

    private func change(_ body: (inout State) -> Void) throws(SessionError) {
        try state.withLock { (state: inout State) throws(SessionError) in
            try state.checkOpen()
            body(&state)
            state.generation += 1
        }
    }

    private func checkSize(_ bytes: Int) throws(SessionError) { try manager.limits.check(bytes: bytes) }

    private func decode<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) -> Value? {
        do { return try SessionCodec.decode(type, from: bytes) } catch {
            manager.events.emit(.undecodable, nil, detail: "stored value is not a \(type)")
            return nil
        }
    }
}

extension SessionKey where Value == [String] {
    /// Where flash messages are kept.
    static var flash: Self { Self(reserved: "@flash") }
}
