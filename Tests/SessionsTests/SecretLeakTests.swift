// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// Feeds secrets into everything that prints, fails or logs, and looks for them afterwards (R33, R75).
@Suite struct Secrets {
    private static let planted = "pl4nted-s3cret"

    /// Everything that a value shows to somebody who prints it.
    private func shown(_ value: some Any) -> String {
        var text = "\(value) \(String(describing: value)) \(String(reflecting: value))"
        dump(value, to: &text)
        dump(["inside": value], to: &text)
        // `dump` writes one byte of an array on each line.
        return text + text.split { !$0.isLetter && !$0.isNumber }.joined(separator: " ")
    }

    /// The spellings in which a ticket's secret could appear.
    private func spellings(_ ticket: SessionToken) -> [String] {
        let bytes = ticket.secret.map(String.init)
        return [
            String(ticket.credential.value.split(separator: ".")[1]), ticket.credential.value,
            bytes.prefix(4).joined(separator: " "),
            ticket.secret.prefix(4).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(),
        ]
    }

    private func expectSilence(
        _ text: String,
        about secrets: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for (index, secret) in secrets.enumerated() {
            let isShown = text.contains(secret)
            #expect(!isShown, "secret number \(index) is shown", sourceLocation: sourceLocation)
        }
    }

    @Test func `no type that carries a ticket shows it`() async throws {
        let site = try Site()
        let cookie = try await site.start(as: Self.planted)
        let ticket = try #require(SessionToken(SessionCredential(cookie)))
        let record = try await site.found(cookie)
        let secrets = spellings(ticket)
        #expect(shown(["secret": ticket.secret]).contains(secrets[2]), "the search would find the bytes")
        expectSilence(shown(ticket), about: secrets)
        expectSilence(shown(ticket.credential), about: secrets)
        expectSilence(shown(record), about: secrets)
        expectSilence(shown(SessionLoadResult.found(record)), about: secrets)
        expectSilence(shown(SessionCommitResult.conflict(record)), about: secrets)
        let commit = SessionCommitResult.committed(
            id: ticket.id,
            version: 1,
            credential: ticket.credential,
            remaining: .zero
        )
        expectSilence(shown(commit), about: secrets)
        expectSilence(shown(try await site.manager.list(for: Self.planted)), about: secrets + [Self.planted])
        expectSilence(shown(site.manager), about: secrets + [Self.planted])
        #expect(shown(ticket).contains(ticket.id.description))
    }

    @Test func `neither the exchange nor the session shows its ticket`() async throws {
        let site = try Site()
        let cookie = try await site.start(as: Self.planted)
        let secrets = spellings(try #require(SessionToken(SessionCredential(cookie))))
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        expectSilence(shown(session), about: secrets + [Self.planted])
        // `dump` walks into the cookie that the exchange has read.
        expectSilence(shown(exchange), about: secrets + [Self.planted])
    }

    @Test func `no line of the log, at any level, holds a ticket, a user name or a value`() async throws {
        let site = try Site(policy: SessionPolicy(endsOnTheft: true), limits: SessionLimits(bytes: 200))
        var secrets = [Self.planted]
        func note(_ cookie: String?) throws -> String {
            let cookie = try #require(cookie)
            secrets += spellings(try #require(SessionToken(SessionCredential(cookie))))
            return cookie
        }
        func quietly(_ cookie: String?, _ handler: (Session) async throws -> Void = { _ in }) async {
            do {
                try await site.send(cookie, handler)
            } catch {
                expectSilence(shown(error), about: secrets)
                if let error = error as? SessionError {
                    expectSilence(error.body + shown(error.headers), about: secrets)
                }
            }
        }
        let first = try note(try await site.send { try $0.set(.item, Self.planted) }.cookie)
        let second = try note(
            try await site.send(first) { try $0.signIn(as: Self.planted, keeping: .item) }.cookie
        )
        let third = try note(try await site.send(second) { try $0.renew() }.cookie)
        await quietly(third) { _ = $0[SessionKey<Int>("item")] }
        await quietly(third) { try $0.increment(SessionKey<Int>("item")) }
        await quietly(third) { try $0.set(.other, String(repeating: Self.planted, count: 20)) }
        await quietly(third) { session in
            for name in ["a", "b", "c", "d"] {
                try session.set(
                    try SessionKey<String>(validating: name),
                    Self.planted + String(repeating: "x", count: 40)
                )
            }
        }
        for operation in FaultyStore.Operation.allCases {
            site.store.fail([operation])
            site.clock.advance(by: .seconds(500))
            await quietly(third) { try $0.set(.item, Self.planted) }
            await quietly(third) { try $0.signOut() }
            site.store.fail([])
            if try await site.record(third) == nil { break }
        }
        await quietly(first) { try $0.set(.item, Self.planted) }
        await quietly(second)
        await quietly(third)
        await quietly(Self.planted)
        await quietly("\(Self.planted); \(site.manager.cookie.name)=\(third)")
        await quietly(nil) { try $0.signIn(as: Self.planted) }
        _ = try await site.manager.revokeAll(of: Self.planted)
        let lines = site.recorder.lines + site.recorder.takeEvents().map { shown($0) }
        #expect(lines.count > 20)
        expectSilence(lines.joined(separator: "\n"), about: secrets)
    }

    @Test func `no error repeats what it was given`() async throws {
        struct Stubborn: Codable {
            init() {}
            init(from decoder: any Decoder) throws {}
            func encode(to encoder: any Encoder) throws {
                throw EncodingError.invalidValue(
                    Secrets.planted,
                    .init(codingPath: [], debugDescription: Secrets.planted)
                )
            }
        }
        let site = try Site(limits: SessionLimits(bytes: 50))
        let session = try await site.open(nil).session()
        let long = String(repeating: Self.planted, count: 100)
        func check(_ body: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) async {
            do {
                try await body()
                Issue.record("nothing was thrown", sourceLocation: sourceLocation)
            } catch {
                #expect(error is SessionError, sourceLocation: sourceLocation)
                expectSilence(shown(error), about: [Self.planted], sourceLocation: sourceLocation)
            }
        }
        await check { try session.set(.item, long) }
        await check { try session.update(.item) { $0 = long } }
        await check { try session.set(SessionKey<Stubborn>("item"), Stubborn()) }
        await check { try session.update(SessionKey<Stubborn>("item")) { $0 = Stubborn() } }
        await check { try session.signIn(as: long) }
        await check { _ = try SessionKey<String>(validating: "@" + Self.planted) }
        await check { _ = try SessionKey<String>(validating: Self.planted + "\u{E9}") }
        await check { _ = try SessionPepper(Array(Self.planted.utf8)) }
        await check {
            _ = try SessionCookie().setFields(value: Self.planted + ";", remainingLifetime: nil, now: Date())
        }
        await check {
            _ = try SessionCookie().setFields(
                value: String(repeating: long, count: 20),
                remainingLifetime: nil,
                now: Date()
            )
        }
        await check { try await site.manager.withSession(SessionCredential(Self.planted)) { _ in } }
        await check { try await site.manager.amend(session) { _ in } }
        try session.set(.item, Self.planted)
        await check { try session.increment(SessionKey<Int>("item")) }
    }
}
