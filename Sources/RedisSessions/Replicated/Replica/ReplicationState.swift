// SPDX-License-Identifier: Apache-2.0

import Sessions

/// What one instance knows of the log, and the decisions of reads, writes, the log reader and maintenance.
///
/// Reads no clock, draws no random numbers, does no I/O and holds no continuations: all of these are passed
/// in, or are named by the returned actions. `ReplicationLog` keeps it behind a lock and carries them out.
struct ReplicationState: Sendable {
    typealias Instant = ContinuousClock.Instant

    private let options: LogOptions
    /// The replica that applies the log.
    private var current: Replica
    /// The last live replica, which answers reads while `current` is not live.
    private var retained: Replica?
    /// Whether the log is missing or being recovered; if so, nothing can be written.
    private var isLost = false
    /// The latest instant at which everything then in the log is known to have been applied.
    private var confirmed: Instant?
    /// When Redis last failed to answer a read.
    private var lastFailure: Instant?
    /// The log that this instance began itself.
    private var createdEpoch: UInt64?
    /// The nonces of the entries that this instance is appending, and the results of those applied.
    private var writes: Set<UInt64> = []
    private var results: [UInt64: AppendResult] = [:]
    private var clock = ServerClock()
    private var counters = ReplicatedSessionStatistics()

    /// Reads fail fast for this long after Redis did not answer one.
    private static let failureMemory = Duration.milliseconds(500)

    init(_ options: LogOptions) {
        self.options = options
        current = Replica(time: options.time)
    }

    /// The replica that requests see; nil before the log was read for the first time.
    var serving: Replica? { current.isLive ? current : retained }

    /// The position up to which the log has been read.
    var applied: LogPosition { current.applied }

    var statistics: ReplicatedSessionStatistics {
        var statistics = counters
        statistics.sessions = serving?.table.count ?? 0
        statistics.bytes = serving?.table.bytes ?? 0
        statistics.position = (serving?.applied ?? .start).description
        return statistics
    }

    /// The time of the sessions; nil before Redis has told its own.
    func now(at instant: Instant) -> SessionInstant? {
        let estimate = clock.now(at: instant).map(options.time)
        guard let serving else { return estimate }
        return max(serving.now, estimate ?? serving.now)
    }

    func isMet(_ condition: WaitCondition) -> Bool {
        switch condition {
        case .writable: current.isLive && !isLost
        case .applied(let position): current.isLive && current.applied >= position
        case .outcome(let nonce): result(of: nonce) != nil
        }
    }

    private var isWritable: Bool { isMet(.writable) }

    // MARK: Reads

    /// Decides how to serve a read: from the replica as it is, if that was up to date a moment ago.
    func readRequested(_ read: ReadRequest) -> ReadAction {
        guard let serving else { return .wait(for: .writable, orFail: .notRead) }
        let hasVersion = serving.applied.version >= read.version
        let isConfirmed = confirmed.map { read.received - $0 < options.freshness } ?? false
        if isConfirmed, isWritable, hasVersion, !read.isStrict { return .answer(.fresh) }
        if let lastFailure, read.received - lastFailure < Self.failureMemory {
            return hasVersion ? .answer(.cutOff) : .fail(.behindClient)
        }
        return .askBounds(applied: serving.applied)
    }

    /// Decides how to serve a read after Redis was asked where the log ends; never `.askBounds`.
    ///
    /// `bounds` is nil when Redis did not answer. `applied` is the position of the replica before the question;
    /// the log reader may be ahead by now.
    mutating func boundsReceived(
        _ bounds: LogBounds?,
        for read: ReadRequest,
        applied: LogPosition,
        at now: Instant
    ) -> ReadAction {
        let hasVersion = serving.map { $0.applied.version >= read.version } ?? false
        lastFailure = bounds == nil ? now : nil
        guard let bounds else { return hasVersion ? .answer(.cutOff) : .fail(.behindClient) }
        guard let last = bounds.last, last >= applied, !isLost, current.recovery == nil else {
            return hasVersion ? .answer(.cutOff) : .wait(for: .writable, orFail: .notWritable)
        }
        return .wait(for: .applied(last), orFail: .lagging)
    }

    /// Records that the replica contains everything that was in the log when the read was received.
    mutating func readCaughtUp(_ read: ReadRequest) { if isWritable { confirm(read.received) } }

    private mutating func confirm(_ instant: Instant) { confirmed = max(confirmed ?? instant, instant) }

    // MARK: Writes

    /// Returns the epoch for entries that are about to be appended, and the position before which Redis may
    /// trim the log; nil while the log cannot be written.
    mutating func appendRequested() -> (epoch: UInt64, trimBound: LogPosition?) {
        let epoch = serving?.epoch ?? 0
        guard isWritable else { return (epoch, nil) }
        let now = current.now
        // Sessions that new replicas need stay, with a margin for instances that lag.
        let needed = current.table.oldestNeeded(at: now)?.earlier(by: options.retention / 10)
        let expired = current.applied.earlier(by: options.retention)
        return (epoch, min(expired, needed ?? expired))
    }

    mutating func entriesEncoded(_ entries: [[UInt8]]) {
        counters.appended += entries.count
        for entry in entries { counters.bytesAppended += entry.count }
    }

    /// Keeps the result of an entry once it is applied, until `writeFinished`.
    mutating func writeAnnounced(_ nonce: UInt64) { writes.insert(nonce) }

    mutating func writeFinished(_ nonce: UInt64) {
        writes.remove(nonce)
        results[nonce] = nil
    }

    /// Returns the result of an announced entry; nil if it has not been applied.
    func result(of nonce: UInt64) -> AppendResult? { results[nonce] }

    /// Records that an append found no log.
    mutating func logMissed() {
        isLost = true
        confirmed = nil
    }

    /// Returns whether more sessions and bytes of attributes fit, if need be after a sweep.
    mutating func makeRoom(sessions: Int, bytes: Int) -> Bool {
        if !hasRoom(sessions: sessions, bytes: bytes) { sweep() }
        return hasRoom(sessions: sessions, bytes: bytes)
    }

    private func hasRoom(sessions: Int, bytes: Int) -> Bool {
        guard let table = serving?.table else { return true }
        return table.count + sessions <= options.maximumSessions
            && table.bytes + bytes <= options.maximumBytes
    }

    // MARK: The log reader

    /// Applies a page, if it continues the log that was read before, and decides what the reader does next.
    mutating func pageRead(_ page: LogPage) -> ReaderAction {
        clock.observed(page.bounds.time, at: page.received)
        // The entry read last is missing when the log is gone, when it was trimmed while this instance was cut
        // off, and when Redis came back with less than it had and the log went on from there.
        guard page.after == .start || page.bounds.isFound else {
            restart(isLost: page.bounds.last.map { $0 < page.after } ?? true)
            return .readOn
        }
        guard let last = page.bounds.last else { return .beginLog(after: nil) }
        for (position, entry) in page.entries where !apply(entry, at: position) { return .readOn }
        guard current.applied >= last else { return .readOn }
        guard current.epoch != nil else { return .beginLog(after: last) }
        current.reachedEnd()
        if current.isLive {
            retained = nil
            isLost = false
            confirm(page.asked)
        }
        return .awaitEntries
    }

    /// Applies an entry, nil for an unreadable one; returns false when the log must be read from its beginning.
    private mutating func apply(_ entry: LogEntry?, at position: LogPosition) -> Bool {
        guard let entry else {
            counters.refused += 1
            current.skip(position)
            return true
        }
        let wasLive = current.isLive
        var outcome = current.apply(entry, at: position)
        if case .replaced = outcome {
            restart(isLost: true)
            guard case .origin = entry.content else { return false }
            outcome = current.apply(entry, at: position)
        }
        counters.applied += 1
        if writes.contains(entry.nonce) {
            results[entry.nonce] = AppendResult(outcome: outcome, position: position)
        }
        if !wasLive, current.isLive {
            counters.recoveries += 1
            retained = nil
        }
        return true
    }

    /// Begins a new replica; requests see the last live one until the new one is live.
    private mutating func restart(isLost: Bool) {
        counters.replays += 1
        if current.isLive { retained = current }
        current = Replica(time: options.time)
        self.isLost = isLost
        confirmed = nil
    }

    mutating func readRefused() { counters.refused += 1 }

    mutating func readerStopped() { confirmed = nil }

    // MARK: Maintenance

    /// Returns the epoch of a new log, higher than all before and partly random, and the milliseconds that its
    /// first position must exceed.
    func newLog(serverTime: Int64, random: UInt64) -> (epoch: UInt64, notBefore: UInt64) {
        let epoch = UInt64(max(serverTime, 0) / 1000) << 20 | random & (1 << 20 - 1)
        return (max((serving?.epoch ?? 0) + 1, epoch), serving?.applied.milliseconds ?? 0)
    }

    mutating func logBegun(_ epoch: UInt64) { createdEpoch = epoch }

    /// What `RecoveryPlan` needs to know; nil while no log is being recovered.
    var recoveryStatus: RecoveryStatus? {
        guard let recovery = current.recovery, let epoch = current.epoch else { return nil }
        return RecoveryStatus(
            epoch: epoch,
            isCreator: createdEpoch == epoch,
            rank: retained?.applied,
            candidates: recovery.candidates,
            progress: recovery.progress
        )
    }

    /// Removes expired sessions; changes no outcome.
    mutating func sweep() {
        if current.isLive { current.sweep() } else { retained?.sweep() }
    }

    /// Returns the entries that keep the log usable: a heartbeat if it is idle, otherwise snapshots of the
    /// sessions whose last full entry is older than `age`.
    mutating func maintenanceDue(age: Duration, limit: Int, at instant: Instant) -> [LogEntry.Content] {
        guard isWritable, let serverTime = clock.now(at: instant) else { return [] }
        let (applied, now) = (current.applied, current.now)
        // Ages are judged by the log's time, which only entries advance.
        guard serverTime - applied.instant < options.idleInterval else { return [.heartbeat] }
        return current.table.takeDueForRefresh(before: applied.earlier(by: age), at: now, limit: limit)
            .map { .snapshot($0.id, asOf: applied, $0.record) }
    }

    /// Makes sessions due again whose snapshots may not have reached the log.
    mutating func refreshFailed() { if current.isLive { current.table.retryRefresh() } }
}
