// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Logging
import SessionsTesting
import Synchronization
import Testing

@testable import Sessions

/// What one client, one user or one hostile value can use up (R76, R78, R79, R80).
@Suite struct `Bounds` {
    private let site: Site

    init() throws { site = try Site(visitors: .seconds(600)) }

    // MARK: Visitors

    @Test func `a visitor who stores once is forgotten sooner than one who comes back`() async throws {
        let once = try await site.start()
        let twice = try await site.start()
        try await site.send(twice) { try $0.set(.item, "cake") }
        let user = try await site.start(as: "ann")
        site.clock.advance(by: .seconds(601))
        #expect(try await site.record(once) == nil)
        #expect(try await site.record(twice) != nil)
        #expect(try await site.record(user) != nil)
        site.clock.advance(by: .seconds(1200))
        #expect(try await site.record(twice) == nil)
    }

    @Test func `flash messages make no visitor stay longer`() async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { try $0.flash("saved") }
        try await site.send(cookie) { _ = try $0.takeFlash() }
        site.clock.advance(by: .seconds(601))
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `a full memory gives up the visitors that would expire first for sign-ins`() async throws {
        let store = try MemorySessionStore(maximumSessions: 4, maximumBytes: 100) { [site] in site.clock.now }
        func make(_ principal: String? = nil, _ bytes: Int = 1) async throws -> SessionCredential {
            let draft = SessionDraft(
                attributes: ["a": Array(repeating: 49, count: bytes)],
                principal: principal,
                policy: SessionPolicy()
            )
            guard case .committed(_, _, let credential?, _) = try await store.create(draft) else {
                throw SessionError(.noSession, "not created")
            }
            return credential
        }
        func record(_ credential: SessionCredential) async throws -> SessionRecord? {
            if case .found(let record) = try await store.load(credential) { record } else { nil }
        }
        let visitors = [try await make(), try await make(), try await make(), try await make()]
        await #expect(throws: SessionError(.storeFull, "")) { _ = try await make() }
        site.clock.advance(by: .seconds(1))
        _ = try await store.touch(try #require(try await record(visitors[0])), isDue: true)
        let ann = try await make("ann")
        #expect(try await record(visitors[0]) != nil)
        #expect(try await record(visitors[1]) == nil)
        // Room in bytes, for a sign-in and for a user's change, and never at the cost of the session itself.
        let signIn = SessionChange(
            operations: ["a": .set(Array(repeating: 49, count: 95))],
            rotation: .signIn(principal: "bob", keeping: []),
            policy: SessionPolicy()
        )
        let visitor = try #require(try await record(visitors[2]))
        guard case .committed(_, _, let bob?, _) = try await store.commit(signIn, to: visitor) else {
            return #expect(Bool(false))
        }
        #expect(try await record(bob) != nil)
        #expect(try await record(visitors[3]) == nil, "did not make room")
        await #expect(throws: SessionError(.storeFull, "")) { _ = try await make("carl", 10) }
        #expect(try await record(ann) != nil)
    }

    @Test func `the application is asked about each new session, with the client's address`()
        async throws
    {
        let asked = Mutex<[String]>([])
        let site = try Site(mayCreate: { new in
            asked.withLock { $0.append("\(new.client ?? "-") \(new.principal ?? "-")") }
            return new.client != "203.0.113.9"
        })
        func request(_ client: String?, _ method: HTTPRequest.Method, as user: String? = nil) async throws
            -> HTTPResponse
        {
            let request = HTTPRequest(method: method, scheme: nil, authority: nil, path: "/")
            let open = RequestSession(request, manager: site.manager, client: client)
            let session = try await open.session()
            if let user { try session.signIn(as: user) } else { try session.set(.item, "tea") }
            var response = HTTPResponse(status: .ok)
            try await open.close(&response)
            return response
        }
        #expect(try await request("198.51.100.7", .post).headerFields[.setCookie] != nil)
        #expect(site.recorder.takeEvents().map(\.client) == ["198.51.100.7"])
        await #expect(throws: SessionError(.creationRefused, "")) {
            _ = try await request("203.0.113.9", .post)
        }
        #expect(SessionError(.creationRefused, "").status == .tooManyRequests)
        // A page that anybody may read is shown.
        #expect(try await request("203.0.113.9", .get).headerFields[.setCookie] == nil)
        await #expect(throws: SessionError(.creationRefused, "")) {
            _ = try await request("203.0.113.9", .post, as: "ann")
        }
        #expect(try await request(nil, .post, as: "ann").headerFields[.setCookie] != nil)
        #expect(
            asked.withLock(\.self) == [
                "198.51.100.7 -", "203.0.113.9 -", "203.0.113.9 -", "203.0.113.9 ann", "- ann",
            ]
        )
    }

    @Test func `the application is not asked about a session that exists`() async throws {
        let site = try Site(mayCreate: { _ in true })
        let cookie = try await site.start()
        let asked = Mutex(0)
        let strict = try Site(
            sharing: site,
            mayCreate: { _ in
                asked.withLock { $0 += 1 }
                return false
            }
        )
        let signedIn = try await strict.send(cookie, method: .post) {
            try $0.signIn(as: "ann", keeping: .item)
        }
        #expect(signedIn.cookie != nil && asked.withLock(\.self) == 0)
    }

    @Test func `text of the client's address cannot break the log`() {
        let recorder = Recorder()
        let sink = SessionEventSink(logger: recorder.logger, observer: nil)
        sink.about { "1.2.3.4\n\u{1B}[31m" + String(repeating: "x", count: 200) }.emit(
            SessionEvent(.malformed)
        )
        let log = recorder.lines.joined()
        #expect(!log.contains("\u{1B}") && !log.contains(String(repeating: "x", count: 65)))
    }

    // MARK: Users

    @Test func `a user has at most a hundred sessions, and the oldest ends`() async throws {
        var cookies: [String] = []
        for _ in 0..<102 { cookies.append(try await site.start(as: "ann")) }
        #expect(try await site.manager.list(for: "ann").count == 100)
        for cookie in cookies[..<2] { #expect(try await site.record(cookie) == nil) }
        #expect(try await site.record(cookies[2]) != nil)
    }

    // MARK: Flash messages

    @Test func `messages that nobody reads do not fill the session`() async throws {
        let cookie = try await site.start(as: "ann")
        for number in 0..<200 {
            try await site.send(cookie) { session in
                for part in 0..<10 { try session.flash("wrong password \(number) \(part)") }
                #expect(session.names == ["item"])
            }
        }
        try await site.send(cookie) { session in
            let messages = try session.takeFlash()
            #expect(messages.last == "wrong password 199 9" && messages.count == 20)
        }
    }

    @Test(arguments: ["x", "\u{1}", "\"", "\u{1F468}\u{200D}\u{1F469}", "/"])
    func `messages are bounded as they are stored`(text: String) async throws {
        let cookie = try await site.start()
        for length in [1, 100, 5000] {
            try await site.send(cookie) { try $0.flash(String(repeating: text, count: length)) }
            let stored = try #require(try await site.record(cookie)?.attributes["@flash"])
            #expect(stored.count <= 1100)
        }
        try await site.send(cookie) { session in
            let last = try session.takeFlash().last
            #expect(last?.hasSuffix("\u{2026}") == true)
        }
    }

    @Test func `what was pushed out meanwhile is not shown twice, and what came meanwhile is shown`() {
        let shown = (0..<20).map { "message \($0)" }
        var stored = shown
        for number in 20..<25 { FlashMessages.add("message \(number)", to: &stored) }
        #expect(FlashMessages.left(of: stored, after: shown) == (20..<25).map { "message \($0)" })
        #expect(FlashMessages.left(of: ["new"], after: ["old"]) == ["new"])
        #expect(FlashMessages.left(of: ["b"], after: ["a", "b"]) == ["b"])
    }

    @Test func `a full session takes a message`() async throws {
        let site = try Site(limits: SessionLimits(bytes: 200))
        let cookie = try await site.start { try $0.set(.item, String(repeating: "x", count: 190)) }
        try await site.send(cookie) { try $0.flash("wrong password") }
        try await site.send(cookie) { try $0.flash(String(repeating: "long ", count: 100_000)) }
        try await site.send(cookie) { session in
            let messages = try session.takeFlash()
            #expect(messages.contains { $0.hasPrefix("long long") })
        }
    }

    // MARK: Nesting

    @Test(arguments: [33, 511]) func `a value that nests too deep is refused when it is written`(
        depth: Int
    ) async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { session in
            #expect(throws: SessionError(.invalidValue, "")) { try session.set(.tree, Tree(depth: depth)) }
            try session.set(.tree, Tree(depth: 32))
        }
        #expect(try await site.read(cookie, .tree) == Tree(depth: 32))
    }

    @Test(arguments: [33, 511, 60_000]) func `a stored value that nests too deep reads as nothing`(
        depth: Int
    ) async throws {
        let cookie = try await site.start()
        let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        try await site.bypass(cookie, ["tree": .set(Array(text.utf8))])
        try await site.send(cookie) { session in
            #expect(session[.tree] == nil)
            #expect(throws: SessionError(.invalidValue, "")) {
                try session.update(.tree) { $0 = $0 ?? Tree(depth: 1) }
            }
        }
    }

    // MARK: The log

    @Test func `one session's replays do not hide another's`() {
        let recorder = Recorder()
        let sink = SessionEventSink(logger: recorder.logger, observer: nil)
        let (own, victim) = (SessionID(), SessionID())
        for _ in 0..<1000 { sink.emit(SessionEvent(.replayed, own)) }
        sink.emit(SessionEvent(.replayed, victim))
        #expect(recorder.lines.contains { $0.contains("\(victim)") })
    }

    @Test func `hundreds of guessed tickets leave a trace in a log at info`() async throws {
        let recorder = Recorder()
        var logger = recorder.logger
        logger.logLevel = .info
        let sink = SessionEventSink(logger: logger, observer: nil)
        for _ in 0..<200 { sink.emit(SessionEvent(.unknown)) }
        #expect(recorder.lines.contains { $0.contains("unknown") })
    }
}

/// A list of a list of a list.
struct Tree: Codable, Hashable, Sendable {
    var inner: [Tree]

    init(depth: Int) {
        inner = []
        for _ in 1..<depth { self = Tree([self]) }
    }

    init(_ inner: [Tree]) { self.inner = inner }

    init(from decoder: any Decoder) throws {
        inner = try decoder.singleValueContainer().decode([Tree].self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(inner)
    }
}

extension SessionKey where Value == Tree {
    static var tree: Self { .init("tree") }
}
