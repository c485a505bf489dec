// SPDX-License-Identifier: Apache-2.0

#if Telemetry

    public import Metrics
    public import ServiceLifecycle
    public import Sessions
    public import Tracing

    #if Redis
        import Hiredis
        public import RedisSessions
    #endif

    /// Reports sessions to swift-metrics and swift-distributed-tracing.
    ///
    /// Give it to `SessionManager.init(store:telemetry:)`, and run it as a service, so that what stores and the Redis client
    /// count is reported, too:
    ///
    /// ```swift
    /// let telemetry = SessionTelemetry(redis: redis)
    /// let sessions = try SessionManager(store: store, telemetry: telemetry)
    /// let app = Application(router: router, services: [redis, telemetry])
    /// ```
    ///
    /// Create it after `MetricsSystem.bootstrap` and `InstrumentationSystem.bootstrap`. `Docs/Operations.md` lists all metrics and
    /// attributes of spans. None of them ever holds the ID of a session, a key, the name of a user, a value or a secret.
    ///
    /// Cost: for each operation of the store two readings of the clock and a look-up under a lock, and a span where a tracer is
    /// installed. A manager without telemetry pays nothing.
    public final class SessionTelemetry: Service, Sendable {
        private let meter: StoreMeter
        private let events: EventMeter
        private let reporter: StatisticsReporter
        private let interval: Duration

        private init(
            _ factory: any MetricsFactory,
            _ tracer: any Tracer,
            _ interval: Duration,
            _ database: DatabaseAttributes?
        ) {
            meter = StoreMeter(factory: factory, tracer: tracer, database: database)
            events = EventMeter(factory: factory)
            reporter = StatisticsReporter(factory: factory)
            self.interval = interval
        }

        /// Creates telemetry of sessions that are not in Redis: in memory or in cookies.
        ///
        /// - Parameters:
        ///   - metrics: where metrics go; what was given to `MetricsSystem.bootstrap` by default.
        ///   - tracer: where spans go; that of `InstrumentationSystem` by default. They are of kind `internal`.
        ///   - interval: how often `run()` reports; 10 seconds by default.
        public convenience init(
            metrics: any MetricsFactory = MetricsSystem.factory,
            tracer: any Tracer = InstrumentationSystem.tracer,
            interval: Duration = .seconds(10)
        ) {
            self.init(metrics, tracer, interval, nil)
        }

        /// Measures every operation of a store.
        ///
        /// `SessionManager.init(store:telemetry:)` does this; for a manager that is created otherwise, pass `record(_:)` as its
        /// `onEvent`. Statistics of a `CachedSessionStore` or
        /// `ReplicatedSessionStore` are reported as well, unless it is inside of another store: see `watch(_:)`.
        ///
        /// - Parameter store: the store.
        /// - Returns: a store that behaves in the same way, a `SessionDirectory` if `store` is one.
        public func observe(_ store: some SessionStore) -> any SessionStore {
            #if Redis
                if let cached = store as? CachedSessionStore { watch(cached) }
                if let replicated = store as? ReplicatedSessionStore { watch(replicated) }
            #endif
            return ObservedStore(base: store, meter: meter)
        }

        /// Counts an event: for `onEvent` of a manager that was not created with telemetry.
        ///
        /// - Parameter event: the event.
        public func record(_ event: SessionEvent) { events.record(event) }

        /// Reports the current statistics of stores and of the Redis client.
        ///
        /// `run()` calls it. An endpoint that Prometheus scrapes can call it before it answers, so that the values are no older
        /// than the answer.
        public func report() { reporter.report() }

        /// Calls `report()` at each interval until graceful shutdown or cancellation.
        public func run() async throws {
            await cancelWhenGracefulShutdown { [self] in
                while !Task.isCancelled {
                    report()
                    try? await Task.sleep(for: interval)
                }
            }
            report()
        }
    }

    #if Redis
        extension SessionTelemetry {
            /// Creates telemetry of sessions in Redis.
            ///
            /// - Parameters:
            ///   - redis: the client of the store: its statistics are reported, and its server is named in the spans, which are of
            ///     kind `client`. In a cluster they name none.
            ///   - metrics: where metrics go; what was given to `MetricsSystem.bootstrap` by default.
            ///   - tracer: where spans go; that of `InstrumentationSystem` by default.
            ///   - interval: how often `run()` reports; 10 seconds by default.
            public convenience init(
                redis: RedisClient,
                metrics: any MetricsFactory = MetricsSystem.factory,
                tracer: any Tracer = InstrumentationSystem.tracer,
                interval: Duration = .seconds(10)
            ) {
                let database = DatabaseAttributes(
                    server: { redis.serverAddress?.server },
                    namespace: "\(redis.configuration.database)"
                )
                self.init(metrics, tracer, interval, database)
                reporter.add {
                    let statistics = redis.statistics
                    return [
                        .connections: statistics.connections,
                        .commandsInFlight: statistics.commandsInFlight,
                        .unavailableServers: statistics.unavailableServers,
                        .commands: statistics.commands,
                        .retries: statistics.retries,
                        .refusedRetries: statistics.refusedRetries,
                        .timeouts: statistics.timeouts,
                        .overloaded: statistics.overloaded,
                        .connects: statistics.connects,
                        .failedConnects: statistics.failedConnects,
                        .lostConnections: statistics.lostConnections,
                    ]
                }
            }

            /// Reports the statistics of a near cache that is inside of another store.
            ///
            /// - Parameter store: the store; those of several are added up.
            public func watch(_ store: CachedSessionStore) {
                reporter.add {
                    let statistics = store.statistics
                    return [
                        .hits: statistics.hits,
                        .misses: statistics.misses,
                        .flushes: statistics.flushes,
                        .cacheEntries: statistics.entries,
                        .cacheBytes: statistics.bytes,
                    ]
                }
            }

            /// Reports the statistics of a replicated store that is inside of another store.
            ///
            /// - Parameter store: the store; those of several are added up.
            public func watch(_ store: ReplicatedSessionStore) {
                reporter.add {
                    let statistics = store.statistics
                    return [
                        .replicatedSessions: statistics.sessions,
                        .replicatedBytes: statistics.bytes,
                        .applied: statistics.applied,
                        .refused: statistics.refused,
                        .replays: statistics.replays,
                    ]
                }
            }
        }

        extension RedisAddress {
            fileprivate var server: (address: String, port: Int?) {
                switch self {
                case .tcp(let host, let port): (host, port)
                case .unix(let path): (path, nil)
                }
            }
        }
    #endif

#endif
