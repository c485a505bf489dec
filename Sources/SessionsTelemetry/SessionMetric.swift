// SPDX-License-Identifier: Apache-2.0

/// A metric with a documented name: all that `SessionTelemetry` reports.
///
/// The names follow Prometheus, because a name with its rules passes every backend unchanged. `Docs/Operations.md` has the
/// same table, under test.
package struct SessionMetric: Hashable, Sendable {
    /// How swift-metrics reports it.
    package enum Kind: String, Sendable { case counter, gauge, timer }

    /// The name, the label of swift-metrics.
    package let name: String
    /// How it is reported.
    package let kind: Kind
    /// What one is.
    package let unit: String
    /// The names of its dimensions: the same for every value, as Prometheus requires.
    package let labels: [String]
    /// What it says.
    package let meaning: String

    private init(_ name: String, _ kind: Kind, _ unit: String, _ labels: [String] = [], _ meaning: String) {
        (self.name, self.kind, self.unit, self.labels, self.meaning) = (name, kind, unit, labels, meaning)
    }

    /// All metrics, in the order of the documentation.
    package static let all: [Self] =
        [created, ended, conflicts, dropped, theftSignals, events, storeDuration]
        + redis + nearCache + replicated

    // MARK: Sessions

    static let created = Self("sessions_created_total", .counter, "sessions", "records that were made")
    static let ended = Self(
        "sessions_ended_total",
        .counter,
        "sessions",
        ["reason"],
        """
        sessions that this instance has ended: `sign-out`, `revocation`, `theft`. Those that expire, or make room for a \
        user's next one, are not seen
        """
    )
    static let conflicts = Self(
        "sessions_conflicts_total",
        .counter,
        "commits",
        "commits that met a newer version; each is made again on that version, up to a limit"
    )
    static let dropped = Self(
        "sessions_changes_dropped_total",
        .counter,
        "requests",
        "requests whose changes were dropped, because the session ended meanwhile"
    )
    static let theftSignals = Self(
        "sessions_theft_signals_total",
        .counter,
        "requests",
        ["signal"],
        "credentials that may be copied or guessed: `replayed`, `wrong-secret`, `forged`"
    )
    static let events = Self(
        "sessions_events_total",
        .counter,
        "events",
        ["event"],
        "all events of the manager, by `SessionEvent.Kind`"
    )
    static let storeDuration = Self(
        "sessions_store_duration_seconds",
        .timer,
        "seconds",
        ["operation", "outcome"],
        "operations of the store, by outcome: `ok`, `absent`, `conflict`, or the code of the error"
    )

    // MARK: Redis

    static let connections = Self(
        "sessions_redis_connections",
        .gauge,
        "connections",
        "connections that are open"
    )
    static let commandsInFlight = Self(
        "sessions_redis_commands_in_flight",
        .gauge,
        "commands",
        "commands on shared connections that have no reply yet"
    )
    static let unavailableServers = Self(
        "sessions_redis_unavailable_servers",
        .gauge,
        "servers",
        "servers that are given up: their callers fail at once"
    )
    static let commands = Self("sessions_redis_commands_total", .counter, "commands", "commands written")
    static let retries = Self("sessions_redis_retries_total", .counter, "commands", "commands sent once more")
    static let refusedRetries = Self(
        "sessions_redis_retries_refused_total",
        .counter,
        "commands",
        "retries that were not made because there had been too many"
    )
    static let timeouts = Self(
        "sessions_redis_timeouts_total",
        .counter,
        "commands",
        "callers whose deadline passed"
    )
    static let overloaded = Self(
        "sessions_redis_overloaded_total",
        .counter,
        "commands",
        "callers refused at a limit, before anything was sent"
    )
    static let connects = Self(
        "sessions_redis_connects_total",
        .counter,
        "connections",
        "connections established"
    )
    static let failedConnects = Self(
        "sessions_redis_connect_failures_total",
        .counter,
        "attempts",
        "attempts to connect that failed"
    )
    static let lostConnections = Self(
        "sessions_redis_connections_lost_total",
        .counter,
        "connections",
        "connections lost after they were established"
    )
    private static let redis = [
        connections, commandsInFlight, unavailableServers, commands, retries, refusedRetries, timeouts,
        overloaded, connects, failedConnects, lostConnections,
    ]

    // MARK: Copies in memory

    static let hits = Self("sessions_near_cache_hits_total", .counter, "reads", "reads served from memory")
    static let misses = Self(
        "sessions_near_cache_misses_total",
        .counter,
        "reads",
        "reads that Redis was asked for"
    )
    static let flushes = Self(
        "sessions_near_cache_flushes_total",
        .counter,
        "flushes",
        "times that all copies were dropped, because the invalidation connection was lost"
    )
    static let cacheEntries = Self(
        "sessions_near_cache_entries",
        .gauge,
        "sessions",
        "copies in the near cache"
    )
    static let cacheBytes = Self("sessions_near_cache_bytes", .gauge, "bytes", "memory of the near cache")
    private static let nearCache = [hits, misses, flushes, cacheEntries, cacheBytes]

    static let replicatedSessions = Self(
        "sessions_replicated_sessions",
        .gauge,
        "sessions",
        "sessions in the memory of a replicated store"
    )
    static let replicatedBytes = Self(
        "sessions_replicated_bytes",
        .gauge,
        "bytes",
        "size of their attributes"
    )
    static let applied = Self(
        "sessions_replicated_applied_total",
        .counter,
        "entries",
        "entries of the log that were applied"
    )
    static let refused = Self(
        "sessions_replicated_refused_total",
        .counter,
        "entries",
        "entries that were ignored: malformed, or of another application or pepper"
    )
    static let replays = Self(
        "sessions_replicated_replays_total",
        .counter,
        "replays",
        "times that reading the log started over"
    )
    private static let replicated = [replicatedSessions, replicatedBytes, applied, refused, replays]
}

extension SessionMetric {
    private init(_ name: String, _ kind: Kind, _ unit: String, _ meaning: String) {
        self.init(name, kind, unit, [], meaning)
    }
}
