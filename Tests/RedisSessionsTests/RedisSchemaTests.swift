// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import RedisSessions
@testable import Sessions

/// The schema's documentation, the scripts and the Swift code say the same.
@Suite(.limited) struct `The schema in Redis` {
    private let sources = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/RedisSessions")

    /// The scripts of the session stores by file name, without comments; not those of the log.
    private func scripts() throws -> [String: String] {
        let folder = sources.appending(path: "Scripts")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        var scripts: [String: String] = [:]
        for name in names where name.hasSuffix(".lua") && !name.hasPrefix("log-") {
            let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            scripts[name] = text.split(separator: "\n").filter { !$0.hasPrefix("--") }
                .joined(separator: "\n")
        }
        return scripts
    }

    @Test func `commit's arguments stand in the order and under the names of the script's`() async throws {
        let script = try #require(try scripts()["commit.lua"])
        let list = try #require(script.firstMatch(of: /local ([a-z_, \n]+) = unpack\(ARGV, 1, (\d+)\)/))
        let names = list.1.split(separator: ",").map { name in
            let words = name.filter { !$0.isWhitespace }.split(separator: "_")
            return words.dropFirst().reduce(String(words[0])) { $0 + $1.capitalized }
        }
        #expect(names.count == Int(list.2) && names.count == 14)
        let record = SessionRecord(
            id: SessionID(),
            version: 7,
            principal: nil,
            attributes: [:],
            times: SessionTimes(startingAt: .now, idleTimeout: .seconds(1), lifetime: .seconds(1)),
            now: .now,
            storeContext: 0
        )
        let change = SessionChange(
            operations: ["x": .set([120])],
            needsVersion: true,
            rotation: .signIn(principal: "ann", keeping: ["k1"]),
            policy: SessionPolicy(
                idleTimeout: .milliseconds(91),
                lifetime: .milliseconds(92),
                renewalGrace: .milliseconds(93)
            ),
            persistence: .persistent,
            maximumBytes: 94
        )
        let arguments = CommitArguments(
            change,
            to: record,
            PresentedToken(SessionToken(), hash: Array("presented".utf8), family: SecretFamily()),
            fresh: SessionToken(),
            notAfter: SessionInstant(milliseconds: 95),
            try RecordCrypto(application: "shop", peppers: [])
        )
        let stored = Array(Mirror(reflecting: arguments).children)
        #expect(stored.prefix(14).map { $0.label ?? "" } == names)
        // What is sent stands in this order too.
        var command = RedisCommand(script: RedisScript("return ARGV"))
        arguments.append(to: &command)
        let reply = try await RedisFixture().client.send(command)
        let sent = (0..<reply.count).compactMap { reply[$0].bytes }
        let expected = stored.prefix(14).map { child in
            (child.value as? [UInt8]) ?? Array("\(child.value)".utf8)
        }
        #expect(Array(sent.prefix(14)) == expected)
        #expect(sent.dropFirst(14).map { String(decoding: $0, as: UTF8.self) } == ["a:k1", "s", "a:x", "x"])
    }

    @Test func `fields of the scripts are those of the schema`() throws {
        var named: Set<String> = []
        for script in try scripts().values {
            named.formUnion(script.matches(of: /'(@[a-z-]+)'/).map { String($0.1) })
        }
        let known =
            RedisSchema.Field.allCases.map(\.rawValue) + RedisSchema.ListField.allCases.map(\.rawValue)
        #expect(named == Set(known))
        #expect(known.count == Set(known).count)
    }

    @Test func `the commands of the schema's table are those that the scripts call`() throws {
        let scripts = try scripts()
        func called(_ script: String?) -> Set<String> {
            Set((script ?? "").matches(of: /(?:redis\.p?call\(|\{)'([A-Z]+)'/).map { String($0.1) })
        }
        let text = try String(contentsOf: sources.appending(path: "RedisSchema.swift"), encoding: .utf8)
        var documented: [String: Set<String>] = [:]
        for row in text.split(separator: "\n") where row.hasPrefix("/// |") {
            for part in row.matches(of: /`([a-z-]+\.lua)`(?: on `[^`]*`)?: ([^;|]*)/) {
                let commands = part.2.matches(of: /`([A-Z]+)`/).map { String($0.1) }
                documented[String(part.1), default: []].formUnion(commands)
            }
        }
        #expect(Set(documented.keys) == Set(scripts.keys).subtracting(["live.lua"]))
        for (name, commands) in documented {
            var expected = called(scripts[name])
            if ["commit.lua", "touch.lua", "end.lua"].contains(name) {
                expected.formUnion(called(scripts["live.lua"]))
            }
            let difference = expected.symmetricDifference(commands).sorted()
            #expect(difference.isEmpty, "\(name): \(difference)")
        }
    }

    /// The commands of an access rule.
    private func commands(_ rules: String) -> Set<String> {
        Set(rules.split(separator: " ").filter { $0.hasPrefix("+") }.map { $0.dropFirst().uppercased() })
    }

    @Test func `access rules allow what the tables name and the code sends, and nothing else`() throws {
        let always: Set = ["PING", "EVALSHA", "EVAL", "SCRIPT|LOAD"]
        let schema = try String(contentsOf: sources.appending(path: "RedisSchema.swift"), encoding: .utf8)
            .components(separatedBy: "And what `")
        let log = try String(
            contentsOf: sources.appending(path: "Replicated/Log/LogCommands.swift"),
            encoding: .utf8
        )
        let paths = try FileManager.default.subpathsOfDirectory(atPath: sources.path)
            .filter { $0.hasSuffix(".swift") }
        let stores: [(name: String, table: String, rules: String, scripts: [RedisScript])] = [
            ("RedisSessionStore", schema[0], try RedisSessionStore.accessRules(application: "a"), []),
            ("RevocableSessionStore", schema[1], try RevocableSessionStore.accessRules(application: "a"), []),
            (
                // A row of its own names subcommands with a space, the rules with a bar.
                "NearCache/", schema[0] + schema[2].replacing("`CLIENT ", with: "`CLIENT|"),
                try CachedSessionStore.accessRules(application: "a"), []
            ),
            (
                "Replicated/", log, try ReplicatedSessionStore.accessRules(application: "a"),
                ReplicatedSessionStore.scripts
            ),
        ]
        for (name, table, rules, scripts) in stores {
            var named = Set(
                table.split(separator: "\n").filter { $0.hasPrefix("/// |") }.flatMap { row in
                    row.matches(of: /`([A-Z]{3,}(?:\|[A-Z]+)?)\b[^`]*`/).map { String($0.1) }
                }
            )
            for script in scripts {
                let text = String(decoding: script.source, as: UTF8.self)
                named.formUnion(text.matches(of: /call\('([A-Z]+)'/).map { String($0.1) })
            }
            named.subtract(["KEY"])
            let difference = commands(rules).symmetricDifference(named.union(always)).sorted()
            #expect(difference.isEmpty, "\(name), rules and table: \(difference)")
            let sent = Set(
                try paths.filter { $0.hasPrefix(name) }.flatMap { path in
                    try String(contentsOf: sources.appending(path: path), encoding: .utf8)
                        .matches(of: /RedisCommand\(\s*"([A-Z]+)"/).map { String($0.1) }
                }
            )
            let words = Set(commands(rules).map { String($0.prefix { $0 != "|" }) })
            #expect(sent.isSubset(of: words), "\(name): \(sent.subtracting(words))")
        }
    }

    @Test func `SECURITY shows the access rules as lines to copy`() throws {
        let text = try String(contentsOf: sources.appending(path: "../../SECURITY.md"), encoding: .utf8)
        for rules in [
            try RedisSessionStore.accessRules(application: "shop"),
            try CachedSessionStore.accessRules(application: "shop"),
            try RevocableSessionStore.accessRules(application: "shop"),
            try ReplicatedSessionStore.accessRules(application: "shop"),
        ] {
            let line = "ACL SETUSER shop on >PASSWORD \(rules)"
            #expect(text.split(separator: "\n").contains { $0 == line }, "\(line)")
        }
    }
}
