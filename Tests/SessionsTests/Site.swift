// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Logging
import Sessions
import SessionsTesting
import Synchronization
import Testing

/// A server without a network: a manager over a memory store that can fail, a clock that stands still, and
/// what it reported.
struct Site: Sendable {
    /// What a browser knows after a response.
    struct Answer {
        var response: HTTPResponse
        /// The cookie's value from now on; nil when the browser has none.
        var cookie: String?

        /// The one `Set-Cookie` line, if any.
        var setCookie: String? {
            let lines = response.headerFields[values: .setCookie]
            #expect(lines.count <= 1)
            return lines.first
        }
    }

    let clock: ManualClock
    private let memory: MemorySessionStore
    let store: FaultyStore
    let manager: SessionManager
    let recorder = Recorder()

    /// Creates a site; visitors have the same idle timeout as users, unless `visitors` says another.
    init(
        policy: SessionPolicy = SessionPolicy(),
        visitors: Duration? = nil,
        cookie: SessionCookie = SessionCookie(),
        limits: SessionLimits = SessionLimits(),
        sharing other: Site? = nil,
        mayCreate: (@Sendable (NewSession) async -> Bool)? = nil
    ) throws {
        let clock = other?.clock ?? ManualClock()
        self.clock = clock
        memory = try other?.memory ?? MemorySessionStore { clock.now }
        store = other?.store ?? FaultyStore(memory)
        var policy = policy
        policy.anonymousIdleTimeout = visitors ?? policy.idleTimeout
        manager = try SessionManager(
            store: store,
            policy: policy,
            cookie: cookie,
            limits: limits,
            logger: recorder.logger,
            onEvent: { [recorder] in recorder.note($0) },
            mayCreate: mayCreate
        )
    }

    /// The kinds of all events since the last call.
    func events() -> [SessionEvent.Kind] { recorder.takeEvents().map(\.kind) }

    func open(_ cookie: String?, method: HTTPRequest.Method = .get) -> RequestSession {
        RequestSession(
            HTTPRequest(method: method, scheme: nil, authority: nil, path: "/", headerFields: fields(cookie)),
            manager: manager
        )
    }

    /// One request from its first to its last byte.
    @discardableResult
    func send(
        _ cookie: String? = nil,
        method: HTTPRequest.Method = .get,
        status: HTTPResponse.Status = .ok,
        _ handler: nonisolated(nonsending) (Session) async throws -> Void = { _ in }
    ) async throws -> Answer {
        let visitor = Visitor(manager, jar: jar(cookie))
        let response = try await visitor.send(fields(cookie), method: method, status: status, handler)
        return answer(response, visitor.cookies)
    }

    func close(_ exchange: RequestSession, _ cookie: String?, status: HTTPResponse.Status = .ok) async throws
        -> Answer
    {
        var response = HTTPResponse(status: status)
        try await exchange.close(&response)
        var jar = jar(cookie)
        jar.receive(response.headerFields, from: place)
        return answer(response, jar)
    }

    /// The end of a request whose handler failed.
    func fail(_ exchange: RequestSession, _ cookie: String?) async throws -> Answer {
        var response = HTTPResponse(status: .internalServerError)
        try await exchange.closeAfterFailure(&response)
        var jar = jar(cookie)
        jar.receive(response.headerFields, from: place)
        return answer(response, jar)
    }

    private func fields(_ cookie: String?) -> HTTPFields {
        cookie.map { [.cookie: "\(manager.cookie.name)=\($0)"] } ?? [:]
    }

    private func jar(_ cookie: String?) -> CookieJar {
        var jar = CookieJar()
        if let cookie { jar.receive("\(manager.cookie.name)=\(cookie); Path=/; Secure", from: place) }
        return jar
    }

    private func answer(_ response: HTTPResponse, _ jar: CookieJar) -> Answer {
        Answer(response: response, cookie: jar.value(manager.cookie.name, for: place))
    }

    private var place: CookieJar.Location { CookieJar.Location(host: "localhost", isSecure: true) }

    /// A browser with a fresh session; leaves no event behind.
    func start(
        as principal: String? = nil,
        _ handler: (Session) throws -> Void = { try $0.set(.item, "tea") }
    ) async throws -> String {
        let answer = try await send { session in
            if let principal { try session.signIn(as: principal) }
            try handler(session)
        }
        _ = events()
        return try #require(answer.cookie)
    }

    /// What the next page would show.
    func read<Value>(_ cookie: String, _ key: SessionKey<Value>) async throws -> Value? {
        try await found(cookie).attributes[key.name].map { try SessionCodec.decode(Value.self, from: $0) }
    }

    /// The stored record, read past the counters; nil when the cookie stands for none.
    func record(_ cookie: String) async throws -> SessionRecord? {
        guard case .found(let record) = try await memory.load(SessionCredential(cookie)) else { return nil }
        return record
    }

    /// The stored record of a cookie that must be there and hold.
    func found(_ cookie: String?) async throws -> SessionRecord {
        let cookie = try #require(cookie)
        return try #require(try await record(cookie))
    }

    /// Changes the record without passing the counters and hooks.
    func bypass(_ cookie: String, _ operations: [String: SessionChange.Operation]) async throws {
        let record = try await found(cookie)
        _ = try await memory.commit(SessionChange(operations: operations, policy: manager.policy), to: record)
    }

    /// Runs `body` once in the middle of somebody else's request, right before that reaches the store.
    func before(_ operation: FaultyStore.Operation, _ body: @escaping @Sendable () async throws -> Void) {
        store.before(operation) {
            do { try await body() } catch { Issue.record(error) }
        }
    }
}

extension SessionKey where Value == String {
    static var item: Self { .init("item") }
    static var other: Self { .init("other") }
}

extension SessionKey where Value == [String] {
    static var list: Self { .init("list") }
}

extension SessionKey where Value == Int {
    static var count: Self { .init("count") }
}

/// Keeps events and log lines.
final class Recorder: LogHandler, Sendable {
    private let contents = Mutex((events: [SessionEvent](), lines: [(level: Logger.Level, text: String)]()))

    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    var logger: Logger { Logger(label: "test") { _ in self } }

    func log(event: LogEvent) {
        contents.withLock {
            let metadata = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            $0.lines.append(
                (event.level, (["\(event.level) \(event.message)"] + metadata).joined(separator: " "))
            )
        }
    }

    func note(_ event: SessionEvent) { contents.withLock { $0.events.append(event) } }

    var lines: [String] { contents.withLock { $0.lines.map(\.text) } }

    func takeEvents() -> [SessionEvent] {
        contents.withLock { contents in
            defer { contents.events = [] }
            return contents.events
        }
    }
}

extension HTTPRequest {
    /// A GET request with these fields.
    static func get(_ fields: HTTPFields) -> Self {
        HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/", headerFields: fields)
    }
}
