// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// Several instances of a replicated store and their Redis, without either: one random step at a time.
///
/// The decisions are those of the store: `ReplicationState`, `RecoveryPlan` and `Transfer`. The world stands for the
/// log reader, the maintenance and the client, each of which may stop between any two of its commands; and for
/// Redis. Commands may be executed late, twice, or without that their reply arrives; pages are of any size, are read
/// again, and applied twice. `LogWorld+Promises.swift` says what must hold.
struct LogWorld {
    typealias Instant = ContinuousClock.Instant

    /// What may go wrong besides delays and crashes of instances.
    enum Trouble: Int, CaseIterable {
        /// Nothing that is acknowledged may be lost, whatever instances crash.
        case delays
        /// The retention is short, so that the log is trimmed, and instances that lag read it again.
        case trims
        /// Redis comes back empty or with an older log.
        case losses
        /// The same, and the clock of Redis is set.
        case clocks

        var hasLosses: Bool { self == .losses || self == .clocks }
    }

    /// A client's change: what it does, and what became of it.
    struct Change {
        enum Kind { case create, commit(name: String, version: Int?), end, revoke, revokeAll }
        let kind: Kind
        /// The sessions that it concerns.
        let sessions: [Int]
        let content: LogEntry.Content
        let deadline: Instant
        /// How many changes were acknowledged before.
        let acknowledged: Int
    }

    struct Visit {
        let read: ReadRequest
        /// The session of the client that reads; its version is in the request.
        let session: Int
        /// How many changes were acknowledged before.
        let acknowledged: Int
        var wait = WaitCondition.writable
    }

    struct Write {
        enum Stage { case waiting, sent(UInt64), answered(UInt64) }
        let change: Int
        var stage = Stage.waiting
    }

    struct Instance {
        var state: ReplicationState
        var plan: RecoveryPlan?
        /// What was read and is not applied yet.
        var page: LogPage?
        var writes: [Write] = []
        var visits: [Visit] = []
        var isRunning = true
        /// Distinguishes the instance from that before a crash.
        var incarnation = 0
        let refreshAge: Duration
        /// When the log reader and the maintenance last made a step.
        var read: Instant
        var maintained: Instant
        /// The version of each session that requests were shown, `.max` when it was ended.
        var shown: [Int] = []
        var replays = 0
        /// Whether it reads another log, or the same again, and has not come to its end.
        var isBehindReplay = false
    }

    /// The steps that were made, if they are recorded.
    final class Trace { var steps: [String] = [] }

    /// A command on its way to Redis.
    struct Command {
        enum Kind {
            case append(LogEntry, AppendTarget, change: Int?)
            case begin(after: LogPosition?, notBefore: UInt64, origin: LogEntry)
            case trim(LogPosition)
        }
        let kind: Kind
        let instance: Int
        let incarnation: Int
        let sent: Instant
    }

    private static let start = ContinuousClock.now
    static let users: [[UInt8]] = [[101], [102]]
    static let ids = (0..<8).map { SessionID(bytes: Array(repeating: UInt8($0 + 1), count: 16))! }

    let trouble: Trouble
    let options: LogOptions
    var random: SplitMix
    var now = LogWorld.start
    var log: SimulatedLog
    var instances: [Instance] = []
    var commands: [Command] = []
    var changes: [Change] = []
    /// The number of sessions that clients have asked for, and which of them they may have ended.
    var sessionCount = 0
    var endable: Set<Int> = []
    /// What was acknowledged and is not lost.
    var effects: [Effect] = []
    /// An instance that is always there and applies each entry at once.
    var observer = Replica()
    /// Who announced which candidacy.
    var candidacies: [UInt64: Int] = [:]
    /// The incarnations of those.
    var incarnations: [UInt64: Int] = [:]
    /// Whether Redis came back with less since the last activation.
    var isRolledBack = false
    /// The logs that were activated.
    var isActivated: Set<UInt64> = []
    var clockWasSet = false
    /// Whether every command arrives and is answered.
    var isCalm = false
    var statistics = Statistics()
    let trace: Trace?
    /// The first promise that was broken.
    var violation: String?

    /// Creates the world of a seed, which decides everything.
    init(seed: UInt64, trouble: Trouble, isTraced: Bool = false) {
        var random = SplitMix(state: seed)
        var options = LogOptions()
        options.quietPeriod = .milliseconds(100)
        options.newLogDelay = .milliseconds(random.next() % 2 == 0 ? 0 : 400)
        // The size at which the log is compacted: 20 entries.
        let isCompacted = random.next() % 4 == 0 && trouble == .trims
        if trouble == .trims { options.retention = .seconds(5) }
        options.minimumLogSize = isCompacted ? 20 * 20_064 : 1 << 40
        let (count, hasLog) = (random.next() % 4 == 0 ? 3 : 2, random.next() % 8 != 0)
        self.trouble = trouble
        self.options = options
        self.random = random
        trace = isTraced ? Trace() : nil
        log = SimulatedLog(entrySize: 20_000)
        for _ in 0..<count {
            let instance = instance()
            instances.append(instance)
        }
        // Most worlds begin with a log, so that fewer steps are needed.
        if hasLog {
            add(.origin)
            add(.activate(candidacy: nil, candidates: 0))
            for index in instances.indices { readOn(index, limit: 10) }
        }
    }

    private func instance(incarnation: Int = 0) -> Instance {
        Instance(
            state: ReplicationState(options),
            incarnation: incarnation,
            refreshAge: options.retention / 2,
            read: now,
            maintained: now
        )
    }

    private mutating func add(_ content: LogEntry.Content) {
        let entry = LogEntry(epoch: 1, nonce: random.next(), content: content)
        if content == .origin {
            _ = log.begin(after: nil, notBefore: 0, origin: entry)
        } else {
            _ = log.append(
                entry,
                to: AppendTarget(epoch: 1, applied: .start, notAfter: .max),
                isEssential: false,
                share: 0
            )
        }
        observe()
    }

    /// Returns a number below the bound.
    mutating func draw(_ bound: Int) -> Int { Int(truncatingIfNeeded: random.next() >> 33) % bound }

    func note(_ text: @autoclosure () -> String) { trace?.steps.append(text()) }

    // MARK: Steps

    /// Makes a random step.
    mutating func step() {
        let index = draw(instances.count)
        switch draw(32) {
        case 0...8: write(index)
        case 9...16: read(index)
        case 17...19: maintain(index)
        case 20...22: pass([1, 20, 120, 400, 1500, 4000][draw(trouble == .trims ? 6 : 5)])
        case 23...25: visit(index)
        case 26, 27: executeLate()
        case 28: crash(index)
        case 29: if !instances[index].isRunning { begin(index) }
        default: disturb()
        }
    }

    mutating func begin(_ index: Int) {
        note("start instance \(index)")
        instances[index] = instance(incarnation: instances[index].incarnation + 1)
    }

    private mutating func crash(_ index: Int) {
        guard instances[index].isRunning else { return begin(index) }
        note("crash instance \(index)")
        instances[index].isRunning = false
        forgetWhatIsLost()
    }

    private mutating func disturb() {
        switch trouble {
        case .delays: return
        case .trims: return pass(4000)
        case .losses, .clocks: break
        }
        switch draw(trouble == .clocks ? 8 : 6) {
        case 0, 1:
            note("Redis saves")
            return log.save()
        case 2:
            note("Redis comes back empty")
            log.restoreEmpty()
        case 3:
            note("Redis comes back as it was saved")
            log.restoreSaved()
        case 4, 5:
            let count = 1 + draw(4)
            note("Redis comes back without the last \(count) entries")
            log.loseLast(count)
        default:
            // Not ahead by more than the timeout after it was set back: while an entry that was refused is the last
            // one, the instances would expect positions that are too low, and all their entries be too late.
            let milliseconds = [-40_000, -3000, -200, 100][draw(4)]
            note("the clock of Redis is set by \(milliseconds) ms")
            log.time += Int64(milliseconds)
            clockWasSet = true
            return
        }
        isRolledBack = true
        // A failover takes its time, so entries from then on have later positions.
        pass(5)
        observeAll()
        forgetWhatIsLost()
    }

    private mutating func pass(_ milliseconds: Int) {
        note("\(milliseconds) ms pass")
        now += .milliseconds(milliseconds)
        log.time += Int64(milliseconds)
        for index in instances.indices where instances[index].isRunning { proceed(index) }
    }

    // MARK: The log reader

    /// Reads a page, applies one, or both; a page may be lost, and one may be applied twice.
    private mutating func read(_ index: Int) {
        guard instances[index].isRunning else { return }
        let fate = draw(8)
        if instances[index].page == nil { fetch(index, limit: [1, 2, 4, 10][draw(4)]) }
        if fate == 0 { return }
        if fate == 1 {
            note("the page is lost")
            instances[index].page = nil
            return
        }
        apply(index, isRepeated: fate == 2)
    }

    private mutating func fetch(_ index: Int, limit: Int) {
        let (after, tag) = (instances[index].state.applied, instances[index].state.appliedTag)
        let entries = log.entries(after: after, limit: limit)
        note("instance \(index) reads \(entries.count) entries after \(after)")
        instances[index].page = LogPage(
            after: after,
            entries: entries,
            bounds: log.bounds(lookingFor: after, tag: tag),
            asked: now,
            received: now
        )
    }

    private mutating func apply(_ index: Int, isRepeated: Bool = false) {
        guard let page = instances[index].page else { return }
        instances[index].page = nil
        let replays = instances[index].state.statistics.replays
        var action = instances[index].state.pageRead(page)
        instances[index].read = now
        note("instance \(index) applies up to \(instances[index].state.applied): \(action)")
        if isRepeated, instances[index].state.statistics.replays == replays {
            action = instances[index].state.pageRead(page)
            note("and again: \(action)")
        }
        if case .beginLog(let last) = action {
            beginLog(index, after: last, serverTime: page.bounds.time / 1000)
        }
        proceed(index)
        check(index)
    }

    private mutating func beginLog(_ index: Int, after last: LogPosition?, serverTime: Int64) {
        let new = instances[index].state.newLog(
            after: last,
            serverTime: serverTime,
            random: random.next()
        )
        let origin = LogEntry(epoch: new.epoch, nonce: new.epoch, notAfter: new.notAfter, content: .origin)
        send(.begin(after: last, notBefore: new.notBefore, origin: origin), from: index)
    }

    /// Reads and applies one page whole.
    mutating func readOn(_ index: Int, limit: Int) {
        fetch(index, limit: limit)
        apply(index)
    }

    // MARK: Maintenance

    /// One round of `LogMaintenance`.
    mutating func maintain(_ index: Int) {
        guard instances[index].isRunning else { return }
        defer { instances[index].maintained = now }
        if let status = instances[index].state.recoveryStatus { return recover(index, status) }
        instances[index].plan = nil
        let rule = RefreshRule(age: instances[index].refreshAge, fillLevel: 0.8)
        let due = instances[index].state.maintenanceDue(rule, limit: 2, at: now)
        if !append(due, from: index) { instances[index].state.refreshFailed() }
        if let bound = instances[index].state.trimDue(always: draw(2) == 0) {
            send(.trim(bound), from: index)
        }
        if draw(4) == 0 { instances[index].state.sweep() }
    }

    private mutating func recover(_ index: Int, _ status: RecoveryStatus) {
        let isFirst = instances[index].plan?.epoch != status.epoch
        var plan = RecoveryPlan(for: status, after: instances[index].plan, options, now: now)
        let action = plan.next(status, nonce: random.next(), now: now)
        instances[index].plan = plan
        note("instance \(index) in log \(status.epoch): \(action)")
        checkRecovery(index, isFirst: isFirst, action)
        switch action {
        case .wait: break
        case .announce(let nonce):
            guard let rank = status.rank else { break }
            candidacies[nonce] = index
            incarnations[nonce] = instances[index].incarnation
            append([.candidacy(rank: rank)], from: index, epoch: status.epoch, nonce: nonce)
        case .transfer(let nonce):
            let records = instances[index].state.serving?.table.records ?? [:]
            var transfer = Transfer(of: records, candidacy: nonce, limit: (2, .max))
            while let batch = transfer.nextBatch() {
                guard append(batch, from: index, epoch: status.epoch) else { break }
            }
        case .activate(let nonce, let count):
            append([.activate(candidacy: nonce, candidates: count)], from: index, epoch: status.epoch)
        case .beginAnew: beginLog(index, after: log.last, serverTime: log.time)
        }
    }
}
