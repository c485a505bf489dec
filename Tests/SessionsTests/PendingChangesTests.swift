// SPDX-License-Identifier: Apache-2.0

import SessionsTesting
import Testing

@testable import Sessions

/// Holds the journal to a model that does one thing after the other on a dictionary.
@Suite struct `Session journal` {
    /// What the entries should do, without any cleverness.
    private struct Model: Equatable {
        var attributes: [String: [UInt8]]
        var principal: String?

        mutating func apply(_ entry: PendingChanges.Entry) throws {
            switch entry {
            case .set(let name, let bytes): attributes[name] = bytes
            case .remove(let name): attributes[name] = nil
            case .update(let name, let update), .show(let name, let update):
                attributes[name] = try update(attributes[name])
            case .increment(let name, let amount):
                guard let number = attributes[name].map({ SessionCodec.integer($0) }) ?? 0 else {
                    throw SessionError(.invalidValue, "no number")
                }
                attributes[name] = Array(String(number + amount).utf8)
            case .signIn(let principal, let keeping):
                self.principal = principal
                attributes = attributes.filter { keeping.contains($0.key) }
            case .renew, .elevate: break
            }
        }

        static func after(_ entries: [PendingChanges.Entry], on base: [String: [UInt8]]) -> Model? {
            var model = Model(attributes: base)
            do { for entry in entries { try model.apply(entry) } } catch { return nil }
            return model
        }
    }

    private static let append: PendingChanges.Update = { ($0 ?? []) + Array("1".utf8) }

    /// One of each kind, all on the key `k`.
    private static let alphabet: [(name: String, entry: PendingChanges.Entry)] = [
        ("set 7", .set("k", Array("7".utf8))), ("set x", .set("k", Array("x".utf8))),
        ("remove", .remove("k")),
        ("+1", .increment("k", by: 1)), ("-3", .increment("k", by: -3)), ("append", .update("k", append)),
        ("update to nothing", .update("k") { _ in nil }),
        ("sign in, keep", .signIn(principal: "ann", keeping: ["k"])),
        ("sign in, drop", .signIn(principal: "bob", keeping: [])), ("renew", .renew),
        ("elevate", .elevate),
    ]

    private static let bases: [[String: [UInt8]]] = [
        ["o": [1]], ["k": Array("5".utf8), "o": [1]], ["k": Array("x".utf8), "o": [1]],
    ]

    private func journal(_ entries: [PendingChanges.Entry], on base: [String: [UInt8]]) throws
        -> PendingChanges
    {
        try entries.reduce(into: PendingChanges(base: base)) { try $0.append($1) }
    }

    /// The journal's sum, applied by the store's own rules to a record that holds `base`.
    private func stored(_ journal: PendingChanges, on base: [String: [UInt8]]) throws -> Model {
        let crypto = try RecordCrypto(application: "test", peppers: [])
        let policy = SessionPolicy()
        let now = ManualClock().now
        let ticket = SessionToken()
        let plain = { (name: String) in Array(name.utf8) }
        let draft = HashedDraft(
            SessionDraft(attributes: base, policy: policy),
            for: ticket,
            in: SecretFamily(),
            crypto,
            encode: plain
        )
        var session = RecordState(draft, now: now)
        let change = SessionChange(
            operations: journal.operations,
            needsVersion: journal.dependsOnBase,
            rotation: journal.rotation,
            policy: policy
        )
        let stored = HashedChange(change, fresh: SessionToken(), principal: nil, crypto, encode: plain)
        _ = try session.apply(stored, to: 1, status: .current, at: now)
        let principal = session.principal(for: .current).map { String(decoding: $0, as: UTF8.self) }
        let presented = PresentedToken(ticket, hash: [], family: session.family)
        let record = session.record(presented, status: .current, principal: principal, at: now)
        return Model(attributes: record.attributes, principal: record.principal)
    }

    @Test func `every sequence of up to three entries does what doing them one by one does`() throws {
        let single = Self.alphabet.map { [$0] }
        let pairs = single.flatMap { first in Self.alphabet.map { first + [$0] } }
        let triples = pairs.flatMap { first in Self.alphabet.map { first + [$0] } }
        for sequence in single + pairs + triples {
            let entries = sequence.map(\.entry)
            let title = sequence.map(\.name).joined(separator: ", ")
            for (index, base) in Self.bases.enumerated() {
                let expected = Model.after(entries, on: base)
                guard let journal = try? journal(entries, on: base) else {
                    #expect(expected == nil, "\(title) on base \(index) is refused")
                    continue
                }
                guard let expected else {
                    Issue.record("\(title) on base \(index) is not refused")
                    continue
                }
                #expect(
                    journal.attributes == expected.attributes,
                    "\(title) on base \(index): as the handler sees it"
                )
                #expect(journal["k"] == expected.attributes["k"], "\(title) on base \(index): one value")
                #expect(
                    try stored(journal, on: base) == expected,
                    "\(title) on base \(index): as it is stored"
                )
                try checkOthers(journal, entries, "\(title) on base \(index)")
            }
        }
    }

    /// The same journal when somebody else committed first.
    private func checkOthers(_ journal: PendingChanges, _ entries: [PendingChanges.Entry], _ title: String)
        throws
    {
        if case .signIn(_, let keeping) = journal.rotation {
            for (name, operation) in journal.operations {
                guard case .increment = operation else { continue }
                #expect(keeping.contains(name), "\(title): a dropped attribute is added to")
            }
        }
        for (index, fresh) in Self.bases.enumerated() {
            guard let expected = Model.after(entries, on: fresh) else { continue }
            #expect(
                try journal.replayed(on: fresh).attributes == expected.attributes,
                "\(title): replayed on \(index)"
            )
            guard !journal.dependsOnBase else { continue }
            #expect(try stored(journal, on: fresh) == expected, "\(title): stored unseen on \(index)")
        }
    }

    @Test func `only a closure that looked at a stored value depends on the version`() throws {
        func depends(_ entries: PendingChanges.Entry...) throws -> Bool {
            try journal(entries, on: Self.bases[1]).dependsOnBase
        }
        let update = PendingChanges.Entry.update("k", Self.append)
        #expect(try depends(update))
        #expect(try depends(.update("missing", Self.append)))
        #expect(try depends(.increment("k", by: 1), update))
        #expect(try depends(.set("o", []), update))
        #expect(try depends(.signIn(principal: "ann", keeping: ["k"]), update))
        #expect(try depends(update, .set("k", [])))
        #expect(try !depends(.set("k", []), update))
        #expect(try !depends(.remove("k"), update))
        #expect(try !depends(.set("k", []), update, update))
        #expect(try !depends(.signIn(principal: "ann", keeping: ["o"]), update))
        #expect(try !depends(.set("k", []), .increment("o2", by: 1), .remove("o"), .renew))
    }

    @Test func `increments stay increments until the value is certain`() throws {
        func operation(_ entries: PendingChanges.Entry...) throws -> SessionChange.Operation? {
            try journal(entries, on: Self.bases[1]).operations["k"]
        }
        #expect(try operation(.increment("k", by: 2), .increment("k", by: 3)) == .increment(5))
        #expect(try operation(.set("k", Array("7".utf8)), .increment("k", by: 3)) == .set(Array("10".utf8)))
        #expect(try operation(.remove("k"), .increment("k", by: 3)) == .set(Array("3".utf8)))
        #expect(
            try operation(.signIn(principal: "ann", keeping: []), .increment("k", by: 3))
                == .set(Array("3".utf8))
        )
        #expect(
            try operation(.signIn(principal: "ann", keeping: ["k"]), .increment("k", by: 3)) == .increment(3)
        )
    }

    @Test func `an entry that is refused leaves no trace`() throws {
        struct Refusal: Error {}
        var journal = try journal([.set("a", [1]), .increment("k", by: 1)], on: Self.bases[1])
        let before = (journal.operations, journal.attributes, journal.dependsOnBase, journal.rotation)
        #expect(throws: Refusal.self) { try journal.append(.update("k") { _ in throw Refusal() }) }
        #expect(throws: SessionError(.invalidValue, "")) { try journal.append(.increment("a", by: 1)) }
        #expect(throws: SessionError(.invalidValue, "")) { try journal.append(.increment("k", by: .max)) }
        #expect(throws: SessionError(.invalidValue, "")) { try journal.append(.increment("k", by: .min)) }
        #expect(journal.operations == before.0 && journal.attributes == before.1)
        #expect(journal.dependsOnBase == before.2 && journal.rotation == before.3)
        #expect(try journal.replayed(on: [:]).operations == journal.operations)
    }

    @Test func `a number is not added to beyond the ends of its range`() throws {
        var journal = PendingChanges()
        try journal.append(.increment("k", by: .max))
        #expect(throws: SessionError(.invalidValue, "")) { try journal.append(.increment("k", by: 1)) }
        try journal.append(.increment("k", by: -1))
        #expect(journal.operations["k"] == .increment(.max - 1))
        var low = PendingChanges(base: ["k": Array(String(Int.min).utf8)])
        #expect(throws: SessionError(.invalidValue, "")) { try low.append(.increment("k", by: -1)) }
        try low.append(.increment("k", by: 1))
        #expect(low["k"] == Array(String(Int.min + 1).utf8))
        // What fitted the value that was read may not fit the fresh one.
        let high = ["k": Array(String(Int.max).utf8)]
        #expect(throws: SessionError(.invalidValue, "")) { try journal.replayed(on: high) }
    }

    @Test func `only canonical decimal text counts as a number`() throws {
        for text in [
            "", " 1", "1 ", "+1", "-0", "01", "1.0", "1e3", "0x1", "\u{661}", "9223372036854775808", "\"1\"",
            "null",
        ] {
            var journal = PendingChanges(base: ["k": Array(text.utf8)])
            #expect(throws: SessionError(.invalidValue, "")) { try journal.append(.increment("k", by: 1)) }
        }
        for text in ["0", "-1", "9223372036854775806", "-9223372036854775808"] {
            var journal = PendingChanges(base: ["k": Array(text.utf8)])
            try journal.append(.increment("k", by: 1))
            #expect(journal["k"] == Array(String(Int(text)! + 1).utf8))
        }
    }

    @Test func `a replay runs the entries again in their order, as often as need be`() throws {
        let journal = try journal(
            [
                .update("k", Self.append), .set("o", [2]), .signIn(principal: "ann", keeping: ["k"]),
                .update("k", Self.append),
            ],
            on: ["k": Array("a".utf8)]
        )
        #expect(journal["k"] == Array("a11".utf8))
        let once = try journal.replayed(on: ["k": Array("b".utf8), "new": [1]])
        let twice = try once.replayed(on: ["k": Array("c".utf8)])
        #expect(once["k"] == Array("b11".utf8) && twice["k"] == Array("c11".utf8))
        #expect(once["new"] == nil && once["o"] == nil)
        #expect(once.rotation == journal.rotation && twice.isSignIn)
    }

    @Test func `what an earlier sign-in of the request dropped stays dropped`() throws {
        let journal = try journal(
            [.signIn(principal: "ann", keeping: ["k"]), .signIn(principal: "bob", keeping: ["k", "o"])],
            on: Self.bases[1]
        )
        #expect(journal.rotation == .signIn(principal: "bob", keeping: ["k"]))
        #expect(journal.attributes == ["k": Array("5".utf8)])
    }

    @Test func `a renewal neither replaces a sign-in nor is lost before one`() throws {
        let signIn = PendingChanges.Entry.signIn(principal: "ann", keeping: [])
        #expect(try journal([signIn, .renew], on: [:]).isSignIn)
        #expect(try journal([.renew, signIn], on: [:]).isSignIn)
        #expect(try journal([.renew], on: [:]).rotation == .renew)
        #expect(try journal([.elevate, signIn], on: [:]).isSignIn)
        #expect(try journal([signIn, .elevate], on: [:]).isSignIn)
        #expect(try journal([.renew, .elevate], on: [:]).rotation == .elevate)
        #expect(try journal([.elevate, .renew], on: [:]).rotation == .elevate)
    }
}
