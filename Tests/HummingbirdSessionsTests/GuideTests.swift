// SPDX-License-Identifier: Apache-2.0

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
        addRememberMe(to: router, accounts: TestAccounts()) { _, _ in true }
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

    @Test func `remembered sessions stay remembered through a step-up`() async throws {
        try await application().test(.router) { client in
            let browser = visitor(client)
            let form = Array("name=ann&password=right&remember=on".utf8)
            try await browser.send(.post, "/remember/sign-in", body: form)
            clock.advance(by: .seconds(5 * 86_400))
            let late = try await browser.send(.post, "/payments").0
            #expect(late.headerFields[.location] == "/confirm")
            let confirmed = try await browser.send(.post, "/confirm", body: Array("password=right".utf8)).0
            #expect(confirmed.headerFields[.setCookie]?.contains("Max-Age=") == true)
            #expect(try await browser.send(.post, "/payments").0.status == .noContent)
            #expect(try await browser.send(.get, "/audit-log").0.status == .forbidden)
            try await browser.send(.post, "/second-factor")
            #expect(try await browser.send(.get, "/audit-log").0.status == .ok)
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
        try await Application(router: router).test(.router) { client in
            let (browser, thief) = (visitor(client), visitor(client))
            let cookie: HTTPFields = [.cookie: "SESSION_ID=abc"]
            let before = body(try await browser.send(.get, "/"))
            #expect(before == "no user")
            #expect(try await browser.send(.get, "/", headers: cookie).0.status == .seeOther)
            #expect(body(try await browser.send(.get, "/")) == "ann")
            #expect(body(try await thief.send(.get, "/", headers: cookie)) == "no user")
        }
    }

    @Test func `health is not readiness`() async throws {
        let router = makeProxiedSite(sessions: sessions) { false }
        try await Application(router: router).test(.router) { client in
            let balancer = visitor(client)
            let before = try await balancer.send(.get, "/readyz").0.status
            #expect(before == .ok)
            store.fail([.check])
            #expect(try await balancer.send(.get, "/readyz").0.status == .serviceUnavailable)
            #expect(try await balancer.send(.get, "/healthz").0.status == .ok)
        }
    }

    @Test func `the client's address is what the nearest proxy has seen`() throws {
        let fields: HTTPFields = [.forwardedFor: "10.0.0.1, 203.0.113.7"]
        let head = HTTPRequest(method: .get, scheme: nil, authority: "x", path: "/", headerFields: fields)
        #expect(proxiedClient(Request(head: head, body: RequestBody(buffer: ByteBuffer()))) == "203.0.113.7")
    }
}
