// SPDX-License-Identifier: Apache-2.0

import Hiredis
public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionDirectory`.
/// The sessions of a user: a hash with one entry for each, entered before the cookie of a sign-in is sent.
///
/// Listing costs one round trip, a revocation two, the end of all sessions one; each once for every pepper.
extension RevocableSessionStore: SessionDirectory {
    public func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        // Not as reads, which have a connection of their own: behind the removals that nothing has waited for.
        let lists = lists(of: principal).map { RedisCommand("HGETALL", $0) }
        let replies = try await send([Self.askTime] + lists)
        let now = try Self.time(replies[0])
        return replies.dropFirst().flatMap(Device.read).filter { $0.isAlive(at: now) }.map(\.summary)
            .sorted(by: SessionSummary.isListedBefore)
    }

    public func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        for list in lists(of: principal) {
            let replies = try await send([
                Self.askTime, RedisCommand("HGET", list, "\(id)", readOnly: true),
            ])
            guard let device = replies[1].string.flatMap({ Device(id, $0) }) else { continue }
            let now = try Self.time(replies[0])
            // Also if it looks expired: its last use may have been lost.
            let end = revocation(of: id, "revoked", for: device.deadline - now)
            let isEnded = Self.isApplied(try await send([end, RedisCommand("HDEL", list, "\(id)")])[0])
            return isEnded && device.isAlive(at: now)
        }
        return false
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        let commands = lists(of: principal).map { list in
            var command = RedisCommand(script: Self.endAllScript, keys: [list])
            command.append(kept?.description ?? "")
            command.append(Int(Self.memory.wholeMilliseconds))
            return command
        }
        return try await send(commands).reduce(0) { $0 + ($1.integer ?? 0) }
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        _ = try await send([revocation(of: id, "revoked", for: Self.memory)])
    }

    // MARK: A user's list

    /// Enters a sign-in into its user's list.
    ///
    /// - Parameters:
    ///   - payload: the session.
    ///   - principal: the user whose session it was before.
    ///   - since: when the user's rights were checked.
    ///   - maximum: how many sessions the user may have: those that signed in first end.
    /// - Returns: the server's time, against which the end of all the user's sessions is compared; nil if they were all
    ///   ended since the check.
    /// - Throws: `.storeUnavailable`.
    func enter(
        _ payload: SealedPayload,
        leaving principal: String?,
        since: ContinuousClock.Instant?,
        maximum: Int?
    ) async throws(SessionError) -> SessionInstant? {
        guard let user = payload.principal else { return nil }
        let lists = lists(of: user)
        var entry = device(payload, in: lists[0], "new")
        entry.append(since.map { "\($0.duration(to: .now).wholeMilliseconds)" } ?? "")
        entry.append(maximum.map { "\($0)" } ?? "")
        var commands = [entry]
        // It is the new user's alone, and listed under one pepper.
        var others = Set(lists.dropFirst())
        if let principal, principal != user { others.formUnion(self.lists(of: principal)) }
        others.remove(lists[0])
        for list in others { commands.append(RedisCommand("HDEL", list, "\(payload.id)")) }
        let reply = try await send(commands)[0]
        if reply.integer == 0 { return nil }
        guard reply.count % 2 == 1, let time = reply[0].integer else { throw Self.unexpected }
        var ends: [RedisCommand] = []
        for index in stride(from: 1, to: reply.count, by: 2) {
            guard let id = reply[index].string.flatMap({ SessionID($0) }), let left = reply[index + 1].integer
            else { throw Self.unexpected }
            ends.append(revocation(of: id, "revoked", for: .milliseconds(left)))
            ends.append(RedisCommand("HDEL", lists[0], "\(id)"))
        }
        if !ends.isEmpty { _ = try await send(ends) }
        return SessionInstant(milliseconds: Int64(time))
    }

    /// Moves the last use in the user's list, without waiting.
    func moveLastUse(_ payload: SealedPayload) {
        guard let principal = payload.principal else { return }
        for list in lists(of: principal) { redis.submit(device(payload, in: list, "used")) }
    }

    /// The lists of a user, one for each pepper.
    func lists(of principal: String) -> [String] {
        crypto.hashes(principal: principal).map(schema.devices)
    }

    private func device(_ payload: SealedPayload, in list: String, _ mode: String) -> RedisCommand {
        var command = RedisCommand(script: Self.deviceScript, keys: [list])
        command.append("\(payload.id)")
        command.append(Int(payload.times.created.milliseconds))
        command.append(Int((payload.times.deadline - sealed.time).wholeMilliseconds))
        command.append(Int(payload.times.idleTimeout.wholeMilliseconds))
        command.append(mode)
        return command
    }

    // MARK: The server's time

    static let askTime = RedisCommand("TIME", readOnly: true)

    /// Returns the server's time from its reply to `TIME`.
    static func time(_ reply: RedisReply) throws(SessionError) -> SessionInstant {
        guard reply.count == 2, let seconds = reply[0].string.flatMap({ Int64($0) }),
            let microseconds = reply[1].string.flatMap({ Int64($0) })
        else { throw unexpected }
        return SessionInstant(milliseconds: seconds * 1000 + microseconds / 1000)
    }
}

/// One entry of a user's list: see `device.lua`.
private struct Device {
    let id: SessionID
    let created, lastUsed, deadline, authenticated: SessionInstant
    /// Zero when the session was ended.
    let idleTimeout: Duration

    init?(_ id: SessionID, _ text: String) {
        let parts = text.split(separator: ":").compactMap { Int64($0) }
        guard parts.count == 5 else { return nil }
        self.id = id
        created = SessionInstant(milliseconds: parts[0])
        lastUsed = SessionInstant(milliseconds: parts[1])
        deadline = SessionInstant(milliseconds: parts[2])
        idleTimeout = .milliseconds(parts[3])
        authenticated = SessionInstant(milliseconds: parts[4])
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

    /// Whether the session is alive at the server's time.
    func isAlive(at now: SessionInstant) -> Bool { now < min(lastUsed + idleTimeout, deadline) }

    var summary: SessionSummary {
        SessionSummary(
            id: id,
            created: created,
            lastUsed: lastUsed,
            authenticatedAt: authenticated,
            attributes: [:]
        )
    }
}
