// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Synchronization
import Testing

@testable import Sessions

/// Changes that are committed before the handler goes on.
///
/// Races are forced right before the first commit.
@Suite struct `Changes that are committed at once` {
    private let site: Site

    init() throws { site = try Site() }

    private func meanwhile(_ cookie: String, _ handler: @escaping @Sendable (Session) throws -> Void) {
        site.before(.commit) { [site] in try await site.send(cookie) { try handler($0) } }
    }

    @Test func `return what was committed`() async throws {
        let cookie = try await site.start()
        meanwhile(cookie) { try $0.set(.count, 4) }
        try await site.send(cookie) { session in
            let count = try await session.updateNow(.count, default: 0) { count in
                count += 1
                return count
            }
            #expect(count == 5 && session[.count] == 5)
            #expect(try await site.read(cookie, .count) == 5, "before the handler has returned")
        }
        #expect(try await site.read(cookie, .count) == 5)
    }

    @Test func `cost one round trip, and no second one at the end`() async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { session in
            let count = try await session.updateNow(.count, default: 0) {
                $0 += 1; return $0
            }
            #expect(count == 1)
        }
        #expect(site.store.counts == [.create: 1, .load: 1, .commit: 1])
        try await site.send(cookie) { session in
            try session.set(.item, "cake")
            _ = try await session.updateNow(.count, default: 0) { $0 += 1 }
            try session.update(.list, default: []) { $0.append("x") }
        }
        #expect(site.store.counts == [.create: 1, .load: 2, .commit: 3])
        #expect(try await site.read(cookie, .item) == "cake")
        #expect(try await site.read(cookie, .list) == ["x"])
        #expect(try await site.read(cookie, .count) == 2)
    }

    @Test func `stay when the handler throws afterwards, and nothing else does`() async throws {
        struct Refused: Error {}
        let cookie = try await site.start()
        let request = site.open(cookie)
        let session = try await request.session()
        try session.set(.item, "lost")
        _ = try await session.updateNow(.count, default: 0) { $0 += 1 }
        _ = try await site.fail(request, cookie)
        #expect(try await site.read(cookie, .count) == 1)
        #expect(try await site.read(cookie, .item) == "tea")
        await #expect(throws: Refused.self) {
            try await site.send(cookie) { try await $0.updateNow(.count) { _ in throw Refused() } }
        }
        #expect(try await site.read(cookie, .count) == 1)
    }

    @Test func `include what the request did to the attribute before, once`() async throws {
        let cookie = try await site.start { try $0.set(.count, 10) }
        meanwhile(cookie) { try $0.set(.count, 20) }
        try await site.send(cookie) { session in
            try session.increment(.count, by: 2)
            try session.update(.list, default: []) { $0.append("other") }
            try session.update(.count) { $0 = ($0 ?? 0) * 10 }
            let count = try await session.updateNow(.count, default: 0) {
                $0 += 1; return $0
            }
            #expect(count == 221)
            try session.increment(.count, by: 1000)
            #expect(session[.count] == 1221)
        }
        #expect(try await site.read(cookie, .count) == 1221)
        #expect(try await site.read(cookie, .list) == ["other"])
    }

    @Test func `do not overwrite what others store between them and the end`() async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { session in
            _ = try await session.updateNow(.count, default: 0) { $0 += 1 }
            try await site.send(cookie) { try $0.set(.list, ["theirs"]) }
            try session.update(.list, default: []) { $0.append("mine") }
            _ = try await session.updateNow(.count, default: 0) { $0 += 1 }
        }
        #expect(try await site.read(cookie, .list) == ["theirs", "mine"])
        #expect(try await site.read(cookie, .count) == 2)
    }

    @Test func `of child tasks all count`() async throws {
        let cookie = try await site.start()
        try await site.send(cookie) { session in
            let seen = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let count = try await session.updateNow(.count, default: 0) {
                            $0 += 1; return $0
                        }
                        try session.update(.list, default: []) { $0.append("\(number)") }
                        return count
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(seen == Set(1...20))
        }
        #expect(try await site.read(cookie, .count) == 20)
        #expect(try await site.read(cookie, .list)?.count == 20)
    }

    @Test func `in a new session, or after a sign-in that drops the attribute, wait for the end`()
        async throws
    {
        let answer = try await site.send { session in
            let token = try await session.value(.item) { "token" }
            #expect(token == "token")
            #expect(site.store.counts[.create] == nil)
        }
        let cookie = try #require(answer.cookie)
        #expect(try await site.read(cookie, .item) == "token")
        let signedIn = try await site.send(cookie) { session in
            try session.signIn(as: "ann")
            let token = try await session.value(.item) { "fresh" }
            #expect(token == "fresh")
        }
        #expect(try await site.read(try #require(signedIn.cookie), .item) == "fresh")
        #expect(site.store.counts[.commit] == 1)
    }

    @Test func `on an attribute that a sign-in keeps are on what is stored`() async throws {
        let cookie = try await site.start { try $0.set(.count, 1) }
        meanwhile(cookie) { try $0.set(.count, 5) }
        let answer = try await site.send(cookie) { session in
            try session.signIn(as: "ann", keeping: .count)
            let count = try await session.updateNow(.count, default: 0) {
                $0 += 1; return $0
            }
            #expect(count == 6)
        }
        let record = try await site.found(answer.cookie)
        #expect(record.principal == "ann" && record.attributes == ["count": Array("6".utf8)])
    }

    @Test func `fail when the session has ended, and show no value`() async throws {
        let cookie = try await site.start()
        site.before(.commit) { [site] in try await site.send(cookie) { try $0.signOut() } }
        await #expect(throws: SessionError(.sessionChanged, "")) {
            try await site.send(cookie) { _ = try await $0.take(.item) }
        }
        #expect(site.events() == [.signedOut, .dropped])
    }

    @Test func `fail for a replaced cookie, whose changes are not stored`() async throws {
        let old = try await site.start()
        try await site.send(old) { try $0.signIn(as: "ann") }
        await #expect(throws: SessionError(.sessionChanged, "")) {
            try await site.send(old) { _ = try await $0.value(.other) { "never stored" } }
        }
        let fresh = try await site.send(old) { session in
            try session.signIn(as: "ann")
            let value = try await session.value(.other) { "stored" }
            #expect(value == "stored")
        }
        #expect(try await site.read(try #require(fresh.cookie), .other) == "stored")
    }

    @Test func `take a value once`() async throws {
        let cookie = try await site.start()
        let theirs = Mutex<String?>(nil)
        site.before(.commit) { [site] in
            try await site.send(cookie) { session in
                let value = try await session.take(.item)
                theirs.withLock { $0 = value }
            }
        }
        try await site.send(cookie) { session in
            #expect(session[.item] == "tea")
            let mine = try await session.take(.item)
            #expect(mine == nil && !session.has(.item))
        }
        #expect(theirs.withLock { $0 } == "tea")
        let commits = site.store.counts[.commit]
        try await site.send(cookie) { session in
            let nothing = try await session.take(.item)
            #expect(nothing == nil)
        }
        #expect(site.store.counts[.commit] == commits, "no round trip for nothing")
    }

    @Test func `show the value that another request has stored meanwhile`() async throws {
        let cookie = try await site.start()
        meanwhile(cookie) { try $0.set(.other, "theirs") }
        try await site.send(cookie) { session in
            let value = try await session.value(.other) { "mine" }
            #expect(value == "theirs")
        }
        #expect(try await site.read(cookie, .other) == "theirs")
        let commits = site.store.counts[.commit]
        try await site.send(cookie) { session in
            let value = try await session.value(.other) { "mine" }
            #expect(value == "theirs")
        }
        #expect(site.store.counts[.commit] == commits, "no round trip for what is there")
    }

    @Test func `are refused after the commit`() async throws {
        let cookie = try await site.start()
        let request = site.open(cookie)
        let session = try await request.session()
        _ = try await site.close(request, cookie)
        await #expect(throws: SessionError(.closed, "")) { try await session.updateNow(.count) { $0 = 1 } }
    }

    @Test(arguments: [false, true]) func `send the cookie that the store issued, with an error, too`(
        fails: Bool
    )
        async throws
    {
        let manager = try SessionManager(store: ReissuingStore(store: try MemorySessionStore()))
        let first = RequestSession(.get([:]), manager: manager)
        let session = try await first.session()
        try session.set(.item, "tea")
        var created = HTTPResponse(status: .ok)
        try await first.close(&created)
        let value = try #require(session.credential).value
        let request = RequestSession(
            .get([.cookie: "\(manager.cookie.name)=\(value)"]),
            manager: manager
        )
        _ = try await request.session().updateNow(.count) { $0 = 1 }
        var response = HTTPResponse(status: fails ? .internalServerError : .ok)
        if fails {
            try await request.closeAfterFailure(&response)
        } else {
            try await request.close(&response)
        }
        let lines = response.headerFields[values: .setCookie]
        #expect(lines.count == 1 && lines.first?.contains("=\(value);") == true)
        #expect(response.headerFields[.cacheControl] == "no-store")
    }
}

/// Sends the cookie again with each commit, as stores do whose cookies say what the client has seen.
private struct ReissuingStore: SessionStore {
    let store: MemorySessionStore

    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        try await store.load(credential)
    }
    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try await store.create(draft)
    }
    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        let answer = try await store.commit(change, to: record)
        guard case .committed(let id, let version, nil, let remaining) = answer else { return answer }
        let credential = try record.context(PresentedToken.self).token.credential
        return .committed(id: id, version: version, credential: credential, remaining: remaining)
    }
    func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? { nil }
    func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        try await store.end(record)
    }
    func check() async throws(SessionError) {}
}
