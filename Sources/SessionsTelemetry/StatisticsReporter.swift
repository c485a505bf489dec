// SPDX-License-Identifier: Apache-2.0

#if Telemetry

    import Metrics
    import Synchronization

    /// Turns statistics, which are totals since a start, into increments of counters and values of gauges.
    final class StatisticsReporter: Sendable {
        /// Returns the current values of some metrics without labels.
        typealias Source = @Sendable () -> [SessionMetric: Int]

        private struct State {
            var sources: [Source] = []
            var counters: [SessionMetric: (counter: Counter, reported: Int)] = [:]
            var gauges: [SessionMetric: Meter] = [:]
        }

        private let factory: any MetricsFactory
        private let state = Mutex(State())

        init(factory: any MetricsFactory) { self.factory = factory }

        /// Adds a source and reports its first values; what several sources say about one metric is added up.
        func add(_ source: @escaping Source) {
            state.withLock { $0.sources.append(source) }
            report()
        }

        /// Reports what has changed since the last call.
        func report() {
            state.withLock { state in
                var totals: [SessionMetric: Int] = [:]
                for source in state.sources { totals.merge(source()) { $0 + $1 } }
                for (metric, total) in totals { report(metric, total, &state) }
            }
        }

        private func report(_ metric: SessionMetric, _ total: Int, _ state: inout State) {
            guard metric.kind == .counter else {
                let gauge = state.gauges[metric] ?? Meter(label: metric.name, factory: factory)
                state.gauges[metric] = gauge
                return gauge.set(total)
            }
            // Also at zero, so that a rate has a value before the first fault.
            let known = state.counters[metric] ?? (Counter(label: metric.name, factory: factory), 0)
            state.counters[metric] = (known.counter, max(total, known.reported))
            if total > known.reported { known.counter.increment(by: total - known.reported) }
        }
    }

#endif
