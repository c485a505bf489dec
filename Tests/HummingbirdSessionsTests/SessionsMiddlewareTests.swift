// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import SessionsTesting
import Synchronization
import Testing

extension AdapterSite.Refusal: HTTPResponseError {
    var status: HTTPResponse.Status { Self.status }
    func response(from request: Request, context: some RequestContext) -> Response {
        Response(status: status)
    }
}

@Suite struct `Session middleware` {
    /// The scenarios' application behind the middleware.
    private func application(_ site: AdapterSite) -> some ApplicationProtocol {
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: CrossOriginProtectionMiddleware())
        router.add(
            middleware: SessionsMiddleware(site.manager) { request, _ in request.headers[AdapterSite.client] }
        )
        for method in [HTTPRequest.Method.get, .post] {
            router.on("**", method: method) { request, context in
                let body = try await request.body.collect(upTo: 10_000)
                let requestSession = try #require(context.requestSession)
                let (head, text) = try await AdapterSite.answer(
                    request.head,
                    Array(buffer: body),
                    requestSession
                )
                return Response(
                    status: head.status,
                    headers: head.headerFields,
                    body: .init(byteBuffer: ByteBuffer(string: text))
                )
            }
        }
        return Application(router: router)
    }

    @Test(arguments: AdapterScenario.all)
    func `does what every adapter does`(scenario: AdapterScenario) async throws {
        let site = try AdapterSite()
        try await application(site).test(.live) { client in
            try await scenario.run(site, over: client.transport)
        }
    }

    @Test(arguments: [false, true])
    func `tells who the client is, and answers 429 where it may have no session`(
        isBehindProxy: Bool
    ) async throws {
        let store = FaultyStore(try MemorySessionStore())
        let asked = Mutex<[String?]>([])
        let manager = try SessionManager(
            store: store,
            mayCreate: { new in
                asked.withLock { $0.append(new.client) }
                return false
            }
        )
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(
            middleware: isBehindProxy
                ? SessionsMiddleware(manager) { request, _ in request.headers[.init("X-Client")!] }
                : SessionsMiddleware(manager)
        )
        router.post("/cart") { _, context in
            try await context.session().set(SessionKey<[String]>("cart"), ["tea"])
            return "ok"
        }
        try await Application(router: router).test(.live) { client in
            let headers: HTTPFields = [.init("X-Client")!: "203.0.113.9"]
            let response = try await client.execute(uri: "/cart", method: .post, headers: headers)
            #expect(response.status == .tooManyRequests && response.headers[.setCookie] == nil)
        }
        let address = try #require(asked.withLock(\.self).first ?? nil)
        #expect(isBehindProxy ? address == "203.0.113.9" : ["127.0.0.1", "::1"].contains(address))
        #expect(store.counts.isEmpty)
    }

    @Test func `an error outside of a touched session reaches the middleware outside`() async throws {
        let site = try AdapterSite()
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: ErrorPages())
        router.add(middleware: SessionsMiddleware(site.manager))
        router.get("/early") { _, _ -> String in throw HTTPError(.badRequest) }
        router.get("/late") { _, context -> String in
            _ = try await context.session()
            throw HTTPError(.badRequest)
        }
        try await Application(router: router).test(.router) { client in
            let early = try await client.execute(uri: "/early", method: .get)
            #expect(String(buffer: early.body) == "page")
            let late = try await client.execute(uri: "/late", method: .get)
            #expect(late.status == .badRequest && String(buffer: late.body) != "page")
            #expect(late.headers[.vary] == "Cookie")
        }
    }
}

/// Renders errors outside of the sessions.
private struct ErrorPages<Context: RequestContext>: RouterMiddleware {
    func handle(_ request: Request, context: Context, next: (Request, Context) async throws -> Response)
        async throws -> Response
    {
        do { return try await next(request, context) } catch {
            return Response(
                status: .badRequest,
                body: .init(byteBuffer: ByteBuffer(string: "page"))
            )
        }
    }
}
