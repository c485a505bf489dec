// SPDX-License-Identifier: Apache-2.0

import Sessions

/// A read, as far as it decides what the replica must contain.
struct ReadRequest: Sendable {
    /// The version in the client's token: the replica must have applied at least that position.
    let version: Int
    /// Whether everything that is in the log now must have been applied.
    let isStrict: Bool
    let received: ContinuousClock.Instant
}

/// The next step of a read: see `ReplicationState.readRequested`.
enum ReadAction: Hashable, Sendable {
    case answer(Freshness)
    /// Ask Redis where the log ends; `applied` is the position of the replica before the question.
    case askBounds(applied: LogPosition)
    case wait(for: WaitCondition, orFail: LogFailure)
    case fail(LogFailure)
}

/// What a session that is missing in the replica means.
enum Freshness: Hashable, Sendable {
    /// It does not exist: what was acknowledged up to `LogOptions.freshness` ago is in the replica.
    case fresh
    /// It may exist, because Redis or the log is unavailable; this lasts for `LogOptions.servesAlone` at most.
    case cutOff
}

/// What a request waits for.
enum WaitCondition: Hashable, Sendable {
    /// The log can be written, and its end has been reached since it was last replaced.
    case writable
    /// All entries up to the position have been applied.
    case applied(LogPosition)
    /// The announced entry with the nonce has been applied.
    case outcome(of: UInt64)
}

/// The outcome of an appended entry, its position, and the time of the sessions at it.
struct AppendResult: Sendable {
    let outcome: Replica.Outcome
    let position: LogPosition
    let time: SessionInstant
}

/// What entries that are about to be appended depend on.
struct AppendTarget: Hashable, Sendable {
    var epoch: UInt64
    /// The position that the log must have reached; a log that ends earlier is an older one.
    var applied: LogPosition
    /// See `LogEntry.notAfter`.
    var notAfter: UInt64
    /// The position before which Redis may trim the log.
    var trimBound = LogPosition.start
}

/// What Redis answered to an append.
enum AppendReply: Hashable, Sendable {
    case appended
    /// The log is missing, or older than what this instance has applied.
    case missing
    /// The entry was too late.
    case late
}

/// The next step of a write whose entry may be in the log: see `AnnouncedWrites.awaited`.
enum WriteAction: Sendable {
    case answer(AppendResult)
    /// The entry was certainly not applied: append it again.
    case writeAgain
    case fail(LogFailure)
}

/// When sessions are logged again: see `ReplicationState.maintenanceDue`.
struct RefreshRule: Sendable {
    /// The age of a session's last full entry.
    var age: Duration
    /// The part of `LogOptions.compactionSize` that the log must have.
    var fillLevel = 1.0
}

/// What the log reader does after a page: see `ReplicationState.pageRead`.
enum ReaderAction: Hashable, Sendable {
    case readOn
    /// The end of the log is reached: wait for new entries.
    case awaitEntries
    /// The log is missing, contains no readable entry, or is an older one; `after` is its last entry.
    case beginLog(after: LogPosition?)
}

/// Why the log cannot serve a request; the error is always `.storeUnavailable`.
enum LogFailure: Hashable, Sendable {
    case notRead, noSessions, notWritable, lagging, behindClient, cutOffTooLong, unknownOutcome

    var error: SessionError { SessionError(.storeUnavailable, message) }

    private var message: String {
        switch self {
        case .notRead:
            "The log has not been read yet: Redis does not answer, or the store's run() is not running."
        case .noSessions:
            "No instance with sessions is there; this one begins a log without sessions after newLogDelay."
        case .notWritable: "The log cannot be written at the moment."
        case .lagging: "This instance is behind the log and could not catch up in time."
        case .behindClient: "Redis does not answer, and this instance lacks changes that the client has seen."
        case .cutOffTooLong: "This instance has been cut off from Redis for too long to answer alone."
        case .unknownOutcome: "The change did not come back from the log in time; its outcome is unknown."
        }
    }
}
