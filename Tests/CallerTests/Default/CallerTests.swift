// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hiredis
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import SessionsTesting
import TestSupport
import Testing

/// Callers of every kind: each public function that takes an asynchronous closure must compile from their
/// isolation, with captures that are not `Sendable`, and run in it.
///
/// Compiled twice, with and without `NonisolatedNonsendingByDefault`: the folder `Nonsending` links here.
@Suite struct `Callers` {
    private let manager: SessionManager
    private let credential: SessionCredential

    init() async throws {
        manager = try SessionManager(store: try MemorySessionStore())
        credential = try await manager.visit { try $0.set(.count, 1) }
    }

    @Test func `an actor changes its state in the closures`() async throws {
        let worker = Worker(manager)
        try await worker.work(credential)
        #expect(await worker.seen == [1, 2, 3])
        try await withRedis { try await worker.ping($0) }
        #expect(await worker.replies == ["PONG"])
    }

    @Test func `a class of the main actor changes its state in the closures`() async throws {
        let model = await Model(manager)
        try await model.work(credential)
        #expect(await model.seen == [1, 2, 3])
        try await withRedis { try await model.ping($0) }
        #expect(await model.replies == ["PONG"])
    }

    @Test func `a class without isolation changes its state in the closures`() async throws {
        let plain = Plain(manager)
        try await plain.work(credential)
        #expect(plain.seen == [1, 2, 3])
        try await withRedis { try await plain.ping($0) }
        #expect(plain.replies == ["PONG"])
    }

    @Test func `top-level code changes its variables in the closures`() async throws {
        try await topLevel(manager, credential)
        #expect(await topLevelSeen == [1, 2, 3])
    }

    @Test func `routes hand their context to callers of every kind`() async throws {
        let worker = Worker(manager)
        let model = await Model(manager)
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: SessionsMiddleware(manager))
        router.get("/actor") { _, context in try await worker.handle(context) }
        router.get("/main") { _, context in try await model.handle(context) }
        router.get("/plain") { [manager] _, context in try await Plain(manager).handle(context) }
        let headers: HTTPFields = [.cookie: "\(manager.cookie.name)=\(credential.value)"]
        try await Application(router: router).test(.live) { client in
            for path in ["/actor", "/main", "/plain"] {
                let response = try await client.execute(uri: path, method: .get, headers: headers)
                #expect(response.status == .ok && String(buffer: response.body) == "1")
            }
        }
        #expect(await worker.seen == [1])
        #expect(await model.seen == [1])
    }

    @Test func `jobs that know a session by its ID change their state in the closures`() async throws {
        let credential = try await manager.visit { try $0.signIn(as: "ann") }
        let id = try #require(SessionID(credential.value.prefix(22)))
        let worker = Worker(manager)
        try await worker.work(id)
        let model = await Model(manager)
        try await model.work(id)
        #expect(await worker.seen == [1])
        #expect(await model.seen == [2])
    }

    @Test func `what a closure returns need not be Sendable`() async throws {
        let box = try await manager.withSession(credential) { Box($0[.count] ?? 0) }
        #expect(box.value == 1)
    }
}

extension SessionKey where Value == Int {
    fileprivate static var count: Self { .init("count") }
}

/// Something that no other task may hold.
private final class Box {
    var value: Int

    init(_ value: Int) { self.value = value }
}

/// A worker that keeps its state in an actor.
private actor Worker {
    private let manager: SessionManager
    private let box = Box(0)
    private(set) var seen: [Int] = []
    private(set) var replies: [String] = []

    init(_ manager: SessionManager) { self.manager = manager }

    func work(_ id: SessionID) async throws {
        try await manager.withSession(id, of: "ann") { session in
            box.value += 1
            seen.append(
                try await session.updateNow(.count, default: 0) {
                    $0 += 1; return $0
                }
            )
        }
    }

    func work(_ credential: SessionCredential) async throws {
        try await manager.withSession(credential) { session in
            seen.append(session[.count] ?? 0)
            box.value += 1
            try session.increment(.count)
            await rest()
        }
        let (session, response) = try await manager.respond(credential) { session in
            seen.append(session[.count] ?? 0)
        }
        #expect(response.status == .ok)
        try await manager.amend(session) { later in
            box.value += 1
            try later.increment(.count)
        }
        seen.append(try await manager.withSession(credential) { $0[.count] ?? 0 })
        #expect(box.value == 2)
    }

    func handle(_ context: BasicSessionsRequestContext) async throws -> String {
        let session = try await context.session()
        seen.append(session[.count] ?? 0)
        return "\(session[.count] ?? 0)"
    }

    func ping(_ redis: RedisClient) async throws {
        try await redis.withDedicatedConnection { connection in
            replies.append(try await connection.send(RedisCommand("PING")).string ?? "")
        }
    }

    private func rest() async { await Task.yield() }
}

/// State of an application's surface.
@MainActor private final class Model {
    private let manager: SessionManager
    private let box = Box(0)
    private(set) var seen: [Int] = []
    private(set) var replies: [String] = []

    init(_ manager: SessionManager) { self.manager = manager }

    func work(_ id: SessionID) async throws {
        try await manager.withSession(id, of: "ann") { session in
            box.value += 1
            seen.append(
                try await session.updateNow(.count, default: 0) {
                    $0 += 1; return $0
                }
            )
        }
    }

    func work(_ credential: SessionCredential) async throws {
        try await manager.withSession(credential) { session in
            seen.append(session[.count] ?? 0)
            box.value += 1
            try session.increment(.count)
            await rest()
        }
        let (session, response) = try await manager.respond(credential) { session in
            seen.append(session[.count] ?? 0)
        }
        #expect(response.status == .ok)
        try await manager.amend(session) { later in
            MainActor.assertIsolated()
            box.value += 1
            try later.increment(.count)
        }
        seen.append(try await manager.withSession(credential) { $0[.count] ?? 0 })
        #expect(box.value == 2)
    }

    func handle(_ context: BasicSessionsRequestContext) async throws -> String {
        let session = try await context.session()
        seen.append(session[.count] ?? 0)
        return "\(session[.count] ?? 0)"
    }

    func ping(_ redis: RedisClient) async throws {
        try await redis.withDedicatedConnection { connection in
            MainActor.assertIsolated()
            replies.append(try await connection.send(RedisCommand("PING")).string ?? "")
            MainActor.assertIsolated()
        }
    }

    private func rest() async { await Task.yield() }
}

/// A class that is neither isolated nor `Sendable`.
private final class Plain {
    private let manager: SessionManager
    private let box = Box(0)
    private(set) var seen: [Int] = []
    private(set) var replies: [String] = []

    init(_ manager: SessionManager) { self.manager = manager }

    nonisolated(nonsending) func work(_ credential: SessionCredential) async throws {
        try await manager.withSession(credential) { session in
            seen.append(session[.count] ?? 0)
            box.value += 1
            try session.increment(.count)
            await rest()
        }
        let (session, response) = try await manager.respond(credential) { session in
            seen.append(session[.count] ?? 0)
        }
        #expect(response.status == .ok)
        try await manager.amend(session) { later in
            box.value += 1
            try later.increment(.count)
        }
        seen.append(try await manager.withSession(credential) { $0[.count] ?? 0 })
        #expect(box.value == 2)
    }

    nonisolated(nonsending) func handle(_ context: BasicSessionsRequestContext) async throws -> String {
        let session = try await context.session()
        seen.append(session[.count] ?? 0)
        return "\(session[.count] ?? 0)"
    }

    nonisolated(nonsending) func ping(_ redis: RedisClient) async throws {
        try await redis.withDedicatedConnection { connection in
            replies.append(try await connection.send(RedisCommand("PING")).string ?? "")
        }
    }

    private nonisolated(nonsending) func rest() async { await Task.yield() }
}

/// Variables and statements as in `main.swift`, where they belong to the main actor.
@MainActor private var topLevelSeen: [Int] = []
@MainActor private let topLevelBox = Box(0)

@MainActor private func topLevel(_ manager: SessionManager, _ credential: SessionCredential) async throws {
    var count = 0
    try await manager.withSession(credential) { session in
        count += 1
        topLevelBox.value += 1
        topLevelSeen.append(session[.count] ?? 0)
        try session.increment(.count)
    }
    let (session, _) = try await manager.respond(credential) { topLevelSeen.append($0[.count] ?? 0) }
    try await manager.amend(session) { later in
        count += 1
        try later.increment(.count)
    }
    topLevelSeen.append(try await manager.withSession(credential) { $0[.count] ?? 0 })
    #expect(count == 2 && topLevelBox.value == 1)
}

extension SessionManager {
    /// Returns the cookie of a visitor for whom `handler` has made a session.
    fileprivate func visit(_ handler: (Session) throws -> Void) async throws -> SessionCredential {
        let exchange = RequestSession(
            HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/"),
            manager: self
        )
        var response = HTTPResponse(status: .ok)
        try handler(try await exchange.session())
        try await exchange.close(&response)
        let field = try #require(response.headerFields[.setCookie])
        return SessionCredential(String(field.dropFirst(cookie.name.count + 1).prefix { $0 != ";" }))
    }

    /// Returns the session of a request, with `RequestSession.session()` called in the caller's isolation.
    fileprivate nonisolated(nonsending) func respond(
        _ credential: SessionCredential,
        _ handler: (Session) throws -> Void
    ) async throws -> (Session, HTTPResponse) {
        let exchange = RequestSession(
            HTTPRequest(
                method: .get,
                scheme: nil,
                authority: nil,
                path: "/",
                headerFields: [.cookie: "\(cookie.name)=\(credential.value)"]
            ),
            manager: self
        )
        var response = HTTPResponse(status: .ok)
        let session = try await exchange.session()
        try handler(session)
        try await exchange.close(&response)
        return (session, response)
    }
}

/// Runs `body` with a client of a private Redis.
private func withRedis(_ body: (RedisClient) async throws -> Void) async throws {
    let server = try await RedisServer()
    var configuration = try RedisConfiguration(url: server.url)
    configuration.commandTimeout = .seconds(10)
    let redis = RedisClient(configuration)
    do { try await body(redis) } catch {
        await redis.shutdown()
        throw error
    }
    await redis.shutdown()
}
