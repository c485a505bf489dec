// SPDX-License-Identifier: Apache-2.0

#if Telemetry

    import Metrics
    import Sessions
    import Synchronization

    /// Counts the events of a manager by their kind, and by nothing else that they say.
    final class EventMeter: Sendable {
        private static let thefts: [SessionEvent.Kind] = [.replayed, .wrongSecret, .forged]
        /// Counted from zero, so that the increase at the first one is seen.
        private static let notable: [SessionEvent.Kind] =
            thefts + [
                .dropped, .misconfigured, .notReplicated, .refused, .storeFailed, .touchFailed, .undecodable,
                .unreadable,
            ]

        private let factory: any MetricsFactory
        private let dropped: Counter
        private let thefts: [SessionEvent.Kind: Counter]
        private let kinds = Mutex<[SessionEvent.Kind: Counter]>([:])

        init(factory: any MetricsFactory) {
            self.factory = factory
            dropped = Counter(label: SessionMetric.dropped.name, factory: factory)
            thefts = Dictionary(
                uniqueKeysWithValues: Self.thefts.map { kind in
                    let labels = [("signal", kind.description)]
                    let label = SessionMetric.theftSignals.name
                    return (kind, Counter(label: label, dimensions: labels, factory: factory))
                }
            )
            for kind in Self.notable { _ = counter(kind) }
        }

        func record(_ event: SessionEvent) {
            if event.kind == .dropped { dropped.increment() }
            thefts[event.kind]?.increment()
            counter(event.kind).increment()
        }

        private func counter(_ kind: SessionEvent.Kind) -> Counter {
            kinds.withLock { kinds in
                if let known = kinds[kind] { return known }
                let labels = [("event", kind.description)]
                let counter = Counter(label: SessionMetric.events.name, dimensions: labels, factory: factory)
                kinds[kind] = counter
                return counter
            }
        }
    }

#endif
