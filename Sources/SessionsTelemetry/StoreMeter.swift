// SPDX-License-Identifier: Apache-2.0

#if Telemetry

    import Metrics
    import Sessions
    import Synchronization
    import Tracing

    /// Times the operations of a store, and makes a span of each.
    ///
    /// Knows nothing of an operation but its name and its outcome: no ID, key, user or value can get into a label.
    final class StoreMeter: Sendable {
        private struct Series: Hashable {
            let operation: StoreOperation
            let outcome: String
        }

        let created: Counter
        let conflicts: Counter
        let signedOut: Counter
        let revoked: Counter
        let stolen: Counter
        private let factory: any MetricsFactory
        /// Nil when nothing records spans.
        private let tracer: (any Tracer)?
        private let database: DatabaseAttributes?
        private let timers = Mutex<[Series: Timer]>([:])

        init(factory: any MetricsFactory, tracer: any Tracer, database: DatabaseAttributes?) {
            func ended(_ reason: String) -> Counter {
                Counter(label: SessionMetric.ended.name, dimensions: [("reason", reason)], factory: factory)
            }
            self.factory = factory
            self.tracer = tracer is NoOpTracer ? nil : tracer
            self.database = database
            created = Counter(label: SessionMetric.created.name, factory: factory)
            conflicts = Counter(label: SessionMetric.conflicts.name, factory: factory)
            (signedOut, revoked, stolen) = (ended("sign-out"), ended("revocation"), ended("theft"))
        }

        /// Runs an operation and reports how long it took and how it ended.
        func measure<Answer>(
            _ operation: StoreOperation,
            _ outcome: (Answer) -> StoreOutcome = { _ in .ok },
            _ body: () async throws(SessionError) -> Answer
        ) async throws(SessionError) -> Answer {
            let start = ContinuousClock.now
            let result = await traced(operation, outcome, body)
            let duration = (ContinuousClock.now - start).components
            let label =
                switch result {
                case .success(let answer): outcome(answer).rawValue
                case .failure(let error): error.code.description
                }
            timer(Series(operation: operation, outcome: label))
                .recordNanoseconds(duration.seconds * 1_000_000_000 + duration.attoseconds / 1_000_000_000)
            return try result.get()
        }

        private func timer(_ series: Series) -> Timer {
            timers.withLock { timers in
                if let known = timers[series] { return known }
                let timer = Timer(
                    label: SessionMetric.storeDuration.name,
                    dimensions: [("operation", series.operation.rawValue), ("outcome", series.outcome)],
                    preferredDisplayUnit: .seconds,
                    factory: factory
                )
                timers[series] = timer
                return timer
            }
        }

        private func traced<Answer>(
            _ operation: StoreOperation,
            _ outcome: (Answer) -> StoreOutcome,
            _ body: () async throws(SessionError) -> Answer
        ) async -> Result<Answer, SessionError> {
            guard let tracer else { return await Self.result(of: body) }
            return await Self.span(tracer, operation, database, outcome, body)
        }

        private static func result<Answer>(of body: () async throws(SessionError) -> Answer) async
            -> Result<Answer, SessionError>
        {
            do throws(SessionError) { return .success(try await body()) } catch { return .failure(error) }
        }

        /// Runs an operation in a span named after it.
        ///
        /// The error itself is not recorded, only its code: what backends show of errors is not in our hands.
        private static func span<Answer>(
            _ tracer: some Tracer,
            _ operation: StoreOperation,
            _ database: DatabaseAttributes?,
            _ outcome: (Answer) -> StoreOutcome,
            _ body: () async throws(SessionError) -> Answer
        ) async -> Result<Answer, SessionError> {
            let name = "\(operation.rawValue) \(DatabaseAttributes.collection)"
            return await tracer.withSpan(name, ofKind: database == nil ? .internal : .client) { span in
                let result = await Self.result(of: body)
                span.updateAttributes { attributes in
                    attributes["db.operation.name"] = operation.rawValue
                    attributes["db.collection.name"] = DatabaseAttributes.collection
                    database?.write(to: &attributes)
                    switch result {
                    case .success(let answer): attributes["sessions.outcome"] = outcome(answer).rawValue
                    case .failure(let error): attributes["error.type"] = error.code.description
                    }
                }
                if case .failure = result { span.setStatus(SpanStatus(code: .error)) }
                return result
            }
        }
    }

    /// What the spans say about the database: the names are those of OpenTelemetry's semantic conventions.
    struct DatabaseAttributes: Sendable {
        /// The same for all applications; theirs are told apart by the service's name.
        static let collection = "sessions"

        /// Returns host and port of the server; asked for each span, because a failover changes it.
        ///
        /// The port is nil for a unix socket, whose path is the address. Nil in a cluster.
        let server: @Sendable () -> (address: String, port: Int?)?
        /// The number of the logical database.
        let namespace: String

        fileprivate func write(to attributes: inout SpanAttributes) {
            attributes["db.system.name"] = "redis"
            attributes["db.namespace"] = namespace
            guard let server = server() else { return }
            attributes["server.address"] = server.address
            if let port = server.port { attributes["server.port"] = port }
        }
    }

#endif
