// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import TestSupport

/// A running application with its private Redis, and the sessions that requests use.
struct Application: Listener, Sendable {
    let name: String
    let port: Int
    let routes: Routes
    let redis: RedisServer
    /// All processes of the application.
    let pids: [pid_t]
    let cookieName: String
    /// A cookie's value in the form that the application uses, which it has never given out.
    var madeUp = ""
    let stopProcesses: @Sendable () async -> Void
    /// The file with a `Cookie` field for each session.
    var cookies: URL?

    func stop() async {
        await stopProcesses()
        await redis.crash()
    }

    func browser() -> Browser { Browser(cookieName: cookieName) }

    /// Sends one request; throws unless it is answered with 200.
    @discardableResult
    func send(_ route: Route, by browser: Browser, user: Int = 0) async throws -> Reply {
        let path = route.path.replacingOccurrences(of: "%d", with: "\(user)")
        let reply = try await browser.send(route.method, path, on: self)
        guard reply.status == 200 else {
            throw RedisBenchmark.Failure(
                description: "\(name): \(route.method) \(path) is answered with \(reply.status)"
            )
        }
        return reply
    }

    func state(of browser: Browser) async throws -> Routes.State {
        let reply = try await send(routes.state, by: browser)
        guard let state = routes.parse(reply.body) else {
            throw RedisBenchmark.Failure(description: "\(name): \(reply.body.prefix(200))")
        }
        return state
    }

    /// Signs a user in and fills the session.
    func signIn(_ user: Int, extra: [Route] = []) async throws -> Browser {
        let browser = browser()
        try await send(routes.signIn, by: browser, user: user)
        for route in routes.prepare + extra { try await send(route, by: browser) }
        return browser
    }

    /// Signs in `count` users, 16 at a time.
    func signIn(count: Int, extra: [Route] = []) async throws -> [String] {
        try await withThrowingTaskGroup(of: [String].self) { group in
            for first in 0..<16 {
                group.addTask {
                    var fields: [String] = []
                    for user in stride(from: first, to: count, by: 16) {
                        let browser = try await signIn(user, extra: extra)
                        if let field = browser.cookieField { fields.append(field) }
                    }
                    return fields
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    /// Makes the sessions that `measure` uses, and warms the application up.
    func prepared(sessions: Int, extra: [Route] = [], _ wrk: Wrk) async throws -> Application {
        var ready = self
        let fields = try await signIn(count: sessions, extra: extra)
        ready.cookies = try wrk.save(fields, for: "\(name)-\(port)")
        // A route that is answered with an error would be fast.
        let browser = try await signIn(900_900)
        for route in [HTTPRoute.bare, .none, .read, .write] { try await send(routes[route], by: browser) }
        _ = try await wrk.run(routes.write, port: port, cookies: ready.cookies, connections: 64, seconds: 1)
        return ready
    }

    /// One round: load, and what it cost the processes of the application and Redis.
    func measure(_ route: HTTPRoute, connections: Int, seconds: Int, _ wrk: Wrk) async throws -> HTTPSample {
        let before = (try await CommandStats.read(redis), processorSeconds)
        let result = try await wrk.run(
            routes[route],
            port: port,
            cookies: route == .signIn ? nil : cookies,
            connections: connections,
            seconds: seconds
        )
        let used = processorSeconds - before.1
        let stats = try await CommandStats.read(redis) - before.0
        let requests = Double(max(result.requests, 1))
        return HTTPSample(
            rate: result.rate,
            p50: result.p50,
            p99: result.p99,
            errors: Double(result.errors),
            server: used * 1e6 / requests,
            redis: stats.processorSeconds * 1e6 / requests,
            executed: Double(stats.calls) / requests
        )
    }

    /// The commands that 50 requests, one after the other, send to Redis, for each of them.
    func commandsSent(_ route: HTTPRoute) async throws -> Double {
        let monitor = try await redis.monitor()
        let browser = try await signIn(900_000)
        try await redis.admin("ECHO", "before")
        for number in 0..<50 {
            try await send(
                routes[route],
                by: route == .signIn ? self.browser() : browser,
                user: 900_001 + number
            )
        }
        try await redis.admin("ECHO", "after")
        _ = await poll(seconds: 5) { monitor.text.contains("\"ECHO\" \"after\"") }
        let text = monitor.text
        await monitor.stop()
        guard let before = text.range(of: "\"ECHO\" \"before\"") else { return 0 }
        return Double(CommandCount(monitor: String(text[before.upperBound...])).sent) / 50
    }

    private var processorSeconds: Double { pids.reduce(0) { $0 + ProcessProbe.processorSeconds($1) } }
}
