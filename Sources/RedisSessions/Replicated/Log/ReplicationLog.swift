// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions
import Synchronization

/// The log as the rest of the store uses it, and the owner of the only lock.
///
/// Each event locks, lets `ReplicationState` decide, unlocks, and resumes the requests that no longer have to
/// wait. Nothing is awaited or resumed under the lock.
final class ReplicationLog: Sendable {
    private struct Guarded: Sendable {
        var state: ReplicationState
        var waiters = Waiters()
        var beforeApplying: (@Sendable () async throws -> Void)?
    }

    let redis: RedisClient
    let options: LogOptions
    let commands: LogCommands
    let codec: LogEntryCodec
    private let guarded: Mutex<Guarded>

    init(_ redis: RedisClient, schema: RedisSchema, crypto: RecordCrypto, options: LogOptions) {
        self.redis = redis
        self.options = options
        commands = LogCommands(key: schema.log, timeToLive: options.timeToLive)
        codec = LogEntryCodec(crypto, prefix: schema.prefix)
        guarded = Mutex(Guarded(state: ReplicationState(options)))
        redis.preload(LogCommands.scripts)
    }

    private func update<Value: Sendable>(_ body: (inout ReplicationState) -> Value) -> Value {
        guarded.withLock { body(&$0.state) }
    }

    private func wake(_ body: (inout Guarded) -> [Waiters.Wakeup]) {
        for wakeup in guarded.withLock({ body(&$0) }) { wakeup() }
    }

    // MARK: Reading

    /// Waits until the replica may answer a client that has seen `version`.
    ///
    /// No round trip if the end of the log was reached within `LogOptions.freshness`; otherwise one, and a wait
    /// until what it shows has been applied.
    ///
    /// - Parameters:
    ///   - version: the version in the client's token; 0 for none.
    ///   - isStrict: whether everything that is in the log now must have been applied.
    /// - Returns: whether sessions that are missing in the replica may exist.
    /// - Throws: `.storeUnavailable` when the replica is older than what the client has seen, or cannot be
    ///   brought up to date in time.
    func refresh(for version: Int, isStrict: Bool = false) async throws(SessionError) -> Freshness {
        let read = ReadRequest(version: version, isStrict: isStrict, received: .now)
        var action = update { $0.readRequested(read) }
        while true {
            switch action {
            case .answer(let freshness): return freshness
            case .askBounds(let applied):
                let reply = try? await redis.send(commands.bounds(), cancellation: .ignore)
                let bounds = reply.flatMap { LogBounds($0) }
                action = update { $0.boundsReceived(bounds, for: read, applied: applied, at: .now) }
            case .wait(let condition, let failure):
                let deadline = read.received + options.timeout
                guard await wait(for: condition, until: deadline), deadline > .now else {
                    throw failure.error
                }
                action = update { $0.readWaited(read, for: condition) }
            case .fail(let failure): throw failure.error
            }
        }
    }

    /// Returns a session, live or ended, and the time of the sessions.
    func lookUp(_ id: SessionID) -> (record: ReplicatedRecord?, now: SessionInstant) {
        update { ($0.serving?.table[id], $0.now(at: .now) ?? .now) }
    }

    func summaries(of user: [UInt8]) -> [SessionSummary] {
        update { state in
            guard let table = state.serving?.table, let now = state.now(at: .now) else { return [] }
            return table.liveSessions(of: user, at: now).compactMap { id in table[id]?.session.summary(id) }
        }
    }

    /// All sessions that requests see, the ended ones included.
    var records: [SessionID: ReplicatedRecord] {
        update { $0.serving?.table }?.records ?? [:]
    }

    var now: SessionInstant { update { $0.now(at: .now) ?? .now } }

    var statistics: ReplicatedSessionStatistics { update { $0.statistics } }

    /// Returns false if the condition was not met before the deadline.
    private func wait(for condition: WaitCondition, until deadline: ContinuousClock.Instant) async -> Bool {
        await withCheckedContinuation { continuation in
            wake { guarded in
                guard !guarded.state.isMet(condition) else {
                    return [{ continuation.resume(returning: true) }]
                }
                return guarded.waiters.wait(for: condition, until: deadline, now: .now) {
                    continuation.resume(returning: $0)
                }
            }
        }
    }

    // MARK: Writing

    /// Appends an entry and waits until it has been applied here.
    ///
    /// One round trip, and the way of the entry through the log reader. Cancellation does not interrupt it.
    ///
    /// - Parameter content: the entry.
    /// - Returns: its outcome and position.
    /// - Throws: `.storeUnavailable` when the log cannot be written, or when the entry did not come back in
    ///   time; in that case it may have been appended, but will not be from now on. `.storeFull` when Redis
    ///   has no memory for it.
    func append(_ content: LogEntry.Content) async throws(SessionError) -> AppendResult {
        let deadline = ContinuousClock.now + options.timeout
        // Repeated when the entry was certainly not applied, because the log was replaced or the clock of Redis
        // was set.
        while true {
            guard await wait(for: .writable, until: deadline), ContinuousClock.now < deadline else {
                throw LogFailure.notWritable.error
            }
            let nonce = UInt64.random(in: .min ... .max)
            update { $0.writes.announced(nonce) }
            defer { update { $0.writes.finished(nonce) } }
            do throws(RedisError) {
                let command = commands(for: [content], nonce: nonce, until: deadline)[0]
                let asked = ContinuousClock.now
                let reply = try await redis.send(command, cancellation: .ignore)
                if read(reply, asked: asked) != .appended { continue }
            } catch {
                if error.prefix == "OOM" {
                    throw SessionError(.storeFull, "Redis has no memory left.", underlying: error)
                }
                // With an unknown outcome the entry may be in the log; if it is, it comes back.
                guard error.outcome == .unknown else { throw .unavailable(error) }
            }
            _ = await wait(for: .outcome(of: nonce), until: deadline)
            switch update({ $0.writes.awaited(nonce) }) {
            case .answer(let result): return result
            case .writeAgain: continue
            case .fail(let failure): throw failure.error
            }
        }
    }

    /// Takes in the reply to an append; nil for one that is no such reply.
    private func read(_ reply: RedisReply, asked: ContinuousClock.Instant) -> AppendReply? {
        guard let (result, time) = LogCommands.appendReply(reply) else { return nil }
        update { $0.appendAnswered(result, time: time, asked: asked, at: .now) }
        return result
    }

    /// Appends entries without waiting until they come back.
    ///
    /// - Parameters:
    ///   - contents: the entries.
    ///   - epoch: the log they are for; nil for the one that the replica follows.
    ///   - nonce: the nonce of a single entry; nil for random ones.
    /// - Returns: false when it is not certain that all of them are in the log.
    @discardableResult
    func append(all contents: [LogEntry.Content], epoch: UInt64? = nil, nonce: UInt64? = nil) async -> Bool {
        guard !contents.isEmpty else { return true }
        let asked = ContinuousClock.now
        let commands = commands(for: contents, epoch: epoch, nonce: nonce, until: asked + options.timeout)
        guard let replies = try? await redis.send(commands, cancellation: .ignore) else { return false }
        return replies.reduce(true) { read($1, asked: asked) == .appended && $0 }
    }

    /// Whether the log can be written, as far as this instance knows.
    var isWritable: Bool { update { $0.isMet(.writable) } }

    /// Appends an entry in the background, if the log can be written; errors are ignored.
    func submit(_ content: LogEntry.Content) {
        guard isWritable else { return }
        redis.submit(commands(for: [content], until: .now + options.timeout)[0])
    }

    private func commands(
        for contents: [LogEntry.Content],
        epoch: UInt64? = nil,
        nonce: UInt64? = nil,
        until deadline: ContinuousClock.Instant
    ) -> [RedisCommand] {
        let target = update { $0.appendRequested(at: .now, until: deadline) }
        let entries = contents.map { content in
            codec.encode(
                LogEntry(
                    epoch: epoch ?? target.epoch,
                    nonce: nonce ?? .random(in: .min ... .max),
                    notAfter: target.notAfter,
                    content: content
                )
            )
        }
        update { $0.entriesEncoded(entries) }
        return zip(entries, contents).map { entry, content in
            commands.append(entry, to: target, isEssential: content.isEssential)
        }
    }

    /// Returns whether there is room for more sessions and bytes of attributes.
    func makeRoom(sessions: Int, bytes: Int) -> Bool {
        update { $0.makeRoom(sessions: sessions, bytes: bytes, at: .now) }
    }

    /// See `ReplicationState.takeVisitors`.
    func takeVisitors(sessions: Int, bytes: Int) -> [SessionID]? {
        update { $0.takeVisitors(sessions: sessions, bytes: bytes) }
    }

    // MARK: The log reader

    /// The position up to which the log has been read, and the first bytes of the entry there.
    var applied: (LogPosition, tag: [UInt8]) { update { ($0.applied, $0.appliedTag) } }

    func started() { guarded.withLock { $0.waiters.started() } }

    func stopped() {
        wake { guarded in
            guarded.state.readerStopped()
            return guarded.waiters.stopped()
        }
    }

    func pageRead(_ page: LogPage) -> ReaderAction {
        var action = ReaderAction.readOn
        wake { guarded in
            action = guarded.state.pageRead(page)
            return guarded.waiters.conditionsChanged(guarded.state.isMet)
        }
        return action
    }

    func readRefused() { update { $0.readRefused() } }

    /// Begins a new log, unless another instance was faster.
    ///
    /// - Parameters:
    ///   - last: the last entry of the log as it was.
    ///   - serverTime: the time at the server in milliseconds.
    /// - Throws: the error of Redis.
    func begin(after last: LogPosition?, serverTime: Int64) async throws(RedisError) {
        let random = UInt64.random(in: .min ... .max)
        let log = update { $0.newLog(after: last, serverTime: serverTime, random: random) }
        let origin = LogEntry(epoch: log.epoch, nonce: log.epoch, notAfter: log.notAfter, content: .origin)
        let command = commands.begin(after: last, notBefore: log.notBefore, origin: codec.encode(origin))
        if try await redis.send(command).integer == 1 { update { $0.logBegun(log.epoch) } }
    }

    /// Begins a new log behind the one that is there; tried again later if that fails.
    func beginAnew() async {
        guard let reply = try? await redis.send(commands.bounds(), cancellation: .ignore),
            let bounds = LogBounds(reply)
        else { return }
        try? await begin(after: bounds.last, serverTime: bounds.time / 1000)
    }

    /// Runs before each page is applied, for tests that delay entries; a page for which it throws is read again.
    var beforeApplying: (@Sendable () async throws -> Void)? {
        get { guarded.withLock { $0.beforeApplying } }
        set { guarded.withLock { $0.beforeApplying = newValue } }
    }

    // MARK: Maintenance

    /// Fails the requests whose deadlines have passed.
    func timePassed() { wake { $0.waiters.timePassed(.now) } }

    /// What `RecoveryPlan` needs to know; nil while no log is being recovered.
    var recoveryStatus: RecoveryStatus? { update { $0.recoveryStatus } }

    func maintenanceDue(_ rule: RefreshRule, limit: Int, bytes: Int) -> [LogEntry.Content] {
        update { $0.maintenanceDue(rule, limit: limit, bytes: bytes, at: .now) }
    }

    func trimDue(always: Bool) -> LogPosition? { update { $0.trimDue(always: always) } }

    func refreshFailed() { update { $0.refreshFailed() } }

    func sweep() { update { $0.sweep() } }
}
