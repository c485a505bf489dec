// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import InMemoryTracing
import MetricsTestKit
import RedisSessions
import ServiceLifecycle
import SessionsTesting
import TestSupport
import Testing
import Tracing

@testable import SessionsTelemetry

/// What is reported of sessions, to an in-memory factory and tracer.
@Suite struct `Telemetry` {
    private static let journey = Task { try await Journey.played() }

    @Test func `each documented metric is reported, with its labels, and no other`() async throws {
        let seen = try await Self.journey.value.series
        let documented = SessionMetric.all.map {
            Journey.Series(name: $0.name, kind: $0.kind, labels: $0.labels)
        }
        #expect(Set(documented).count == documented.count)
        #expect(seen.subtracting(documented) == [])
        #expect(Set(documented).subtracting(seen) == [])
    }

    @Test func `the numbers are those of the journey`() async throws {
        let journey = try await Self.journey.value
        #expect(journey.total("sessions_created_total") == 5)
        #expect(journey.total("sessions_ended_total", [("reason", "sign-out")]) == 1)
        #expect(journey.total("sessions_ended_total", [("reason", "revocation")]) == 2)
        #expect(journey.total("sessions_ended_total", [("reason", "theft")]) == 1)
        #expect(journey.total("sessions_conflicts_total") == 1)
        #expect(journey.total("sessions_changes_dropped_total") == 1)
        #expect(journey.total("sessions_theft_signals_total", [("signal", "replayed")]) == 1)
        #expect(journey.total("sessions_theft_signals_total") == 1)
        #expect(journey.total("sessions_events_total", [("event", "signed-in")]) == 4)
        #expect(journey.total("sessions_near_cache_misses_total") > 0)
        #expect(journey.total("sessions_replicated_applied_total") > 0)
        #expect(journey.total("sessions_redis_commands_total") == journey.redis.statistics.commands)
        let timers = journey.metrics.timers(
            label: "sessions_store_duration_seconds",
            dimensions: [("operation", "commit"), ("outcome", "conflict")]
        )
        #expect(timers.map(\.values.count) == [1])
    }

    @Test func `no label and no span holds an ID, a secret, a key, a value or a user`() async throws {
        let journey = try await Self.journey.value
        #expect(journey.forbidden.count > 15 && journey.tracer.finishedSpans.count > 20)
        let texts = journey.texts
        #expect(texts.contains("sessions_store_duration_seconds") && texts.contains("db.operation.name"))
        for secret in journey.forbidden {
            #expect(texts.filter { $0.contains(secret) } == [], "found \(secret)")
        }
    }

    // MARK: Spans

    private func attributes(_ span: FinishedInMemorySpan) -> [String: String] {
        var all: [String: String] = [:]
        span.attributes.forEach { name, value in
            switch value {
            case .string(let text): all[name] = text
            case .int64(let number): all[name] = "\(number)"
            default: all[name] = "\(value)"
            }
        }
        return all
    }

    @Test func `an operation is a client's span with the names of OpenTelemetry, below that of the request`()
        async throws
    {
        let journey = try Journey(on: try await RedisServer())
        let store = try RedisSessionStore(journey.redis, application: Journey.application)
        let manager = try SessionManager(store: store, telemetry: journey.telemetry)
        let visitor = Visitor(manager)
        try await visitor.send { try $0.set(.cart, ["green-tea"]) }
        journey.tracer.clearFinishedSpans()
        _ = try await journey.tracer.withSpan("request") { _ in
            try await visitor.send { #expect($0[.cart] != nil) }
        }
        let spans = journey.tracer.finishedSpans
        #expect(spans.map(\.operationName) == ["load sessions", "request"])
        let load = try #require(spans.first)
        #expect(load.kind == .client && load.parentSpanID == spans.last?.spanID && load.status == nil)
        #expect(
            attributes(load) == [
                "db.system.name": "redis", "db.namespace": "0", "db.collection.name": "sessions",
                "db.operation.name": "load", "sessions.outcome": "ok",
                "server.address": "127.0.0.1", "server.port": "\(journey.server.port)",
            ]
        )
        await journey.redis.shutdown()
    }

    @Test func `a failure has the code of the error as its type, and no message`() async throws {
        let journey = try Journey(on: try await RedisServer())
        let store = try RedisSessionStore(journey.redis, application: Journey.application)
        let manager = try SessionManager(store: store, telemetry: journey.telemetry)
        let visitor = Visitor(manager)
        try await visitor.send { try $0.set(.cart, ["green-tea"]) }
        await journey.server.crash()
        journey.tracer.clearFinishedSpans()
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await visitor.send() }
        let span = try #require(journey.tracer.finishedSpans.first)
        #expect(span.status?.code == .error && span.status?.message == nil && span.errors.isEmpty)
        #expect(attributes(span)["error.type"] == "store-unavailable")
        #expect(attributes(span)["sessions.outcome"] == nil)
        let labels = [("operation", "load"), ("outcome", "store-unavailable")]
        let timer = journey.metrics.timers(label: "sessions_store_duration_seconds", dimensions: labels)
        #expect(timer.map(\.values.count) == [1])
        #expect(journey.total("sessions_events_total", [("event", "store-failed")]) == 1)
        await journey.redis.shutdown()
    }

    @Test func `sessions in memory have spans of no database`() async throws {
        let tracer = InMemoryTracer()
        let telemetry = SessionTelemetry(metrics: TestMetrics(), tracer: tracer)
        let manager = try SessionManager(store: MemorySessionStore(), telemetry: telemetry)
        try await Visitor(manager).send { try $0.set(.cart, ["green-tea"]) }
        let span = try #require(tracer.finishedSpans.first)
        #expect(span.operationName == "create sessions" && span.kind == .internal)
        #expect(!attributes(span).keys.contains { $0.hasPrefix("server.") || $0 == "db.system.name" })
    }

    @Test func `without a tracer there are metrics alone`() async throws {
        let metrics = TestMetrics()
        let telemetry = SessionTelemetry(metrics: metrics, tracer: NoOpTracer())
        let manager = try SessionManager(store: MemorySessionStore(), telemetry: telemetry)
        try await Visitor(manager).send { try $0.set(.cart, ["green-tea"]) }
        #expect(metrics.counterTotal(label: "sessions_created_total") == 1)
        #expect(metrics.timers(label: "sessions_store_duration_seconds").count == 1)
    }

    @Test func `a touch that is not due is no operation`() async throws {
        let clock = ManualClock()
        let metrics = TestMetrics()
        let telemetry = SessionTelemetry(metrics: metrics, tracer: NoOpTracer())
        let store = try MemorySessionStore { clock.now }
        let manager = try SessionManager(store: store, telemetry: telemetry)
        let visitor = Visitor(manager)
        func touches() -> Int {
            let labels = [("operation", "touch")]
            return metrics.timers(label: "sessions_store_duration_seconds", dimensions: labels)
                .reduce(0) { $0 + $1.values.count }
        }
        try await visitor.send { try $0.set(.cart, ["green-tea"]) }
        try await visitor.send { #expect($0[.cart] != nil) }
        #expect(touches() == 0)
        clock.advance(by: .seconds(500))
        try await visitor.send { #expect($0[.cart] != nil) }
        #expect(touches() == 1)
    }

    // MARK: Statistics

    @Test func `totals become increments, several sources a sum`() {
        let metrics = TestMetrics()
        let reporter = StatisticsReporter(factory: metrics)
        let values = Values()
        reporter.add { [.commands: values.first, .connections: 2] }
        reporter.add { [.commands: values.second, .connections: 3] }
        (values.first, values.second) = (10, 5)
        reporter.report()
        reporter.report()
        #expect(metrics.counterTotal(label: "sessions_redis_commands_total") == 15)
        values.first = 11
        reporter.report()
        #expect(metrics.counterTotal(label: "sessions_redis_commands_total") == 16)
        #expect(metrics.meters(label: "sessions_redis_connections").map(\.lastValue) == [5])
    }

    @Test func `the service reports at once and when it ends`() async throws {
        let server = try await RedisServer()
        let metrics = TestMetrics()
        let redis = RedisClient(try RedisConfiguration(url: server.url))
        let telemetry = SessionTelemetry(
            redis: redis,
            metrics: metrics,
            tracer: NoOpTracer(),
            interval: .seconds(3600)
        )
        func commands() -> Int64 { metrics.counterTotal(label: "sessions_redis_commands_total") }
        _ = try await redis.send(RedisCommand("PING"))
        let running = Task { try await telemetry.run() }
        #expect(await poll(seconds: 10) { commands() == 1 })
        _ = try await redis.send(RedisCommand("PING"))
        #expect(commands() == 1)
        running.cancel()
        try await running.value
        #expect(commands() == 2)
        await redis.shutdown()
    }

    // MARK: The store

    @Test(arguments: SessionStoreContract.rules)
    func `the contract holds behind telemetry`(rule: SessionStoreContract.Rule) async throws {
        let clock = ManualClock()
        let telemetry = SessionTelemetry(metrics: TestMetrics(), tracer: InMemoryTracer())
        let store = telemetry.observe(try MemorySessionStore { clock.now })
        #expect(store is any SessionDirectory)
        let harness = SessionStoreHarness(store: store) { clock.advance(by: $0) }
        try await rule.check(harness)
    }

    @Test func `a store without a list of sessions has none behind telemetry`() throws {
        let telemetry = SessionTelemetry(metrics: TestMetrics(), tracer: NoOpTracer())
        let keys = try SealKeyRing([SealKey(id: "k", bytes: Array(0..<32))])
        let sealed = try SealedSessionStore(keys, application: Journey.application)
        let store = telemetry.observe(sealed)
        #expect(!(store is any SessionDirectory) && store.dividesCookie == sealed.dividesCookie)
        let plain = SessionCookie(name: "s", isSecure: false)
        #expect(((try? store.validate(for: plain)) == nil) == ((try? sealed.validate(for: plain)) == nil))
    }
}

/// Totals that a test changes.
private final class Values: @unchecked Sendable {
    // Written between reports only.
    var first = 0
    var second = 0
}
