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
        let wait = durability.wait()
        for list in lists(of: principal) {
            let replies = try await send([
                Self.askTime, RedisCommand("HGET", list, "\(id)", readOnly: true),
            ])
            guard let device = replies[1].string.flatMap({ Device(id, $0) }) else { continue }
            let now = try Self.time(replies[0])
            // Also if it looks expired: its last use may have been lost.
            let answer = try await write(copied: wait) { notAfter in
                [revocation(of: id, "revoked", for: device.deadline - now, notAfter: notAfter)]
            }
            // When it has answered: what is not listed cannot be revoked.
            remove(id, from: list)
            guard Self.isApplied(answer[0]) else { return false }
            wait?.report()
            return device.isAlive(at: now)
        }
        return false
    }

    public func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        let wait = durability.wait()
        let replies = try await write(copied: wait) { notAfter in
            lists(of: principal).map { list in
                var command = RedisCommand(script: Self.endAllScript, keys: [list])
                command.append(kept?.description ?? "")
                command.append(Int(Self.memory.wholeMilliseconds))
                command.append(Int(notAfter.milliseconds))
                return command
            }
        }
        wait?.report()
        return replies.reduce(0) { $0 + ($1.integer ?? 0) }
    }

    public func revoke(_ id: SessionID) async throws(SessionError) {
        let wait = durability.wait()
        _ = try await write(copied: wait) { [revocation(of: id, "revoked", for: Self.memory, notAfter: $0)] }
        wait?.report()
    }

    // MARK: A user's list

    /// Enters a sign-in into its user's list: one round trip.
    ///
    /// - Parameters:
    ///   - payload: the session.
    ///   - since: when the user's rights were checked.
    ///   - maximum: how many sessions the user may have: those that signed in first end.
    ///   - wait: is told how many copies have the entry.
    /// - Returns: with the server's time, against which the end of all the user's sessions is compared; nil if they were
    ///   all ended since the check.
    /// - Throws: `.storeUnavailable`.
    func enter(
        _ payload: SealedPayload,
        since: ContinuousClock.Instant?,
        maximum: Int?,
        copied wait: RedisReplicaWait?
    ) async throws(SessionError) -> ListEntry? {
        guard let list = payload.principal.map(lists)?.first else { return nil }
        let replies = try await write(copied: wait) { notAfter in
            var entry = device(payload, in: list, "new")
            entry.append(since.map { "\($0.duration(to: .now).wholeMilliseconds)" } ?? "")
            entry.append(Int(notAfter.milliseconds))
            entry.append(maximum.map { "\($0)" } ?? "")
            return [entry]
        }
        let reply = replies[0]
        guard reply.count > 0, let time = reply[0].integer else { throw Self.unexpected }
        if time == 0 { return nil }
        try await endSurplus(reply, in: list, copied: wait)
        let instant = SessionInstant(milliseconds: Int64(time))
        return ListEntry(list: list, time: instant, before: reply[1].string ?? "")
    }

    /// Ends the sessions that `device.lua` says are too many: one round trip where there are any.
    private func endSurplus(
        _ reply: RedisReply,
        in list: String,
        copied wait: RedisReplicaWait?
    ) async throws(SessionError) {
        var surplus: [(id: SessionID, left: Duration)] = []
        for index in stride(from: 2, to: reply.count - 1, by: 2) {
            guard let id = reply[index].string.flatMap({ SessionID($0) }), let left = reply[index + 1].integer
            else { throw Self.unexpected }
            surplus.append((id, .milliseconds(left)))
        }
        guard !surplus.isEmpty else { return }
        _ = try await write(copied: wait) { notAfter in
            surplus.map { revocation(of: $0.id, "revoked", for: $0.left, notAfter: notAfter) }
        }
        for entry in surplus { remove(entry.id, from: list) }
    }

    /// Takes back what `enter` did, without waiting, because the sign-in is not carried out.
    func undo(_ entry: ListEntry, of id: SessionID) {
        var command = RedisCommand(script: Self.undoScript, keys: [entry.list])
        command.append("\(id)")
        command.append("\(entry.time.milliseconds)")
        command.append(entry.before)
        redis.submit(command)
    }

    /// Removes a session from all lists but the one that its sign-in has entered, without waiting.
    ///
    /// - Parameters:
    ///   - payload: the session.
    ///   - principal: the user whose session it was before the sign-in.
    func leaveLists(_ payload: SealedPayload, of principal: String?) {
        guard let user = payload.principal else { return }
        var others = lists(of: user)
        let entered = others.removeFirst()
        if let principal, principal != user { others += lists(of: principal) }
        for list in others where list != entered { remove(payload.id, from: list) }
    }

    /// Removes a session from its user's lists, without waiting.
    func remove(_ payload: SealedPayload) {
        guard let principal = payload.principal else { return }
        for list in lists(of: principal) { remove(payload.id, from: list) }
    }

    private func remove(_ id: SessionID, from list: String) {
        redis.submit(RedisCommand("HDEL", list, "\(id)"))
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

/// What a sign-in has entered into its user's list.
struct ListEntry {
    let list: String
    /// When, by the server's clock.
    let time: SessionInstant
    /// What the list said of the session before.
    let before: String
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
