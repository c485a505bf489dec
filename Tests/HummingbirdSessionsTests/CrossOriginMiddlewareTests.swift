// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import Synchronization
import TestSupport
import Testing

extension SessionKey where Value == [String] {
    fileprivate static var cart: Self { .init("cart") }
}

/// Refusals over HTTP, and a real browser that another site's page attacks with.
@Suite struct `Cross-origin middleware` {
    private static let site = HTTPField.Name("Sec-Fetch-Site")!

    /// What the application saw, in order.
    private final class Log: Sendable {
        private let entries = Mutex<[String]>([])
        func note(_ entry: String) { entries.withLock { $0.append(entry) } }
        var all: [String] { entries.withLock { $0 } }
        func contains(_ start: String) -> Bool { all.contains { $0.hasPrefix(start) } }
    }

    /// Notes each request with what the browser said and what became of it.
    private struct Recorder<Context: RequestContext>: RouterMiddleware {
        let log: Log
        func handle(
            _ request: Request,
            context: Context,
            next: (Request, Context) async throws -> Response
        ) async throws -> Response {
            let status: Int
            defer {
                let site = request.headers[HTTPField.Name("Sec-Fetch-Site")!] ?? "-"
                let cookie = request.headers.contains(.cookie) ? "cookie" : "-"
                log.note("\(request.method) \(request.uri.path) \(site) \(cookie) \(status)")
            }
            do {
                let response = try await next(request, context)
                status = response.status.code
                return response
            } catch {
                status = (error as? any HTTPResponseError)?.status.code ?? 500
                throw error
            }
        }
    }

    private func application(
        _ log: Log,
        _ protection: CrossOriginProtection? = CrossOriginProtection(),
        evil: String = ""
    ) throws -> some ApplicationProtocol {
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: Recorder(log: log))
        if let protection {
            router.add(
                middleware: CrossOriginProtectionMiddleware(protection) { refusal, request in
                    log.note("refused \(request.uri.path): \(refusal)")
                }
            )
        }
        let sessions = try SessionManager(store: MemorySessionStore(), cookie: .plainHTTP())
        router.add(middleware: SessionsMiddleware(sessions))
        router.get("/start") { _, _ in
            Self.page(
                "<script>fetch('/cart/own', {method: 'POST'}).then(() => { location = '\(evil)' })</script>"
            )
        }
        router.post("/cart/:item") { _, context in
            let item = try context.parameters.require("item")
            try await context.session().update(.cart, default: []) { $0.append(item) }
            return item
        }
        router.get("/cart") { _, context in
            let items = try await context.session()[.cart] ?? []
            log.note("cart \(items.sorted())")
            return items.joined(separator: ",")
        }
        router.get("/socket") { _, _ in "no upgrade here" }
        return Application(router: router)
    }

    private static func page(_ text: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/html; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: "<!doctype html>" + text))
        )
    }

    @Test func `answers 403 as JSON that is not cached, and tells the handler`() async throws {
        let log = Log()
        try await application(log).test(.live) { client in
            let refused = try await client.execute(
                uri: "/cart/mug",
                method: .post,
                headers: [.origin: "https://evil.example\"", Self.site: "same-site"]
            )
            #expect(refused.status == .forbidden)
            #expect(refused.headers[.contentType] == "application/json; charset=utf-8")
            #expect(refused.headers[.cacheControl] == "no-store")
            #expect(refused.headers[.vary] == "Origin, Sec-Fetch-Site")
            #expect(refused.headers[.setCookie] == nil)
            #expect(String(buffer: refused.body).hasPrefix(#"{"error":"cross-origin","message":""#))
            let told =
                "refused /cart/mug: cross-origin: Sec-Fetch-Site same-site, Origin https://evil.example?"
            #expect(log.all.first == told)

            for headers in [
                [Self.site: "same-origin"], [.origin: "http://localhost"], [:],
            ] as [HTTPFields] {
                let response = try await client.execute(uri: "/cart/mug", method: .post, headers: headers)
                #expect(response.status == .ok, "\(headers)")
            }
            let read = try await client.execute(
                uri: "/cart",
                method: .get,
                headers: [Self.site: "cross-site"]
            )
            #expect(read.status == .ok && read.headers[.vary]?.contains("Origin") != true)
        }
    }

    @Test func `examines requests that no route answers, and handshakes`() async throws {
        try await application(Log()).test(.live) { client in
            let foreign: HTTPFields = [Self.site: "cross-site"]
            let lost = try await client.execute(uri: "/nowhere", method: .post, headers: foreign)
            #expect(lost.status == .forbidden)
            var handshake: HTTPFields = [
                .upgrade: "websocket", .connection: "Upgrade", .origin: "http://evil.example",
            ]
            #expect(
                try await client.execute(uri: "/socket", method: .get, headers: handshake).status
                    == .forbidden
            )
            handshake[.origin] = "http://localhost"
            #expect(try await client.execute(uri: "/socket", method: .get, headers: handshake).status == .ok)
        }
    }

    @Test func `exempt paths lead nowhere else`() async throws {
        let protection = try CrossOriginProtection(exemptPaths: ["/cart/hook", "/open/*"])
        try await application(Log(), protection).test(.live) { client in
            let foreign: HTTPFields = [Self.site: "cross-site"]
            for (path, status) in [
                ("/cart/hook", HTTPResponse.Status.ok), ("/cart/hook/", .forbidden),
                ("/cart//hook", .forbidden),
                ("/open/../cart/mug", .forbidden), ("/open/%2e%2e/cart/mug", .forbidden),
                ("//open/cart/mug", .forbidden), ("/cart/%68ook", .forbidden), ("/open/mug", .notFound),
            ] {
                let response = try await client.execute(uri: path, method: .post, headers: foreign)
                #expect(response.status == status, "\(path)")
            }
        }
    }

    /// A page at another port of the same host gets the cookies sent in spite of `SameSite=Lax`; the last row
    /// shows that the attack works where there is no protection.
    @Test(
        .enabled(if: ChromiumRun.isInstalled),
        arguments: [("localhost", true), ("127.0.0.1", true), ("localhost", false)]
    )
    func `another site's form, fetch and WebSocket change nothing in Chromium`(
        host: String,
        isProtected: Bool
    ) async throws {
        let log = Log()
        let target = Mutex("")
        let router = Router()
        router.get("/attack") { _, _ in
            let shop = target.withLock { $0 }
            return Self.page(
                """
                <iframe name="frame"></iframe>
                <form id="form" method="post" action="http://\(shop)/cart/form" target="frame"></form>
                <script>
                  const form = new Promise(done => {
                    document.querySelector('iframe').onload = done
                    setTimeout(() => document.getElementById('form').submit(), 0)
                  })
                  const options = {method: 'POST', mode: 'no-cors', credentials: 'include'}
                  const sent = fetch('http://\(shop)/cart/fetch', options).catch(() => {})
                  const socket = new Promise(done => {
                    new WebSocket('ws://\(shop)/socket').onclose = done
                  })
                  Promise.all([form, sent, socket]).then(() => { location = 'http://\(shop)/cart' })
                </script>
                """
            )
        }
        try await Application(router: router).test(.live) { evil in
            let page = "http://\(host):\(try #require(evil.port))/attack"
            let shop = try application(log, isProtected ? CrossOriginProtection() : nil, evil: page)
            try await shop.test(.live) { client in
                let place = "localhost:\(try #require(client.port))"
                target.withLock { $0 = place }
                let chromium = try ChromiumRun("http://\(place)/start")
                let requests = [
                    "POST /cart/own", "POST /cart/form", "POST /cart/fetch", "GET /socket", "cart ",
                ]
                _ = await poll(seconds: 60) { requests.allSatisfy(log.contains) }
                await chromium.stop()
                let seen = log.all.joined(separator: "\n") + chromium.text.suffix(500)
                #expect(log.contains("POST /cart/own same-origin - 200"), "\(seen)")
                let site = host == "localhost" ? "same-site cookie" : "cross-site -"
                let status = isProtected ? 403 : 200
                #expect(log.contains("POST /cart/form \(site) \(status)"), "\(seen)")
                #expect(log.contains("POST /cart/fetch \(site) \(status)"), "\(seen)")
                #expect(
                    log.all.contains { $0.hasPrefix("GET /socket") && $0.hasSuffix(" \(status)") },
                    "\(seen)"
                )
                let cart = isProtected ? ["own"] : ["fetch", "form", "own"]
                #expect(log.contains("cart \(cart)"), "\(seen)")
            }
        }
    }
}
