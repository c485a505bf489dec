// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`.
/// Moves a running site from one strategy to another without signing anybody out.
///
/// Reads ask the new store first and then the old one. New sessions are made in the new store. A session of
/// the old one moves with the first change that is answered with a cookie: it is made anew in the new store,
/// with the change, with the same user and deadline (but for the moment the request takes), and then the old
/// record is claimed for the move, on the condition that nobody changed it meanwhile. So:
///
/// * **Nothing forks and nothing is lost.** Of two requests that move the same session one wins; the other
///   finds the moved session and applies its change there.
/// * **Late requests follow.** The old record keeps a note that leads to the new session, readable only with
///   the old credential. Who lost the response that carried the new cookie follows it, too. A sign-in leaves
///   no such note.
/// * **If one store fails**, the request fails and the session stays where it is, or is found where it went.
///   What is left over by a failure in the middle has a credential that nobody knows, and expires.
/// * **What does not fit stays.** Where the new store refuses the size (`.tooLarge`) or is full, the change
///   goes to the old one.
///
/// A session is ended where it is; after a sign-in the old cookie is worth nothing. A session's session ID
/// changes when it moves.
///
/// With a `SealedSessionStore` on one side its limits are the limits of the move: as *old* store it can not
/// be told that a session has moved, so parallel writes with the old cookie can each make a session in the
/// new store, of which the browser keeps the last, and a copy of the old cookie works until its deadline even
/// after a sign-out. As *new* store it is led to for a minute only. Take this store out of the site when the
/// longest lifetime of a session has passed; by then nothing is left in the old one.
///
/// This is a `SessionDirectory` if both are. A move to or from pure client storage answers lists and
/// revocations with `.unsupported`: what it could tell would not be the whole truth.
///
/// Cost: a read of an unmoved session asks both stores, unless its cookie does not have the form of the new
/// one; a move is one round trip more than a change.
public struct MigratingSessionStore<Old: SessionStore, New: SessionStore>: SessionStore, CookieKeeping {
    let old: Old
    let new: New

    /// How long a note leads to a session that lives in the cookie, and is therefore as old as the note.
    private static var pursuit: Duration { .seconds(60) }

    /// Creates a store.
    ///
    /// - Parameters:
    ///   - old: where sessions are now.
    ///   - new: where they shall be.
    public init(from old: Old, to new: New) {
        self.old = old
        self.new = new
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        switch try await new.load(credential) {
        case .found(let record): return .found(record.from(.new(record)))
        case .absent(let absence):
            switch absence {
            case .ended, .superseded, .unreadable: return .absent(absence)
            case .malformed, .unknown, .forged, .unknownKey: break
            }
            switch try await old.load(credential) {
            case .absent(let other): return .absent(other == .malformed ? absence : other)
            case .found(let record): return try await pursue(record)
            }
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try await new.create(draft)
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        switch record.origin {
        case nil: return try await new.commit(change, to: record)
        case .new(let record):
            let answer = try await new.commit(change, to: record)
            guard case .conflict(let fresh) = answer else { return answer }
            return .conflict(fresh.from(.new(fresh)))
        case .old(let record):
            // The previous secret of a renewal must not move: the note would lock out the holder of the newer
            // one.
            guard change.deliversCredential, record.secretStatus == .current else {
                return try await stay(change, record)
            }
            return try await move(change, record)
        }
    }

    public func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential? {
        switch record.origin {
        case nil: try await new.touch(record)
        case .new(let record): try await new.touch(record)
        case .old(let record): try await old.touch(record)
        }
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        var record = record
        // Somebody else changes the session each time: as unlikely as it sounds.
        for _ in 0..<16 {
            switch record.origin {
            case nil: return try await new.end(record)
            case .new(let record): return try await new.end(record)
            case .old(let found):
                let note = MovedNote(id: found.id, credential: nil, for: found.credential)
                switch try await claim(found, leaving: note) {
                case .gone: return false
                case .committed(_, _, let credential, _):
                    return try await old.end(found.presented(as: credential ?? found.credential))
                case .conflict(let fresh):
                    guard case .found(let next) = try await pursue(fresh) else { return false }
                    record = next
                }
            }
        }
        throw SessionError(
            .conflict,
            "Others changed the session at the same time, again and again; it was not ended."
        )
    }

    public func check() async throws(SessionError) {
        try await new.check()
        try await old.check()
    }

    public func isHeldByClient(_ record: SessionRecord) -> Bool {
        switch record.origin {
        case nil: new.isHeldByClient(record)
        case .new(let record): new.isHeldByClient(record)
        case .old(let record): old.isHeldByClient(record)
        }
    }

    package var cookieNames: Set<String> {
        [old as any SessionStore, new].reduce(into: []) {
            $0.formUnion(($1 as? any CookieKeeping)?.cookieNames ?? [])
        }
    }

    package func endsWithItsCookie(_ record: SessionRecord) -> Bool {
        switch record.origin {
        case nil: (new as? any CookieKeeping)?.endsWithItsCookie(record) == true
        case .new(let record): (new as? any CookieKeeping)?.endsWithItsCookie(record) == true
        case .old(let record): (old as? any CookieKeeping)?.endsWithItsCookie(record) == true
        }
    }

    // MARK: Inside

    /// A record of the old store as a caller sees it: itself, or what its note leads to.
    private func pursue(_ record: SessionRecord) async throws(SessionError) -> SessionLoadResult {
        guard let note = MovedNote(in: record.attributes) else { return .found(record.from(.old(record))) }
        let nowhere = SessionLoadResult.absent(.superseded(record.id, replay: false))
        guard let credential = note.open(with: record.credential) else { return nowhere }
        switch try await new.load(credential) {
        case .absent(let absence): return .absent(absence)
        case .found(let moved):
            if new.isHeldByClient(moved), record.now - record.lastUsed >= Self.pursuit { return nowhere }
            return .found(
                moved.presented(as: credential, reissue: moved.reissue ?? credential).from(.new(moved))
            )
        }
    }

    /// Changes a session where it is.
    private func stay(_ change: SessionChange, _ record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        var conditional = change
        // A change that goes on top of whatever is there could go to a record that has moved.
        conditional.needsVersion = true
        return try await outcome(try await old.commit(conditional, to: record))
    }

    private func move(_ change: SessionChange, _ record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        var draft = SessionDraft(
            attributes: try change.applied(to: record.attributes),
            principal: record.principal,
            policy: change.policy
        )
        var isSignIn = false
        if case .signIn(let principal, _) = change.rotation {
            isSignIn = true
            draft.principal = principal
        } else {
            draft.policy.idleTimeout = record.idleTimeout
            draft.policy.lifetime = record.deadline - record.now
        }
        let made: SessionCommitResult
        do { made = try await new.create(draft) } catch {
            guard [.tooLarge, .storeFull].contains(error.code) else { throw error }
            return try await stay(change, record)
        }
        guard case .committed(let id, _, let credential?, _) = made else { return made }
        let note = MovedNote(id: id, credential: isSignIn ? nil : credential, for: record.credential)
        let answer: SessionCommitResult
        do { answer = try await claim(record, leaving: note, isSignIn: isSignIn) } catch {
            // Unless it is certain that nothing was stored, the note may be there and lead to the new
            // session: leave that alone.
            if error.code == .conflict { await undo(credential) }
            throw error
        }
        // Not ended, but left until it expires: what late requests write with an ended session's cookie goes
        // into a new session, whose cookie would take the place of the moved one.
        if case .committed = answer { return made }
        await undo(credential)
        return try await outcome(answer)
    }

    /// Takes the old record out of use, if it is still the one that was read.
    private func claim(
        _ record: SessionRecord,
        leaving note: MovedNote,
        isSignIn: Bool = false
    ) async throws(SessionError) -> SessionCommitResult {
        var claim = SessionChange(
            operations: [:],
            needsVersion: true,
            policy: SessionPolicy(renewalGrace: .zero)
        )
        if old.isHeldByClient(record) {
            // What is in a cookie can take no note. If there is a record behind it, it now belongs to a
            // cookie that nobody gets.
            if isSignIn { claim.rotation = .renew }
        } else {
            claim.operations = record.attributes.mapValues { _ in .remove }
            claim.operations[MovedNote.key.name] = .set(try SessionCodec.encode(note))
        }
        return try await old.commit(claim, to: record)
    }

    /// An answer of the old store as a caller sees it.
    private func outcome(_ answer: SessionCommitResult) async throws(SessionError) -> SessionCommitResult {
        guard case .conflict(let fresh) = answer else { return answer }
        switch try await pursue(fresh) {
        case .found(let record): return .conflict(record)
        case .absent(let absence): return .gone(absence)
        }
    }

    /// Ends a session that was made for a move which did not happen.
    ///
    /// Nobody knows its credential; if this fails it expires.
    private func undo(_ credential: SessionCredential) async {
        guard case .found(let record) = try? await new.load(credential) else { return }
        _ = try? await new.end(record)
    }
}
