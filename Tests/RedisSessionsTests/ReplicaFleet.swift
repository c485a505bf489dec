// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import Synchronization
import TestSupport

@testable import RedisSessions

/// Maps the time at the server to that of the sessions, with jumps that tests add; shared by all stores.
final class TimeJumps: Sendable {
    private let jumps = Mutex<[(from: SessionInstant, total: Duration)]>([])

    func map(_ instant: SessionInstant) -> SessionInstant {
        jumps.withLock { jumps in instant + (jumps.last { $0.from < instant }?.total ?? .zero) }
    }

    func jump(_ duration: Duration, from instant: SessionInstant) {
        jumps.withLock { $0.append((instant, ($0.last?.total ?? .zero) + duration)) }
    }
}

/// Several replicated stores on one log, each as in a process of its own.
final class ReplicaFleet: Sendable {
    let server: RedisServer
    let prefix = "t\(UUID().uuidString.prefix(8))"
    let jumps = TimeJumps()
    private let members: [Member]

    struct Member: Sendable {
        let client: RedisClient
        let store: ReplicatedSessionStore
        let running: Task<Void, Never>
    }

    var stores: [ReplicatedSessionStore] { members.map(\.store) }

    /// Starts stores; returns when all of them have read the log.
    init(
        _ count: Int,
        on server: RedisServer,
        url: String? = nil,
        peppers: [SessionPepper] = [],
        options adjust: (inout LogOptions) -> Void = { _ in }
    ) async throws {
        self.server = server
        var options = Self.quickOptions
        options.time = { [jumps] in jumps.map($0) }
        adjust(&options)
        members = try (0..<count).map { [prefix] _ in
            try Self.member(url ?? server.url, prefix, peppers: peppers, options: options)
        }
        for store in stores { try await store.ready() }
    }

    deinit { for member in members { member.running.cancel() } }

    /// Options for a busy machine: long timeouts, and short quiet periods while a log is recovered.
    static var quickOptions: LogOptions {
        var options = LogOptions()
        options.quietPeriod = .milliseconds(60)
        options.timeout = .seconds(20)
        options.newLogDelay = .zero
        return options
    }

    static func member(
        _ url: String,
        _ prefix: String,
        peppers: [SessionPepper] = [],
        options: LogOptions = quickOptions
    ) throws -> Member {
        var configuration = try RedisConfiguration(url: url)
        configuration.commandTimeout = options.timeout
        let client = RedisClient(configuration)
        let store = try ReplicatedSessionStore(
            client,
            application: prefix,
            prefix: prefix,
            peppers: peppers,
            options: options
        )
        return Member(client: client, store: store, running: Task { try? await store.run() })
    }

    /// Waits until every store has applied what is in the log now.
    func settle() async throws {
        for member in members { _ = try await member.client.send(RedisCommand("PING")) }
        for store in stores { try await store.check() }
    }

    /// Advances the time of all stores at once.
    func advance(_ duration: Duration) async throws {
        try await settle()
        let text = try await server.admin("TIME").split(whereSeparator: \.isNewline).compactMap { Int64($0) }
        let time = SessionInstant(milliseconds: text[0] * 1000 + text[1] / 1000)
        let before = jumps.map(time + .milliseconds(1))
        jumps.jump(duration, from: time)
        let hasPassed = await poll(seconds: 10) {
            self.stores.allSatisfy { $0.log.now >= before + duration }
        }
        guard hasPassed else { throw SessionError(.storeUnavailable, "The time does not advance.") }
    }

    /// One client whose requests go to any of the stores.
    var router: Router { Router(stores: stores) { try await self.settle() } }

    var harness: SessionStoreHarness {
        SessionStoreHarness(store: router) { try await self.advance($0) }
    }
}

extension ReplicatedSessionStore {
    /// What the cookie must carry after a request that only reads; nil when it stays as it is.
    func refreshed(_ credential: SessionCredential) async throws -> SessionCredential? {
        try await touch(try await found(credential), isDue: false)
    }

    /// Returns when the log has been read.
    func ready() async throws {
        let isReady = await poll(seconds: 20) { (try? await self.check()) != nil }
        if !isReady { try await check() }
    }
}

/// A client with one cookie jar, each of whose requests goes to any of several stores.
///
/// Presents the newest version of each token that it received, as a browser does. After operations that set no
/// new cookie it waits until all stores have applied the change, because stores with local copies promise that
/// within a second only.
struct Router: SessionDirectory {
    private let stores: [any SessionDirectory]
    private let settled: @Sendable () async throws -> Void
    private let jar = Jar()

    init(stores: [any SessionDirectory], settled: @escaping @Sendable () async throws -> Void) {
        self.stores = stores
        self.settled = settled
    }

    private var store: any SessionDirectory { stores.randomElement()! }

    private final class Jar: Sendable {
        private let versions = Mutex<[String: Int]>([:])

        func keep(_ credential: SessionCredential?) {
            guard let credential, let ticket = SessionToken(credential), let version = ticket.version else {
                return
            }
            versions.withLock { $0[Self.key(credential)] = max(version, $0[Self.key(credential)] ?? 0) }
        }

        func newest(_ credential: SessionCredential) -> SessionCredential {
            guard let ticket = SessionToken(credential),
                let version = versions.withLock({ $0[Self.key(credential)] })
            else {
                return credential
            }
            return ticket.seen(version).credential
        }

        private static func key(_ credential: SessionCredential) -> String {
            credential.value.split(separator: ".").prefix(2).joined(separator: ".")
        }
    }

    func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        let load = try await store.load(jar.newest(credential))
        if case .found(let record) = load { jar.keep(try await store.touch(record, isDue: false)) }
        return load
    }

    func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        let commit = try await store.create(draft)
        if case .committed(_, _, let credential, _) = commit { jar.keep(credential) }
        return commit
    }

    func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
        -> SessionCommitResult
    {
        let commit = try await store.commit(change, to: record)
        switch commit {
        case .committed(let id, let version, let credential?, let remaining):
            jar.keep(credential)
            // The contract counts a credential as new when its secret is; a new version of the same secret only
            // concerns the jar.
            guard SessionToken(credential)?.secret == SessionToken(record.credential)?.secret else {
                // The token with the old secret keeps its old version, so instances may lag for it.
                try await settle()
                return commit
            }
            return .committed(id: id, version: version, credential: nil, remaining: remaining)
        case .committed(_, _, nil, _): try await settle()
        case .conflict(let record): jar.keep(try await store.touch(record, isDue: false))
        default: break
        }
        return commit
    }

    func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        let credential = try await store.touch(record, isDue: isDue)
        try await settle()
        return credential
    }

    func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        let isEnded = try await store.end(record)
        try await settle()
        return isEnded
    }

    func check() async throws(SessionError) { try await store.check() }

    func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
        try await store.sessions(of: principal)
    }

    func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
        let isRevoked = try await store.revoke(id, of: principal)
        try await settle()
        return isRevoked
    }

    func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
        let count = try await store.revokeAll(of: principal, except: kept)
        try await settle()
        return count
    }

    func revoke(_ id: SessionID) async throws(SessionError) {
        try await store.revoke(id)
        try await settle()
    }

    func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
        try await store.load(id, of: principal)
    }

    private func settle() async throws(SessionError) {
        do { try await settled() } catch { throw SessionError(.storeUnavailable, "\(error)") }
    }
}
