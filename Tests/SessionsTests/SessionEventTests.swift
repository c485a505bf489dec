// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Logging
import SessionsTesting
import Testing

@testable import Sessions

/// What operators learn (R76): each path emits what it should, and no line holds a secret (R75).
@Suite struct `Session events` {
    private let site: Site

    init() throws { site = try Site() }

    private func expect(_ kinds: SessionEvent.Kind..., sourceLocation: SourceLocation = #_sourceLocation) {
        let seen = site.events()
        #expect(seen == kinds, sourceLocation: sourceLocation)
    }

    @Test func `reading emits nothing`() async throws {
        try await site.send { #expect($0[.item] == nil) }
        let cookie = try await site.start()
        try await site.send(cookie) { #expect($0[.item] == "tea") }
        site.clock.advance(by: .seconds(1000))
        try await site.send(cookie)
        try await site.send(cookie) { try $0.set(.item, "cake") }
        expect()
    }

    @Test func `a session's life emits one event for each step`() async throws {
        var cookie = try #require(try await site.send { try $0.set(.item, "tea") }.cookie)
        expect(.created)
        cookie = try #require(try await site.send(cookie) { try $0.signIn(as: "ann") }.cookie)
        expect(.signedIn)
        cookie = try #require(try await site.send(cookie) { try $0.renew() }.cookie)
        expect(.renewed)
        try await site.send(cookie) { try $0.signOut() }
        expect(.signedOut)
        try await site.send { try $0.signIn(as: "ann") }
        expect(.signedIn)
    }

    @Test func `signing out and writing are two events`() async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { session in
            try session.signOut()
            try session.set(.item, "bye")
        }
        expect(.signedOut, .created)
    }

    @Test func `a cookie that leads nowhere is one event, of its kind`() async throws {
        let name = site.manager.cookie.name
        func send(_ header: String) async throws {
            let exchange = RequestSession(.get([.cookie: header]), manager: site.manager)
            _ = try await exchange.session()
            _ = try await exchange.session()
            _ = try await site.close(exchange, nil)
        }
        try await send("\(name)=abc")
        expect(.malformed)
        try await send("\(name)=a\u{E9}b")
        expect(.malformed)
        try await send("\(name)=" + String(repeating: "a", count: 20_000))
        expect(.malformed)
        try await send("\(name)=a; \(name)=b")
        expect(.ambiguous)
        try await send("\(name)=\(SessionToken().credential.value)")
        expect(.unknown)
        try await send("other=1")
        expect()
    }

    @Test func `a session that is over is one event, of its kind`() async throws {
        let first = try await site.start(as: "ann")
        let second = try await site.start(as: "ann")
        let third = try await site.start(as: "ann")
        try await site.send(first) { try $0.signOut() }
        _ = site.events()
        try await site.send(first)
        expect(.ended)
        #expect(try await site.manager.revoke(try await site.found(second).id, of: "ann"))
        expect(.revoked)
        try await site.send(second)
        expect(.ended)
        #expect(try await site.manager.revokeAll(of: "ann") == 1)
        expect(.revoked)
        try await site.send(third)
        expect(.ended)
        #expect(try await site.manager.revokeAll(of: "ann") == 0)
        #expect(try await !site.manager.revoke(SessionID(), of: "ann"))
        expect()
    }

    @Test func `a superseded secret and its dropped write are two events`() async throws {
        let old = try await site.start()
        try await site.send(old) { try $0.signIn(as: "ann") }
        _ = site.events()
        try await site.send(old)
        expect(.superseded)
        try await site.send(old) { try $0.set(.item, "late") }
        expect(.superseded, .dropped)
    }

    @Test func `a value of another type is reported and reads as nothing`() async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { #expect($0[SessionKey<Int>("item")] == nil) }
        expect(.undecodable)
    }

    @Test func `a refusal is one event`() async throws {
        let small = try Site(limits: SessionLimits(bytes: 100))
        await #expect(throws: SessionError(.tooLarge, "")) {
            try await small.send { session in
                try session.set(.item, String(repeating: "x", count: 60))
                try session.set(.other, String(repeating: "x", count: 60))
            }
        }
        #expect(small.events() == [.refused])
    }

    @Test(arguments: [FaultyStore.Operation.load, .commit, .end, .create]) func `an outage is one event`(
        operation: FaultyStore.Operation
    ) async throws {
        let cookie = try await site.start()
        site.store.fail([operation])
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await site.send(operation == .create ? nil : cookie) { session in
                if operation == .end { try session.signOut() } else { try session.set(.item, "cake") }
            }
        }
        expect(.storeFailed)
    }

    @Test func `an outage of the list is one event`() async throws {
        site.store.fail([.list])
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await site.manager.list(for: "ann") }
        expect(.storeFailed)
    }

    @Test func `an outage of the theft policy is one event and a failure`() async throws {
        let site = try Site(policy: SessionPolicy(endsOnTheft: true))
        let old = try await site.start(as: "ann")
        try await site.send(old) { try $0.renew() }
        site.clock.advance(by: .seconds(30))
        site.store.fail([.revoke])
        _ = site.events()
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await site.send(old) }
        #expect(site.events() == [.replayed, .storeFailed])
    }

    @Test func `a touch that fails is one event and no failure`() async throws {
        let cookie = try await site.start()
        site.store.fail([.touch])
        site.clock.advance(by: .seconds(1000))
        try await site.send(cookie) { #expect($0[.item] == "tea") }
        expect(.touchFailed)
    }

    @Test func `a client that hung up is no outage`() async throws {
        let cookie = try await site.start()
        site.store.fail([.load])
        let task = Task { [site] in
            withUnsafeCurrentTask { $0?.cancel() }
            try await site.send(cookie)
        }
        await #expect(throws: SessionError.self) { try await task.value }
        expect()
    }

    @Test func `a record that can not be used is reported, and its holder is anonymous`() async throws {
        let recorder = Recorder()
        let store = FixedStore(answer: .absent(.unreadable))
        let manager = try SessionManager(store: store, logger: recorder.logger) { recorder.note($0) }
        let value = SessionToken().credential.value
        let exchange = RequestSession(.get([.cookie: "\(manager.cookie.name)=\(value)"]), manager: manager)
        #expect(try await exchange.session().id == nil)
        var response = HTTPResponse(status: .ok)
        try await exchange.close(&response)
        #expect(
            recorder.takeEvents().map(\.kind) == [.unreadable] && response.headerFields[.setCookie] == nil
        )
        await #expect(throws: SessionError(.unsupported, "")) { try await manager.list(for: "ann") }
        await #expect(throws: SessionError(.unsupported, "")) { try await manager.revokeAll(of: "ann") }
        await #expect(throws: SessionError(.unsupported, "")) {
            try await manager.revoke(SessionID(), of: "ann")
        }
    }

    // MARK: The log

    @Test func `the log gets ten of a kind in a second, the application gets all`() {
        let recorder = Recorder()
        let sink = SessionEventSink(logger: recorder.logger) { recorder.note($0) }
        let start = ContinuousClock.now
        for _ in 0..<1000 { sink.emit(SessionEvent(.malformed)) }
        sink.emit(SessionEvent(.unknown))
        let seconds = Int((ContinuousClock.now - start).components.seconds)
        #expect(recorder.takeEvents().count == 1001)
        let lines = recorder.lines.filter { $0.contains("malformed") }
        #expect(lines.count >= 10 && lines.count <= 10 * (seconds + 2))
        #expect(recorder.lines.count { $0.contains("unknown") } == 1)
    }

    @Test func `each line has the level of its kind and names the session`() async throws {
        let cookie = try await site.start(as: "ann")
        let id = try await site.found(cookie).id
        try await site.send(cookie) { try $0.signOut() }
        try await site.send("nonsense")
        #expect(
            site.recorder.lines.map { $0.replacing(id.description, with: "HANDLE") } == [
                "info session signed-in HANDLE event=signed-in session=HANDLE",
                "info session signed-out HANDLE event=signed-out session=HANDLE",
                "notice session malformed event=malformed",
            ]
        )
    }
}

/// A store that gives one answer to every load, and keeps no list.
struct FixedStore: SessionStore {
    let answer: SessionLoadResult

    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult { answer }
    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        .gone(.unreadable)
    }
    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    { .gone(.unreadable) }
    func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? { nil }
    func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        .gone(.unreadable)
    }
    func check() async throws(SessionError) {}
}
