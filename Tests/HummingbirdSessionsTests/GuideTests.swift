// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import SessionsTesting
import Synchronization
import Testing

@testable import Guides

/// The guides' code does what the guides say.
@Suite struct `The guides` {
    private let clock = ManualClock()
    private let store: FaultyStore
    private let sessions: SessionManager

    init() throws {
        let clock = clock
        store = FaultyStore(try MemorySessionStore(now: { clock.now }))
        sessions = try SessionManager(store: store)
    }

    private struct TestAccounts: Accounts {
        func user(named name: String, password: String) async throws -> String? {
            password == "right" ? name : nil
        }
    }

    private func application() throws -> some ApplicationProtocol {
        let router = try makeSite(sessions: sessions)
        addSignIn(to: router, accounts: TestAccounts())
        addDevices(to: router)
        let isRight: @Sendable (Request, String) -> Bool = { request, _ in request.uri.query == "code=right" }
        addRememberMe(to: router, accounts: TestAccounts(), isCodeRight: isRight)
        addForms(to: router) { _ in }
        addAPI(to: router.group("/api"))
        addWelcome(to: router)
        return Application(router: router)
    }

    private func visitor(_ client: any TestClientProtocol) -> Visitor {
        Visitor(host: "shop.example", transport: client.transport)
    }

    private func body(_ answer: (HTTPResponse, [UInt8])) -> String {
        String(decoding: answer.1, as: UTF8.self)
    }

    /// What a socket receives: one message.
    private func messages(_ text: String) -> AsyncThrowingStream<String, any Error> {
        AsyncThrowingStream { continuation in
            continuation.yield(text)
            continuation.finish()
        }
    }

    @Test func `sign in, list devices, sign out everywhere`() async throws {
        try await application().test(.router) { client in
            let (laptop, phone) = (visitor(client), visitor(client))
            let form = Array("name=ann&password=right".utf8)
            let wrong = try await laptop.send(.post, "/sign-in", body: Array("name=ann&password=x".utf8))
            #expect(wrong.0.status == .unauthorized)
            #expect(try await laptop.send(.get, "/account/devices").0.headerFields[.location] == "/sign-in")
            try await laptop.send(.post, "/sign-in", headers: [.userAgent: "Laptop"], body: form)
            try await phone.send(.post, "/sign-in", headers: [.userAgent: "Phone"], body: form)
            let list = body(try await laptop.send(.get, "/account/devices"))
            #expect(list.contains("Laptop") && list.contains("Phone") && list.contains(#""isThisOne":true"#))
            let answer = try await laptop.send(.post, "/sign-out-everywhere").0
            #expect(answer.headerFields[.setCookie]?.contains("Max-Age=0") == true)
            #expect(try await phone.send(.get, "/account/devices").0.headerFields[.location] == "/sign-in")
        }
    }

    private struct Entry: Decodable {
        let id: String
        let isThisOne: Bool
    }

    @Test func `a user signs one device out, and not another user's`() async throws {
        try await application().test(.router) { client in
            let (laptop, phone, stranger) = (visitor(client), visitor(client), visitor(client))
            let form = Array("name=ann&password=right".utf8)
            for browser in [laptop, phone] { try await browser.send(.post, "/sign-in", body: form) }
            try await stranger.send(.post, "/sign-in", body: Array("name=bob&password=right".utf8))
            let list = try await laptop.send(.get, "/account/devices").1
            let entries = try JSONDecoder().decode([Entry].self, from: Data(list))
            #expect(entries.count == 2 && entries.count(where: \.isThisOne) == 1)
            let other = try #require(entries.first { !$0.isThisOne })
            let signOut = "/account/devices/\(other.id)/sign-out"
            #expect(try await stranger.send(.post, signOut).0.status == .notFound)
            #expect(try await phone.send(.get, "/account/devices").0.status == .ok)
            let answer = try await laptop.send(.post, signOut).0
            #expect(answer.headerFields[.location] == "/account/devices")
            #expect(try await phone.send(.get, "/account/devices").0.headerFields[.location] == "/sign-in")
            #expect(try await laptop.send(.post, signOut).0.status == .notFound)
            #expect(try await laptop.send(.get, "/account/devices").0.status == .ok)
            try await laptop.send(.post, "/sign-out")
            #expect(try await laptop.send(.get, "/account/devices").0.headerFields[.location] == "/sign-in")
        }
    }

    @Test func `a sign-in keeps the cart and nothing else, and the audit log hears of it`() async throws {
        let (audit, continuation) = AsyncStream.makeStream(of: SessionEvent.self)
        let router = try makeSite(sessions: makeAuditedSessions(in: store, audit: continuation))
        addSignIn(to: router, accounts: TestAccounts())
        router.post("/visit") { _, context in
            let session = try await context.session()
            try session.set(.cart, ["tea"])
            try session.set(.nickname, "a")
            return Response(status: .noContent)
        }
        router.get("/visit") { _, context in
            let session = try await context.session()
            return "\(session[.cart] ?? []) \(session[.nickname] ?? "-")"
        }
        try await Application(router: router).test(.router) { client in
            let browser = visitor(client)
            try await browser.send(.post, "/visit")
            #expect(body(try await browser.send(.get, "/visit")) == #"["tea"] a"#)
            try await browser.send(.post, "/sign-in", body: Array("name=ann&password=right".utf8))
            #expect(body(try await browser.send(.get, "/visit")) == #"["tea"] -"#)
            try await browser.send(.post, "/sign-out")
        }
        continuation.finish()
        #expect(
            await audit.reduce(into: [SessionEvent.Kind]()) { $0.append($1.kind) } == [.signedIn, .signedOut]
        )
    }

    @Test func `remembered sessions stay remembered through a step-up`() async throws {
        try await application().test(.router) { client in
            let browser = visitor(client)
            let form = Array("name=ann&password=right&remember=on".utf8)
            try await browser.send(.post, "/remember/sign-in", body: form)
            clock.advance(by: .seconds(5 * 86_400))
            let late = try await browser.send(.post, "/payments").0
            #expect(late.headerFields[.location] == "/confirm")
            let wrong = try await browser.send(.post, "/confirm", body: Array("password=x".utf8)).0
            #expect(wrong.status == .unauthorized)
            let confirmed = try await browser.send(.post, "/confirm", body: Array("password=right".utf8)).0
            #expect(confirmed.headerFields[.setCookie]?.contains("Max-Age=") == true)
            #expect(try await browser.send(.post, "/payments").0.status == .noContent)
            #expect(try await browser.send(.get, "/audit-log").0.status == .forbidden)
            #expect(try await browser.send(.post, "/second-factor?code=wrong").0.status == .unauthorized)
            #expect(try await browser.send(.get, "/audit-log").0.status == .forbidden)
            let elevated = try await browser.send(.post, "/second-factor?code=right").0
            #expect(elevated.headerFields[.setCookie]?.contains("Max-Age=") == true)
            #expect(try await browser.send(.get, "/audit-log").0.status == .ok)
            clock.advance(by: .seconds(3601))
            #expect(try await browser.send(.get, "/audit-log").0.status == .forbidden)
        }
    }

    @Test func `forms show messages once and take an order once`() async throws {
        try await application().test(.router) { client in
            let browser = visitor(client)
            try await browser.send(.post, "/profile", body: Array("nickname=a%3Cb".utf8))
            let first = body(try await browser.send(.get, "/profile"))
            #expect(first.contains("Your profile is saved.") && first.contains("a&lt;b"))
            #expect(!body(try await browser.send(.get, "/profile")).contains("saved"))

            let forged = try await browser.send(.post, "/transfer", body: Array("csrf=x".utf8)).0
            #expect(forged.status == .forbidden)
            let page = body(try await browser.send(.get, "/transfer"))
            let token = try #require(page.firstMatch(of: /value="([^"]+)"/)).1
            let answer = try await browser.send(.post, "/transfer", body: Array("csrf=\(token)".utf8)).0
            #expect(answer.status == .seeOther)

            let foreign = try await browser.send(
                .post,
                "/profile",
                headers: [HTTPField.Name("Sec-Fetch-Site")!: "cross-site"],
                body: Array("nickname=x".utf8)
            )
            #expect(foreign.0.status == .forbidden)
            let trusted = try await browser.send(
                .post,
                "/profile",
                headers: [
                    HTTPField.Name("Sec-Fetch-Site")!: "cross-site", .origin: "https://admin.example.com",
                ],
                body: Array("nickname=x".utf8)
            )
            #expect(trusted.0.status == .seeOther)
            let hook = try await browser.send(
                .post,
                "/hooks/paid",
                headers: [HTTPField.Name("Sec-Fetch-Site")!: "cross-site"]
            )
            #expect(hook.0.status == .notFound, "the router has none, and nothing has refused it before")
        }
    }

    @Test func `an API decides by what is committed`() async throws {
        try await application().test(.router) { client in
            let browser = visitor(client)
            #expect(try await browser.send(.post, "/api/coupons").0.status == .unauthorized)
            try await browser.send(.post, "/sign-in", body: Array("name=ann&password=right".utf8))
            let statuses = try await withThrowingTaskGroup { group in
                for _ in 0..<10 {
                    let tab = browser.clone()
                    group.addTask { try await tab.send(.post, "/api/coupons").0.status }
                }
                return try await group.reduce(into: [HTTPResponse.Status]()) { $0.append($1) }
            }
            #expect(statuses.count { $0 == .created } == 3)
            let put = try await browser.send(.put, "/api/basket/tea", body: Array(#"{"count":2}"#.utf8)).0
            #expect(put.status == .noContent)
            #expect(body(try await browser.send(.post, "/api/basket/tea")) == #"{"items":{"tea":3}}"#)
            let one = Array(#"{"count":1}"#.utf8)
            for number in 1..<50 { try await browser.send(.put, "/api/basket/\(number)", body: one) }
            #expect(
                try await browser.send(.put, "/api/basket/50", body: one).0.status == .unprocessableContent
            )
            #expect(try await browser.send(.put, "/api/basket/tea", body: one).0.status == .noContent)
        }
    }

    @Test func `a page that asks again and again does not keep its session alive`() async throws {
        try await application().test(.router) { client in
            let browser = visitor(client)
            try await browser.send(.post, "/sign-in", body: Array("name=ann&password=right".utf8))
            try await browser.send(.post, "/api/coupons")
            for _ in 0..<2 {
                #expect(body(try await browser.send(.get, "/api/unread")) == #"{"count":1}"#)
                clock.advance(by: .seconds(20 * 60))
            }
            #expect(body(try await browser.send(.get, "/api/unread")) == #"{"count":0}"#)
        }
    }

    @Test func `without the store a page that asked for it can be shown`() async throws {
        try await application().test(.router) { client in
            let browser = visitor(client)
            try await browser.send(.post, "/sign-in", body: Array("name=ann&password=right".utf8))
            #expect(body(try await browser.send(.get, "/welcome")) == "Hello, ann\n")
            store.fail([.load, .commit])
            #expect(body(try await browser.send(.get, "/welcome")) == "Hello\n")
            let account = try await browser.send(.get, "/account/devices").0
            #expect(account.status == .serviceUnavailable && account.headerFields[.setCookie] == nil)
            store.fail([])
            #expect(body(try await browser.send(.get, "/welcome")) == "Hello, ann\n")
        }
    }

    @Test func `jobs reach the user's sessions until they end`() async throws {
        let browser = Visitor(sessions)
        var job: ExportJob?
        try await browser.send { session in
            try session.signIn(as: "ann")
            job = ExportJob(session: "\(try #require(session.id))", user: "ann")
        }
        try await finish(try #require(job), in: sessions)
        try await orderWasPaid(by: "ann", in: sessions)
        try await browser.send { session in
            #expect(try session.takeFlash() == ["Your export is ready.", "Your order is paid."])
            try session.signOut()
        }
        try await finish(try #require(job), in: sessions)
    }

    @Test func `exports are of the user who asks, and a payment reaches the sessions that are left`()
        async throws
    {
        let jobs = Mutex<[ExportJob]>([])
        let router = try makeSite(sessions: sessions)
        addSignIn(to: router, accounts: TestAccounts())
        addForms(to: router) { _ in }
        addExports(to: router) { job in jobs.withLock { $0.append(job) } }
        try await Application(router: router).test(.router) { client in
            let (laptop, phone) = (visitor(client), visitor(client))
            #expect(try await laptop.send(.post, "/exports").0.status == .unauthorized)
            for browser in [laptop, phone] {
                try await browser.send(.post, "/sign-in", body: Array("name=ann&password=right".utf8))
                #expect(try await browser.send(.post, "/exports").0.status == .accepted)
            }
            let listed = try await sessions.list(for: "ann").map(\.id)
            #expect(jobs.withLock { $0.map(\.user) } == ["ann", "ann"])
            #expect(Set(jobs.withLock { $0.map(\.session) }) == Set(listed.map(\.description)))
            for job in jobs.withLock({ $0 }) { try await finish(job, in: sessions) }
            // One is signed out when the sessions are listed already.
            let (first, store) = (try #require(listed.first), store)
            store.before(.load) { _ = try? await store.revoke(first) }
            try await orderWasPaid(by: "ann", in: sessions)
            var pages: [String] = []
            for browser in [laptop, phone] { pages.append(body(try await browser.send(.get, "/profile"))) }
            #expect(pages.count { $0.contains("is ready.") && $0.contains("is paid.") } == 1)
            #expect(try await sessions.list(for: "ann").map(\.id) == Array(listed.dropFirst()))
        }
    }

    @Test func `a socket stays in use, and ends with the session`() async throws {
        let browser = Visitor(sessions)
        try await browser.send { try $0.signIn(as: "ann") }
        var user: SocketUser?
        try await browser.send { user = SocketUser($0) }
        let socket = try #require(user)
        let (clock, sessions) = (clock, sessions)
        for text in ["one", "two"] {
            clock.advance(by: .seconds(20 * 60))
            try await serve(messages(text), of: socket, in: sessions)
        }
        try await browser.send { #expect($0[.notes] == ["one", "two"]) }
        try await sessions.revokeAll(of: "ann")
        await #expect(throws: SessionError(.noSession, "")) {
            try await serve(messages("x"), of: socket, in: sessions)
        }
    }

    @Test func `a double submit places one order`() async throws {
        let placed = Mutex<[String]>([])
        let router = try makeSite(sessions: sessions)
        addForms(to: router) { key in placed.withLock { $0.append(key) } }
        try await Application(router: router).test(.router) { client in
            let browser = visitor(client)
            let page = body(try await browser.send(.get, "/order"))
            let token = try #require(page.firstMatch(of: /value="([^"]+)"/)).1
            #expect(body(try await browser.send(.get, "/order")) == page)
            try await withThrowingTaskGroup { group in
                for _ in 0..<5 {
                    let tab = browser.clone()
                    group.addTask {
                        _ = try await tab.send(.post, "/order", body: Array("order=\(token)".utf8))
                    }
                }
                try await group.waitForAll()
            }
            #expect(placed.withLock { $0 } == [String(token)])
        }
    }

    @Test func `a stream changes the session after its response`() async throws {
        let router = try makeSite(sessions: sessions)
        addForms(to: router) { _ in }
        addProgress(to: router)
        try await Application(router: router).test(.router) { client in
            let browser = visitor(client)
            try await browser.send(.post, "/profile", body: Array("nickname=ann".utf8))
            _ = try await browser.send(.get, "/profile")
            #expect(body(try await browser.send(.get, "/progress")) == "data: half\n\ndata: done\n\n")
            #expect(body(try await browser.send(.get, "/profile")).contains("The import is done."))
        }
    }

    @Test func `users of the old sessions are taken over once`() async throws {
        let old = Mutex(["abc": "ann"])
        let router = Router(context: ShopContext.self)
        router.add(middleware: SessionsMiddleware(sessions))
        router.add(
            middleware: OldSessionMiddleware(oldCookie: "SESSION_ID") { request in
                old.withLock {
                    $0.removeValue(forKey: request.cookies["SESSION_ID"]?.value.description ?? "")
                }
            }
        )
        router.get("/") { _, context in try await context.session().principal ?? "no user" }
        router.post("/") { _, context in try await context.session().principal ?? "no user" }
        try await Application(router: router).test(.router) { client in
            let (browser, thief) = (visitor(client), visitor(client))
            let cookie: HTTPFields = [.cookie: "SESSION_ID=abc"]
            let before = body(try await browser.send(.get, "/"))
            #expect(before == "no user")
            // A redirect would lose what the form says.
            #expect(body(try await browser.send(.post, "/", headers: cookie)) == "no user")
            #expect(try await browser.send(.get, "/", headers: cookie).0.status == .seeOther)
            #expect(body(try await browser.send(.get, "/")) == "ann")
            #expect(body(try await thief.send(.get, "/", headers: cookie)) == "no user")
            // A user who has signed in anew stays that user.
            old.withLock { $0["def"] = "bob" }
            let own = browser.cookies.cookieField(for: .init(host: "shop.example", isSecure: true))
            let both: HTTPFields = [.cookie: "SESSION_ID=def; \(try #require(own))"]
            #expect(body(try await browser.send(.get, "/", headers: both)) == "ann")
        }
    }

    @Test func `health is not readiness`() async throws {
        let isDraining = Mutex(false)
        let router = makeProxiedSite(sessions: sessions) { isDraining.withLock(\.self) }
        try await Application(router: router).test(.router) { client in
            let balancer = visitor(client)
            let before = try await balancer.send(.get, "/readyz").0.status
            #expect(before == .ok)
            store.fail([.check])
            #expect(try await balancer.send(.get, "/readyz").0.status == .serviceUnavailable)
            #expect(try await balancer.send(.get, "/healthz").0.status == .ok)
            isDraining.withLock { $0 = true }
            #expect(try await balancer.send(.get, "/healthz").0.status == .serviceUnavailable)
        }
    }

    @Test func `the client's address is what the nearest proxy has seen`() throws {
        let fields: HTTPFields = [.forwardedFor: "192.0.2.1", .forwardedFor: "10.0.0.1, 203.0.113.7"]
        let head = HTTPRequest(method: .get, scheme: nil, authority: "x", path: "/", headerFields: fields)
        #expect(proxiedClient(Request(head: head, body: RequestBody(buffer: ByteBuffer()))) == "203.0.113.7")
    }
}
