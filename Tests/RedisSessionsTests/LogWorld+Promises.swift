// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// What must hold in a `LogWorld`, after each step and at the end:
///
/// 1. Instances that have applied the same log up to the same position have the same sessions.
/// 2. What was acknowledged is in every replica that has caught up: a session that was created, each commit, each end.
///    It may be lost in two cases only: Redis and all instances that knew it are gone; or a new log was activated for
///    which none of them was a candidate, or only ones that knew less of the old log than the one whose sessions
///    were taken, or that had stopped working for a quiet period. Only `losses` and `clocks` have new
///    logs at all.
/// 3. No write is applied twice: each commit counts in an attribute of its own, and the version is their number.
/// 4. What an instance shows of a session never goes back, and an ended session never comes back, unless the instance
///    has begun to read another log, which counts as a replay, and what is missing is lost by 2.
/// 5. A write that failed for its client is not stored later, as long as the clock of Redis is not set. An entry that
///    is added to the log again by a third party changes nothing, nor one that is added after its deadline.
/// 6. A read shows what its client has seen, and everything that was acknowledged `freshness` before it; everything
///    that was acknowledged before it, if it was strict or had asked Redis. Not from when Redis came back with less
///    until a new log is activated.
/// 7. A commit whose version was needed is stored for that version only. Nothing but an end makes a session absent.
/// 8. An instance that knows sessions is a candidate for a new log from its first round on.
/// 9. When nothing fails any more, all instances, and one that starts then, soon agree, and can write.
extension LogWorld {
    /// What was acknowledged.
    struct Effect {
        enum Kind { case create, commit(String), end }
        let kind: Kind
        let session: Int
        let position: LogPosition
        let acknowledged: Instant
        /// How many changes had been acknowledged then, this one included.
        let number: Int

        func isCreation(of session: Int) -> Bool {
            if case .create = kind { self.session == session } else { false }
        }

        /// Whether sessions show the effect; an ended session hides all that happened before.
        func holds(in table: ReplicaTable) -> Bool {
            let session = table[LogWorld.ids[session]]?.session
            switch kind {
            case .end: return session?.endReason != nil || session == nil
            case .create: return session != nil
            case .commit(let name): return session?.endReason != nil || session?.attributes[name] != nil
            }
        }
    }

    /// What happened, to see that enough does.
    struct Statistics {
        var acknowledged = 0
        var lost = 0
        var recoveries = 0
        var replays = 0
        var reads = 0
        var late = 0

        static func += (left: inout Self, right: Self) {
            left.acknowledged += right.acknowledged
            left.lost += right.lost
            left.recoveries += right.recoveries
            left.replays += right.replays
            left.reads += right.reads
            left.late += right.late
        }
    }

    mutating func promise(_ isKept: Bool, _ text: @autoclosure () -> String) {
        if !isKept, violation == nil { violation = text() }
    }

    // MARK: Acknowledgements

    mutating func acknowledge(_ number: Int, _ result: AppendResult) {
        let change = changes[number]
        let session = change.sessions.first ?? 0
        statistics.acknowledged += 1
        switch (change.kind, result.outcome) {
        case (.create, .stored): add(.create, session, result)
        case (.commit(let name, let version), .stored(let record, _)):
            promise(record.attributes[name] == [UInt8(ascii: "1")], "change \(number) does not count once")
            promise(version.map { $0 + 1 == record.version } ?? true, "change \(number) on another version")
            add(.commit(name), session, result)
        case (.commit(_, let version), .conflict(let record, _)):
            promise(version != nil && version != record.version, "change \(number) in conflict with nothing")
        case (.commit, .gone):
            let isKnown = effects.contains { effect in
                effect.isCreation(of: session) && effect.number <= change.acknowledged
                    && effect.holds(in: observer.table)
            }
            promise(
                !isKnown || isRolledBack || endable.contains(session),
                "change \(number): the session is gone"
            )
        // Its entry may be in two logs.
        case (.create, .gone): promise(trouble.hasLosses, "change \(number): the session is there already")
        case (.end, .ended(0)), (.revoke, .ended(0)): break
        case (.end, .ended), (.revoke, .ended), (.revokeAll, .ended):
            for session in change.sessions where effects.contains(where: { $0.isCreation(of: session) }) {
                add(.end, session, result)
            }
        default: promise(false, "change \(number) ended with \(result.outcome)")
        }
    }

    private mutating func add(_ kind: Effect.Kind, _ session: Int, _ result: AppendResult) {
        let effect = Effect(
            kind: kind,
            session: session,
            position: result.position,
            acknowledged: now,
            number: statistics.acknowledged
        )
        effects.append(effect)
        // It may be lost already: acknowledged by an instance that reads a page of a log that is gone.
        forgetWhatIsLost()
    }

    mutating func checkDeadline(_ change: Int?, _ reply: AppendReply) {
        if reply == .late { statistics.late += 1 }
        guard let change, reply == .appended, !clockWasSet else { return }
        promise(now <= changes[change].deadline, "change \(change) is stored after its deadline")
    }

    /// Adds an entry to the log without the script that appends, as anyone with access to Redis can.
    mutating func forge(_ entry: LogEntry, isRepeated: Bool) {
        guard log.addAgain(entry), let last = log.last else { return }
        note("a third party adds \(entry.content.name) at \(last)")
        let isIdle = isRepeated || last.milliseconds > entry.notAfter
        let before = observer.table.records
        observe()
        promise(
            !isIdle || !observer.isLive || observer.table.records == before,
            "an entry that is added again, or late, changes sessions"
        )
    }

    // MARK: The log

    /// Lets the observer apply the entry that was just appended.
    mutating func observe() {
        guard let item = log.items.last, let entry = item.entry else { return }
        let candidates = observer.recovery?.candidates ?? []
        var outcome = observer.apply(entry, at: item.moment)
        if case .replaced = outcome {
            // It is of a log that did not begin here.
            guard case .origin = entry.content else { return observer.skip(item.moment.position) }
            observer = Replica()
            outcome = observer.apply(entry, at: item.moment)
        }
        guard case .activate(let winner, _) = entry.content, observer.isLive, observer.recovery == nil,
            observer.accepted.position == item.moment.position, observer.epoch == entry.epoch,
            candidates.count > 0 || winner == nil, !isActivated.contains(entry.epoch)
        else { return }
        isActivated.insert(entry.epoch)
        activated(candidates, winner)
    }

    /// Lets the observer begin with the log as it is.
    mutating func observeAll() {
        observer = Replica()
        for item in log.items {
            guard let entry = item.entry else { continue }
            if case .replaced = observer.apply(entry, at: item.moment) {
                guard case .origin = entry.content else {
                    observer.skip(item.moment.position)
                    continue
                }
                observer = Replica()
                _ = observer.apply(entry, at: item.moment)
            }
        }
        if observer.epoch != nil { observer.reachedEnd() }
    }

    /// A new log has sessions.
    private mutating func activated(_ candidates: [LogRecovery.Candidate], _ winner: UInt64?) {
        statistics.recoveries += 1
        isRolledBack = false
        let best = candidates.first { $0.nonce == winner }
        for effect in effects where !effect.holds(in: observer.table) {
            for index in instances.indices {
                let instance = instances[index]
                guard instance.isRunning, let known = instance.state.serving, effect.holds(in: known.table),
                    known.table[Self.ids[effect.session]] != nil,
                    let own = candidates.first(where: { candidacies[$0.nonce] == index }),
                    own.rank == known.rank,
                    best.map({ $0.rank < own.rank || candidacies[$0.nonce] == index }) ?? true,
                    now - min(instance.read, instance.maintained) < options.quietPeriod
                else { continue }
                promise(false, "the log was activated without \(effect), which instance \(index) knows")
            }
        }
        let table = observer.table
        statistics.lost += effects.count { !$0.holds(in: table) }
        promise(
            trouble.hasLosses || effects.allSatisfy { $0.holds(in: table) },
            "lost although Redis is well"
        )
        effects.removeAll { !$0.holds(in: table) }
    }

    /// Takes note of what Redis lacks and no running instance knows any more.
    mutating func forgetWhatIsLost() {
        let known = instances.filter(\.isRunning).compactMap { $0.state.serving?.table }
        let inLog = observer.table
        guard trouble.hasLosses else { return }
        let before = effects.count
        effects.removeAll { effect in
            !(effect.holds(in: inLog) && observer.isLive) && !known.contains { effect.holds(in: $0) }
        }
        statistics.lost += before - effects.count
    }

    // MARK: Instances

    /// Checks an instance that has applied a page.
    mutating func check(_ index: Int) {
        guard let serving = instances[index].state.serving else { return }
        if observer.isLive, serving.applied == observer.applied, serving.epoch == observer.epoch,
            instances[index].state.appliedTag == log.items.last?.tag
        {
            let expected = observer.table
            promise(
                serving.table.records == expected.records,
                "instance \(index) has other sessions at \(serving.applied): \(Self.differences(serving.table, expected))"
            )
        }
        let replays = instances[index].state.statistics.replays
        if replays != instances[index].replays {
            statistics.replays += 1
            instances[index].isBehindReplay = true
        }
        instances[index].replays = replays
        let mayLose = trouble.hasLosses
        let mayGoBack = mayLose && instances[index].isBehindReplay
        while instances[index].shown.count < sessionCount { instances[index].shown.append(0) }
        for session in 0..<sessionCount {
            let record = serving.table[Self.ids[session]]?.session
            let version = record.map { $0.endReason == nil ? $0.version : .max } ?? 0
            let shown = instances[index].shown[session]
            promise(
                version >= shown || mayGoBack || (shown == .max && record == nil),
                "session \(session) goes back on instance \(index) from \(shown) to \(version)"
            )
            instances[index].shown[session] = version
            guard let record, record.endReason == nil else { continue }
            let isOnce = record.attributes.values.allSatisfy { $0 == [UInt8(ascii: "1")] }
            promise(isOnce, "a commit counts twice in session \(session)")
            promise(record.version == record.attributes.count + 1, "session \(session) has another version")
        }
        if instances[index].state.isMet(.writable) { instances[index].isBehindReplay = false }
    }

    /// Checks what a client sees; `isExact` is nil for an instance that answers without Redis.
    mutating func checkVisit(_ index: Int, _ visit: Visit, isExact: Bool?) {
        guard let table = instances[index].state.serving?.table else { return }
        statistics.reads += 1
        // An instance that still follows a log that was replaced does not know what its successor has.
        guard !isRolledBack, observer.isLive, instances[index].state.serving?.epoch == observer.epoch else {
            return
        }
        let bound = visit.read.received - options.freshness
        for effect in effects where effect.number <= visit.acknowledged && effect.holds(in: observer.table) {
            let isSeen = effect.session == visit.session && effect.position.version <= visit.read.version
            let isOld = isExact == true || isExact == false && effect.acknowledged <= bound
            promise(
                !(isSeen || isOld) || effect.holds(in: table),
                "a client of session \(visit.session) does not see \(effect) on instance \(index)"
            )
        }
    }

    /// The sessions that differ, for a message.
    private static func differences(_ table: ReplicaTable, _ expected: ReplicaTable) -> String {
        ids.indices.filter { table[ids[$0]] != expected[ids[$0]] }.map { index in
            let texts = [table, expected].map { $0[ids[index]].map { "\($0)" } ?? "none" }
            return "\(index): \(texts[0]) instead of \(texts[1])"
        }.joined(separator: "; ")
    }

    mutating func checkRecovery(_ index: Int, isFirst: Bool, _ action: RecoveryPlan.Action) {
        guard isFirst, instances[index].state.serving != nil else { return }
        if case .announce = action { return }
        promise(false, "instance \(index) knows sessions, and does not say so: \(action)")
    }

    // MARK: The end

    /// Lets everything come to rest, and checks that all agree.
    mutating func settle() {
        while !commands.isEmpty { executeLate() }
        isCalm = true
        let isAnyThere = instances.contains(where: \.isRunning)
        for index in instances.indices where !instances[index].isRunning {
            if !isAnyThere || draw(2) == 0 { begin(index) }
        }
        for round in 0..<200 {
            for index in instances.indices where instances[index].isRunning {
                var pages = 0
                repeat {
                    readOn(index, limit: 20)
                    pages += 1
                } while instances[index].state.applied != log.last && pages < 5
            }
            if isSettled { break }
            promise(round < 199, "the instances do not come to rest")
            for index in instances.indices { maintain(index) }
            now += .milliseconds(60)
            log.time += 60
        }
        guard violation == nil else { return }
        instances.append(instances[0])
        begin(instances.count - 1)
        // Again for each entry of a log that did not begin here.
        for _ in 0..<5 where instances[instances.count - 1].state.applied != log.last {
            readOn(instances.count - 1, limit: .max)
        }
        for index in instances.indices where instances[index].isRunning {
            guard let serving = instances[index].state.serving else {
                promise(false, "instance \(index) has read nothing")
                continue
            }
            let expected = observer.table
            promise(
                serving.table.records == expected.records,
                "instance \(index) has other sessions in the end: \(Self.differences(serving.table, expected))"
            )
            for effect in effects {
                promise(effect.holds(in: serving.table), "instance \(index) does not have \(effect)")
            }
        }
    }

    private var isSettled: Bool {
        observer.isLive
            && instances.allSatisfy { instance in
                !instance.isRunning
                    || instance.state.isMet(.writable) && instance.state.applied == log.last
            }
    }
}
