// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import GracefulDrain
import HTTPTypes
import Hummingbird
import HummingbirdSessions
import Logging
import NIOCore
import NIOPosix
import RedisSessions
import ServiceLifecycle
import UnixSignals

/// One instance of the application that outside test programs drive over HTTP.
///
/// Each flag is also a variable `SESSIONS_…`.
@main
struct FixtureApp: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fixture-app",
        abstract: "Sessions behind HTTP routes, for tests."
    )

    enum Store: String, ExpressibleByArgument, CaseIterable {
        case redis, redisCached = "redis-cached", memory, sealed, replicated
        /// Sealed cookies with a small record in Redis for each, or in Redis from the sign-in on.
        case sealedRevocable = "sealed-revocable", sealedTiered = "sealed-tiered"
    }

    /// Where tasks run.
    enum Executor: String, ExpressibleByArgument, CaseIterable { case pool, loops }

    @Option(help: "Address to listen on.") var host = variable("HOST") ?? "127.0.0.1"
    @Option(help: "Port to listen on.") var port = variable("PORT").flatMap(Int.init) ?? 8080
    @Option(help: "Where sessions are kept.") var store = variable("STORE").flatMap(Store.init) ?? .redis
    @Option(help: "redis://, rediss:// or unix:// address.") var redis =
        variable("REDIS") ?? "redis://127.0.0.1:6379"
    @Option(help: "Certificate authority that the Redis server's certificate must come from.") var redisCa:
        String?
    @Option(help: "First part of every Redis key.") var prefix = variable("PREFIX") ?? "sessions"
    @Option(help: "Name of the application, bound into everything that is stored.")
    var application = variable("APPLICATION") ?? "fixture"
    @Option(help: "Name shown in X-Instance.") var instance = variable("INSTANCE") ?? "fixture"
    @Option(help: "Idle timeout.") var idleSeconds = variable("IDLE_SECONDS").flatMap(Int.init) ?? 1800
    @Option(help: "Absolute lifetime.") var lifetimeSeconds =
        variable("LIFETIME_SECONDS").flatMap(Int.init) ?? 43_200
    @Option(help: "How long it still serves, with /healthz saying no, after it was told to stop.")
    var noticeSeconds = variable("NOTICE_SECONDS").flatMap(Int.init) ?? 0
    @Option(help: "How long an empty replicated instance waits for others before it begins a log.")
    var newLogDelaySeconds = variable("NEW_LOG_DELAY_SECONDS").flatMap(Int.init) ?? 1
    @Option(help: "ID:BASE64URL-OF-32-BYTES,… (the first seals).") var sealKeys: String?
    @Option(help: "The longest sealed cookie, all parts together.") var sealBytes =
        variable("SEAL_BYTES").flatMap(Int.init) ?? 3072
    @Option(help: "Copies that sign-ins and sign-outs wait for: replicas:COUNT:MILLISECONDS.")
    var durability: String?
    @Option(help: "Servers that are asked for the session of a request: primary or replicas.")
    var reads: String?
    @Option(help: "Least level that is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel = variable("LOG_LEVEL") ?? "notice"
    @Option(help: "Where tasks run: in Swift's pool of threads, or on the event loops.") var executor =
        variable("EXECUTOR").flatMap(Executor.init) ?? .pool
    @Flag(help: "Plain HTTP: no Secure, no __Host- prefix.") var plainHttp = false

    static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment["SESSIONS_\(name)"]
    }

    private var isPlainHTTP: Bool { plainHttp || ["1", "true", "yes"].contains(Self.variable("PLAIN_HTTP")) }

    func validate() throws {
        // A variable that can not be read must not silently mean the default.
        let numbers = [
            "PORT", "IDLE_SECONDS", "LIFETIME_SECONDS", "NOTICE_SECONDS", "NEW_LOG_DELAY_SECONDS",
            "SEAL_BYTES",
        ]
        for name in numbers {
            if let text = Self.variable(name), Int(text) == nil {
                throw ValidationError("SESSIONS_\(name) is not a number: \(text)")
            }
        }
        if let text = Self.variable("STORE"), Store(rawValue: text) == nil {
            throw ValidationError("SESSIONS_STORE: unknown store \(text)")
        }
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError("Unknown log level \(logLevel)")
        }
        guard (1...65_535).contains(port) else {
            throw ValidationError("The port must be between 1 and 65535.")
        }
    }

    func run() async throws {
        do {
            try await serve()
        } catch let error as SessionError {
            throw ValidationError(error.message)
        } catch let error as RedisError {
            throw ValidationError("Redis: \(error)")
        }
    }

    private func serve() async throws {
        if executor == .loops {
            guard NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor()
            else {
                throw ValidationError("Tasks cannot run on the event loops here.")
            }
        }
        var logger = Logger(label: instance)
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .notice
        let cookie = isPlainHTTP ? SessionCookie.plainHTTP() : SessionCookie()
        let backend = try Backend(self, cookie: cookie, logger: logger)
        let sessions = try SessionManager(
            store: backend.store,
            policy: SessionPolicy(idleTimeout: .seconds(idleSeconds), lifetime: .seconds(lifetimeSeconds)),
            cookie: cookie,
            logger: logger
        )
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: InstanceHeader(name: instance))
        // Middleware works for the routes that come after it: a handler without sessions, for benchmarks.
        router.get("/bare") { _, _ in json(["ok": .bool(true)]) }
        if let redis = backend.redis { addUnmanagedRead(to: router, redis, prefix: prefix) }
        router.add(middleware: SessionsMiddleware(sessions))
        let drain = GracefulDrain(notice: .seconds(noticeSeconds))
        addRoutes(to: router, limits: sessions.limits, drain: drain, hold: backend.hold)
        let app = Application(
            router: router,
            configuration: .init(address: .hostname(host, port: port), serverName: nil),
            services: backend.services,
            logger: logger
        )
        // Told to stop, a group stops its last service first: requests are served until the notice is over.
        let services = ServiceGroup(
            services: [app, drain],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        )
        try await services.run()
    }
}

/// Says which instance answered, on every response.
struct InstanceHeader<Context: RequestContext>: RouterMiddleware {
    let name: String

    func handle(_ request: Request, context: Context, next: (Request, Context) async throws -> Response)
        async throws -> Response
    {
        do {
            var response = try await next(request, context)
            response.headers[.instance] = name
            return response
        } catch let error as any HTTPResponseError {
            var response = try error.response(from: request, context: context)
            response.headers[.instance] = name
            return response
        }
    }
}

extension HTTPField.Name {
    static let instance = Self("X-Instance")!
}
