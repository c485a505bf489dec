// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore`.
/// Sessions that live in sealed cookies, with a list in Redis of what was revoked.
///
/// Signing out, revocations and the list of a user's sessions work as with a store on the server; what the
/// sessions hold stays with the browsers. Redis holds a few bytes for each signed-in session, and for each one
/// that was ended or got a new secret until its cookies expire, and nothing for the others. The site's cookies
/// from a time with `SealedSessionStore` are accepted; those of users are listed from the next sign-in on.
///
/// * **What was ended stays ended**, for every copy of its cookie, while Redis remembers it. If Redis loses
///   its data, cookies that were revoked are valid again until their deadline.
/// * **A sign-in invalidates the session's earlier cookies**; a renewal does so after the grace, by the clock
///   of Redis. Until then an earlier cookie is as good as the new one and is exchanged for one of its kind, so
///   that of parallel requests any response may come last. Returning cookies are not reported as replays.
/// * **Old cookies of one sign-in roll back**, and of two parallel writes the response that arrives last
///   wins, as with `SealedSessionStore`. `TieredSessionStore` has neither limit for users.
///
/// Cost: load 1 round trip (`GET`, and `HMGET` for a user), 2 for an earlier cookie in its grace; commit,
/// renewal and end 1, a sign-in 2 and one more if it ends another session of the user, a touch none. A cookie that
/// does not open costs none. The lists do not show what the sessions hold.
///
/// `accessRules(application:)` are the least rights in Redis that suffice.
public struct RevocableSessionStore: SessionStore {
    static let deviceScript = RedisScript(PackageResources.device_lua)
    static let endAllScript = RedisScript(PackageResources.devices_end_lua)
    static let undoScript = RedisScript(PackageResources.device_undo_lua)
    private static let revocationScript = RedisScript(PackageResources.revocation_lua)
    private static let checkScript = RedisScript(PackageResources.check_lua)

    /// All scripts of the store, for operators whose ACL does not let applications load any.
    public static let scripts = [deviceScript, undoScript, endAllScript, revocationScript, checkScript]

    /// How long an end is remembered that concerns cookies unknown to the store: the longest that a browser
    /// keeps one.
    static let memory = Duration.seconds(400 * 86_400)

    let sealed: SealedSessionStore
    let redis: RedisSessionClient
    let schema: RedisSchema
    let crypto: RecordCrypto
    let durability: SessionDurability

    /// Creates a store; opens no connection.
    ///
    /// - Parameters:
    ///   - sealed: seals the sessions.
    ///   - redis: the client.
    ///   - application: the name of the application; see `RedisSessionStore`.
    ///   - peppers: secrets of the servers that key the hashes of user names in Redis; see
    ///     `RedisSessionStore`.
    ///   - durability: the copies that sign-ins, sign-outs, revocations and new cookies wait for; none by default.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        _ sealed: SealedSessionStore,
        revocations redis: RedisClient,
        application: String,
        peppers: [SessionPepper] = [],
        durability: SessionDurability = .primary
    ) throws(SessionError) {
        try self.init(
            sealed,
            revocations: redis,
            application: application,
            prefix: application,
            peppers: peppers,
            durability: durability
        )
    }

    /// Creates a store whose keys do not start with the application's name; for tests.
    package init(
        _ sealed: SealedSessionStore,
        revocations redis: RedisClient,
        application: String,
        prefix: String,
        peppers: [SessionPepper] = [],
        durability: SessionDurability = .primary
    ) throws(SessionError) {
        try durability.validate(for: redis)
        self.durability = durability
        self.sealed = sealed
        self.redis = RedisSessionClient(redis)
        schema = try RedisSchema(application: application, prefix: prefix)
        crypto = try RecordCrypto(application: application, peppers: peppers)
        redis.preload(Self.scripts)
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        let load = sealed.open(credential)
        guard case .found(let record) = load else { return load }
        return try await checked(record, cancellation: .abandon)
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        var payload = SealedPayload(draft, now: sealed.time)
        let wait = payload.principal == nil ? nil : durability.wait()
        if payload.principal != nil {
            try requireRoom(for: payload)
            let entry = try await enter(
                payload,
                since: draft.notRevokedSince,
                maximum: draft.policy.maximumSessionsPerUser,
                copied: wait
            )
            guard let entry else { return .gone(.ended(.revocation)) }
            (payload.authenticated, payload.isListed) = (entry.time, true)
        }
        let result = try sealed.seal(payload)
        wait?.report()
        return result
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        var change = change
        // An earlier cookie in its grace does not renew: it is exchanged for one like the current one.
        if change.rotation == .renew, record.secretStatus == .previous { change.rotation = .none }
        let before = try sealedPayload(of: record)
        var payload: SealedPayload
        switch try sealed.changed(change, record) {
        case .absent(let absence): return .gone(absence)
        case .live(let changed): payload = changed
        }
        // First: a session that does not fit must not invalidate its earlier cookies.
        try requireRoom(for: payload)
        switch change.rotation {
        case .none:
            switch try await checked(record, cancellation: .ignore) {
            case .absent(let absence): return .gone(absence)
            case .found(let now): payload.times.rotated = now.times.rotated
            }
            moveLastUse(payload)
        case .renew, .elevate, .signIn:
            let wait = durability.wait()
            var entered: ListEntry?
            if case .signIn = change.rotation {
                // First: a revocation must not miss it, and where the list cannot be written the old cookie stays valid.
                entered = try await enter(
                    payload,
                    since: change.notRevokedSince,
                    maximum: change.policy.maximumSessionsPerUser,
                    copied: wait
                )
                guard let entered else { return .gone(.ended(.revocation)) }
                (payload.authenticated, payload.isListed) = (entered.time, true)
            }
            switch try await begin(payload, change, after: before, copied: wait) {
            case .absent(let absence):
                if let entered { undo(entered, of: payload.id) }
                return .gone(absence)
            case .valid(let generation): payload.times.rotated = generation
            }
            wait?.report()
            if entered != nil { leaveLists(payload, of: before.principal) }
        }
        return try sealed.seal(payload)
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        // An earlier cookie is exchanged at once: when its grace is over, its holder would be signed out.
        let isDue = isDue || record.secretStatus == .previous
        if isDue { moveLastUse(try sealedPayload(of: record)) }
        return try await sealed.touch(record, isDue: isDue)
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        if case .gone(let absence) = try await sealed.end(record) { return .gone(absence) }
        let payload = try sealedPayload(of: record)
        let wait = durability.wait()
        let validity = try await apply(to: payload, copied: wait) { notAfter in
            revocation(
                of: payload.id,
                "signed-out",
                presented: payload.times.rotated,
                until: payload.times.deadline,
                notAfter: notAfter
            )
        }
        if case .absent(let absence) = validity { return .gone(absence) }
        wait?.report()
        remove(payload)
        return .ended
    }

    public func check() async throws(SessionError) {
        let keys = schema.checks
        try await redis.check(
            Self.checkScript,
            [(keys.revocation, "r"), (keys.devices, "d")],
            copied: durability.wait()
        )
    }

    public var dividesCookie: Bool { sealed.dividesCookie }

    public func validate(for cookie: SessionCookie) throws(SessionError) { try sealed.validate(for: cookie) }

    // MARK: What was revoked

    /// Whether a cookie is valid, and what generation of its session's cookies it may be exchanged for.
    private enum Validity {
        case valid(SessionInstant)
        case absent(SessionAbsence)
    }

    /// Returns the record if its cookie was not revoked; an earlier cookie in its grace as one of the current
    /// generation.
    private func checked(
        _ record: SessionRecord,
        cancellation: RedisCancellation
    ) async throws(SessionError) -> SessionLoadResult {
        var context = try record.context(SealedSessionStore.Context.self)
        let get = RedisCommand("GET", schema.revocation(record.id), readOnly: true)
        let replies = try await send([get] + askEnds(for: context.payload), cancellation: cancellation)
        if isEnded(context.payload, replies.dropFirst()) { return .absent(.ended(.revocation)) }
        var record = record
        record.residence = .revocableCookie
        guard let text = replies[0].string else { return .found(record) }
        if let reason = Self.reason(text) { return .absent(.ended(reason)) }
        let parts = text.split(separator: ":").compactMap { Int64($0) }.map(SessionInstant.init)
        guard parts.count == 3 else { return .absent(.unreadable) }
        let (current, previous, validUntil) = (parts[0], parts[1], parts[2])
        guard context.payload.times.rotated < current else { return .found(record) }
        let now = try Self.time(try await send([Self.askTime], cancellation: cancellation)[0])
        guard context.payload.times.rotated >= previous, now < validUntil else {
            // Sealed by us, so it was a cookie of this session once.
            let isLate = now < current + SessionPolicy.tombstone
            let hadRights = context.payload.principal != nil
            return .absent(
                .superseded(
                    record.id,
                    ReplacedSecret(isLate: isLate, isReplay: !isLate, hadRights: hadRights)
                )
            )
        }
        context.payload.times.rotated = current
        record.times.rotated = current
        record.storeContext = context
        record.secretStatus = .previous
        return .found(record)
    }

    /// Begins a generation of cookies with a new secret.
    private func begin(
        _ payload: SealedPayload,
        _ change: SessionChange,
        after before: SealedPayload,
        copied wait: RedisReplicaWait?
    ) async throws(SessionError) -> Validity {
        let isRenewal = change.rotation == .renew
        return try await apply(to: before, copied: wait) { notAfter in
            revocation(
                of: payload.id,
                isRenewal ? "renew" : "sign-in",
                presented: before.times.rotated,
                fresh: payload.times.rotated,
                grace: change.policy.renewalGrace,
                until: max(before.times.deadline, payload.times.deadline),
                notAfter: notAfter
            )
        }
    }

    /// Sends a call of `revocation.lua`, together with the question whether all the user's sessions were ended.
    private func apply(
        to payload: SealedPayload,
        copied wait: RedisReplicaWait?,
        _ command: (SessionInstant) -> RedisCommand
    ) async throws(SessionError) -> Validity {
        let replies = try await write(copied: wait) { [command($0)] + askEnds(for: payload) }
        if isEnded(payload, replies.dropFirst()) { return .absent(.ended(.revocation)) }
        guard replies[0].count == 2 else { throw Self.unexpected }
        if Self.isApplied(replies[0]), let generation = replies[0][1].integer {
            return .valid(SessionInstant(milliseconds: Int64(generation)))
        }
        return .absent(SessionAbsence(reason: replies[0][1].string, payload.id))
    }

    private func askEnds(for payload: SealedPayload) -> [RedisCommand] {
        guard let principal = payload.principal else { return [] }
        return lists(of: principal).map { RedisCommand("HMGET", $0, "@before", "@except", readOnly: true) }
    }

    /// Whether all sessions of the user were ended after this one signed in.
    private func isEnded(_ payload: SealedPayload, _ replies: ArraySlice<RedisReply>) -> Bool {
        replies.contains { reply in
            guard reply.count == 2, let before = reply[0].string.flatMap({ Int64($0) }) else { return false }
            // Without such a time it was sealed before there was a revocation list.
            let listed = payload.isListed ? payload.authenticated : nil
            let isEarlier = listed.map { $0.milliseconds <= before } ?? true
            return isEarlier && reply[1].string != payload.id.description
        }
    }

    private static func reason(_ text: String) -> SessionEndReason? {
        switch text {
        case "signed-out": .signOut
        case "revoked": .revocation
        default: nil
        }
    }

    static func isApplied(_ reply: RedisReply) -> Bool { reply.count == 2 && reply[0].string == "ok" }

    // MARK: Inside

    private func sealedPayload(of record: SessionRecord) throws(SessionError) -> SealedPayload {
        try record.context(SealedSessionStore.Context.self).payload
    }

    /// - Throws: `.tooLarge` when the session does not fit into a cookie.
    private func requireRoom(for payload: SealedPayload) throws(SessionError) {
        var payload = payload
        // As long as the server's time, which takes its place.
        if payload.principal != nil { payload.authenticated = payload.authenticated ?? payload.issued }
        _ = try sealed.seal(payload)
    }

    private func revocation(
        of id: SessionID,
        _ action: String,
        presented: SessionInstant,
        fresh: SessionInstant? = nil,
        grace: Duration = .zero,
        until deadline: SessionInstant,
        notAfter: SessionInstant
    ) -> RedisCommand {
        revocation(
            of: id,
            action,
            presented: presented,
            fresh: fresh,
            grace: grace,
            for: deadline - sealed.time,
            notAfter: notAfter
        )
    }

    func revocation(
        of id: SessionID,
        _ action: String,
        presented: SessionInstant? = nil,
        fresh: SessionInstant? = nil,
        grace: Duration = .zero,
        for memory: Duration,
        notAfter: SessionInstant
    ) -> RedisCommand {
        var command = RedisCommand(script: Self.revocationScript, keys: [schema.revocation(id)])
        command.append(action)
        command.append(presented.map { "\($0.milliseconds)" } ?? "")
        command.append(Int(fresh?.milliseconds ?? 0))
        command.append(Int(grace.wholeMilliseconds))
        // A minute more, because clocks differ.
        command.append(Int((max(memory, .zero) + SealedPayload.skew).wholeMilliseconds))
        command.append(Int(notAfter.milliseconds))
        return command
    }

    static let unexpected = SessionError(
        .storeUnavailable,
        "Redis answered in a form that the session scripts do not use."
    )

    func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation = .ignore
    ) async throws(SessionError) -> [RedisReply] {
        try Self.withoutErrors(try await redis.send(commands, cancellation: cancellation))
    }

    /// Sends writes that do not happen after this caller was told that they had failed, and reads behind them.
    func write(
        copied wait: RedisReplicaWait?,
        _ commands: (SessionInstant) -> [RedisCommand]
    ) async throws(SessionError) -> [RedisReply] {
        try Self.withoutErrors(try await redis.writeAll(copied: wait, commands))
    }

    private static func withoutErrors(_ replies: [RedisReply]) throws(SessionError) -> [RedisReply] {
        for reply in replies { if let error = reply.error { throw .unavailable(error) } }
        return replies
    }
}
