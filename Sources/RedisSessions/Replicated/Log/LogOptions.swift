// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The times and limits of a replicated store; most differ from their defaults in tests only.
struct LogOptions: Sendable {
    /// How far back the log reaches.
    var retention = Duration.seconds(3600)
    /// How long one read of the log waits for new entries.
    var blockTimeout = Duration.milliseconds(300)
    /// For how long the end of the log, once reached, counts as reached by requests.
    var freshness = Duration.milliseconds(900)
    /// How long a request waits for the log.
    var timeout = Duration.seconds(2)
    /// For how long sessions are read from the replica while Redis, or the log, is not available.
    var servesAlone = Duration.seconds(60)
    /// See `RecoveryPlan`.
    var quietPeriod = Duration.milliseconds(500)
    /// How long an instance without sessions waits for others before it begins a log without sessions.
    var newLogDelay = Duration.seconds(30)
    /// The maximum number of entries in one read of the log.
    var pageSize = 256
    /// The maximum number of sessions, ended ones included as long as they are remembered.
    var maximumSessions = 100_000
    /// The maximum size of all attributes, in bytes.
    var maximumBytes = 256 << 20
    /// Maps Redis' time to that of the sessions; the same function on all instances.
    var time: @Sendable (SessionInstant) -> SessionInstant = { $0 }

    /// The size at which a log whose sessions have the given size is compacted, in bytes: sessions whose last
    /// full entry is in its older half are logged again, and that half is trimmed.
    ///
    /// Three times the sessions, so that what is logged again and what has changed since fit into the newer
    /// half; and enough for instances that lag.
    func compactionSize(sessionBytes: Int) -> Int { 3 * sessionBytes + minimumLogSize }
    /// Below this size the log is not compacted.
    var minimumLogSize = 16 << 20

    /// The time to live of the log's key, which outlives a stop of all instances.
    var timeToLive: Duration { retention + .seconds(86_400) }
    /// How long the log may be without an entry, and how often upkeep is due.
    var idleInterval: Duration { min(retention / 8, .seconds(30)) }
}
