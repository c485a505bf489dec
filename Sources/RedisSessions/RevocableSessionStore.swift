// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore` and `SessionDirectory`.
/// Sessions that live in sealed cookies, with a list in Redis of what was revoked.
///
/// Signing out, revocations and the list of a user's sessions work as with a store on the server; what the
/// sessions hold stays with the browsers. Redis holds a few bytes for each signed-in session and each one
/// that was ended, and nothing for the others.
///
/// * **What was ended stays ended**, for every copy of its cookie, while Redis remembers it. If Redis loses
///   its data, cookies that were revoked are valid again until their deadline.
/// * **A sign-in invalidates the session's earlier cookies**; a renewal does so after the grace.
/// * **Old cookies of one sign-in roll back**, and of two parallel writes the response that arrives last
///   wins, as with `SealedSessionStore`. `TieredSessionStore` has neither limit for users.
///
/// Cost: load 1 round trip (`GET`, `HMGET`), commit 1, a sign-in 2, a sign-out 2, a touch none. A cookie that
/// does not open costs none. The lists do not show what the sessions hold.
public struct RevocableSessionStore: SessionDirectory {
    private static let deviceScript = RedisScript(PackageResources.device_lua)
    private static let endScript = RedisScript(PackageResources.devices_end_lua)

    /// All scripts of the store, for operators whose ACL does not let applications load any.
    public static let scripts = [deviceScript, endScript]

    /// How long the end of all sessions of a user is remembered: the longest that a browser keeps a cookie.
    private static let memory = Duration.seconds(400 * 86_400)

    private let sealed: SealedSessionStore
    private let redis: RedisClient
    private let schema: RedisSchema
    private let crypto: RecordCrypto

    /// Creates a store; opens no connection.
    ///
    /// - Parameters:
    ///   - sealed: seals the sessions.
    ///   - redis: the client.
    ///   - application: the name of the application; see `RedisSessionStore`.
    ///   - prefix: the first part of every key, for access rules that need another one than the application's
    ///     name.
    ///   - peppers: secrets of the servers that key the hashes of user names in Redis. The first one writes,
    ///     all are tried.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        _ sealed: SealedSessionStore,
        revocations redis: RedisClient,
        application: String,
        prefix: String? = nil,
        peppers: [SessionPepper] = []
    ) throws(SessionError) {
        self.sealed = sealed
        self.redis = redis
        schema = try RedisSchema(application: application, prefix: prefix)
        crypto = try RecordCrypto(application: application, peppers: peppers)
        redis.preload(Self.scripts)
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard case .found(var record) = sealed.open(credential) else { return sealed.open(credential) }
        if let absence = try await revocation(of: record) { return .absent(absence) }
        record.residence = .revocableCookie
        return .found(record)
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        var payload = SealedPayload(draft, now: sealed.time)
        _ = try sealed.seal(payload)
        if draft.principal != nil { payload.authenticated = try await signedIn(payload, marking: nil) }
        return try sealed.seal(payload)
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        var payload: SealedPayload
        switch try sealed.changed(change, record) {
        case .absent(let absence): return .gone(absence)
        case .live(let changed): payload = changed
        }
        // Before anything is written: a session that does not fit must not invalidate its earlier cookies.
        let result = try sealed.seal(payload)
        if let absence = try await revocation(of: record) { return .gone(absence) }
        switch change.rotation {
        case .none:
            if payload.times.lastUsed - record.times.lastUsed >= payload.times.idleTimeout / 10 {
                used(payload)
            }
            return result
        case .renew:
            let mark = mark(payload, over: record, from: payload.issued + change.policy.renewalGrace)
            _ = try await send([mark])
            return result
        case .signIn:
            payload.authenticated = try await signedIn(
                payload,
                marking: mark(payload, over: record, from: nil)
            )
            return try sealed.seal(payload)
        }
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        if isDue { used(try record.context(SealedSessionStore.Context.self).payload) }
        return try await sealed.touch(record, isDue: isDue)
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> Bool {
        guard try await sealed.end(record), try await revocation(of: record) == nil else { return false }
        _ = try await send([end(record.id, "signed-out", until: record.times.deadline)])
        guard let principal = record.principal else { return true }
        for hash in crypto.hashes(principal: principal) {
            redis.submit(RedisCommand("HDEL", schema.devices(hash), "\(record.id)"))
        }
        return true
    }

    public func check() async throws(SessionError) {
        _ = try await send([RedisCommand("PING", readOnly: true)])
    }

    public func validate(for cookie: SessionCookie) throws(SessionError) { try sealed.validate(for: cookie) }

    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        let now = sealed.time
        var summaries: [SessionSummary] = []
        let lists = crypto.hashes(principal: principal).map {
            RedisCommand("HGETALL", schema.devices($0), readOnly: true)
        }
        for reply in try await send(lists) {
            for entry in Device.read(reply) where entry.isAlive(at: now) { summaries.append(entry.summary) }
        }
        return summaries.sorted { $0.lastUsed > $1.lastUsed }
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        for hash in crypto.hashes(principal: principal) {
            let key = schema.devices(hash)
            let listed = try await send([RedisCommand("HGET", key, "\(id)", readOnly: true)])[0]
            guard let device = listed.string.flatMap({ Device(id, $0) }), device.isAlive(at: sealed.time)
            else { continue }
            _ = try await send([
                end(id, "revoked", until: device.deadline), RedisCommand("HDEL", key, "\(id)"),
            ])
            return true
        }
        return false
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        var commands: [RedisCommand] = []
        for hash in crypto.hashes(principal: principal) {
            var command = RedisCommand(script: Self.endScript, keys: [schema.devices(hash)])
            command.append(kept?.description ?? "")
            command.append(Int(Self.memory.wholeMilliseconds))
            commands.append(command)
        }
        return try await send(commands).reduce(0) { $0 + ($1.integer ?? 0) }
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        _ = try await send([end(id, "revoked", until: sealed.time + Self.memory)])
    }

    // MARK: Inside

    /// Returns why a cookie that opened is not valid; nil when it is. One round trip.
    private func revocation(of record: SessionRecord) async throws(SessionError) -> SessionAbsence? {
        var commands = [RedisCommand("GET", schema.revocation(record.id), readOnly: true)]
        let authenticated = try record.context(SealedSessionStore.Context.self).payload.authenticated
        if let principal = record.principal {
            commands += crypto.hashes(principal: principal).map {
                RedisCommand("HMGET", schema.devices($0), "@before", "@except", readOnly: true)
            }
        }
        let replies = try await send(commands, cancellation: .abandon)
        switch replies[0].string {
        case nil: break
        case "signed-out"?: return .ended(.signOut)
        case "revoked"?: return .ended(.revocation)
        case let mark?:
            // Cookies that were sealed before this secret: invalid, from the end of the grace on.
            let parts = mark.split(separator: ":").compactMap { Int64($0) }
            guard parts.count == 2 else { return .unreadable }
            let isOld = record.times.rotated < SessionInstant(milliseconds: parts[0])
            if isOld, record.now >= SessionInstant(milliseconds: parts[1]) {
                return .superseded(record.id, replay: false)
            }
        }
        for reply in replies.dropFirst() where reply.count == 2 {
            guard let before = reply[0].string.flatMap({ Int64($0) }) else { continue }
            let isEarlier = (authenticated?.milliseconds ?? 0) <= before
            if isEarlier, reply[1].string != record.id.description { return .ended(.revocation) }
        }
        return nil
    }

    /// Enters a sign-in into the user's list, before its cookie is sent, so that a revocation cannot miss it.
    ///
    /// - Parameters:
    ///   - payload: the session.
    ///   - mark: invalidates the session's earlier cookies.
    /// - Returns: the server's time, against which the end of all the user's sessions is compared.
    /// - Throws: `.storeUnavailable`.
    private func signedIn(
        _ payload: SealedPayload,
        marking mark: RedisCommand?
    ) async throws(SessionError) -> SessionInstant? {
        guard let command = device(payload, "new") else { return nil }
        let time = try await send([command] + (mark.map { [$0] } ?? []))[0].integer
        guard let time else {
            throw SessionError(
                .storeUnavailable,
                "Redis answered in a form that the session scripts do not use."
            )
        }
        return SessionInstant(milliseconds: Int64(time))
    }

    /// Moves the last use in the user's list, without waiting.
    private func used(_ payload: SealedPayload) {
        if let command = device(payload, "used") { redis.submit(command) }
    }

    private func device(_ payload: SealedPayload, _ mode: String) -> RedisCommand? {
        guard let principal = payload.principal else { return nil }
        var command = RedisCommand(
            script: Self.deviceScript,
            keys: [schema.devices(crypto.hash(principal: principal))]
        )
        command.append("\(payload.id)")
        command.append(Int(payload.times.created.milliseconds))
        command.append(Int((payload.times.deadline - sealed.time).wholeMilliseconds))
        command.append(Int(payload.times.idleTimeout.wholeMilliseconds))
        command.append(mode)
        return command
    }

    private func end(_ id: SessionID, _ reason: String, until deadline: SessionInstant) -> RedisCommand {
        // A minute more, because clocks differ.
        let memory = max(deadline - sealed.time, .zero) + SealedPayload.skew
        return RedisCommand("SET", schema.revocation(id), reason, "PX", "\(memory.wholeMilliseconds)")
    }

    /// Invalidates the cookies that were sealed before `payload` got its secret.
    private func mark(_ payload: SealedPayload, over record: SessionRecord, from: SessionInstant?)
        -> RedisCommand
    {
        let value = "\(payload.times.rotated.milliseconds):\(from?.milliseconds ?? 0)"
        return end(record.id, value, until: max(record.times.deadline, payload.times.deadline))
    }

    private func send(
        _ commands: [RedisCommand],
        cancellation: RedisCancellation = .ignore
    ) async throws(SessionError) -> [RedisReply] {
        do {
            let replies = try await redis.send(commands, cancellation: cancellation)
            for reply in replies { if let error = reply.error { throw RedisSessionStore.unavailable(error) } }
            return replies
        } catch let error as RedisError { throw RedisSessionStore.unavailable(error) } catch let error
            as SessionError
        {
            throw error
        } catch { throw SessionError(.storeUnavailable, "Redis could not be asked.") }
    }
}

/// One entry of a user's list: see `device.lua`.
private struct Device {
    let id: SessionID
    let created, lastUsed, deadline: SessionInstant
    let idleTimeout: Duration

    init?(_ id: SessionID, _ text: String) {
        let parts = text.split(separator: ":").compactMap { Int64($0) }
        guard parts.count == 4 else { return nil }
        self.id = id
        created = SessionInstant(milliseconds: parts[0])
        lastUsed = SessionInstant(milliseconds: parts[1])
        deadline = SessionInstant(milliseconds: parts[2])
        idleTimeout = .milliseconds(parts[3])
    }

    /// Returns the entries of a list as `HGETALL` returns it.
    static func read(_ reply: RedisReply) -> [Device] {
        var devices: [Device] = []
        unsafe reply.forEachPair { field, value in
            guard let id = unsafe SessionID(String(decoding: field, as: UTF8.self)) else { return }
            if let device = unsafe Device(id, String(decoding: value, as: UTF8.self)) {
                devices.append(device)
            }
        }
        return devices
    }

    /// Whether the session may be alive: its last use is moved only when a tenth of its idle timeout has
    /// passed.
    func isAlive(at now: SessionInstant) -> Bool { now < min(lastUsed + idleTimeout * 1.2, deadline) }

    var summary: SessionSummary {
        SessionSummary(id: id, created: created, lastUsed: lastUsed, attributes: [:])
    }
}
