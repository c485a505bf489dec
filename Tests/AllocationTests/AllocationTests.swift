// SPDX-License-Identifier: Apache-2.0

import AllocationCounter
import HTTPTypes
import RedisSessions
import TestSupport
import Testing

/// Allocations for each command and each request, in the build of the tests: a release build has fewer.
///
/// One more for each is a failure; a fraction of one depends on which threads happen to meet.
@Suite(.serialized, .enabled(if: allocations_are_counted())) struct AllocationTests {
    @Test(.timeLimit(.minutes(10)))
    func `a read of a hash costs few allocations`() async throws {
        let server = try await RedisServer()
        let redis = RedisClient(try RedisConfiguration(url: server.url))
        // A key for each caller: equal reads would be sent once.
        let keys = (0..<10).map { "session\($0)" }
        for key in keys {
            var hash = RedisCommand("HSET", key)
            for field in 0..<6 {
                hash.append("field\(field)")
                hash.append(String(repeating: "x", count: 50))
            }
            _ = try await redis.send(hash)
        }
        let alone = try await each(of: 100, below: 58) {
            for _ in 0..<100 { try await read(keys[0], redis) }
        }
        #expect(alone < 58, "one caller")
        let together = try await each(of: 100, below: 42) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for key in keys { group.addTask { for _ in 0..<10 { try await read(key, redis) } } }
                try await group.waitForAll()
            }
        }
        #expect(together < 42, "ten callers, whose replies arrive together")
        await redis.shutdown()
    }

    @Test(.timeLimit(.minutes(10)))
    func `a request costs few allocations above the client's`() async throws {
        let server = try await RedisServer()
        let redis = RedisClient(try RedisConfiguration(url: server.url))
        let manager = try SessionManager(store: try RedisSessionStore(redis, application: "allocations"))
        let credential = try await session(in: manager)
        let untouched = try await each(of: 20, below: 10) {
            for _ in 0..<20 { try await serve(manager, credential) { _ in } }
        }
        #expect(untouched < 10, "a request that leaves its session alone")
        let read = try await each(of: 20, below: 997) {
            for _ in 0..<20 {
                try await serve(manager, credential) { request in
                    let session = try await request.session()
                    precondition(session[.count] != nil)
                }
            }
        }
        #expect(read < 997, "a request that reads")
        let write = try await each(of: 20, below: 1079) {
            for _ in 0..<20 {
                try await serve(manager, credential) { try await $0.session().increment(.count) }
            }
        }
        #expect(write < 1079, "a request that reads and writes")
        await redis.shutdown()
    }

    private func read(_ key: String, _ redis: RedisClient) async throws {
        let reply = try await redis.send(RedisCommand("HGETALL", key, readOnly: true))
        precondition(reply.count == 12)
    }

    /// Stores a session of five attributes.
    private func session(in manager: SessionManager) async throws -> SessionCredential {
        let request = RequestSession(HTTPRequest(method: .post, url: "/"), manager: manager)
        let session = try await request.session()
        for name in ["user", "cart", "language", "theme"] {
            try session.set(SessionKey<String>(validating: name), "twenty characters or so")
        }
        try session.increment(.count)
        var response = HTTPResponse(status: .ok)
        try await request.close(&response)
        return try #require(session.credential)
    }

    private func serve(
        _ manager: SessionManager,
        _ credential: SessionCredential,
        _ handler: (RequestSession) async throws -> Void
    ) async throws {
        var head = HTTPRequest(method: .post, url: "/")
        head.headerFields[.cookie] = "\(manager.cookie.name)=\(credential.value)"
        let request = RequestSession(head, manager: manager)
        try await request.run { try await handler(request) }
        var response = HTTPResponse(status: .ok)
        try await request.close(&response)
        precondition(response.status == .ok)
    }

    /// Allocations for each of the `count` repetitions in `body`.
    ///
    /// The least of many rounds, because tests that run beside this one only add some. Ends with the first round
    /// that is within the limit.
    private func each(
        of count: Int,
        below limit: Double,
        _ body: () async throws -> Void
    ) async throws -> Double {
        var least = Double.infinity
        for _ in 0..<1000 where least >= limit {
            let before = allocation_count()
            try await body()
            least = min(least, Double(allocation_count() - before) / Double(count))
        }
        return least
    }
}

extension HTTPRequest {
    fileprivate init(method: Method, url path: String) {
        self.init(method: method, scheme: "https", authority: "example.org", path: path)
    }
}

extension SessionKey where Value == Int {
    fileprivate static var count: Self { SessionKey("count") }
}
