// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions
import Synchronization

/// The log as requests see it: append and wait for the outcome, or make sure that the copies are fresh
/// enough.
final class ReplicatedLog: Sendable {
    /// Times and sizes; other than the defaults only in tests.
    struct Options: Sendable {
        /// How far back the log reaches.
        var retention = Duration.seconds(3600)
        /// How long one read waits for news.
        var blocking = Duration.milliseconds(300)
        /// How old the last proof of being up to date may be for a read to need no other.
        var fresh = Duration.milliseconds(900)
        /// How long a request waits for the log.
        var patience = Duration.seconds(2)
        /// See `SeedingPlan`.
        var quiet = Duration.milliseconds(500)
        /// Entries of one read.
        var page = 256
        /// What the sessions take the clock of Redis for.
        var time: @Sendable (SessionInstant) -> SessionInstant = { $0 }

        /// How long the log stays when nobody appends: it outlives a stop of all instances.
        var timeToLive: Duration { retention + .seconds(86_400) }
    }

    /// Where the log begins and ends.
    struct Extent: Sendable {
        let first: LogPosition?
        let last: LogPosition?
        /// Microseconds since 1970 at the server.
        let time: Int64
        /// Whether the entry that was asked for is there.
        let isFound: Bool

        init?(_ reply: RedisReply) {
            guard reply.count == 4, let first = reply[0].string, let last = reply[1].string,
                let time = reply[2].string.flatMap(Int64.init)
            else { return nil }
            self.first = LogPosition(first)
            self.last = LogPosition(last)
            self.time = time
            isFound = reply[3].integer == 1
        }
    }

    /// How much an answer from the copies is worth.
    enum Freshness: Sendable {
        /// Everything that was acknowledged anywhere a second ago is in them.
        case fresh
        /// Redis or the log can not be asked: they are all there is, and what is not in them may exist all
        /// the same.
        case cutOff
    }

    private static let stateScript = RedisScript(PackageResources.log_state_lua)
    private static let originScript = RedisScript(PackageResources.log_origin_lua)
    static let scripts = [stateScript, originScript]

    let redis: RedisClient
    let key: String
    let options: Options
    let codec: LogCodec
    let state: Mutex<LogState>
    private let hook = Mutex<(@Sendable () async throws -> Void)?>(nil)

    init(_ redis: RedisClient, schema: RedisSchema, crypto: RecordCrypto, options: Options) {
        self.redis = redis
        self.options = options
        key = schema.log
        codec = LogCodec(crypto, prefix: schema.prefix)
        state = Mutex(LogState(time: options.time))
        redis.preload(Self.scripts)
    }

    /// Called before each batch of entries is applied; for tests that delay the news.
    ///
    /// A batch for which it throws is read again.
    var beforeApplying: (@Sendable () async throws -> Void)? {
        get { hook.withLock { $0 } }
        set { hook.withLock { $0 = newValue } }
    }

    // MARK: Writing

    /// Appends an entry and waits until it has been applied here.
    ///
    /// Not interrupted by cancellation. Throws `.storeUnavailable` when the log can not be written, or when
    /// the entry did not come back in time: what became of it is unknown then.
    func append(_ content: LogEntry.Content) async throws(SessionError) -> LogState.Answer {
        let end = ContinuousClock.now + options.patience
        // Again when the entry was certainly not applied, because the log was replaced under it.
        while true {
            guard await wait(for: .live, until: end) else { throw Self.notWritable }
            let nonce = UInt64.random(in: .min ... .max)
            let command = state.withLock { state in
                state.announced(nonce)
                return xadd(content, nonce: nonce, &state)
            }
            do throws(RedisError) {
                guard try await !redis.send(command, cancellation: .ignore).isNull else {
                    state.withLock { state in
                        state.withdrawn(nonce)
                        state.lost()
                    }
                    continue
                }
            } catch {
                guard error.outcome == .unknown else {
                    state.withLock { $0.withdrawn(nonce) }
                    throw RedisSessionStore.unavailable(error)
                }
                // It may be in the log; then it comes back.
            }
            let answer: LogState.Answer? = await withCheckedContinuation { continuation in
                if let answer = state.withLock({ $0.awaits(nonce, continuation, until: end) }) {
                    continuation.resume(returning: answer)
                }
            }
            guard let answer else {
                throw SessionError(
                    .storeUnavailable,
                    "The change did not come back from the log in time; what became of it is unknown."
                )
            }
            guard case .refused = answer.outcome else { return answer }
        }
    }

    /// Appends entries without waiting until they come back.
    ///
    /// False when it is not certain that all of them are in the log.
    @discardableResult
    func append(all contents: [LogEntry.Content], epoch: UInt64? = nil) async -> Bool {
        let commands = contents.map { content in
            state.withLock { xadd(content, nonce: UInt64.random(in: .min ... .max), epoch: epoch, &$0) }
        }
        return await send(commands)
    }

    /// Sends commands that append; false when not all of them certainly did.
    func send(_ commands: [RedisCommand]) async -> Bool {
        guard !commands.isEmpty else { return true }
        guard let replies = try? await redis.send(commands, cancellation: .ignore) else { return false }
        return replies.allSatisfy { $0.error == nil && !$0.isNull }
    }

    /// Appends an entry; nobody learns whether it worked.
    func submit(_ content: LogEntry.Content) {
        let command = state.withLock { state -> RedisCommand? in
            state.isLive ? xadd(content, nonce: UInt64.random(in: .min ... .max), &state) : nil
        }
        if let command { redis.submit(command) }
    }

    /// `XADD`, which also takes off what is older than the log must be.
    func xadd(_ content: LogEntry.Content, nonce: UInt64, epoch: UInt64? = nil, _ state: inout LogState)
        -> RedisCommand
    {
        let bytes = codec.encode(
            LogEntry(epoch: epoch ?? state.serving?.epoch ?? 0, nonce: nonce, content: content)
        )
        state.statistics.appended += 1
        state.statistics.bytesAppended += bytes.count
        var command = RedisCommand("XADD", key, "NOMKSTREAM")
        if state.isLive {
            let retention = UInt64(options.retention.wholeMilliseconds)
            let applied = state.applied.milliseconds
            let oldest = state.tend { $0.oldest(at: $1) } ?? nil
            // Nothing goes that somebody who joins would need, with a margin for instances that are behind.
            let needed = oldest.map { $0.milliseconds - min($0.milliseconds, retention / 10) } ?? applied
            command.append("MINID")
            command.append("~")
            command.append("\(min(applied - min(applied, retention), needed))-0")
        }
        command.append("*")
        command.append("e")
        command.append(bytes)
        return command
    }

    /// Begins a new log, unless somebody was faster.
    func begin(after last: LogPosition?, serverTime: Int64) async throws(RedisError) {
        let (epoch, floor) = state.withLock { state in
            let serving = state.serving
            let random = UInt64(max(serverTime, 0) / 1000) << 20 | UInt64.random(in: 0..<(1 << 20))
            return (max((serving?.epoch ?? 0) + 1, random), serving?.applied.milliseconds ?? 0)
        }
        var command = RedisCommand(script: Self.originScript, keys: [key])
        command.append(last?.description ?? "")
        command.append("\(floor)")
        command.append(codec.encode(LogEntry(epoch: epoch, nonce: epoch, content: .origin)))
        command.append("\(options.timeToLive.wholeMilliseconds)")
        if try await redis.send(command).integer == 1 { state.withLock { $0.created = epoch } }
    }

    /// - Parameter position: an entry to look for; `.start` for none.
    func extentCommand(_ position: LogPosition = .start) -> RedisCommand {
        var command = RedisCommand(script: Self.stateScript, keys: [key], readOnly: true)
        command.append(position == .start ? "" : position.description)
        return command
    }

    // MARK: Reading

    /// Makes sure that the copies are worth an answer to somebody who has seen `version`.
    ///
    /// No round trip when the reader was at the end of the log lately; otherwise one, and a wait for what it
    /// shows.
    ///
    /// - Parameter isStrict: everything that is in the log now must be in the copies.
    /// - Throws: `.storeUnavailable` when the copies are older than what the client has seen, or can not be
    ///   brought up to date.
    func refresh(for version: Int, isStrict: Bool = false) async throws(SessionError) -> Freshness {
        let asked = ContinuousClock.now
        let end = asked + options.patience
        let (isFresh, isReady, hasFailed, applied) = state.withLock { state in
            let isFresh = state.isLive && state.confirmed.map { asked - $0 < options.fresh } ?? false
            let hasSeen = version <= state.serving?.applied.version ?? -1
            let hasFailed = state.failed.map { asked - $0 < .milliseconds(500) } ?? false
            return (
                isFresh && hasSeen && !isStrict, state.serving != nil, hasFailed,
                state.serving?.applied ?? .start
            )
        }
        if isFresh { return .fresh }
        guard isReady else {
            guard await wait(for: .live, until: end) else { throw Self.notReady }
            return .fresh
        }
        guard !hasFailed, let extent = await extent() else { return try cutOff(for: version) }
        let (target, isLost) = state.withLock { state -> (LogPosition?, Bool) in
            let isLost = state.isLost || state.building?.seeding != nil
            // Compared with what had been applied before the question: meanwhile the reader may have come
            // further.
            return (extent.last, isLost || extent.last ?? .start < applied)
        }
        guard let target, !isLost else {
            if let freshness = try? cutOff(for: version) { return freshness }
            guard await wait(for: .live, until: end) else { throw Self.notWritable }
            return .fresh
        }
        guard await wait(for: .position(target), until: end) else {
            throw SessionError(
                .storeUnavailable,
                "This instance is behind the log and could not catch up in time."
            )
        }
        state.withLock { if $0.isLive { $0.confirm(asked) } }
        return .fresh
    }

    private func cutOff(for version: Int) throws(SessionError) -> Freshness {
        let applied = state.withLock { $0.serving?.applied.version }
        guard let applied, version <= applied else {
            throw SessionError(
                .storeUnavailable,
                "Redis does not answer, and the client has seen what this instance has not."
            )
        }
        return .cutOff
    }

    /// Where the log begins and ends; nil when Redis does not tell.
    private func extent() async -> Extent? {
        do {
            let extent = Extent(try await redis.send(extentCommand(), cancellation: .ignore))
            state.withLock { $0.failed = nil }
            return extent
        } catch {
            state.withLock { $0.failed = .now }
            return nil
        }
    }

    /// False when it is not so in time.
    private func wait(for need: LogState.Need, until end: ContinuousClock.Instant) async -> Bool {
        await withCheckedContinuation { continuation in
            if let answer = state.withLock({ $0.awaits(need, continuation, until: end) }) {
                continuation.resume(returning: answer)
            }
        }
    }

    private static let notReady = SessionError(
        .storeUnavailable,
        "The log has not been read yet: Redis does not answer, or the store's run() is not running."
    )
    private static let notWritable = SessionError(
        .storeUnavailable,
        "The log can not be written at the moment."
    )
}
