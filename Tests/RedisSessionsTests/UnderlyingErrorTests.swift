// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import TestSupport
import Testing

/// A failure of the store carries the client's error, which says what became of the command.
@Suite(.limited) struct `Underlying errors` {
    /// What the client's error says about a failed call of the store.
    private func failure<Result>(_ body: () async throws(SessionError) -> Result) async -> RedisError? {
        do {
            _ = try await body()
            Issue.record("did not fail")
            return nil
        } catch {
            #expect(error.code == .storeUnavailable)
            #expect(error.underlying is RedisError)
            return error.underlying as? RedisError
        }
    }

    private func client(_ url: String, timeout: Duration = .seconds(20)) throws -> RedisClient {
        var configuration = try RedisConfiguration(url: url)
        configuration.commandTimeout = timeout
        return RedisClient(configuration)
    }

    @Test func `a Redis that cannot be reached was sent nothing`() async throws {
        let server = try await RedisServer()
        let fixture = try await RedisFixture(server: server)
        let record = try await fixture.session()
        await server.crash()
        let redis = try client(server.url)
        let store = try RedisSessionStore(redis, application: "a")
        let draft = SessionDraft(attributes: [:], policy: SessionPolicy())
        let change = SessionChange(operations: ["a": .set([1])], policy: SessionPolicy())
        let load = await failure { () async throws(SessionError) in try await store.load(.someone) }
        let create = await failure { () async throws(SessionError) in try await store.create(draft) }
        let commit = await failure { () async throws(SessionError) in
            try await store.commit(change, to: record)
        }
        let end = await failure { () async throws(SessionError) in try await store.end(record) }
        let list = await failure { () async throws(SessionError) in try await store.sessions(of: "ann") }
        let check = await failure { () async throws(SessionError) in try await store.check() }
        for error in [load, create, commit, end, list, check] { #expect(error?.outcome == .notSent) }
        await redis.shutdown()
    }

    @Test func `a write that a stopped Redis does not answer is unknown`() async throws {
        let server = try await RedisServer()
        let redis = try client(server.url, timeout: .seconds(2))
        let store = try RedisSessionStore(redis, application: "a")
        let draft = SessionDraft(attributes: [:], policy: SessionPolicy())
        guard case .committed(_, _, let credential?, _) = try await store.create(draft),
            case .found(let record) = try await store.load(credential)
        else { return #expect(Bool(false), "not created") }
        server.freeze()
        let change = SessionChange(operations: ["a": .set([1])], policy: SessionPolicy())
        let commit = await failure { () async throws(SessionError) in
            try await store.commit(change, to: record)
        }
        #expect(commit?.outcome == .unknown && commit?.code == .timeout)
        server.thaw()
        await redis.shutdown()
    }

    @Test func `a command that Redis refuses was not executed`() async throws {
        let server = try await RedisServer()
        let redis = try client(server.url)
        let store = try RedisSessionStore(redis, application: "a")
        let draft = SessionDraft(attributes: [:], policy: SessionPolicy())
        guard case .committed(_, _, let credential?, _) = try await store.create(draft) else {
            return #expect(Bool(false), "not created")
        }
        // Out of memory: reads go on, writes are refused.
        try await server.admin("CONFIG", "SET", "maxmemory", "1")
        let create = await failure { () async throws(SessionError) in try await store.create(draft) }
        #expect(create?.outcome == .rejected && create?.prefix == "OOM")
        guard case .found = try await store.load(credential) else { return #expect(Bool(false), "gone") }
        await redis.shutdown()
    }

    @Test func `the manager hands the error on`() async throws {
        let server = try await RedisServer()
        let redis = try client(server.url)
        let manager = try SessionManager(store: try RedisSessionStore(redis, application: "a"))
        await server.crash()
        do {
            try await manager.withSession(.someone) { _ in }
            Issue.record("did not fail")
        } catch let error as SessionError {
            #expect((error.underlying as? RedisError)?.outcome == .notSent)
        }
        await redis.shutdown()
    }
}

extension SessionCredential {
    /// Has the form of a credential.
    fileprivate static var someone: Self {
        Self(String(repeating: "A", count: 22) + "." + String(repeating: "A", count: 43))
    }
}
