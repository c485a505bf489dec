// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import Logging
import SessionsTesting
import Synchronization
import Testing

/// Contexts without the middleware, and contexts that another package's sessions share.
@Suite struct `Sessions request context` {
    private let manager: SessionManager

    init() throws { manager = try SessionManager(store: try MemorySessionStore()) }

    // MARK: Mistakes in the order of a router

    private func misrouted(_ lines: LogLines) -> some ApplicationProtocol {
        let router = Router(context: BasicSessionsRequestContext.self)
        router.get("/before") { _, context in "\(try await context.session().version)" }
        router.get("/manager") { _, context in "\(try context.sessionManager.policy.idleTimeout)" }
        router.get("/handled") { _, context in (try? await context.session()) == nil ? "no session" : "" }
        router.add(middleware: SessionsMiddleware(manager))
        router.get("/after") { _, context in "\(try await context.session().version)" }
        return Application(router: router, logger: Logger(label: "test") { _ in lines })
    }

    @Test(arguments: ["/before", "/manager"])
    func `a route before the middleware is a 500 with a reason in the log, and nothing more`(
        path: String
    ) async throws {
        let lines = LogLines()
        try await misrouted(lines).test(.live) { client in
            for count in 1...3 {
                let response = try await client.execute(uri: path, method: .get)
                #expect(response.status == .internalServerError)
                #expect(response.headers[.cacheControl] == "no-store")
                let body = String(buffer: response.body)
                #expect(body.contains(#""error":"invalid-configuration""#))
                #expect(!body.contains("SessionsMiddleware"))
                #expect(lines.errors.count == count, "one line for each request")
            }
            #expect(
                lines.errors.allSatisfy { $0.contains("There is no SessionsMiddleware before this route") }
            )
            let after = try await client.execute(uri: "/after", method: .get)
            #expect(after.status == .ok && String(buffer: after.body) == "0")
        }
    }

    @Test func `a handler may go on without a session`() async throws {
        try await misrouted(LogLines()).test(.router) { client in
            let response = try await client.execute(uri: "/handled", method: .get)
            #expect(response.status == .ok && String(buffer: response.body) == "no session")
        }
    }

    @Test func `a group without the middleware is a 500, one with it is not`() async throws {
        let router = Router(context: BasicSessionsRequestContext.self)
        router.group("/in").add(middleware: SessionsMiddleware(manager)).get { _, context in
            "\(try await context.session().version)"
        }
        router.group("/out").get { _, context in "\(try await context.session().version)" }
        try await Application(router: router, logger: Logger(label: "test") { _ in LogLines() })
            .test(.router) { client in
                let inside = try await client.execute(uri: "/in", method: .get)
                let outside = try await client.execute(uri: "/out", method: .get)
                #expect(inside.status == .ok && outside.status == .internalServerError)
            }
    }

    // MARK: Beside hummingbird-auth

    @Test func `a context has both kinds of session, and both are usable`() async throws {
        let router = Router(context: BothContext.self)
        router.add(middleware: SessionMiddleware(storage: SessionStorage()))
        router.add(middleware: SessionsMiddleware(manager))
        router.post("/") { _, context in
            context.sessions.setSession("theirs")
            try await context.session().set(.note, "ours")
            return "\(context.sessions.session ?? "") \(try await context.session()[.note] ?? "")"
        }
        try await Application(router: router).test(.router) { client in
            let response = try await client.execute(uri: "/", method: .post)
            #expect(String(buffer: response.body) == "theirs ours")
            #expect(response.headers[values: .setCookie].count == 2)
        }
        #expect(BasicSessionRequestContext<String>.self != BothContext.self)
    }
}

extension SessionKey where Value == String {
    fileprivate static var note: Self { .init("note") }
}

/// An application's context that logs in with hummingbird-auth and keeps carts here.
private struct BothContext: SessionRequestContext, SessionsRequestContext {
    var coreContext: CoreRequestContextStorage
    let sessions = SessionContext<String>()
    var requestSession: RequestSession?

    init(source: Source) { coreContext = CoreRequestContextStorage(source: source) }
}

// MARK: What hummingbird-auth declares, by the same names

/// The session of hummingbird-auth: one value.
private final class SessionContext<Session: Codable & Sendable>: Sendable {
    private let value = Mutex<Session?>(nil)

    var session: Session? { value.withLock { $0 } }
    func setSession(_ session: Session) { value.withLock { $0 = session } }
}

private protocol SessionRequestContext<Session>: RequestContext {
    associatedtype Session: Codable & Sendable
    var sessions: SessionContext<Session> { get }
}

private struct BasicSessionRequestContext<Session: Codable & Sendable>: SessionRequestContext {
    var coreContext: CoreRequestContextStorage
    let sessions = SessionContext<Session>()

    init(source: Source) { coreContext = CoreRequestContextStorage(source: source) }
}

private struct SessionStorage: Sendable {}

private struct SessionMiddleware<Context: SessionRequestContext>: RouterMiddleware {
    let storage: SessionStorage

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        if context.sessions.session != nil {
            response.headers.append(HTTPField(name: .setCookie, value: "SESSION_ID=1"))
        }
        return response
    }
}

// MARK: The log

/// Keeps the lines of a log.
private final class LogLines: LogHandler, Sendable {
    private let contents = Mutex<[(level: Logger.Level, text: String)]>([])

    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .info }
        set {}
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) { contents.withLock { $0.append((event.level, "\(event.message)")) } }

    var errors: [String] { contents.withLock { $0.filter { $0.level >= .error }.map(\.text) } }
}
