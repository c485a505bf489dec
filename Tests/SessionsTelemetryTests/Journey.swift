// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import InMemoryTracing
import MetricsTestKit
import RedisSessions
import Sessions
import SessionsTelemetry
import SessionsTesting
import Synchronization
import TestSupport
import Testing
import Tracing

extension SessionKey where Value == [String] {
    static var cart: Self { .init("shopping-cart") }
}

/// Everything that a site does with sessions, on a real Redis with a near cache, in memory with a theft, and replicated;
/// what it reported, and what must not be in that.
final class Journey: Sendable {
    static let user = "ann.private@example.org"
    static let application = "private-shop"
    private static let password = "private-password"

    let metrics = TestMetrics()
    let tracer = InMemoryTracer()
    let server: RedisServer
    let redis: RedisClient
    let telemetry: SessionTelemetry
    private let secrets = Mutex<Set<String>>([user, application, password, "shopping-cart", "green-tea"])

    init(on server: RedisServer, password: String? = nil) throws {
        self.server = server
        var configuration = try RedisConfiguration(url: server.url)
        configuration.password = password
        redis = RedisClient(configuration)
        telemetry = SessionTelemetry(redis: redis, metrics: metrics, tracer: tracer)
    }

    /// What must not be in names, labels and attributes.
    var forbidden: Set<String> { secrets.withLock { $0 } }

    /// Plays all of it.
    static func played() async throws -> Journey {
        let server = try await RedisServer(
            ["--requirepass", password],
            adminAuth: ["-a", password, "--no-auth-warning"]
        )
        let journey = try Journey(on: server, password: password)
        try await journey.visitRedis()
        try await journey.visitMemory()
        try await journey.visitReplicated()
        journey.telemetry.report()
        await journey.redis.shutdown()
        return journey
    }

    private func visitRedis() async throws {
        let base = try RedisSessionStore(redis, application: Self.application)
        let cached = try CachedSessionStore(base)
        let manager = try SessionManager(store: cached, telemetry: telemetry)
        let other = try SessionManager(store: base)
        let visitor = Visitor(manager)
        try await visitor.send { try $0.set(.cart, ["green-tea"]) }
        try await visitor.send { #expect($0[.cart] == ["green-tea"]) }
        try await visitor.send { session in
            let credential = try #require(visitor.credential)
            try await other.withSession(credential) { try $0.set(.cart, ["green-tea", "cake"]) }
            try session.update(.cart, default: []) { $0.append("milk") }
        }
        keep(visitor)
        try await visitor.send { try $0.signIn(as: Self.user) }
        keep(visitor)
        let listed = try await manager.list(for: Self.user, showing: .cart)
        for session in listed { note("\(session.id)") }
        try await visitor.send { session in
            let id = try #require(session.id)
            self.note("\(id)")
            #expect(try await manager.revoke(id, of: Self.user))
            try session.set(.cart, ["late"])
        }
        let second = Visitor(manager)
        try await second.send { try $0.signIn(as: Self.user) }
        keep(second)
        try await second.send { try $0.signOut() }
        let third = Visitor(manager)
        try await third.send { try $0.signIn(as: Self.user) }
        keep(third)
        #expect(try await manager.revokeAll(of: Self.user) == 1)
        try await third.send { #expect($0.principal == nil) }
        try await manager.store.check()
    }

    private func visitMemory() async throws {
        let clock = ManualClock()
        let store = try MemorySessionStore { clock.now }
        let policy = SessionPolicy(endsOnTheft: true)
        let manager = try SessionManager(store: store, telemetry: telemetry, policy: policy)
        let visitor = Visitor(manager)
        try await visitor.send { try $0.signIn(as: Self.user) }
        let thief = visitor.clone()
        clock.advance(by: .seconds(1000))
        try await visitor.send { try $0.renew() }
        keep(visitor)
        keep(thief)
        clock.advance(by: .seconds(400))
        try await visitor.send { #expect($0.principal == Self.user) }
        try await thief.send { #expect($0.principal == nil) }
    }

    private func visitReplicated() async throws {
        let store = try ReplicatedSessionStore(redis, application: Self.application, newLogDelay: .zero)
        let running = Task { try await store.run() }
        #expect(await poll(seconds: 20) { (try? await store.check()) != nil })
        let manager = try SessionManager(store: store, telemetry: telemetry)
        let visitor = Visitor(manager)
        try await visitor.send { try $0.set(.cart, ["green-tea"]) }
        keep(visitor)
        telemetry.report()
        running.cancel()
        _ = await running.result
    }

    private func note(_ text: String) { secrets.withLock { _ = $0.insert(text) } }

    /// Remembers the visitor's cookie and its parts.
    private func keep(_ visitor: Visitor) {
        guard let value = visitor.credential?.value else { return }
        for part in [value[...]] + value.split(separator: ".") where part.count > 3 { note(String(part)) }
    }

    // MARK: What it reported

    /// A metric as it was reported.
    struct Series: Hashable {
        let name: String
        let kind: SessionMetric.Kind
        let labels: [String]
    }

    var series: Set<Series> {
        func series(_ name: String, _ kind: SessionMetric.Kind, _ labels: [(String, String)]) -> Series {
            Series(name: name, kind: kind, labels: labels.map(\.0))
        }
        return Set(
            metrics.counters.map { series($0.label, .counter, $0.dimensions) }
                + metrics.meters.map { series($0.label, .gauge, $0.dimensions) }
                + metrics.timers.map { series($0.label, .timer, $0.dimensions) }
        )
    }

    /// All text in names and labels of metrics, and in names and attributes of spans.
    var texts: [String] {
        let labels =
            metrics.counters.map { ($0.label, $0.dimensions) }
            + metrics.meters.map { ($0.label, $0.dimensions) }
            + metrics.timers.map { ($0.label, $0.dimensions) }
            + metrics.recorders.map { ($0.label, $0.dimensions) }
        let ofMetrics = labels.flatMap { [$0.0] + $0.1.flatMap { [$0.0, $0.1] } }
        let ofSpans = tracer.finishedSpans.flatMap { span in
            var texts = [span.operationName, "\(span.events)", "\(span.links)", "\(span.errors)"]
            span.attributes.forEach { texts += [$0, "\($1)"] }
            return texts + [span.status.map { "\($0)" } ?? ""]
        }
        return ofMetrics + ofSpans
    }

    func total(_ metric: String, _ labels: [(String, String)] = []) -> Int64 {
        metrics.counterTotal(label: metric, dimensions: labels)
    }
}
