// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import Synchronization
import TestSupport
import Testing

@testable import RedisSessions

/// One server for the tests that do not count its commands or stop it.
private let shared = Task { try await RedisServer() }

@Suite(.limited) struct `Cached store` {
    private func fleet(_ count: Int, on own: RedisServer? = nil, lease: Duration = .seconds(60)) async throws
        -> CachedFleet
    {
        let server = if let own { own } else { try await shared.value }
        return try await CachedFleet(Array(repeating: server.url, count: count), on: server, lease: lease)
    }

    // MARK: Contract

    @Test(arguments: SessionStoreContract.rules) func `keeps the contract`(rule: SessionStoreContract.Rule)
        async throws
    {
        let fleet = try await fleet(1, lease: .milliseconds(400))
        try await rule.check(fleet.harness)
    }

    @Test(arguments: SessionStoreContract.rules)
    func `keeps the contract when requests land on any of three instances`(
        rule: SessionStoreContract.Rule
    ) async throws {
        let server = try await shared.value
        let fleet = try await CachedFleet(
            Array(repeating: server.url, count: 3),
            on: server,
            lease: .milliseconds(400),
            peppers: [SessionPepper(Array(7..<7 + 32))]
        )
        try await rule.check(fleet.harness)
    }

    @Test func `keeps the contract under the least privileges`() async throws {
        let rules = try CachedSessionStore.accessRules(application: "app")
            .replacing("~app:*", with: "~t*").split(separator: " ").map(String.init)
        let server = try await RedisServer(["--user", "app", "on", ">pw"] + rules)
        let url = "redis://app:pw@127.0.0.1:\(server.port)"
        for rule in SessionStoreContract.rules {
            let fleet = try await CachedFleet([url], on: server, lease: .milliseconds(400))
            try await rule.check(fleet.harness)
            try await fleet.stores[0].check()
        }
        #expect(try await server.admin("ACL", "LOG") == "")
    }

    @Test func `check names the rights that the invalidation connection lacks`() async throws {
        let rules = try CachedSessionStore.accessRules(application: "app").split(separator: " ")
        for (missing, name) in [("+client|tracking", "CLIENT"), ("&__redis__:invalidate", "SUBSCRIBE")] {
            let server = try await RedisServer(
                ["--user", "app", "on", ">pw"] + rules.map(String.init).filter { $0 != missing }
            )
            let client = try patientClient("redis://app:pw@127.0.0.1:\(server.port)")
            let store = try CachedSessionStore(try RedisSessionStore(client, application: "app"))
            try await store.check()
            let running = Task { try? await store.run() }
            defer { running.cancel() }
            #expect(await poll(seconds: 20) { (try? await store.check()) == nil })
            let error = await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.check() }
            #expect("\(error!)".contains("\(name) ") && "\(error!)".contains(missing), "\(error!)")
            // It serves without copies.
            let record = try await store.make(["a": [1]])
            for _ in 0..<3 { #expect(try await store.found(record.credential).attributes["a"] == [1]) }
            #expect(store.statistics.hits == 0)
        }
    }

    @Test func `refuses invalid options`() async throws {
        let client = RedisClient(try RedisConfiguration(url: "redis://127.0.0.1:1"))
        let base = try RedisSessionStore(client, application: "a")
        let wrong = SessionError(.invalidConfiguration, "")
        #expect(throws: wrong) { try CachedSessionStore(base, lease: .milliseconds(99)) }
        #expect(throws: wrong) { try CachedSessionStore(base, lease: .seconds(61)) }
        #expect(throws: wrong) { try CachedSessionStore(base, maximumBytes: 0) }
    }

    // MARK: Cost

    @Test func `reads what it knows without a command`() async throws {
        let server = try await RedisServer()
        let fleet = try await fleet(1, on: server)
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]], principal: "ann")
        try await store.heard(1)
        try await store.warm(record.credential)
        try await server.resetCounts()
        for _ in 0..<1000 {
            let record = try await store.found(record.credential)
            #expect(record.attributes["a"] == [1] && record.principal == "ann")
            #expect(try await store.touch(record, isDue: false) == nil)
        }
        var counts = try await server.commandCounts()
        counts["ping"] = nil
        #expect(counts == [:])
    }

    @Test func `a touch costs one script, and one read on each instance`() async throws {
        let server = try await RedisServer()
        let fleet = try await fleet(3, on: server)
        let record = try await fleet.stores[0].make(["a": [1]])
        for store in fleet.stores {
            try await store.heard(1)
            try await store.warm(record.credential)
        }
        try await server.resetCounts()
        // Requests that come before the news of the touch do not touch again.
        fleet.stores[0].beforeApplying { try await Task.sleep(for: .milliseconds(100)) }
        for _ in 0..<20 { _ = try await fleet.stores[0].touch(record, isDue: true) }
        for store in fleet.stores {
            try await store.heard(2)
            for _ in 0..<10 {
                #expect(try await store.found(record.credential).times.lastUsed > record.times.lastUsed)
            }
        }
        let counts = try await server.commandCounts()
        #expect(counts["evalsha"] == 1 && counts["hgetall"] == 3 && counts["pttl"] == 4, "\(counts)")
    }

    @Test(arguments: [true, false]) func `costs a write and what it invalidates`(isPinned: Bool) async throws
    {
        let server = try await RedisServer()
        let fleet = try await fleet(3, on: server)
        var credential = try await fleet.stores[0].make(["a": [1]]).credential
        for store in fleet.stores { try await store.warm(credential) }
        let before = fleet.clients.reduce(0) { $0 + $1.statistics.commands }
        var requests = 0
        for round in 0..<50 {
            for number in 0..<20 {
                let store = fleet.stores[isPinned ? 0 : number % 3]
                let record = try await store.found(credential)
                #expect(record.attributes["a"] == [UInt8(max(1, round))])
                if number == 19 { credential = try await store.set("a", UInt8(round + 1), record) }
                requests += 1
            }
        }
        let commands = fleet.clients.reduce(0) { $0 + $1.statistics.commands } - before
        // A script for each write, and `HGETALL` and `PTTL` on each instance that reads the session afterwards; twice
        // where a read is faster than the news of the write.
        let reads = isPinned ? 1 : 3
        #expect((50 * (1 + 2 * reads) - 10...50 * (1 + 4 * reads)).contains(commands), "\(commands)")
    }

    @Test func `forgets what was used least recently when it is full`() async throws {
        let server = try await shared.value
        let fleet = try await CachedFleet([server.url], on: server, maximumBytes: 3 * 1200)
        let store = fleet.stores[0]
        var credentials: [SessionCredential] = []
        for _ in 0..<4 { credentials.append(try await store.make(["a": [1]]).credential) }
        // A late invalidation would remove a copy.
        try await store.settle()
        for index in [0, 1, 2, 0, 3] { try await store.warm(credentials[index]) }
        #expect(store.statistics.entries == 3 && store.statistics.bytes <= 3 * 1200)
        #expect(try await store.isHit(credentials[0]))
        #expect(try await !store.isHit(credentials[1]))
        // Absence takes no room.
        for _ in 0..<10 { _ = try await store.load(SessionToken().seen(1).credential) }
        #expect(store.statistics.entries == 3)
    }

    // MARK: Freshness

    @Test func `sees what another instance has written, and what it has ended`() async throws {
        let fleet = try await fleet(2)
        let (one, two) = (fleet.stores[0], fleet.stores[1])
        let record = try await one.make(["a": [1]], principal: "ann")
        for store in fleet.stores { try await store.warm(record.credential) }
        let before = two.statistics.invalidations
        let newer = try await one.set("a", 2, record)
        #expect(await poll(seconds: 20) { two.statistics.invalidations > before })
        #expect(try await two.found(record.credential).attributes["a"] == [2])
        for store in fleet.stores { try await store.warm(newer) }
        let heard = two.statistics.invalidations
        #expect(try await one.end(try await one.found(newer)) == .ended)
        #expect(try await one.absence(newer) == .ended(.signOut))
        #expect(await poll(seconds: 20) { two.statistics.invalidations > heard })
        #expect(try await two.absence(newer) == .ended(.signOut))
    }

    @Test func `never shows a client less than it has seen, however late the news are`() async throws {
        let server = try await shared.value
        let proxy = try await TCPProxy(to: server.port, delaying: ("SUBSCRIBE", .milliseconds(300)))
        let fleet = try await CachedFleet(
            [server.url, "redis://127.0.0.1:\(proxy.port)"],
            on: server
        )
        let (quick, slow) = (fleet.stores[0], fleet.stores[1])
        var record = try await quick.make(["a": [0]])
        try await slow.heard(1)
        var stale = 0
        for number in 1...10 as ClosedRange<UInt8> {
            try await slow.warm(record.credential)
            let heard = slow.statistics.invalidations
            let newer = try await quick.set("a", number, record)
            // Another client, which has not seen the change.
            let other = try await slow.found(record.credential)
            if other.attributes["a"] == [number - 1] { stale += 1 }
            // The same client, on the other instance.
            #expect(try await slow.found(newer).attributes["a"] == [number])
            #expect(await poll(seconds: 20) { slow.statistics.invalidations > heard })
            #expect(try await slow.found(record.credential).attributes["a"] == [number])
            record = try await quick.found(newer)
        }
        #expect(stale > 0, "the news were not late")
        await proxy.close()
    }

    @Test func `never serves what it has ended itself`() async throws {
        let fleet = try await fleet(1)
        let store = fleet.stores[0]
        let gate = Gate()
        store.beforeApplying(gate.pass)
        let policy = SessionPolicy(maximumSessionsPerUser: 1)
        for end in 0..<5 {
            let record = try await store.make(["a": [1]], principal: "ann\(end)")
            // From now on only the process itself knows.
            gate.close()
            try await store.warm(record.credential)
            switch end {
            case 0: #expect(try await store.end(record) == .ended)
            case 1: #expect(try await store.revoke(record.id, of: "ann1"))
            case 2: try await store.revoke(record.id)
            case 3: #expect(try await store.revokeAll(of: "ann3", except: nil) == 1)
            default:
                // Of two sign-ins in one millisecond, either may be the one that is ended.
                try await Task.sleep(for: .milliseconds(2))
                _ = try await store.start(as: "ann4", policy: policy)
            }
            let hits = store.statistics.hits
            let reason: SessionEndReason = end == 0 ? .signOut : .revocation
            #expect(try await store.absence(record.credential) == .ended(reason), "\(end)")
            #expect(store.statistics.hits == hits)
            gate.open()
        }
    }

    @Test func `serves its own writes at once`() async throws {
        let fleet = try await fleet(1)
        let store = fleet.stores[0]
        let gate = Gate()
        store.beforeApplying(gate.pass)
        let record = try await store.make(["a": [1]])
        gate.close()
        try await store.warm(record.credential)
        let newer = try await store.set("a", 2, record)
        // Also for a request that does not know the version.
        #expect(try await store.found(record.credential).attributes["a"] == [2])
        #expect(try await store.found(newer).attributes["a"] == [2])
        gate.open()
    }

    @Test func `drops everything when the invalidation connection is lost`() async throws {
        let server = try await RedisServer()
        let fleet = try await fleet(1, on: server)
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]])
        try await store.warm(record.credential)
        let flushes = store.statistics.flushes
        try await server.admin("CLIENT", "KILL", "TYPE", "pubsub")
        try await server.admin("HSET", "\(fleet.prefix):s:{\(record.id)}", "a:a", "x")
        #expect(await poll(seconds: 20) { store.statistics.flushes > flushes })
        #expect(try await store.found(record.credential).attributes["a"] == Array("x".utf8))
        try await store.ready()
        try await store.warm(record.credential)
    }

    @Test func `drops everything when the server is flushed`() async throws {
        let server = try await RedisServer()
        let fleet = try await fleet(1, on: server)
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]])
        try await store.warm(record.credential)
        let flushes = store.statistics.flushes
        try await server.admin("FLUSHALL")
        #expect(await poll(seconds: 20) { store.statistics.flushes > flushes })
        #expect(try await store.absence(record.credential) == .unknown)
    }

    @Test func `asks a frozen Redis when the lease is over, and fails as without a cache`() async throws {
        let server = try await RedisServer()
        let fleet = try await CachedFleet(
            [server.url],
            on: server,
            lease: .milliseconds(500),
            timeout: .milliseconds(500)
        )
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]])
        try await store.warm(record.credential)
        server.freeze()
        #expect(await poll(seconds: 20) { store.leaseEnd().map { $0 <= store.cache.now() } ?? true })
        let hits = store.statistics.hits
        await #expect(throws: SessionError(.storeUnavailable, "")) { try await store.load(record.credential) }
        #expect(store.statistics.hits == hits)
        server.thaw()
        #expect(await poll(seconds: 20) { (try? await store.isHit(record.credential)) == true })
    }

    @Test func `an idle session ends in memory as it does in Redis`() async throws {
        let fleet = try await fleet(1)
        let store = fleet.stores[0]
        let policy = SessionPolicy(idleTimeout: .seconds(1))
        let credential = try await store.start(as: "ann", policy: policy)
        try await store.warm(credential)
        // Its removal is heard of later, or not at all.
        store.beforeApplying { try await Task.sleep(for: .seconds(3600)) }
        #expect(await poll(seconds: 20) { (try? await store.absence(credential)) == .unknown })
    }

    // MARK: Credentials

    @Test func `sends the newest version, and never an earlier secret`() async throws {
        let fleet = try await fleet(2)
        let (one, two) = (fleet.stores[0], fleet.stores[1])
        let record = try await one.make()
        #expect(try await one.touch(record, isDue: false) == nil)
        let newer = try await one.set("a", 1, record)
        #expect(SessionToken(newer)?.version == 2)
        #expect(SessionToken(newer)?.secret == SessionToken(record.credential)?.secret)
        // A client with the older version reads from Redis, and gets the newer one.
        let seen = try await two.found(record.credential)
        #expect(try await two.touch(seen, isDue: false)?.value == newer.value)
        #expect(try await two.touch(try await two.found(newer), isDue: false) == nil)
        // Two commits for one version: the second one asks whether its secret is still the current one.
        let change = SessionChange(operations: ["b": .set([1])], policy: SessionPolicy())
        let late = try await one.found(newer)
        _ = try await two.set("c", 1, try await two.found(newer))
        #expect(SessionToken(try await one.commit(change, to: late).newCredential())?.version == 4)
        let renewed = try await two.renew(newer)
        #expect(SessionToken(renewed)?.version == 5)
        guard case .committed(_, 6, nil, _) = try await one.commit(change, to: late) else {
            return #expect(Bool(false), "an earlier secret was sent again")
        }
        #expect(try await one.found(renewed).version == 6)
        let previous = try await one.found(newer)
        #expect(previous.secretStatus == .previous)
        #expect(try await one.touch(previous, isDue: false) == nil)
    }

    @Test func `serves a token with a forged version like any other`() async throws {
        let fleet = try await fleet(1)
        let store = fleet.stores[0]
        let record = try await store.make(["a": [1]])
        let token = try #require(SessionToken(record.credential))
        for version in [0, 1, 999_999_999_999_999_999] {
            #expect(try await store.found(token.seen(version).credential).attributes["a"] == [1])
        }
        let other = SessionToken(id: record.id, secret: SessionToken().secret).seen(1)
        #expect(try await store.absence(other.credential) == .wrongSecret(record.id))
    }
}
