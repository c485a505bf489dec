// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import TestSupport

/// One application in another language, installed by `Benchmarks/Peers/install.sh`.
struct Peer: Sendable {
    /// The name in tables.
    let name: String
    /// Its folder.
    let folder: String
    let cookieName: String
    let madeUp: String
    let start: @Sendable (_ place: Place) throws -> [ChildProcess]

    /// Where a peer is started.
    struct Place: Sendable {
        /// The folder with the peer's files, and all peers' folder.
        var files: URL
        var peers: URL
        /// For what it writes.
        var work: URL
        var port: Int
        var redisPort: Int
    }

    static let routes = Routes(
        read: .get("/read"),
        write: .post("/write"),
        signIn: .post("/login?uid=%d"),
        slow: .post("/slow"),
        state: .get("/read"),
        parse: { body in
            struct Read: Decodable {
                var uid: Int?
                var n: Int
            }
            guard let answer = try? JSONDecoder().decode(Read.self, from: Data(body.utf8)) else { return nil }
            return .init(isSignedIn: answer.uid != nil, count: answer.n)
        }
    )

    static let all = [
        Peer(
            name: "gorilla",
            folder: "gorilla",
            cookieName: "session",
            madeUp: String(repeating: "A", count: 52)
        ) { place in
            let server = place.files.appending(path: "server").path
            return [try ChildProcess(server, ["\(place.port)", "\(place.redisPort)"])]
        },
        php("php", isLocking: false),
        php("php-lock", isLocking: true),
        Peer(
            name: "rack",
            folder: "rack",
            cookieName: "rack.session",
            madeUp: String(repeating: "a1", count: 32)
        ) { place in
            let arguments = [
                "-w", "2", "-t", "4:4", "-e", "production", "-b", "tcp://127.0.0.1:\(place.port)",
                "config.ru",
            ]
            let environment = ["REDIS_PORT": "\(place.redisPort)"]
            return [try ChildProcess("puma", arguments, environment: environment, directory: place.files)]
        },
        Peer(
            name: "flask",
            folder: "flask",
            cookieName: "session",
            madeUp: String(repeating: "a1b2", count: 10) + "abc"
        ) { try gunicorn($0) },
        Peer(
            name: "django",
            folder: "django",
            cookieName: "sessionid",
            madeUp: String(repeating: "a1", count: 16)
        ) { try gunicorn($0) },
    ]

    /// Starts it with a Redis of its own and waits until it answers.
    func launch(from peers: URL, _ work: URL) async throws -> Application {
        let files = peers.appending(path: folder)
        guard FileManager.default.fileExists(atPath: files.path) else {
            throw RedisBenchmark.Failure(description: "it is not installed (see what install.sh printed)")
        }
        let redis = try await RedisServer()
        do {
            let workFolder = work.appending(path: name)
            try FileManager.default.createDirectory(at: workFolder, withIntermediateDirectories: true)
            let port = try freePort()
            let children = try start(
                Place(files: files, peers: peers, work: workFolder, port: port, redisPort: redis.port)
            )
            let stop: @Sendable () async -> Void = { for child in children { await child.stop(SIGTERM) } }
            let application = { (pids: [pid_t]) in
                Application(
                    name: name,
                    port: port,
                    routes: Self.routes,
                    redis: redis,
                    pids: pids,
                    cookieName: cookieName,
                    madeUp: madeUp,
                    stopProcesses: stop
                )
            }
            let waiting = application([])
            let isUp = await poll(seconds: 20, every: .milliseconds(100)) {
                guard children.allSatisfy(\.isRunning) else { return true }
                return (try? await waiting.send(.get("/read"), by: waiting.browser())) != nil
            }
            guard isUp, children.allSatisfy(\.isRunning) else {
                await stop()
                throw RedisBenchmark.Failure(
                    description: "it does not serve: \(children.map { $0.text.suffix(600) }.joined())"
                )
            }
            return application(children.flatMap { ProcessProbe.tree(of: $0.pid) })
        } catch {
            await redis.crash()
            throw error
        }
    }

    private static func gunicorn(_ place: Place) throws -> [ChildProcess] {
        let gunicorn = place.peers.appending(path: "python/bin/gunicorn").path
        let arguments = [
            "-w", "2", "-k", "gthread", "--threads", "4", "--worker-tmp-dir", place.work.path, "-b",
            "127.0.0.1:\(place.port)", "--keep-alive", "60", "app:application",
        ]
        // It keeps a socket in the user's folder.
        let environment = [
            "REDIS_PORT": "\(place.redisPort)", "PYTHONDONTWRITEBYTECODE": "1", "HOME": place.work.path,
        ]
        return [try ChildProcess(gunicorn, arguments, environment: environment, directory: place.files)]
    }
}
