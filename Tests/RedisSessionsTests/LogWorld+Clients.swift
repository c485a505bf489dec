// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// What clients do in a `LogWorld`, and the way of commands to Redis.
extension LogWorld {
    private static let lifetime = Duration.seconds(36_000)

    // MARK: Writes

    /// A client asks an instance for a change.
    mutating func write(_ index: Int) {
        guard instances[index].isRunning, changes.count < 60 else { return }
        let deadline = now + options.timeout
        let session = sessionCount == 0 ? 0 : draw(sessionCount)
        let (id, digest) = (Self.ids[session], [UInt8(session + 1)])
        let change: Change
        switch sessionCount == 0 ? 0 : draw(16) {
        case 0...3 where sessionCount < Self.ids.count:
            let number = sessionCount
            sessionCount += 1
            let user = number % 3 == 0 ? nil : Self.users[number % 2]
            let draft = HashedDraft(
                attributes: [:],
                principal: user,
                principalHash: user,
                secretHash: [UInt8(number + 1)],
                family: [7],
                idleTimeout: Self.lifetime,
                lifetime: Self.lifetime
            )
            change = Change(
                kind: .create,
                sessions: [number],
                content: .create(Self.ids[number], draft),
                deadline: deadline,
                acknowledged: statistics.acknowledged
            )
        case let step where step == 4 || step == 5:
            endable.insert(session)
            let (isEnd, tombstone) = (step == 4, SessionPolicy.tombstone)
            change = Change(
                kind: isEnd ? .end : .revoke,
                sessions: [session],
                content: isEnd
                    ? .end(id, digest: digest, tombstone: tombstone)
                    : .revoke(id, user: nil, tombstone: tombstone),
                deadline: deadline,
                acknowledged: statistics.acknowledged
            )
        case 6:
            let user = draw(2)
            let all = (0..<sessionCount).filter { $0 % 3 != 0 && $0 % 2 == user }
            // Also those that are created before the entry arrives.
            endable.formUnion(Self.ids.indices.filter { $0 % 3 != 0 && $0 % 2 == user })
            let tombstone = SessionPolicy.tombstone
            change = Change(
                kind: .revokeAll,
                sessions: all.filter { session in effects.contains { $0.isCreation(of: session) } },
                content: .revokeAll(user: Self.users[user], except: nil, tombstone: tombstone),
                deadline: deadline,
                acknowledged: statistics.acknowledged
            )
        default:
            let version = instances[index].state.serving?.table[id]?.session.version ?? 1
            let needsVersion = draw(3) == 0
            // Each commit has an attribute of its own, so that one that is applied twice shows.
            let name = "w\(changes.count)"
            change = Change(
                kind: .commit(name: name, version: needsVersion ? version : nil),
                sessions: [session],
                content: .commit(
                    id,
                    digest: digest,
                    version: version,
                    HashedChange(
                        operations: [name: .increment(1)],
                        needsVersion: needsVersion,
                        maximumBytes: 10_000,
                        rotation: .none,
                        grace: .zero
                    )
                ),
                deadline: deadline,
                acknowledged: statistics.acknowledged
            )
        }
        note("a client asks instance \(index): \(change.kind) \(change.sessions)")
        instances[index].writes.append(Write(change: changes.count))
        changes.append(change)
        proceed(index)
    }

    /// Continues the writes and reads of an instance as far as they get: see `ReplicationLog`.
    mutating func proceed(_ index: Int) {
        for position in instances[index].writes.indices.reversed() { proceed(index, write: position) }
        for position in instances[index].visits.indices.reversed() {
            let visit = instances[index].visits[position]
            let isMet = instances[index].state.isMet(visit.wait)
            guard isMet || now >= visit.read.received + options.timeout else { continue }
            instances[index].visits.remove(at: position)
            guard isMet else { continue }
            let action = instances[index].state.readWaited(visit.read, for: visit.wait)
            serve(index, visit, action, isExact: visit.wait != .writable)
        }
    }

    private mutating func proceed(_ index: Int, write position: Int) {
        let number = instances[index].writes[position].change
        let isOver = now >= changes[number].deadline
        switch instances[index].writes[position].stage {
        case .waiting:
            if isOver {
                note("change \(number) failed: the log cannot be written")
                instances[index].writes.remove(at: position)
            } else if instances[index].state.isMet(.writable) {
                let nonce = random.next()
                instances[index].state.writes.announced(nonce)
                instances[index].writes[position].stage = .sent(nonce)
                let content = changes[number].content
                let deadline = changes[number].deadline
                append([content], from: index, nonce: nonce, change: number, until: deadline)
            }
        case .sent(let nonce), .answered(let nonce):
            if case .sent = instances[index].writes[position].stage, !isOver { return }
            guard isOver || instances[index].state.isMet(.outcome(of: nonce)) else { return }
            let action = instances[index].state.writes.awaited(nonce)
            instances[index].state.writes.finished(nonce)
            if case .writeAgain = action {
                instances[index].writes[position].stage = .waiting
                return
            }
            instances[index].writes.remove(at: position)
            guard case .answer(let result) = action else {
                return note("change \(number) failed: unknown outcome")
            }
            note("change \(number) of instance \(index) is acknowledged at \(result.position)")
            acknowledge(number, result)
        }
    }

    // MARK: Reads

    /// A client reads its session from an instance.
    mutating func visit(_ index: Int) {
        guard instances[index].isRunning, sessionCount > 0 else { return }
        let session = draw(sessionCount)
        let version = effects.lazy.filter { $0.session == session }.map(\.position.version).max() ?? 0
        let read = ReadRequest(version: version, isStrict: draw(2) == 0, received: now)
        let visit = Visit(read: read, session: session, acknowledged: statistics.acknowledged)
        serve(index, visit, instances[index].state.readRequested(read), isExact: false)
    }

    /// Serves a read; `isExact` says whether all that was acknowledged before it must be there.
    private mutating func serve(_ index: Int, _ visit: Visit, _ action: ReadAction, isExact: Bool) {
        note("a client reads session \(visit.session) from instance \(index): \(action)")
        switch action {
        case .answer(let freshness):
            checkVisit(index, visit, isExact: freshness == .fresh ? isExact : nil)
        case .askBounds(let applied):
            let bounds = draw(8) == 0 ? nil : log.bounds()
            let read = visit.read
            let next = instances[index].state.boundsReceived(bounds, for: read, applied: applied, at: now)
            serve(index, visit, next, isExact: bounds != nil)
        case .wait(let condition, _):
            var visit = visit
            visit.wait = condition
            if instances[index].state.isMet(condition) {
                let next = instances[index].state.readWaited(visit.read, for: condition)
                serve(index, visit, next, isExact: condition != .writable)
            } else {
                instances[index].visits.append(visit)
            }
        case .fail: break
        }
    }

    // MARK: Commands

    /// Sends appends; returns whether all of them are known to be in the log.
    @discardableResult mutating func append(
        _ contents: [LogEntry.Content],
        from index: Int,
        epoch: UInt64? = nil,
        nonce: UInt64? = nil,
        change: Int? = nil,
        until deadline: Instant? = nil
    ) -> Bool {
        guard !contents.isEmpty else { return true }
        let target = instances[index].state.appendRequested(at: now, until: deadline ?? now + options.timeout)
        var isAppended = true
        for content in contents {
            let entry = LogEntry(
                epoch: epoch ?? target.epoch,
                nonce: nonce ?? random.next(),
                notAfter: target.notAfter,
                content: content
            )
            isAppended = send(.append(entry, target, change: change), from: index) && isAppended
        }
        return isAppended
    }

    /// Sends a command, which usually arrives and is answered at once; true if it was and did what it should.
    @discardableResult mutating func send(_ kind: Command.Kind, from index: Int) -> Bool {
        let incarnation = instances[index].incarnation
        let command = Command(kind: kind, instance: index, incarnation: incarnation, sent: now)
        switch isCalm ? 7 : draw(8) {
        case 0:
            note("a command of instance \(index) is late")
            commands.append(command)
            return false
        case 1:
            note("the reply to a command of instance \(index) is lost")
            execute(command, isAnswered: false)
            return false
        // After a failure of Redis, a command that is executed twice may be executed in two logs.
        case 2 where !trouble.hasLosses:
            commands.append(command)
            return execute(command)
        default: return execute(command)
        }
    }

    /// Redis executes a command that was late, or executes it again; or it is lost.
    mutating func executeLate() {
        guard !commands.isEmpty else { return }
        let command = commands.remove(at: draw(commands.count))
        let fate = draw(8)
        if fate == 0 {
            note("a late command is lost")
        } else if fate < 3, trouble != .trims, case .append(let entry, _, _) = command.kind {
            let isRepeated = log.items.contains { $0.entry?.nonce == entry.nonce }
            forge(entry, isRepeated: isRepeated)
        } else {
            note("a late command arrives")
            execute(command)
        }
    }

    @discardableResult private mutating func execute(_ command: Command, isAnswered: Bool = true) -> Bool {
        let index = command.instance
        let isThere = instances[index].isRunning && instances[index].incarnation == command.incarnation
        switch command.kind {
        case .append(let entry, let target, let change):
            let reply = log.append(
                entry,
                to: target,
                isEssential: entry.content.isEssential,
                share: random.next()
            )
            note("append \(entry.content.name): \(reply) \(log.last?.description ?? "")")
            if reply == .appended { observe() }
            checkDeadline(change, reply)
            guard isThere else { return false }
            if isAnswered {
                let time = reply == .missing ? nil : log.time * 1000
                instances[index].state.appendAnswered(reply, time: time, asked: command.sent, at: now)
            }
            answer(index, entry.nonce, isAppended: reply == .appended || !isAnswered)
            return isAnswered && reply == .appended
        case .begin(let last, let notBefore, let origin):
            let isBegun = log.begin(after: last, notBefore: notBefore, origin: origin)
            note("begin log \(origin.epoch) after \(last?.description ?? "nothing"): \(isBegun)")
            if isBegun { observe() }
            if isBegun, isThere, isAnswered { instances[index].state.logBegun(origin.epoch) }
            return isBegun
        case .trim(let bound):
            log.trim(before: bound, share: random.next())
            return true
        }
    }

    /// A writer learns whether its entry may be in the log.
    private mutating func answer(_ index: Int, _ nonce: UInt64, isAppended: Bool) {
        for position in instances[index].writes.indices {
            guard case .sent(nonce) = instances[index].writes[position].stage else { continue }
            if isAppended {
                instances[index].writes[position].stage = .answered(nonce)
            } else {
                instances[index].state.writes.finished(nonce)
                instances[index].writes[position].stage = .waiting
            }
        }
    }
}

extension LogEntry.Content {
    /// The kind of entry, for a trace.
    var name: Substring { "\(self)".prefix { $0 != "(" } }
}
