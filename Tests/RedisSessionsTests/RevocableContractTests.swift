// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import SessionsTesting
import TestSupport
import Testing

/// The contract for cookies with a revocation list, and that each limit it declares is real.
@Suite(.limited) struct `Revocable store and the contract` {
    static let guarantees: SessionStoreContract.Guarantees = [.finalEnds, .replacedCredentials]
    static let kept = SessionStoreContract.rules(for: guarantees)
    static let notKept = SessionStoreContract.rules.filter { !guarantees.isSuperset(of: $0.needs) }

    @Test(arguments: kept) func `keeps what it promises`(rule: SessionStoreContract.Rule) async throws {
        try await rule.check(try await RevocableFixture().harness)
    }

    @Test(arguments: kept) func `keeps it with peppers that are being replaced`(
        rule: SessionStoreContract.Rule
    ) async throws {
        let peppers = [try SessionPepper(Array(7..<7 + 32)), .none]
        try await rule.check(try await RevocableFixture(peppers: peppers).harness)
    }

    @Test(arguments: notKept) func `promises all that it keeps`(rule: SessionStoreContract.Rule) async throws
    {
        let harness = try await RevocableFixture().harness
        do {
            try await rule.check(harness)
            Issue.record("it keeps: \(rule)")
        } catch is SessionStoreContract.Violation {} catch let error as SessionError {
            // The rule needs more than a cookie holds.
            #expect(error.code == .tooLarge)
        }
    }

    @Test func `works under the least privileges that its documentation names`() async throws {
        let rules = try RevocableSessionStore.accessRules(application: "app").split(separator: " ")
        let server = try await RedisServer(["--user", "app", "on", ">pw"] + rules.map(String.init))
        let client = try patientClient("redis://app:pw@127.0.0.1:\(server.port)")
        for (number, rule) in Self.kept.enumerated() {
            let (prefix, clock) = ("app:\(number)", ManualClock(.now))
            let store = try RevocableSessionStore(
                SealedSessionStore(RevocableFixture.keys(), application: prefix) { clock.now },
                revocations: client,
                application: prefix
            )
            try await rule.check(
                SessionStoreHarness(store: store, splice: RevocableFixture.splice) {
                    clock.advance(by: $0)
                    try await RedisFixture.letTimePass($0, server: server, client: client, prefix: prefix)
                }
            )
        }
        #expect(try await server.admin("ACL", "LOG") == "")
    }

    @Test func `every key has a time to live, and shows neither cookies nor user names`() async throws {
        let site = try await RevocableFixture()
        let name = "hedwig-lamarr"
        var cookies: [SessionCredential] = []
        for number in 0..<3 {
            cookies.append(try await site.store.start(["item": "tea"]))
            cookies.append(try await site.store.renew(cookies[cookies.count - 1]))
            cookies.append(try await site.store.signIn(cookies[cookies.count - 1], as: name))
            let record = try await site.store.found(cookies[cookies.count - 1])
            if number == 0 { #expect(try await site.store.end(record) == .ended) }
            if number == 1 { #expect(try await site.store.revoke(record.id, of: name)) }
            _ = try await site.store.touch(record, isDue: true)
        }
        try await site.store.revoke(try await site.store.found(cookies[8]).id)
        #expect(try await site.store.revokeAll(of: name, except: nil) == 1)
        let contents = try await site.contents()
        #expect(contents.count == 4)
        for (key, value) in contents {
            #expect(Int(try await site.redis.server.admin("PTTL", key)) ?? -1 > 0, "\(key)")
            #expect(!(key + value).contains("hedwig"))
            for cookie in cookies {
                let secret = cookie.value.split(separator: ".")[2]
                #expect(!(key + value).contains(secret.prefix(40)) && !value.contains(secret.suffix(40)))
            }
        }
    }
}
