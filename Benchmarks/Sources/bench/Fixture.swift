// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// Starts `fixture-app`, the application of this package's own tests.
enum Fixture {
    static let routes = Routes(
        read: .get("/peek?k=name"),
        write: .post("/increment?k=n"),
        signIn: .post("/login?user=u%d"),
        prepare: [
            .post("/set?k=uid&v=7"), .post("/set?k=name&v=\(String(repeating: "x", count: 60))"),
            .post("/set?k=email&v=\(String(repeating: "x", count: 60))"),
            .post("/set?k=csrf&v=\(String(repeating: "x", count: 64))"), .post("/increment?k=n&by=0"),
        ],
        slow: .post("/slow?ms=300&k=note&v=late"),
        state: .get("/whoami"),
        parse: { body in
            struct WhoAmI: Decodable {
                struct Values: Decodable { var n: Int? }
                var principal: String?
                var values: Values
            }
            guard let answer = try? JSONDecoder().decode(WhoAmI.self, from: Data(body.utf8)) else {
                return nil
            }
            return .init(isSignedIn: answer.principal != nil, count: answer.values.n ?? 0)
        }
    )

    /// Starts one instance with a store, on a Redis that is already there or a new one.
    static func start(
        _ store: String,
        name: String? = nil,
        redis: RedisServer? = nil,
        arguments: [String]
    ) async throws -> Application {
        let server: RedisServer
        if let redis { server = redis } else { server = try await RedisServer() }
        var options = FixtureApp.Options(store: store)
        if !["memory", "sealed"].contains(store) { options.redis = server.url }
        options.extra = arguments
        if store.hasPrefix("sealed") { options.extra += ["--seal-keys", "k1:\(randomBase64URL(bytes: 32))"] }
        do {
            let app = try await FixtureApp.started(options)
            return Application(
                name: name ?? store,
                port: app.port,
                routes: routes,
                redis: server,
                pids: [app.pid],
                cookieName: "__Host-session",
                // An ID and a secret of the right lengths.
                madeUp: "\(randomBase64URL(bytes: 16)).\(randomBase64URL(bytes: 32))",
                stopProcesses: { await app.terminate(seconds: 2) }
            )
        } catch {
            if redis == nil { await server.crash() }
            throw error
        }
    }
}
