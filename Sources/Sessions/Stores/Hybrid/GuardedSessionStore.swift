// SPDX-License-Identifier: Apache-2.0

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented where they are promised: `SessionStore`, `SessionDirectory`.
/// Sessions whose attributes travel sealed in the cookie, guarded by a small record in another store.
///
/// The record, without any attribute, says who is signed in, until when, and which cookie is the newest. So
/// signing out, lists, revocations, deadlines in the backing's time and theft signals work as they do there,
/// and an old cookie is refused: each change gives the record a new secret, and the seal holds that secret.
/// The bytes of the sessions stay with the browsers.
///
/// * **Reads** cost the backing's one round trip, writes another.
/// * **Of two parallel writes one is refused** with `.conflict` (409): what the other one stored is in the
///   browser's newer cookie and nowhere else, so nobody can put the two together. Nothing is lost. A sign-in
///   that keeps nothing is never refused.
/// * **The cookie before the newest may still read** for `readGrace`, for requests that were on their way. It
///   can write nothing and is never sent again. After that it is a replay, and any older cookie is
///   superseded: both without rights, both reported.
/// * **A response that is lost loses the session**: the browser keeps a cookie that is no longer the newest,
///   and must sign in again. Leave `SessionPolicy.endsOnTheft` off, which would take that for theft.
/// * **Spill.** When the cookie would be longer than `spillAbove`, the attributes move to the record and the
///   cookie keeps the ticket. From then on this session is one of the backing's like any other.
/// * Changes need a response that can carry a cookie (`.unsupported` in a streaming body or a job); signing
///   out does not. The lists do not show what the sessions hold.
///
/// A site can turn this store on in front of the one it has: existing tickets work on as spilled sessions.
/// See `Docs/Decisions/0005` for why there is a record per session. Source: R65, R68.
public struct GuardedSessionStore: SessionDirectory, CookieKeeping {
    private let seal: CookieSealer
    private let cookieName: String
    private let backing: any SessionDirectory
    private let spillAbove: Int
    private let readGrace: Duration

    /// Creates a store.
    ///
    /// - Parameters:
    ///   - keys: the keys; all instances need the same.
    ///   - application: what the seals hold for; two applications, or two environments, that share keys must
    ///     differ here.
    ///   - cookie: the manager's cookie: a seal holds for its name only.
    ///   - backing: where the records are kept.
    ///   - spillAbove: the longest cookie value; 256 to 8,000 bytes, 3,000 by default.
    ///   - readGrace: how long the previous cookie may still read; at most 5 minutes, 10 seconds by default.
    /// - Throws: `.invalidConfiguration`.
    public init(
        _ keys: SealKeyRing,
        application: String,
        cookie: SessionCookie = SessionCookie(),
        backing: any SessionDirectory,
        spillAbove: Int = 3000,
        readGrace: Duration = .seconds(10)
    ) throws(SessionError) {
        guard (256...8000).contains(spillAbove) else {
            throw SessionError(.invalidConfiguration, "spillAbove must be between 256 and 8000 bytes.")
        }
        guard (.zero ... .seconds(300)).contains(readGrace) else {
            throw SessionError(.invalidConfiguration, "readGrace must be between 0 and 5 minutes.")
        }
        seal = try CookieSealer(keys, purpose: .guarded, application: application, cookieName: cookie.name)
        cookieName = cookie.name
        self.backing = backing
        self.spillAbove = spillAbove
        self.readGrace = readGrace
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        switch open(credential) {
        case .ticket: return try await backing.load(credential)
        case .absent(let absence): return .absent(absence)
        case .sealed(let contents, let isCurrentKey):
            switch try await backing.load(contents.ticket) {
            case .absent(let absence): return .absent(absence)
            case .found(let record):
                return try show(contents, of: record, as: credential, isCurrentKey: isCurrentKey)
            }
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        guard fits(draft.attributes) else { return try await backing.create(draft) }
        var empty = draft
        empty.attributes = [:]
        let answer = try await backing.create(empty)
        guard case .committed(let id, let version, let ticket?, let remaining) = answer else {
            return answer
        }
        let contents = Contents(ticket: ticket, version: version, attributes: draft.attributes)
        return .committed(
            id: id,
            version: version,
            credential: try sealed(contents),
            remaining: remaining
        )
    }

    public func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        let contents: Contents
        switch open(record.credential) {
        case .ticket: return try await backing.commit(change, to: record)
        case .absent(let absence): return .gone(absence)
        case .sealed(let opened, _): contents = opened
        }
        let attributes = try change.applied(to: contents.attributes)
        let isSpilled = !fits(attributes)
        var guarded = change
        guarded.operations = isSpilled ? attributes.mapValues { .set($0) } : [:]
        switch change.rotation {
        case .signIn(_, let keeping):
            guarded.needsVersion = contents.attributes.keys.contains(where: keeping.contains)
        case .renew: guarded.needsVersion = true
        case .none:
            guarded.needsVersion = true
            guarded.rotation = .renew
            guarded.policy.renewalGrace = readGrace
        }
        let answer = try await backing.commit(
            guarded,
            to: record.presented(as: contents.ticket, version: contents.version)
        )
        switch answer {
        case .gone: return answer
        case .conflict:
            throw SessionError(
                .conflict,
                "Another request changed the session first; what it stored is in the browser's newer cookie. Nothing was stored."
            )
        case .committed(let id, let version, let credential, let remaining):
            let ticket = credential ?? contents.ticket
            let next = Contents(ticket: ticket, version: version, attributes: attributes)
            return .committed(
                id: id,
                version: version,
                credential: isSpilled ? ticket : try sealed(next),
                remaining: remaining
            )
        }
    }

    public func touch(_ record: SessionRecord) async throws(SessionError) -> SessionCredential? {
        switch open(record.credential) {
        case .ticket: return try await backing.touch(record)
        case .absent: return nil
        case .sealed(var contents, _):
            let ticket = try await backing.touch(
                record.presented(as: contents.ticket, version: contents.version)
            )
            guard let ticket, record.secretStatus == .current else { return nil }
            contents.ticket = ticket
            return try sealed(contents)
        }
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        switch open(record.credential) {
        case .ticket: try await backing.end(record)
        case .absent: false
        case .sealed(let contents, _):
            try await backing.end(record.presented(as: contents.ticket, version: contents.version))
        }
    }

    public func check() async throws(SessionError) { try await backing.check() }

    public func isHeldByClient(_ record: SessionRecord) -> Bool {
        seal.isSealed(record.credential.value) || backing.isHeldByClient(record)
    }

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await backing.sessions(of: principal)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        try await backing.revoke(id, of: principal)
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        try await backing.revokeAll(of: principal, except: kept)
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        try await backing.revoke(id)
    }

    package var cookieNames: Set<String> { [cookieName] }

    package func endsWithItsCookie(_ record: SessionRecord) -> Bool { false }

    // MARK: Inside

    private enum Finding {
        case sealed(Contents, isCurrentKey: Bool)
        /// Not sealed: a spilled session's ticket, or nothing of ours. The backing decides.
        case ticket
        case absent(SessionAbsence)
    }

    private func open(_ credential: SessionCredential) -> Finding {
        guard seal.isSealed(credential.value) else { return .ticket }
        switch seal.open(credential.value) {
        case .malformed: return .absent(.malformed)
        case .unknownKey: return .absent(.unknownKey)
        case .forged: return .absent(.forged)
        case .opened(let bytes, let isCurrent):
            return Contents(decoding: bytes).map { .sealed($0, isCurrentKey: isCurrent) }
                ?? .absent(.unreadable)
        }
    }

    private func show(
        _ contents: Contents,
        of record: SessionRecord,
        as credential: SessionCredential,
        isCurrentKey: Bool
    ) throws(SessionError) -> SessionLoadResult {
        var next = contents
        var isReissued = false
        switch record.secretStatus {
        case .previous: break
        case .current:
            // Each change replaces the secret: one secret never stands for two versions, unless somebody
            // wrote to the record.
            guard record.version == contents.version else { return .absent(.unreadable) }
            next.ticket = record.reissue ?? contents.ticket
            isReissued = record.reissue != nil || !isCurrentKey
        }
        // Not `hasPreviousSecret`: to retire the previous secret at once would cost a round trip after each
        // change.
        return .found(
            SessionRecord(
                id: record.id,
                credential: credential,
                secretStatus: record.secretStatus,
                hasPreviousSecret: false,
                version: contents.version,
                principal: record.principal,
                attributes: contents.attributes,
                created: record.created,
                lastUsed: record.lastUsed,
                rotated: record.rotated,
                deadline: record.deadline,
                idleTimeout: record.idleTimeout,
                now: record.now,
                reissue: isReissued ? try sealed(next) : nil
            )
        )
    }

    private func fits(_ attributes: [String: [UInt8]]) -> Bool {
        // No ticket is longer than 96 bytes.
        let contents = Contents(
            ticket: SessionCredential(String(repeating: "x", count: 96)),
            version: .max,
            attributes: attributes
        )
        return seal.length(sealing: contents.encoded.count) <= spillAbove
    }

    private func sealed(_ contents: Contents) throws(SessionError) -> SessionCredential {
        SessionCredential(try seal.seal(contents.encoded))
    }
}

extension GuardedSessionStore {
    /// What the seal holds: the ticket of the record, and the attributes as of one version of it.
    private struct Contents: Sendable {
        var ticket: SessionCredential
        var version: Int
        var attributes: [String: [UInt8]]

        private static let format: UInt8 = 1

        init(ticket: SessionCredential, version: Int, attributes: [String: [UInt8]]) {
            self.ticket = ticket
            self.version = version
            self.attributes = attributes
        }

        init?(decoding bytes: [UInt8]) {
            var reader = ByteReader(bytes)
            do {
                guard try reader.byte() == Self.format else { return nil }
                ticket = SessionCredential(try reader.text())
                let version = try reader.number()
                guard (1...UInt64(Int.max)).contains(version) else { return nil }
                self.version = Int(version)
                attributes = try reader.attributes()
                try reader.end()
            } catch { return nil }
        }

        var encoded: [UInt8] {
            var writer = ByteWriter()
            writer.byte(Self.format)
            writer.string(ticket.value.utf8)
            writer.number(UInt64(version))
            writer.attributes(attributes)
            return writer.bytes
        }
    }
}
