// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport
import Testing

/// Three instances behind a balancer that pins.
final class MappedSite: Sendable {
    let pinning: Pinning
    let balancer: Balancer
    let servers: [FixtureApp]

    /// The names of the instances.
    var names: Set<String> { Set(servers.map(\.instance)) }

    private init(_ pinning: Pinning, _ balancer: Balancer, _ servers: [FixtureApp]) {
        self.pinning = pinning
        self.balancer = balancer
        self.servers = servers
    }

    /// Runs the steps with a site of their own and stops it, whatever happens.
    static func with(
        _ pinning: Pinning,
        store: String,
        noticeSeconds: Int = 0,
        plainHTTP: Bool = false,
        _ steps: (MappedSite) async throws -> Void
    ) async throws {
        let redis = store == "memory" ? nil : try await RedisServer()
        var options = FixtureApp.Options(
            store: store,
            redis: redis?.url,
            prefix: redis == nil ? nil : "mapped"
        )
        options.noticeSeconds = noticeSeconds
        options.isPlainHTTP = plainHTTP
        async let one = FixtureApp.started(options, instance: "east")
        async let two = FixtureApp.started(options, instance: "west")
        async let three = FixtureApp.started(options, instance: "south")
        let servers = try await [one, two, three]
        let balancer = try await Balancer(pinning, before: servers, plainHTTP: plainHTTP)
        let result: Result<Void, any Error>
        do { result = .success(try await steps(MappedSite(pinning, balancer, servers))) } catch {
            result = .failure(error)
        }
        await balancer.stop()
        for server in servers { await server.kill9() }
        await redis?.crash()
        try result.get()
    }

    /// Signs in so many users (and more until they are on two instances); gives them with the names of their
    /// instances, and the instance of the first.
    func settle(_ count: Int) async throws -> (users: [(user: User, home: String)], victim: FixtureApp) {
        var users: [(user: User, home: String)] = []
        while users.count < count || Set(users.map(\.home)).count == 1, users.count < 4 * count {
            let user = User(users.count, self)
            let reply = try await user.post("/login", ["user": user.name])
            #expect(reply.status == 200)
            users.append((user, try await user.moveIn()))
            #expect(users.last?.home == reply.instance)
        }
        return (users, try #require(servers.first { $0.instance == users[0].home }))
    }

    /// Whether somebody who was never here gets to that instance before long.
    func sends(newcomersTo server: FixtureApp) async -> Bool {
        let index = Mutex(50)
        return await poll(seconds: 20) {
            let next = index.withLock { index in
                index += 1
                return index
            }
            return (try? await User(next, self).get("/none").instance) == server.instance
        }
    }
}

/// A user with cookies and an address of his own.
struct User: Sendable {
    let name: String
    let browser: Browser
    private let balancer: Balancer

    init(_ index: Int, _ site: MappedSite, plainHTTP: Bool = false) {
        let browser = Browser(
            cookieName: plainHTTP ? "session" : "__Host-session",
            isSecure: !plainHTTP,
            source: "127.0.0.\(index % 250 + 2)"
        )
        self.init(name: "user-\(index)", browser: browser, balancer: site.balancer)
    }

    private init(name: String, browser: Browser, balancer: Balancer) {
        self.name = name
        self.browser = browser
        self.balancer = balancer
    }

    /// The same user in a second tab.
    func clone() -> User { User(name: name, browser: browser.clone(), balancer: balancer) }

    /// Stores something that is his; gives the name of the instance.
    func moveIn() async throws -> String {
        let reply = try await post("/set", ["k": "own", "v": name])
        #expect(reply.status == 200)
        return reply.instance
    }

    func get(_ path: String, _ query: KeyValuePairs<String, String> = [:]) async throws -> Reply {
        try await send("GET", path, query)
    }

    @discardableResult
    func post(_ path: String, _ query: KeyValuePairs<String, String> = [:]) async throws -> Reply {
        try await send("POST", path, query)
    }

    /// Each request comes over a connection of its own, so that nothing but the pinning leads to an instance.
    private func send(_ method: String, _ path: String, _ query: KeyValuePairs<String, String>) async throws
        -> Reply
    {
        try await browser.send(method, path, query, on: balancer, headers: ["Connection": "close"])
    }
}

extension Reply {
    /// Who answered; empty when no instance did.
    var instance: String { self["x-instance"] ?? "" }
}
