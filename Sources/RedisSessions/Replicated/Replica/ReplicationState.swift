// SPDX-License-Identifier: Apache-2.0

import Sessions

/// What one instance knows of the log, and the decisions of reads, writes, the log reader and maintenance.
///
/// Reads no clock, draws no random numbers, does no I/O and holds no continuations: all of these are passed
/// in, or are named by the returned actions. `ReplicationLog` keeps it behind a lock and carries them out.
struct ReplicationState: Sendable {
    typealias Instant = ContinuousClock.Instant

    let options: LogOptions
    /// The replica that applies the log.
    private(set) var current: Replica
    /// The last live replica, which answers reads while `current` is not live.
    private var retained: Replica?
    /// The latest log that was lost; what Redis still has of it, or has instead, is not followed.
    private var lostEpoch: UInt64 = 0
    /// The last entry of a log that did not begin where it should; see `passOver`.
    private var strayPosition = LogPosition.start
    /// Whether an append found no log; nothing can be written until the log has been read again.
    private var isMissed = false
    /// The first bytes of the entry at `applied`.
    private(set) var appliedTag: [UInt8] = []
    private var logSize = LogSize()
    /// The latest instant at which everything then in the log is known to have been applied.
    private var confirmed: Instant?
    /// The same, kept when the log is lost.
    private var lastConfirmed: Instant?
    private var lastSweep: Instant?
    /// When Redis last failed to answer a read.
    private var lastFailure: Instant?
    /// The log that this instance began itself.
    private var createdEpoch: UInt64?
    /// The entries that this instance is appending.
    var writes = AnnouncedWrites()
    private var clock = ServerClock()
    private var counters = ReplicatedSessionStatistics()

    /// Reads fail fast for this long after Redis did not answer one.
    private static let failureMemory = Duration.milliseconds(500)

    init(_ options: LogOptions) {
        self.options = options
        current = Replica(time: options.time)
    }

    /// The replica that requests see; nil before the log was read for the first time.
    var serving: Replica? { isFollowing ? current : retained }

    /// Whether the log that requests see is missing, or was replaced by an older one or a new one.
    private var isLost: Bool { isMissed || lostEpoch > 0 && serving?.epoch ?? 0 <= lostEpoch }

    /// Whether `current` is live, in a log that was not lost.
    private var isFollowing: Bool { current.isLive && current.epoch ?? 0 > lostEpoch }

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
    ///
    /// No applied entry is later, because the page that contained it told the time, too.
    func now(at instant: Instant) -> SessionInstant? { clock.now(at: instant).map(options.time) }

    mutating func timeObserved(_ microseconds: Int64, asked: Instant, at instant: Instant) {
        clock.observed(microseconds, asked: asked, at: instant)
    }

    func isMet(_ condition: WaitCondition) -> Bool {
        switch condition {
        case .writable: isFollowing && !isMissed
        case .applied(let position): isFollowing && current.applied >= position
        case .outcome(let nonce): writes.result(of: nonce) != nil
        }
    }

    private var isWritable: Bool { isMet(.writable) }

    // MARK: Reads

    /// Decides how to serve a read: from the replica as it is, if that was up to date a moment ago.
    func readRequested(_ read: ReadRequest) -> ReadAction {
        guard let serving else {
            return .wait(for: .writable, orFail: current.recovery == nil ? .notRead : .noSessions)
        }
        let hasVersion = serving.applied.version >= read.version
        let isConfirmed = confirmed.map { read.received - $0 < options.freshness } ?? false
        if isConfirmed, isWritable, hasVersion, !read.isStrict { return .answer(.fresh) }
        if let lastFailure, read.received - lastFailure < Self.failureMemory {
            return answerAlone(hasVersion: hasVersion, at: read.received)
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
        guard let bounds else { return answerAlone(hasVersion: hasVersion, at: now) }
        guard let last = bounds.last, last >= applied, !isLost, current.recovery == nil else {
            if hasVersion { return answerAlone(hasVersion: true, at: now) }
            // Until the log reader has noticed, too, the log does not count as one that can be written.
            if bounds.last ?? .start < applied { logMissed() }
            return .wait(for: .writable, orFail: .notWritable)
        }
        return .wait(for: .applied(last), orFail: .lagging)
    }

    /// Answers without Redis or without the log, unless the client has seen more or this lasts too long.
    private func answerAlone(hasVersion: Bool, at now: Instant) -> ReadAction {
        guard hasVersion else { return .fail(.behindClient) }
        guard let lastConfirmed, now - lastConfirmed < options.servesAlone else {
            return .fail(.cutOffTooLong)
        }
        return .answer(.cutOff)
    }

    /// Records that the replica contains everything that was in the log when the read was received.
    mutating func readCaughtUp(_ read: ReadRequest) { if isWritable { confirm(read.received) } }

    /// Decides how to serve a read whose wait is over.
    ///
    /// A log that can be written may not have been read to its end, and the client may have seen more than is read.
    mutating func readWaited(_ read: ReadRequest, for condition: WaitCondition) -> ReadAction {
        guard case .applied = condition else { return readRequested(read) }
        readCaughtUp(read)
        return .answer(.fresh)
    }

    private mutating func confirm(_ instant: Instant) {
        confirmed = max(confirmed ?? instant, instant)
        lastConfirmed = max(lastConfirmed ?? instant, instant)
    }

    // MARK: Writes

    /// Returns what entries depend on that are about to be appended, whose writers wait until `deadline`.
    mutating func appendRequested(at now: Instant, until deadline: Instant) -> AppendTarget {
        AppendTarget(
            epoch: serving?.epoch ?? 0,
            applied: current.applied,
            notAfter: lastPosition(for: deadline - now, at: now),
            trimBound: isWritable ? trimBound() : .start
        )
    }

    /// The milliseconds of the position that an entry would get `patience` after `now`, or less.
    private func lastPosition(for patience: Duration, at now: Instant) -> UInt64 {
        let elapsed = clock.now(at: now).map { $0 - current.accepted.time } ?? .zero
        let ahead = UInt64(clamping: (max(elapsed, .zero)).wholeMilliseconds)
        let position = max(current.applied.milliseconds, current.accepted.position.milliseconds + ahead)
        return position + UInt64(clamping: patience.wholeMilliseconds)
    }

    /// The position before which Redis may trim the log: to the retention, and further if it is large.
    ///
    /// Sessions that new replicas need stay. So does what could be appended once more, unless the log grows too fast for
    /// it: a new replica would not know its nonce, and take a copy of it for another entry.
    private mutating func trimBound() -> LogPosition {
        let needed = current.table.oldestNeeded(at: current.now)
        let expired = current.applied.earlier(by: options.retention)
        // With a margin for instances that lag; in a large log its newer half is one.
        var bound = min(expired, needed?.earlier(by: options.retention / 10) ?? expired)
        if let half = logSize.start(ofLast: compactionSize / 2) {
            let repeatable = current.applied.earlier(by: options.timeout)
            let isTooLarge = logSize.bytes > compactionSize + compactionSize / 2
            bound = max(bound, min(half, needed ?? half, isTooLarge ? half : repeatable))
        }
        logSize.trimmed(before: bound)
        return bound
    }

    /// Returns the position before which the log must be trimmed now: always, or if it is too large.
    mutating func trimDue(always: Bool) -> LogPosition? {
        guard isWritable, always || logSize.bytes > compactionSize / 2 else { return nil }
        return trimBound()
    }

    private var compactionSize: Int { options.compactionSize(sessionBytes: serving?.table.encodedBytes ?? 0) }

    mutating func entriesEncoded(_ entries: [[UInt8]]) {
        counters.appended += entries.count
        for entry in entries { counters.bytesAppended += entry.count }
    }

    /// Takes in the reply to an append, and the server's time in it, in microseconds.
    mutating func appendAnswered(_ reply: AppendReply, time: Int64?, asked: Instant, at now: Instant) {
        if let time { timeObserved(time, asked: asked, at: now) }
        if reply == .missing { logMissed() }
    }

    /// Records that an append found no log.
    mutating func logMissed() {
        isMissed = true
        confirmed = nil
    }

    /// Returns whether more sessions and bytes of attributes fit, if need be after a sweep.
    ///
    /// Sweeps at most once a second. The log is full at twice the size at which it is compacted, because that
    /// cannot keep up.
    mutating func makeRoom(sessions: Int, bytes: Int, at now: Instant) -> Bool {
        guard logSize.bytes <= compactionSize * 2 else { return false }
        if !hasRoom(sessions: sessions, bytes: bytes), lastSweep.map({ now - $0 >= .seconds(1) }) ?? true {
            lastSweep = now
            sweep()
        }
        return hasRoom(sessions: sessions, bytes: bytes)
    }

    /// Returns sessions of visitors to end so that there is room for a user; nil when that does not help.
    ///
    /// What was ended stays as a tombstone for minutes, so only living sessions count here, and twice the bound is the
    /// end.
    mutating func takeVisitors(sessions: Int, bytes: Int) -> [SessionID]? {
        guard isFollowing, logSize.bytes <= compactionSize * 2,
            current.table.count + sessions <= 2 * options.maximumSessions
        else { return nil }
        let table = current.table
        return current.takeVisitors(
            table.count - table.endedCount + sessions - options.maximumSessions,
            bytes: table.bytes + bytes - options.maximumBytes
        )
    }

    private func hasRoom(sessions: Int, bytes: Int) -> Bool {
        guard let table = serving?.table else { return true }
        return table.count + sessions <= options.maximumSessions
            && table.bytes + bytes <= options.maximumBytes
    }

    // MARK: The log reader

    /// Applies a page, if it continues the log that was read before, and decides what the reader does next.
    mutating func pageRead(_ page: LogPage) -> ReaderAction {
        clock.observed(page.bounds.time, asked: page.asked, at: page.received)
        // The entry read last is missing when it was trimmed while this instance was cut off, when the log is
        // gone, and when Redis came back with an older log, which may have grown since.
        guard page.after == .start || page.bounds.isFound else {
            restart(isLost: page.bounds.first.map { $0 <= page.after } ?? true)
            return .readOn
        }
        guard let last = page.bounds.last else { return .beginLog(after: nil) }
        for item in page.entries where !apply(item) { return .readOn }
        guard current.applied >= last else { return .readOn }
        // An older log lacks what was acknowledged; a new one begins behind it, for the sessions of the instance
        // that is furthest.
        guard let epoch = current.epoch, epoch > lostEpoch else { return .beginLog(after: last) }
        current.reachedEnd()
        if isFollowing {
            retained = nil
            isMissed = false
            confirm(page.asked)
        }
        return .awaitEntries
    }

    /// Applies an entry; returns false when the log must be read from its beginning.
    private mutating func apply(_ item: LogPage.Item) -> Bool {
        let position = item.moment.position
        if position > current.applied {
            appliedTag = item.tag
            logSize.read(item.size, at: position)
        }
        guard let entry = item.entry else {
            counters.refused += 1
            current.skip(position)
            return true
        }
        let wasFollowing = isFollowing
        var outcome = current.apply(entry, at: item.moment)
        if case .replaced = outcome {
            guard case .origin = entry.content else { return passOver(position) }
            restart(isLost: true)
            appliedTag = item.tag
            logSize.read(item.size, at: position)
            outcome = current.apply(entry, at: item.moment)
        }
        counters.applied += 1
        writes.applied(
            entry.nonce,
            AppendResult(outcome: outcome, position: position, time: current.now)
        )
        if !wasFollowing, isFollowing {
            counters.recoveries += 1
            retained = nil
            isMissed = false
        }
        return true
    }

    /// Reads the log from its beginning because of an entry of a newer log, and passes over it then.
    ///
    /// If the entry stands behind the activation of an older log all the same, the newer log did not begin here:
    /// Redis came back with an older log while one was recovered.
    private mutating func passOver(_ position: LogPosition) -> Bool {
        if position <= strayPosition {
            counters.refused += 1
            current.skip(position)
            return true
        }
        strayPosition = position
        restart(isLost: true)
        return false
    }

    /// Begins a new replica; requests see the last live one until the new one is live.
    private mutating func restart(isLost: Bool) {
        counters.replays += 1
        if isFollowing { retained = current }
        if isLost { lostEpoch = max(lostEpoch, retained?.epoch ?? 0) }
        current = Replica(time: options.time)
        appliedTag = []
        logSize = LogSize()
        confirmed = nil
    }

    mutating func readRefused() { counters.refused += 1 }

    mutating func readerStopped() { confirmed = nil }

    // MARK: Maintenance

    mutating func logBegun(_ epoch: UInt64) { createdEpoch = epoch }

    /// What `RecoveryPlan` needs to know; nil while no log is being recovered.
    var recoveryStatus: RecoveryStatus? {
        guard let recovery = current.recovery, let epoch = current.epoch else { return nil }
        return RecoveryStatus(
            epoch: epoch,
            isCreator: createdEpoch == epoch,
            rank: retained?.rank,
            candidates: recovery.candidates,
            progress: recovery.progress
        )
    }

    /// Removes expired sessions; changes no outcome.
    mutating func sweep() {
        if isFollowing { current.sweep() } else { retained?.sweep() }
    }

    /// Returns the entries that keep the log usable: a heartbeat if it is idle, or the clock of Redis was set
    /// back; otherwise snapshots of the sessions whose last full entry is too old, or in the older half of a
    /// log that is too large.
    mutating func maintenanceDue(
        _ rule: RefreshRule,
        limit: Int,
        bytes: Int = .max,
        at instant: Instant
    ) -> [LogEntry.Content] {
        guard isWritable, let serverTime = clock.now(at: instant) else { return [] }
        let (applied, now) = (current.applied, current.now)
        // Ages are judged by the log's own time, which only entries advance.
        let idle = serverTime - current.accepted.time
        guard (.seconds(-1)..<options.idleInterval).contains(idle) else { return [.heartbeat] }
        var bound = applied.earlier(by: rule.age)
        if Double(logSize.bytes) > Double(compactionSize) * rule.fillLevel,
            let half = logSize.start(ofLast: compactionSize / 2)
        {
            bound = max(bound, half)
        }
        return current.table.takeDueForRefresh(before: bound, at: now, limit: limit, bytes: bytes)
            .map { .snapshot($0.id, asOf: applied, $0.record) }
    }

    /// Makes sessions due again whose snapshots may not have reached the log.
    mutating func refreshFailed() { if isFollowing { current.table.retryRefresh() } }
}
